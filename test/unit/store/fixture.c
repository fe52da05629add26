/* SPDX-License-Identifier: Apache-2.0 */
#define _XOPEN_SOURCE 700

#include "fixture.h"

#include <dirent.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "longline/enc.h"
#include "longline/log.h"
#include "longline/mem.h"

#define MIB         ((int64_t)1024 * 1024)
#define DEADLINE_MS 60000
#define LOOK_MAX_MS 9000

static int64_t wall_ns(void *ctx)
{
    const struct fixture *f = ctx;
    return clock_wall_ns(clock_system()) + (f->shift_ms + f->step_ms) * 1000000;
}

static int64_t mono_ns(void *ctx)
{
    const struct fixture *f = ctx;
    return clock_mono_ns(clock_system()) + f->shift_ms * 1000000;
}

int fx_setup(void **state)
{
    struct fixture *f = mem_zalloc(sizeof(*f));
    const char *base = getenv("TMPDIR");
    (void)snprintf(f->dir, sizeof(f->dir), "%.30s/store-test-XXXXXX", base != NULL ? base : "/tmp");
    if (mkdtemp(f->dir) == NULL) {
        return -1;
    }
    log_setup(LOG_ERROR, false);
    f->cfg = (struct store_cfg){
        .data_dir = f->dir,
        .map_size = 1024 * MIB,
        .min_free_disk = 0,
        .retention_ms = (int64_t)7 * 24 * 3600 * 1000,
        .commit_interval_us_max = 2000,
        .max_pending_bytes = 64 * MIB,
        .idempotency_ttl_ms = 24 * 3600 * 1000,
    };
    f->clock = (struct clock){.wall_ns = wall_ns, .mono_ns = mono_ns, .ctx = f};
    arena_init(&f->arena, (size_t)256 * 1024 * 1024);
    *state = f;
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

int fx_teardown(void **state)
{
    struct fixture *f = *state;
    if (f->store != NULL) {
        fx_close(f);
    }
    (void)nftw(f->dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
    arena_fini(&f->arena);
    mem_free(f);
    return 0;
}

static void on_fatal(void *ctx, const struct err_detail *err)
{
    struct fixture *f = ctx;
    f->n_fatal++;
    f->fatal = *err;
}

int fx_try_open(struct fixture *f, struct err_detail *err)
{
    const struct store_options o = {.cfg = &f->cfg, .on_fatal = on_fatal, .ctx = f};
    int rc;
    assert_int_equal(loop_open(&f->loop, &f->clock), 0);
    f->closed = false;
    rc = store_open(&f->store, f->loop, &o, err);
    if (rc != 0) {
        loop_free(f->loop);
        f->loop = NULL;
        f->store = NULL;
    }
    return rc;
}

void fx_open(struct fixture *f)
{
    struct err_detail err = {0};
    const int rc = fx_try_open(f, &err);
    if (rc != 0) {
        fail_msg("store_open: %s: %s", err_name(rc), err.msg);
    }
}

static void on_closed(void *ctx)
{
    struct fixture *f = ctx;
    f->closed = true;
}

void fx_close(struct fixture *f)
{
    store_close(f->store, on_closed, f);
    while (!f->closed) {
        (void)loop_turn(f->loop, true);
    }
    loop_free(f->loop);
    f->loop = NULL;
    f->store = NULL;
}

static void on_committed(void *ctx)
{
    struct fixture *f = ctx;
    f->committed = true;
}

void fx_commit(struct fixture *f)
{
    struct store_waiter w = {.fn = on_committed, .ctx = f};
    f->committed = false;
    store_wait(f->store, &w);
    assert_false(f->committed);
    while (!f->committed) {
        assert_int_equal(f->n_fatal, 0);
        (void)loop_turn(f->loop, true);
    }
}

static void on_timer(void *ctx)
{
    bool *fired = ctx;
    *fired = true;
}

void fx_turns(struct fixture *f, int64_t ms)
{
    struct timer t;
    bool fired = false;
    timer_init(&t, f->loop, on_timer, &fired);
    timer_in(&t, ms);
    while (!fired) {
        (void)loop_turn(f->loop, true);
    }
}

void fx_pass(struct fixture *f, int64_t ms)
{
    for (int64_t step; ms > 0; ms -= step) {
        step = ms < LOOK_MAX_MS ? ms : LOOK_MAX_MS;
        f->shift_ms += step;
        loop_refresh(f->loop);
        (void)store_age_ms(f->store);
    }
}

void fx_until(struct fixture *f, bool (*check)(struct fixture *f))
{
    for (int64_t left = DEADLINE_MS; !check(f); left -= 5) {
        if (left <= 0) {
            fail_msg("the deadline has passed");
        }
        fx_turns(f, 5);
    }
}

static bool is_indexed(struct fixture *f)
{
    return store_index_ready(f->store) && store_get_stats(f->store)->index_lag == 0;
}

void fx_indexed(struct fixture *f)
{
    fx_until(f, is_indexed);
}

char fx_data_byte(uint64_t seq, size_t i)
{
    return (char)((seq * 31 + i * 7 + i / 251) & 0xff);
}

uint64_t fx_find_idempotency(struct store *s, struct str tenant_id, struct str event_id)
{
    uint64_t seq = 0;
    const int rc = store_find_idempotency(s, tenant_id, event_id, &seq);
    assert_true(rc == 0 || rc == ERR_NOT_FOUND);
    return rc == 0 ? seq : 0;
}

uint64_t fx_put_event(struct fixture *f, const struct fx_event *in)
{
    static uint32_t next_num;
    struct record_dest dests[16];
    char id[ID_LEN];
    char *data = mem_alloc(in->n_data + 1);
    const uint64_t seq = store_next_seq(f->store);
    struct event_record e = {
        .seq = seq,
        .tenant_id = str_c(in->tenant != NULL ? in->tenant : "t1"),
        .topic = str_c(in->topic != NULL ? in->topic : "order.created"),
        .time_ms = in->time_ms != 0 ? in->time_ms : loop_wall_ms(f->loop),
        .custom_id = in->id != NULL,
        .eligible_for_retry = true,
        .metadata = STR("{\"k\":\"v\"}"),
        .n_dests = in->n_dests,
        .dests = dests,
    };
    struct blob *b;

    assert_true(in->n_dests <= 16);
    id_from_seq(id, seq, rng_system());
    e.id = in->id != NULL ? str_c(in->id) : str_of(id, ID_LEN);
    for (size_t i = 0; i < in->n_dests; i++) {
        dests[i] = (struct record_dest){.num = ++next_num, .id = str_c(in->dests[i])};
    }
    for (size_t i = 0; i < in->n_data; i++) {
        data[i] = fx_data_byte(seq, i);
    }
    e.data = str_of(data, in->n_data);
    b = event_encode(&e, SIZE_MAX);
    assert_non_null(b);
    store_put_event(f->store, seq, b);
    blob_unref(b);
    mem_free(data);
    return seq;
}

uint64_t fx_put_attempt(struct fixture *f, uint64_t event_seq, const char *tenant, const char *dest,
                        enum attempt_status status)
{
    char event_id[32];
    const int n = snprintf(event_id, sizeof(event_id), "e%llu", (unsigned long long)event_seq);
    const struct attempt_record at = {
        .seq = store_next_seq(f->store),
        .event_seq = event_seq,
        .dest_num = 7,
        .event_id = str_of(event_id, (size_t)n),
        .tenant_id = str_c(tenant),
        .dest_id = str_c(dest),
        .dest_type = STR("webhook"),
        .topic = STR("order.created"),
        .number = 1,
        .final = status == ATTEMPT_SUCCESS,
        .status = status,
        .time_ms = loop_wall_ms(f->loop),
        .duration_us = 1234,
        .http_status = status == ATTEMPT_SUCCESS ? 200 : 500,
        .code = status == ATTEMPT_SUCCESS ? STR("200") : STR("500"),
        .error = STR(""),
        .response = STR("ok"),
    };
    assert_int_equal(store_put_attempt(f->store, &at), 0);
    return at.seq;
}

void fx_path(const struct fixture *f, char out[160], const char *name)
{
    (void)snprintf(out, 160, "%s/%s", f->dir, name);
}

size_t fx_count(struct fixture *f, enum store_kind kind, const char *tenant, const char *dest)
{
    struct str t = str_c(tenant);
    struct str d = str_c(dest);
    const struct store_query q = {.kind = kind,
                                  .tenant_ids = {.v = &t, .n = tenant != NULL ? 1 : 0},
                                  .dest_ids = {.v = &d, .n = dest != NULL ? 1 : 0},
                                  .status = -1,
                                  .from_ms = INT64_MIN,
                                  .to_ms = INT64_MAX,
                                  .limit = 5000};
    struct store_page page;
    assert_int_equal(store_read_begin(f->store), 0);
    assert_int_equal(store_query(f->store, &q, &f->arena, &page), 0);
    store_read_end(f->store);
    arena_reset(&f->arena);
    return page.n;
}
