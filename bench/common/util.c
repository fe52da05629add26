/* SPDX-License-Identifier: Apache-2.0 */

#include "util.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

int64_t bench_now_ns(void)
{
    struct timespec ts;
    if (clock_gettime(CLOCK_MONOTONIC, &ts) != 0) {
        bench_die("clock_gettime", strerror(errno));
    }
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

void *bench_alloc(size_t size)
{
    void *p = malloc(size);
    if (p == NULL) {
        bench_die("malloc", "out of memory");
    }
    return p;
}

_Noreturn void bench_die(const char *what, const char *detail)
{
    fprintf(stderr, "bench: %s: %s\n", what, detail);
    exit(2);
}

uint64_t bench_uint(const char *option, const char *text, uint64_t max)
{
    char *end = NULL;
    errno = 0;
    const unsigned long long v = strtoull(text, &end, 10);
    if (errno != 0 || end == text || *end != '\0' || text[0] == '-' || v > max) {
        bench_die(option, "not a number, or too large");
    }
    return v;
}

double bench_real(const char *option, const char *text, double max)
{
    char *end = NULL;
    errno = 0;
    const double v = strtod(text, &end);
    if (errno != 0 || end == text || *end != '\0' || !(v >= 0.0 && v <= max)) {
        bench_die(option, "not a number, or out of range");
    }
    return v;
}

static void put_hex(char *at, uint64_t v)
{
    static const char digits[] = "0123456789abcdef";
    uint64_t rest = v;
    for (size_t i = MARK_DIGITS; i-- > 0;) {
        at[i] = digits[rest & 15];
        rest >>= 4;
    }
}

static bool get_hex(const char *at, uint64_t *v)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < MARK_DIGITS; i++) {
        const char c = at[i];
        if (c >= '0' && c <= '9') {
            sum = sum << 4 | (uint64_t)(c - '0');
        } else if (c >= 'a' && c <= 'f') {
            sum = sum << 4 | (uint64_t)(c - 'a' + 10);
        } else {
            return false;
        }
    }
    *v = sum;
    return true;
}

void mark_put(char *at, const struct mark *mark)
{
    at[0] = mark->is_measured ? MARK_MEASURED : MARK_WARM_UP;
    put_hex(at + 1, mark->seq);
    at[1 + MARK_DIGITS] = '.';
    put_hex(at + 2 + MARK_DIGITS, (uint64_t)mark->intended_ns);
}

bool mark_get(const char *at, struct mark *mark)
{
    uint64_t ns = 0;
    if ((at[0] != MARK_MEASURED && at[0] != MARK_WARM_UP) || at[1 + MARK_DIGITS] != '.' ||
        !get_hex(at + 1, &mark->seq) || !get_hex(at + 2 + MARK_DIGITS, &ns)) {
        return false;
    }
    mark->is_measured = at[0] == MARK_MEASURED;
    mark->intended_ns = (int64_t)ns;
    return true;
}

bool mark_find(const char *body, size_t len, struct mark *mark)
{
    const char *end = body + len;
    const char *at = body;
    while ((size_t)(end - at) >= MARK_KEY_LEN + MARK_LEN) {
        at = memchr(at, '"', (size_t)(end - at) - (MARK_KEY_LEN + MARK_LEN - 1));
        if (at == NULL) {
            return false;
        }
        if (memcmp(at, MARK_KEY, MARK_KEY_LEN) == 0) {
            return mark_get(at + MARK_KEY_LEN, mark);
        }
        at++;
    }
    return false;
}
