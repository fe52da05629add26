/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Encoding of events and attempts. One X-macro per record gives the order and the kind of its
 * fields; encoder, size and decoder are made from it.
 *
 * Event, versions 1 and 2
 *   u8 version | u32 crc of what follows up to the end of the head | u32 head length (from the
 *   first byte) | u32 data length | u32 crc of data | EVENT_FIELDS | u16 n, n times (u32 number,
 *   text id) | data
 *
 * Attempt, versions 1 and 2
 *   u8 version | u32 crc of all that follows | u32 length (from the first byte) | ATTEMPT_FIELDS
 *
 * In version 2 the first crc goes on over "ev" or "at" and the key (place_crc): a record that turns
 * up under another seq is damaged.
 *
 * A text is u16 length and bytes; a long text has a u32 length. To change a format: raise the
 * version that the encoder writes, keep the decoder of the old one under its number, add a golden
 * file. The glances of record_internal.h rely on the first fields of each list.
 */
#include "longline/record.h"

#include "longline/ckd.h"
#include "longline/enc.h"
#include "longline/hash.h"

#include "record/record_internal.h"
#include "record/schema.h"

#define EVENT_VERSION   2
#define ATTEMPT_VERSION 2
#define EVENT_PREFIX    17U /* version, crc, head length, data length, data crc */
#define ATTEMPT_PREFIX  9U  /* version, crc, length */
#define CRC_START       5U  /* the first byte that a crc covers */
#define TEXT_MAX        0xffffU

/* X(kind, field) */
#define EVENT_FIELDS(X)                                                                            \
    X(i64, time_ms)                                                                                \
    X(flag, custom_id)                                                                             \
    X(flag, eligible_for_retry)                                                                    \
    X(text, id)                                                                                    \
    X(text, tenant_id)                                                                             \
    X(text, topic)                                                                                 \
    X(long_text, metadata)

#define ATTEMPT_FIELDS(X)                                                                          \
    X(u64, event_seq)                                                                              \
    X(i64, time_ms)                                                                                \
    X(u32, dest_num)                                                                               \
    X(u32, number)                                                                                 \
    X(flag, manual)                                                                                \
    X(flag, final)                                                                                 \
    X(status, status)                                                                              \
    X(i64, next_at_ms)                                                                             \
    X(i32, duration_us)                                                                            \
    X(i32, http_status)                                                                            \
    X(flag, response_truncated)                                                                    \
    X(text, event_id)                                                                              \
    X(text, tenant_id)                                                                             \
    X(text, dest_id)                                                                               \
    X(text, dest_type)                                                                             \
    X(text, topic)                                                                                 \
    X(text, code)                                                                                  \
    X(text, error)                                                                                 \
    X(long_text, response)

/* ---- writing: the size is known before, so nothing is checked here ---- */

static unsigned char *wr_bytes(unsigned char *p, struct str s)
{
    if (s.n != 0) {
        memcpy(p, s.p, s.n);
    }
    return p + s.n;
}
static unsigned char *wr_u64(unsigned char *p, uint64_t v)
{
    put_be64(p, v);
    return p + 8;
}
static unsigned char *wr_i64(unsigned char *p, int64_t v)
{
    return wr_u64(p, (uint64_t)v);
}
static unsigned char *wr_u32(unsigned char *p, uint32_t v)
{
    put_be32(p, v);
    return p + 4;
}
static unsigned char *wr_i32(unsigned char *p, int32_t v)
{
    return wr_u32(p, (uint32_t)v);
}
static unsigned char *wr_flag(unsigned char *p, bool v)
{
    *p = v ? 1 : 0;
    return p + 1;
}
static unsigned char *wr_status(unsigned char *p, enum attempt_status v)
{
    *p = v == ATTEMPT_SUCCESS ? 1 : 0;
    return p + 1;
}
static unsigned char *wr_text(unsigned char *p, struct str s)
{
    put_be16(p, (uint16_t)s.n);
    return wr_bytes(p + 2, s);
}
static unsigned char *wr_long_text(unsigned char *p, struct str s)
{
    put_be32(p, (uint32_t)s.n);
    return wr_bytes(p + 4, s);
}

