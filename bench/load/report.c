/* SPDX-License-Identifier: Apache-2.0 */

#include "load.h"

#include <inttypes.h>
#include <stdio.h>
#include <sys/resource.h>

static void write_set(const char *path, const struct bitmap *set)
{
    FILE *file = fopen(path, "wb");
    if (file == NULL) {
        bench_die(path, "cannot be written");
    }
    const size_t n = set->used != 0 ? fwrite(set->bytes, 1, set->used, file) : 0;
    if (fclose(file) != 0 || n != set->used) {
        bench_die(path, "cannot be written");
    }
}

void load_report(const struct load_options *o, const struct load_result *r)
{
    if (o->ledger != NULL) {
        write_set(o->ledger, &r->accepted);
    }
    if (o->unknown != NULL) {
        write_set(o->unknown, &r->unknown);
    }
    struct rusage ru = {0};
    (void)getrusage(RUSAGE_SELF, &ru);
    const int64_t cpu_us = ((int64_t)ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) * 1000000 +
                           ru.ru_utime.tv_usec + ru.ru_stime.tv_usec;
    printf("{\"event\":\"done\",\"sent\":%" PRIu64 ",\"accepted\":%" PRIu64 ",\"unknown\":%" PRIu64
           ",\"unsent\":%" PRIu64 ",\"connect_errors\":%" PRIu64 ",\"timed_out\":%s",
           r->sent, r->accepted.set, r->unknown.set, r->unsent, r->connect_errors,
           r->timed_out ? "true" : "false");
    printf(",\"measured_sent\":%" PRIu64 ",\"measured_accepted\":%" PRIu64
           ",\"measure_start_ns\":%" PRId64 ",\"measure_end_ns\":%" PRId64
           ",\"last_answer_ns\":%" PRId64 ",\"cpu_us\":%" PRId64 ",\"statuses\":{",
           r->measured_sent, r->measured_accepted, r->measure_start_ns, r->measure_end_ns,
           r->last_answer_ns, cpu_us);
    const char *comma = "";
    for (size_t i = 0; i < LOAD_STATUSES; i++) {
        if (r->statuses[i] != 0) {
            printf("%s\"%zu\":%" PRIu64, comma, i, r->statuses[i]);
            comma = ",";
        }
    }
    printf("},\"publish_us\":");
    hdr_write_json(&r->publish, stdout);
    printf("}\n");
    (void)fflush(stdout);
}
