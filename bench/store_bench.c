/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the store costs: events of 1 KB at a fixed rate, each followed by an attempt when it is
 * durable, as in a gateway whose receivers answer at once. Prints CPU per event by thread, the
 * latency from put to durable, and disk bytes per event.
 *
 * usage: bench_store DIR [RATE] [SECONDS] [TENANTS] [INTERVAL_US_MAX]
 */
#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "longline/mem.h"
#include "longline/store.h"

#define N_DATA      1024
#define SAMPLES_MAX 20000000

struct bench {
    struct loop *loop;
    struct store *store;
    struct timer tick;
    int64_t rate;
    int64_t n_tenants;
    int64_t start_ns, end_ns;
    int64_t n_put, n_durable, n_recorded;
    uint32_t *latency_us;
    bool done;
};

struct flight { /* one event */
    struct store_waiter waiter;
    struct bench *b;
    int64_t put_ns;
    uint64_t seq;
    bool is_recorded;
};

#define NAME_ROOM 64

static int64_t now_ns(void)
{
    return clock_mono_ns(clock_system());
}

static void names(const struct bench *b, uint64_t n, char tenant[NAME_ROOM], char dest[NAME_ROOM])
{
    const uint64_t t = n % (uint64_t)b->n_tenants;
    (void)snprintf(tenant, NAME_ROOM, "tenant_%" PRIu64, t);
    (void)snprintf(dest, NAME_ROOM, "des_%" PRIu64 "_%" PRIu64, t, n / (uint64_t)b->n_tenants % 10);
}

static void on_durable(void *ctx)
{
    struct flight *f = ctx;
    struct bench *b = f->b;
    char tenant[NAME_ROOM];
    char dest[NAME_ROOM];

    if (f->is_recorded) {
        b->n_recorded++;
        mem_free(f);
        return;
    }
    b->latency_us[b->n_durable++] = (uint32_t)((now_ns() - f->put_ns) / 1000);
    names(b, (uint64_t)b->n_durable, tenant, dest);
    const struct attempt_record at = {
        .seq = store_next_seq(b->store),
        .event_seq = f->seq,
        .dest_num = 1,
        .event_id = STR("018f0e5a-1234-7000-8000-123456789012"),
        .tenant_id = str_c(tenant),
        .dest_id = str_c(dest),
        .dest_type = STR("webhook"),
        .topic = STR("order.created"),
        .number = 1,
        .final = true,
        .status = ATTEMPT_SUCCESS,
        .time_ms = loop_wall_ms(b->loop),
        .duration_us = 1000,
        .http_status = 200,
        .code = STR("200"),
        .response = STR("{\"ok\":true}"),
    };
    if (store_put_attempt(b->store, &at) != 0) {
        (void)fprintf(stderr, "an attempt was refused\n");
    }
    f->is_recorded = true;
    store_wait(b->store, &f->waiter);
}

static void put(struct bench *b)
{
    static char data[N_DATA];
    struct flight *f = mem_alloc(sizeof(*f));
    char id[ID_LEN];
    char tenant[NAME_ROOM];
    char dest[NAME_ROOM];
    struct blob *blob;

    *f = (struct flight){.waiter = {.fn = on_durable, .ctx = f}, .b = b, .put_ns = now_ns()};
    f->seq = store_next_seq(b->store);
    id_from_seq(id, f->seq, rng_system());
    names(b, (uint64_t)b->n_put, tenant, dest);
    const struct record_dest d = {.num = 1, .id = str_c(dest)};
    const struct event_record e = {
        .id = str_of(id, ID_LEN),
        .tenant_id = str_c(tenant),
        .topic = STR("order.created"),
        .time_ms = loop_wall_ms(b->loop),
        .data = str_of(data, sizeof(data)),
        .n_dests = 1,
        .dests = &d,
    };
    blob = event_encode(&e, SIZE_MAX);
    store_put_event(b->store, f->seq, blob);
    blob_unref(blob);
    store_wait(b->store, &f->waiter);
    b->n_put++;
}

static void on_tick(void *ctx)
{
    struct bench *b = ctx;
    const int64_t now = now_ns();
    const int64_t until = now < b->end_ns ? now : b->end_ns;
    const int64_t due = (until - b->start_ns) / 1000 * b->rate / 1000000;

    while (b->n_put < due && store_admit(b->store, N_DATA, 1) == 0) {
        put(b);
    }
    if (now >= b->end_ns && b->n_recorded == b->n_put) {
        b->done = true;
        return;
    }
    timer_in(&b->tick, 1);
}

static void on_fatal(void *ctx, const struct err_detail *err)
{
    (void)ctx;
    (void)fprintf(stderr, "fatal: %s\n", err->msg);
    exit(1);
}

