/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The load generator's parts: options, the request template, the engine and the report.
 *
 * Open loop (rate > 0): events have intended start times, evenly spaced or as a Poisson process,
 * that do not depend on the answers. A latency counts from the intended time, so a server that
 * stalls pays for every event that should have been sent meanwhile (no coordinated omission).
 * Closed loop (rate 0): every connection sends its next event when the last one is answered. That
 * measures capacity; its percentiles say little.
 */
#ifndef LL_BENCH_LOAD_H
#define LL_BENCH_LOAD_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "bitmap.h"
#include "hdr.h"
#include "util.h"

#define LOAD_STATUSES    600
#define LOAD_MAX_REQUEST (UINT32_C(4) << 20)

struct load_options {
    char host[64];
    int port;
    const char *path;
    const char *key; /* bearer key, NULL for none */
    const char *topic;
    const char *tenant_prefix; /* tenant ids are the prefix and six digits */
    uint32_t tenants;          /* event n goes to tenant n % tenants */
    const char *id_prefix;     /* publisher-supplied ids, NULL for none */
    uint32_t connections;
    double rate; /* events per second, 0 is closed loop */
    bool is_poisson;
    double warmup_s;
    double duration_s;
    double grace_s;     /* how long to wait for the last answers */
    uint64_t accepted;  /* stop after so many 202; 0: by time */
    uint32_t body_size; /* bytes of the whole publish body */
    uint64_t first_seq;
    const char *ledger;  /* file for the set of accepted sequence numbers */
    const char *unknown; /* file for those whose outcome is unknown */
};

/* Reads the command line; a bad one ends the process. */
void load_options_parse(struct load_options *o, int argc, char **argv);

/* One request, built once; only the fields that differ are patched before each write. */
struct request {
    char *bytes;
    size_t len;
    char *tenant; /* six digits */
    char *id;     /* sixteen hexadecimal digits, or NULL */
    char *mark;
    uint32_t tenants;
};

void request_init(struct request *r, const struct load_options *o);
void request_patch(struct request *r, const struct mark *mark);
void request_fini(struct request *r);

struct load_result {
    struct hdr publish; /* measured events that were answered 202, microseconds */
    uint64_t statuses[LOAD_STATUSES];
    struct bitmap accepted;
    struct bitmap unknown; /* connection lost, or no answer within the grace time */
    uint64_t measured_sent;
    uint64_t measured_accepted;
    uint64_t unsent; /* open loop: due, but there was no free connection until the end */
    uint64_t connect_errors;
    uint64_t sent;
    int64_t measure_start_ns;
    int64_t measure_end_ns; /* end of the measured window */
    int64_t last_answer_ns; /* last 202 of a measured event */
    bool timed_out;         /* did not reach the wanted number of events */
};

/* Runs the whole load; returns when all is answered or given up. */
void load_run(const struct load_options *o, struct load_result *result);

void load_report(const struct load_options *o, const struct load_result *result);

#endif
