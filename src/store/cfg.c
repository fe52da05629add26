/* SPDX-License-Identifier: Apache-2.0 */
#include "longline/check.h"
#include "longline/store.h"

#define MIB      ((int64_t)1024 * 1024)
#define TIB      (MIB * 1024 * 1024)
#define HOUR_MS  ((int64_t)3600 * 1000)
#define YEARS_MS (HOUR_MS * 24 * 366 * 10)

const struct cfg_key store_cfg_keys[] = {
    {.name = "data_dir",
     .kind = CFG_STRING,
     .offset = CFG_AT(char *, struct store_cfg, data_dir),
     .def = "./data",
     .help = "Directory of the journal, the index and the generated keys; must be on a local file "
             "system."},
    {.name = "map_size",
     .kind = CFG_SIZE,
     .offset = CFG_AT(int64_t, struct store_cfg, map_size),
     .def = "256GiB",
     .min = MIB * 64,
     .max = TIB * 16,
     .help = "Address space reserved for each of the two files, and so the most they can grow to; "
             "it costs no memory."},
    {.name = "max_size",
     .kind = CFG_SIZE,
     .flags = CFG_RELOAD,
     .offset = CFG_AT(int64_t, struct store_cfg, max_size),
     .def = "0",
     .min = 0,
     .max = TIB * 16,
     .help = "Quota for the journal and the index; publishes are refused at 90 % of it; 0: from "
             "map_size."},
    {.name = "min_free_disk",
     .kind = CFG_SIZE,
     .flags = CFG_RELOAD,
     .offset = CFG_AT(int64_t, struct store_cfg, min_free_disk),
     .def = "256MiB",
     .min = 0,
     .max = TIB * 16,
     .help = "Space that the store leaves free on its file system, whatever the load is."},
    {.name = "retention",
     .kind = CFG_DURATION,
     .flags = CFG_RELOAD,
     .offset = CFG_AT(int64_t, struct store_cfg, retention_ms),
     .def = "7d",
     .min = INT64_C(60) * 1000,
     .max = YEARS_MS,
     .help =
         "Age at which events and attempts are deleted, in time for which the gateway ran; what "
         "is still to be delivered then ends as failed first."},
    {.name = "commit_interval_us_max",
     .kind = CFG_INT,
     .flags = CFG_RELOAD,
     .offset = CFG_AT(int64_t, struct store_cfg, commit_interval_us_max),
     .def = "2000",
     .min = 0,
     .max = 100000,
     .help = "Longest time between the starts of two commits under load, in microseconds; 0: no "
             "pause."},
    {.name = "max_pending_bytes",
     .kind = CFG_SIZE,
     .flags = CFG_RELOAD,
     .offset = CFG_AT(int64_t, struct store_cfg, max_pending_bytes),
     .def = "64MiB",
     .min = MIB,
     .max = MIB * 1024,
     .help = "Bytes waiting for the disk above which publishes are refused."},
    {.name = "idempotency_ttl",
     .kind = CFG_DURATION,
     .flags = CFG_RELOAD,
     .offset = CFG_AT(int64_t, struct store_cfg, idempotency_ttl_ms),
     .def = "24h",
     .min = INT64_C(60) * 1000,
     .max = HOUR_MS * 24 * 366,
     .help = "How long the id that a publisher gave an event is remembered, so that it is "
             "delivered once; in time for which the gateway ran."},
};
const size_t store_cfg_n_keys = LL_COUNT(store_cfg_keys);