/* ---- sizes: a running sum that turns "too big" once and stays so ---- */

struct sum {
    size_t n;
    bool bad;
};

static void add(struct sum *s, size_t n)
{
    if (ckd_add_size(&s->n, s->n, n) || s->n > RECORD_MAX_BYTES) {
        s->bad = true;
        s->n = 0;
    }
}
#define size_u64(s, v)    ((void)(v), add((s), 8))
#define size_i64(s, v)    ((void)(v), add((s), 8))
#define size_u32(s, v)    ((void)(v), add((s), 4))
#define size_i32(s, v)    ((void)(v), add((s), 4))
#define size_flag(s, v)   ((void)(v), add((s), 1))
#define size_status(s, v) ((void)(v), add((s), 1))
static void size_text(struct sum *s, struct str v)
{
    s->bad = s->bad || v.n > TEXT_MAX;
    add(s, 2);
    add(s, v.n);
}
static void size_long_text(struct sum *s, struct str v)
{
    add(s, 4);
    add(s, v.n);
}

/* ---- reading: every read goes through rd_take ---- */

struct rd {
    const unsigned char *p;
    size_t n;
    bool bad;
};

static const unsigned char *rd_take(struct rd *r, size_t n)
{
    static const unsigned char zeros[8];
    const unsigned char *at = r->p;
    if (r->bad || n > r->n) {
        r->bad = true;
        return n <= sizeof(zeros) ? zeros : NULL;
    }
    r->p += n;
    r->n -= n;
    return at;
}
static void rd_u64(struct rd *r, uint64_t *v)
{
    *v = get_be64(rd_take(r, 8));
}
static void rd_i64(struct rd *r, int64_t *v)
{
    *v = (int64_t)get_be64(rd_take(r, 8));
}
static void rd_u32(struct rd *r, uint32_t *v)
{
    *v = get_be32(rd_take(r, 4));
}
static void rd_i32(struct rd *r, int32_t *v)
{
    *v = (int32_t)get_be32(rd_take(r, 4));
}
static void rd_flag(struct rd *r, bool *v)
{
    const unsigned char c = *rd_take(r, 1);
    r->bad = r->bad || c > 1;
    *v = c == 1;
}
static void rd_status(struct rd *r, enum attempt_status *v)
{
    bool ok;
    rd_flag(r, &ok);
    *v = ok ? ATTEMPT_SUCCESS : ATTEMPT_FAILED;
}
static void rd_bytes(struct rd *r, struct str *v, size_t n)
{
    const unsigned char *p = rd_take(r, n);
    *v = r->bad ? STR_NULL : str_of((const char *)p, n);
}
static void rd_text(struct rd *r, struct str *v)
{
    rd_bytes(r, v, get_be16(rd_take(r, 2)));
}
static void rd_long_text(struct rd *r, struct str *v)
{
    rd_bytes(r, v, get_be32(rd_take(r, 4)));
}

static struct rd rd_of(struct str bytes, size_t from, size_t to)
{
    return (struct rd){.p = (const unsigned char *)bytes.p + from, .n = to - from};
}

/* The first crc of a record of n covered bytes, as its version has it. */
static uint32_t first_crc(const unsigned char *p, size_t n, enum journal_tree tree, uint64_t seq)
{
    const uint32_t crc = crc32c(0, p + CRC_START, n - CRC_START);
    unsigned char key[KEY_SEQ];

    if (p[0] == 1) {
        return crc;
    }
    key_seq(key, seq);
    return place_crc(crc, journal_trees[tree], str_of((const char *)key, sizeof(key)));
}

/* ---- events ---- */

