/* SPDX-License-Identifier: Apache-2.0 */
/* A store in a temporary directory, on a loop with a clock that the test may move. */
#ifndef LL_STORE_FIXTURE_H
#define LL_STORE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "longline/store.h"

struct fixture {
    char dir[64];
    struct store_cfg cfg;
    struct clock clock;
    int64_t shift_ms; /* both clocks of the loop run ahead of the system's by this; see fx_pass */
    int64_t step_ms;  /* what somebody set the wall clock ahead by */
    struct loop *loop;
    struct store *store;
    struct arena arena;
    int n_fatal;
    struct err_detail fatal;
    bool closed;
    bool committed; /* by fx_commit */
};

int fx_setup(void **state); /* *state is a struct fixture; the directory exists, nothing is open */
int fx_teardown(void **state);

void fx_open(struct fixture *f);
int fx_try_open(struct fixture *f, struct err_detail *err);
void fx_close(struct fixture *f);
void fx_commit(struct fixture *f);            /* what was put is durable */
void fx_turns(struct fixture *f, int64_t ms); /* runs the loop for about that long */
/* That much time passes, and the store looks at its clock as often as it does by itself. */
void fx_pass(struct fixture *f, int64_t ms);
/* Runs the loop until the index has everything. */
void fx_indexed(struct fixture *f);
/* Turns until check(ctx) or a deadline; fails the test then. */
void fx_until(struct fixture *f, bool (*check)(struct fixture *f));

struct fx_event {   /* what tests vary; the rest is filled in */
    const char *id; /* NULL: generated */
    const char *tenant;
    const char *topic;
    const char *const *dests;
    size_t n_dests;
    size_t n_data;
    int64_t time_ms; /* 0: now */
};
uint64_t fx_put_event(struct fixture *f, const struct fx_event *e);
/* An attempt for event_seq; returns its seq. */
uint64_t fx_put_attempt(struct fixture *f, uint64_t event_seq, const char *tenant, const char *dest,
                        enum attempt_status status);
/* The seq that is remembered, or 0. */
uint64_t fx_find_idempotency(struct store *s, struct str tenant_id, struct str event_id);
/* How many a list shows. NULL: of every tenant, of every destination. */
size_t fx_count(struct fixture *f, enum store_kind kind, const char *tenant, const char *dest);
/* The byte that the data of fx_put_event has at position i. */
char fx_data_byte(uint64_t seq, size_t i);
void fx_path(const struct fixture *f, char out[160], const char *name);

#endif
