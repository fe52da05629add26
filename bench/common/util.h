/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the bench programs share: the clock, failing loudly, numbers from the command line, and the
 * mark inside an event that lets the sink recognise it:
 *
 *     "bench":"m0123456789abcdef.0123456789abcdef"
 *              |sequence number . intended send time, CLOCK_MONOTONIC ns (both hexadecimal)
 *              m: measured, w: warm-up
 */
#ifndef LL_BENCH_UTIL_H
#define LL_BENCH_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MARK_KEY      "\"bench\":\""
#define MARK_KEY_LEN  9u
#define MARK_DIGITS   16u
#define MARK_LEN      (1 + MARK_DIGITS + 1 + MARK_DIGITS)
#define MARK_MEASURED 'm'
#define MARK_WARM_UP  'w'

struct mark {
    bool is_measured;
    uint64_t seq;
    int64_t intended_ns;
};

int64_t bench_now_ns(void);

/* Never NULL: a bench without memory has nothing to say. */
void *bench_alloc(size_t size);

/* Prints the message and ends the process. */
_Noreturn void bench_die(const char *what, const char *detail);

/* Numbers of the command line; anything else ends the process with the option's name. */
uint64_t bench_uint(const char *option, const char *text, uint64_t max);
double bench_real(const char *option, const char *text, double max);

/* Writes or reads MARK_LEN bytes. */
void mark_put(char *at, const struct mark *mark);
bool mark_get(const char *at, struct mark *mark);

/* Finds a whole mark in a body. */
bool mark_find(const char *body, size_t len, struct mark *mark);

#endif