static void event_sum(const struct event_record *e, struct sum *head)
{
    add(head, EVENT_PREFIX);
#define X(kind, field) size_##kind(head, e->field);
    EVENT_FIELDS(X)
#undef X
    add(head, 2);
    for (size_t i = 0; i < e->n_dests; i++) {
        add(head, 4);
        size_text(head, e->dests[i].id);
    }
}

struct blob *event_encode(const struct event_record *e, size_t max)
{
    struct sum head = {0};
    struct sum total;
    struct blob *b;
    unsigned char *p;

    if (e->n_dests > RECORD_MAX_DESTS) {
        return NULL;
    }
    event_sum(e, &head);
    total = head;
    add(&total, e->data.n);
    if (total.bad || total.n > max) {
        return NULL;
    }
    b = blob_new(total.n);
    if (b == NULL) {
        return NULL;
    }
    b->p[0] = EVENT_VERSION;
    p = wr_u32(b->p + CRC_START, (uint32_t)head.n);
    p = wr_u32(p, (uint32_t)e->data.n);
    p = wr_u32(p, crc32c(0, e->data.p, e->data.n));
#define X(kind, field) p = wr_##kind(p, e->field);
    EVENT_FIELDS(X)
#undef X
    put_be16(p, (uint16_t)e->n_dests);
    p += 2;
    for (size_t i = 0; i < e->n_dests; i++) {
        p = wr_u32(p, e->dests[i].num);
        p = wr_text(p, e->dests[i].id);
    }
    (void)wr_bytes(p, e->data);
    put_be32(b->p + 1, first_crc(b->p, head.n, TREE_EV, e->seq));
    return b;
}

int event_size(struct str bytes, struct record_size *out)
{
    if (bytes.n < EVENT_PREFIX) {
        return ERR_CORRUPT;
    }
    if (bytes.p[0] != EVENT_VERSION && bytes.p[0] != 1) {
        return ERR_VERSION;
    }
    out->head = get_be32(bytes.p + CRC_START);
    if (out->head < EVENT_PREFIX || ckd_add_size(&out->total, out->head, get_be32(bytes.p + 9)) ||
        out->total > RECORD_MAX_BYTES) {
        return ERR_CORRUPT;
    }
    return 0;
}

static int decode_dests(struct event_record *out, struct rd *r, struct arena *a)
{
    struct record_dest *dests = NULL;

    out->n_dests = get_be16(rd_take(r, 2));
    out->dests = NULL;
    if (r->bad || out->n_dests > RECORD_MAX_DESTS) {
        return ERR_CORRUPT;
    }
    if (a != NULL && out->n_dests != 0) {
        dests = arena_alloc(a, out->n_dests * sizeof(*dests));
        if (dests == NULL) {
            return ERR_TOO_BIG;
        }
    }
    for (size_t i = 0; i < out->n_dests && !r->bad; i++) {
        struct record_dest d;
        rd_u32(r, &d.num);
        rd_text(r, &d.id);
        if (dests != NULL) {
            dests[i] = d;
        }
    }
    out->dests = dests;
    return r->bad || r->n != 0 ? ERR_CORRUPT : 0;
}

int event_decode_head(struct event_record *out, uint64_t seq, struct str bytes, struct arena *a)
{
    struct record_size size;
    struct rd r;
    const int rc = event_size(bytes, &size);

    if (rc != 0) {
        return rc;
    }
    if (bytes.n < size.head || first_crc((const unsigned char *)bytes.p, size.head, TREE_EV, seq) !=
                                   get_be32(bytes.p + 1)) {
        return ERR_CORRUPT;
    }
    *out = (struct event_record){.seq = seq, .data = STR("")};
    r = rd_of(bytes, EVENT_PREFIX, size.head);
#define X(kind, field) rd_##kind(&r, &out->field);
    EVENT_FIELDS(X)
#undef X
    return decode_dests(out, &r, a);
}

