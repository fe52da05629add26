/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A line is built on the stack, copied into the ring and written with one write(2). The lock covers
 * the ring and the rate limiter, never the write: a slow terminal stops only the thread that logs.
 * A line is at most LINE_MAX_BYTES long (PIPE_BUF, so that lines of several threads do not mix);
 * fields that do not fit are dropped and the line says truncated=true.
 */
#include "longline/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <unistd.h>

#include "longline/check.h"
#include "longline/clock.h"
#include "longline/date.h"
#include "longline/enc.h"

#define LINE_MAX_BYTES  4096
#define TAIL_BYTES      64 /* kept free for the suppressed and truncated fields and the line end */
#define VALUE_MAX       1024
#define RING_SLOTS      128
#define RING_SLOT_BYTES 512
#define LIMIT_SLOTS     64
#define EVENT_NAME_MAX  48

struct line {
    char p[LINE_MAX_BYTES];
    size_t n;
    size_t limit;
    bool json;
    bool full; /* something did not fit */
};

struct ring_slot {
    char p[RING_SLOT_BYTES];
    size_t n;
};

/* How often one event name was seen in one second. */
struct limit_slot {
    char event[EVENT_NAME_MAX];
    int64_t second;
    unsigned n_passed;
    uint64_t n_suppressed;
};

static const char level_names[][6] = {"error", "warn", "info", "debug"};

static atomic_int current_level = LOG_INFO;
static atomic_bool as_json;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct ring_slot ring[RING_SLOTS]; /* under lock, but dumped without it */
static atomic_size_t ring_next;
static struct limit_slot limits[LIMIT_SLOTS]; /* under lock */

void log_setup(enum log_level level, bool json)
{
    atomic_store_explicit(&current_level, (int)level, memory_order_relaxed);
    atomic_store_explicit(&as_json, json, memory_order_relaxed);
}

bool log_enabled(enum log_level level)
{
    return (int)level <= atomic_load_explicit(&current_level, memory_order_relaxed);
}

static void put(struct line *l, const char *p, size_t n)
{
    if (l->full || n > l->limit - l->n) {
        l->full = true;
        return;
    }
    if (n != 0) {
        memcpy(l->p + l->n, p, n);
        l->n += n;
    }
}

static void put_c(struct line *l, char c)
{
    put(l, &c, 1);
}

static void put_cstr(struct line *l, const char *s)
{
    put(l, s, strlen(s));
}

static void put_int(struct line *l, int64_t v)
{
    char digits[24];
    size_t at = sizeof(digits);
    uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    do {
        digits[--at] = (char)('0' + u % 10);
        u /= 10;
    } while (u != 0);
    if (v < 0) {
        digits[--at] = '-';
    }
    put(l, digits + at, sizeof(digits) - at);
}

/* What must not reach a terminal or break a line as it is. Text that is no valid UTF-8 is escaped
 * byte by byte, so nothing is lost; C1 controls (C2 80 to C2 9F) can drive terminals. */
static bool needs_escape(struct str s, size_t i, bool valid_utf8)
{
    const unsigned char c = (unsigned char)s.p[i];
    if (c < 0x20 || c == 0x7f || c == '"' || c == '\\') {
        return true;
    }
    if (c < 0x80) {
        return false;
    }
    return !valid_utf8 || (c == 0xc2 && (unsigned char)s.p[i + 1] < 0xa0) ||
           (c < 0xa0 && (unsigned char)s.p[i - 1] == 0xc2);
}

static void put_escaped(struct line *l, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    static const char *const short_forms[128] = {
        ['\n'] = "\\n", ['\r'] = "\\r", ['\t'] = "\\t", ['"'] = "\\\"", ['\\'] = "\\\\"};
    if (c < 128 && short_forms[c] != NULL) {
        put_cstr(l, short_forms[c]);
        return;
    }
    /* JSON has no \x; \u00NN keeps the byte's number. */
    put_cstr(l, l->json ? "\\u00" : "\\x");
    put_c(l, hex[c >> 4]);
    put_c(l, hex[c & 15]);
}

static bool needs_quotes(struct str s, bool valid_utf8)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == ' ' || s.p[i] == '=' || needs_escape(s, i, valid_utf8)) {
            return true;
        }
    }
    return s.n == 0;
}

static void put_string(struct line *l, struct str s)
{
    const bool cut = s.n > VALUE_MAX;
    bool valid;
    bool quoted;

    if (cut) {
        s.n = VALUE_MAX;
        while (s.n > VALUE_MAX - 3 && ((unsigned char)s.p[s.n] & 0xc0) == 0x80) {
            s.n--; /* not within a character */
        }
    }
    valid = utf8_valid(s) != 0;
    quoted = l->json || cut || needs_quotes(s, valid);
    if (quoted) {
        put_c(l, '"');
    }
    for (size_t i = 0; i < s.n; i++) {
        if (needs_escape(s, i, valid)) {
            put_escaped(l, (unsigned char)s.p[i]);
        } else {
            put_c(l, s.p[i]);
        }
    }
    if (cut) {
        put_cstr(l, "...");
    }
    if (quoted) {
        put_c(l, '"');
    }
}

static void put_key(struct line *l, const char *key)
{
    if (l->json) {
        put_cstr(l, ",\"");
        put_cstr(l, key);
        put_cstr(l, "\":");
    } else {
        put_c(l, ' ');
        put_cstr(l, key);
        put_c(l, '=');
    }
}