static int by_value(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a;
    const uint32_t y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void print_threads(int64_t n_events)
{
    double total = 0;
    DIR *d = opendir("/proc/self/task");
    const struct dirent *e;
    while (d != NULL && (e = readdir(d)) != NULL) {
        char path[300];
        char name[32] = "";
        uint64_t ns = 0;
        FILE *f;
        if (e->d_name[0] == '.') {
            continue;
        }
        (void)snprintf(path, sizeof(path), "/proc/self/task/%s/comm", e->d_name);
        f = fopen(path, "re");
        if (f != NULL) {
            if (fgets(name, (int)sizeof(name), f) != NULL) {
                name[strcspn(name, "\n")] = '\0';
            }
            (void)fclose(f);
        }
        (void)snprintf(path, sizeof(path), "/proc/self/task/%s/schedstat", e->d_name);
        f = fopen(path, "re");
        if (f != NULL) {
            if (fscanf(f, "%" SCNu64, &ns) != 1) {
                ns = 0;
            }
            (void)fclose(f);
        }
        total += (double)ns / 1000 / (double)n_events;
        (void)printf("  cpu %-12s %6.2f us/event\n", name, (double)ns / 1000 / (double)n_events);
    }
    if (d != NULL) {
        (void)closedir(d);
    }
    (void)printf("  cpu %-12s %6.2f us/event\n", "all", total);
}

static void print_memory(void)
{
    char line[128];
    FILE *f = fopen("/proc/self/status", "re");
    while (f != NULL && fgets(line, (int)sizeof(line), f) != NULL) {
        if (strncmp(line, "VmHWM", 5) == 0 || strncmp(line, "VmRSS", 5) == 0 ||
            strncmp(line, "RssFile", 7) == 0) {
            (void)printf("  %s", line);
        }
    }
    if (f != NULL) {
        (void)fclose(f);
    }
}

static void report(struct bench *b)
{
    const struct store_stats *st = store_get_stats(b->store);
    const double seconds = (double)(now_ns() - b->start_ns) / 1e9;
    const size_t n = (size_t)b->n_durable;

    (void)printf("events %" PRId64 " in %.2f s = %.0f/s, %" PRIu64 " commits, %.1f rows/commit\n",
                 b->n_put, seconds, (double)b->n_put / seconds, st->commits,
                 2.0 * (double)b->n_put / (double)st->commits);
    print_threads(b->n_put);
    qsort(b->latency_us, n, sizeof(*b->latency_us), by_value);
    if (n != 0) {
        (void)printf("  durable after p50 %u p99 %u p99.9 %u max %u us\n", b->latency_us[n / 2],
                     b->latency_us[n * 99 / 100], b->latency_us[n * 999 / 1000],
                     b->latency_us[n - 1]);
    }
    (void)printf("  commit p50 <= %" PRId64 " us p99 <= %" PRId64 " us\n",
                 metric_quantile_us(&st->commit_latency, 0.5),
                 metric_quantile_us(&st->commit_latency, 0.99));
    (void)printf("  used %.1f bytes/event, index lag %" PRIu64 "\n",
                 (double)st->used_bytes / (double)b->n_put, st->index_lag);
    print_memory();
}

static void on_closed(void *ctx)
{
    bool *closed = ctx;
    *closed = true;
}

static int64_t arg(int argc, char **argv, int i, int64_t def)
{
    int64_t v = def;
    if (i < argc && str_to_i64(str_c(argv[i]), &v) != 0) {
        (void)fprintf(stderr, "not a number: %s\n", argv[i]);
        exit(2);
    }
    return v;
}

int main(int argc, char **argv)
{
    struct bench b = {.rate = arg(argc, argv, 2, 20000), .n_tenants = arg(argc, argv, 4, 100)};
    const int64_t seconds = arg(argc, argv, 3, 10);
    struct store_cfg cfg = {
        .map_size = (int64_t)256 << 30,
        .retention_ms = (int64_t)7 * 24 * 3600 * 1000,
        .commit_interval_us_max = arg(argc, argv, 5, 2000),
        .max_pending_bytes = (int64_t)64 << 20,
        .idempotency_ttl_ms = (int64_t)24 * 3600 * 1000,
    };
    const struct store_options o = {.cfg = &cfg, .on_fatal = on_fatal};
    struct err_detail err = {0};
    bool closed = false;

    if (argc < 2) {
        (void)fprintf(stderr, "usage: bench_store DIR [RATE] [SECONDS] [TENANTS] [INTERVAL_US]\n");
        return 2;
    }
    cfg.data_dir = argv[1];
    b.latency_us = mem_array(SAMPLES_MAX, sizeof(*b.latency_us));
    if (loop_open(&b.loop, NULL) != 0 || store_open(&b.store, b.loop, &o, &err) != 0) {
        (void)fprintf(stderr, "%s\n", err.msg);
        return 1;
    }
    timer_init(&b.tick, b.loop, on_tick, &b);
    b.start_ns = now_ns();
    b.end_ns = b.start_ns + seconds * 1000000000;
    timer_in(&b.tick, 1);
    while (!b.done) {
        (void)loop_turn(b.loop, true);
    }
    report(&b);
    store_close(b.store, on_closed, &closed);
    while (!closed) {
        (void)loop_turn(b.loop, true);
    }
    loop_free(b.loop);
    mem_free(b.latency_us);
    return 0;
}