int event_decode(struct event_record *out, uint64_t seq, struct str bytes, struct arena *a)
{
    struct record_size size;
    int rc = event_decode_head(out, seq, bytes, a);

    if (rc != 0) {
        return rc;
    }
    rc = event_size(bytes, &size);
    if (rc != 0) {
        return rc;
    }
    if (bytes.n != size.total) {
        return ERR_CORRUPT;
    }
    out->data = str_of(bytes.p + size.head, size.total - size.head);
    return crc32c(0, out->data.p, out->data.n) == get_be32(bytes.p + 13) ? 0 : ERR_CORRUPT;
}

int64_t event_peek_time(struct str bytes)
{
    return bytes.n >= EVENT_PREFIX + 8 ? (int64_t)get_be64(bytes.p + EVENT_PREFIX) : 0;
}

struct str event_peek_id(struct str bytes, bool *custom)
{
    struct rd r;
    struct str id;
    bool retry;

    *custom = false;
    if (bytes.n < EVENT_PREFIX + 8) {
        return STR_NULL;
    }
    r = rd_of(bytes, EVENT_PREFIX + 8, bytes.n);
    rd_flag(&r, custom);
    rd_flag(&r, &retry);
    rd_text(&r, &id);
    return id;
}

/* ---- attempts ---- */

int attempt_encode(struct buf *out, const struct attempt_record *at)
{
    struct sum total = {0};
    unsigned char *start;
    unsigned char *p;
    int rc;

    add(&total, ATTEMPT_PREFIX);
#define X(kind, field) size_##kind(&total, at->field);
    ATTEMPT_FIELDS(X)
#undef X
    if (total.bad) {
        return ERR_TOO_BIG;
    }
    rc = buf_reserve(out, total.n);
    if (rc != 0) {
        return rc;
    }
    start = (unsigned char *)out->p + out->n;
    start[0] = ATTEMPT_VERSION;
    p = wr_u32(start + CRC_START, (uint32_t)total.n);
#define X(kind, field) p = wr_##kind(p, at->field);
    ATTEMPT_FIELDS(X)
#undef X
    put_be32(start + 1, first_crc(start, total.n, TREE_AT, at->seq));
    out->n += (size_t)(p - start);
    return 0;
}

int attempt_size(struct str bytes, struct record_size *out)
{
    if (bytes.n < ATTEMPT_PREFIX) {
        return ERR_CORRUPT;
    }
    if (bytes.p[0] != ATTEMPT_VERSION && bytes.p[0] != 1) {
        return ERR_VERSION;
    }
    out->total = get_be32(bytes.p + CRC_START);
    out->head = out->total;
    return out->total >= ATTEMPT_PREFIX && out->total <= RECORD_MAX_BYTES ? 0 : ERR_CORRUPT;
}

int attempt_decode(struct attempt_record *out, uint64_t seq, struct str bytes)
{
    struct record_size size;
    struct rd r;
    const int rc = attempt_size(bytes, &size);

    if (rc != 0) {
        return rc;
    }
    if (bytes.n != size.total || first_crc((const unsigned char *)bytes.p, size.total, TREE_AT,
                                           seq) != get_be32(bytes.p + 1)) {
        return ERR_CORRUPT;
    }
    *out = (struct attempt_record){.seq = seq};
    r = rd_of(bytes, ATTEMPT_PREFIX, size.total);
#define X(kind, field) rd_##kind(&r, &out->field);
    ATTEMPT_FIELDS(X)
#undef X
    return r.bad || r.n != 0 ? ERR_CORRUPT : 0;
}

uint64_t attempt_peek_event(struct str bytes)
{
    return bytes.n >= ATTEMPT_PREFIX + 8 ? get_be64(bytes.p + ATTEMPT_PREFIX) : 0;
}

int64_t attempt_peek_time(struct str bytes)
{
    return bytes.n >= ATTEMPT_PREFIX + 16 ? (int64_t)get_be64(bytes.p + ATTEMPT_PREFIX + 8) : 0;
}