/* The field as a whole or not at all. */
static void put_field(struct line *l, const struct log_field *f)
{
    const size_t before = l->n;
    put_key(l, f->key);
    switch (f->kind) {
    case LOG_KIND_STR:
        put_string(l, f->s);
        break;
    case LOG_KIND_INT:
        put_int(l, f->i);
        break;
    case LOG_KIND_BOOL:
        put_cstr(l, f->i != 0 ? "true" : "false");
        break;
    case LOG_KIND_END:
        break;
    }
    if (l->full) {
        l->n = before;
    }
}

static void put_head(struct line *l, enum log_level level, const char *event)
{
    char date[DATE_MAX];
    const int64_t now_ms = clock_wall_ms(clock_system());
    const size_t n = date_rfc3339_s(date, now_ms) - 1; /* without the Z */
    const int64_t ms = (now_ms % 1000 + 1000) % 1000;
    const char fraction[5] = {'.', (char)('0' + ms / 100), (char)('0' + ms / 10 % 10),
                              (char)('0' + ms % 10), 'Z'};

    put_cstr(l, l->json ? "{\"time\":\"" : "");
    put(l, date, n);
    put(l, fraction, sizeof(fraction));
    put_cstr(l, l->json ? "\",\"level\":\"" : " ");
    put_cstr(l, level_names[level]);
    put_cstr(l, l->json ? "\",\"event\":" : " ");
    put_string(l, str_c(event));
}

/* Under the lock. False when the line is over the limit; *suppressed counts those before it. */
static bool may_pass(const char *event, int64_t second, uint64_t *suppressed)
{
    const size_t n = strlen(event);
    struct limit_slot *slot = NULL;
    struct limit_slot *oldest = &limits[0];

    for (size_t i = 0; i < LIMIT_SLOTS && slot == NULL; i++) {
        if (strncmp(limits[i].event, event, EVENT_NAME_MAX - 1) == 0) {
            slot = &limits[i];
        } else if (limits[i].second < oldest->second) {
            oldest = &limits[i];
        }
    }
    if (slot == NULL) {
        slot = oldest;
        *slot = (struct limit_slot){.second = second};
        memcpy(slot->event, event, n < EVENT_NAME_MAX ? n : EVENT_NAME_MAX - 1);
    }
    if (slot->second != second) {
        slot->second = second;
        slot->n_passed = 0;
    }
    if (slot->n_passed >= LOG_BURST) {
        slot->n_suppressed++;
        return false;
    }
    slot->n_passed++;
    *suppressed = slot->n_suppressed;
    slot->n_suppressed = 0;
    return true;
}

/* Under the lock. */
static void remember(const struct line *l)
{
    const size_t at = atomic_load_explicit(&ring_next, memory_order_relaxed);
    struct ring_slot *slot = &ring[at % RING_SLOTS];
    slot->n = l->n < RING_SLOT_BYTES ? l->n : RING_SLOT_BYTES - 1;
    memcpy(slot->p, l->p, slot->n);
    slot->p[slot->n++] = '\n';
    atomic_store_explicit(&ring_next, at + 1, memory_order_release);
}

/* False when fd takes no more: a full non-blocking pipe loses the line rather than the server. */
static bool write_all(int fd, const char *p, size_t n)
{
    while (n != 0) {
        const ssize_t done = write(fd, p, n);
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done <= 0) {
            return false;
        }
        p += done;
        n -= (size_t)done;
    }
    return true;
}

void log_emit(enum log_level level, const char *event, const struct log_field *fields)
{
    struct line l;
    const int saved_errno = errno;
    uint64_t suppressed = 0;
    bool pass = true;

    l.n = 0;
    l.limit = LINE_MAX_BYTES - TAIL_BYTES;
    l.full = false;
    l.json = atomic_load_explicit(&as_json, memory_order_relaxed);
    put_head(&l, level, event);
    for (; fields->kind != LOG_KIND_END && !l.full; fields++) {
        put_field(&l, fields);
    }
    l.limit = LINE_MAX_BYTES;
    if (l.full) {
        l.full = false;
        put_field(&l, &LOG_BOOL("truncated", true));
    }

    (void)pthread_mutex_lock(&lock);
    remember(&l);
    if (level == LOG_ERROR || level == LOG_WARN) {
        pass = may_pass(event, clock_mono_ns(clock_system()) / 1000000000, &suppressed);
    }
    (void)pthread_mutex_unlock(&lock);

    if (pass) {
        if (suppressed != 0) {
            put_field(&l, &LOG_INT("suppressed", suppressed));
        }
        put_cstr(&l, l.json ? "}\n" : "\n");
        (void)write_all(STDERR_FILENO, l.p, l.n);
    }
    errno = saved_errno;
}

void log_dump_ring(int fd)
{
    static const char head[] = "recent log records:\n";
    const size_t end = atomic_load_explicit(&ring_next, memory_order_acquire);
    const size_t begin = end > RING_SLOTS ? end - RING_SLOTS : 0;

    if (!write_all(fd, head, sizeof(head) - 1)) {
        return;
    }
    for (size_t i = begin; i < end; i++) {
        const struct ring_slot *slot = &ring[i % RING_SLOTS];
        const size_t n = slot->n <= RING_SLOT_BYTES ? slot->n : RING_SLOT_BYTES;
        if (!write_all(fd, slot->p, n)) {
            return;
        }
    }
}
