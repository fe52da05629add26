/* SPDX-License-Identifier: Apache-2.0 */
/* Section [delivery] of the configuration and what is derived from it. */
#include "deliver_internal.h"

#include "longline/check.h"

#define AT(ctype, f) CFG_AT(ctype, struct deliver_cfg, f)

const struct cfg_key deliver_cfg_keys[] = {
    {.name = "max_inflight",
     .kind = CFG_INT,
     .flags = CFG_RELOAD,
     .offset = AT(int64_t, max_inflight),
     .def = "1000",
     .min = 1,
     .max = 100000,
     .help = "Most attempts under way at the same time, in all."},
    {.name = "max_inflight_per_tenant",
     .kind = CFG_INT,
     .flags = CFG_RELOAD,
     .offset = AT(int64_t, max_inflight_per_tenant),
     .def = "250",
     .min = 1,
     .max = 100000,
     .help = "Most attempts under way at the same time for one tenant."},
    {.name = "max_inflight_per_host",
     .kind = CFG_INT,
     .flags = CFG_RELOAD,
     .offset = AT(int64_t, max_inflight_per_host),
     .def = "128",
     .min = 1,
     .max = 100000,
     .help = "Most attempts under way at the same time to one host and port, however they are "
             "spelled, of all destinations there."},
    {.name = "max_inflight_per_destination",
     .kind = CFG_INT,
     .flags = CFG_RELOAD,
     .offset = AT(int64_t, max_inflight_per_destination),
     .def = "64",
     .min = 1,
     .max = 10000,
     .help =
         "Most attempts under way at the same time to one destination; its cap adapts below this."},
    {.name = "initial_inflight",
     .kind = CFG_INT,
     .flags = CFG_RELOAD,
     .offset = AT(int64_t, initial_inflight),
     .def = "10",
     .min = 1,
     .max = 10000,
     .help = "Attempts at the same time that a destination starts with; the cap grows with success "
             "and halves on overload."},
    {.name = "retry_interval",
     .kind = CFG_DURATION,
     .flags = CFG_RELOAD,
     .offset = AT(int64_t, retry_interval_ms),
     .def = "30s",
     .min = 1,
     .max = 86400000,
     .help = "Delay after the first failed attempt; doubles after each further one."},
    {.name = "retry_max_delay",
     .kind = CFG_DURATION,
     .flags = CFG_RELOAD,
     .offset = AT(int64_t, retry_max_delay_ms),
     .def = "12h",
     .min = 1,
     .max = 604800000,
     .help = "Longest delay; the doubling stops here."},
    {.name = "retry_limit",
     .kind = CFG_INT,
     .flags = CFG_RELOAD,
     .offset = AT(int64_t, retry_limit),
     .def = "10",
     .min = 0,
     .max = 1000,
     .help = "Number of automatic retries after the first attempt."},
    {.name = "retry_jitter",
     .kind = CFG_INT,
     .flags = CFG_RELOAD,
     .offset = AT(int64_t, retry_jitter),
     .def = "20",
     .min = 0,
     .max = 100,
     .help = "Up to this many per cent are added to a delay, at random."},
    {.name = "retry_schedule",
     .kind = CFG_LIST,
     .flags = CFG_RELOAD,
     .offset = AT(struct cfg_list, retry_schedule),
     .def = "",
     .help = "Explicit delays, such as 5s, 5m, 1h; replaces retry_interval and retry_limit."},
    {.name = "breaker_failures",
     .kind = CFG_INT,
     .flags = CFG_RELOAD,
     .offset = AT(int64_t, breaker_failures),
     .def = "5",
     .min = 0,
     .max = 1000000,
     .help = "Unanswered attempts in a row after which a destination is paused; 0: never."},
    {.name = "breaker_open",
     .kind = CFG_DURATION,
     .flags = CFG_RELOAD,
     .offset = AT(int64_t, breaker_open_ms),
     .def = "30s",
     .min = 10,
     .max = 86400000,
     .help =
         "First pause of a destination; doubles while it does not answer. Work waits, no attempt "
         "is used up."},
    {.name = "breaker_max",
     .kind = CFG_DURATION,
     .flags = CFG_RELOAD,
     .offset = AT(int64_t, breaker_max_ms),
     .def = "15m",
     .min = 10,
     .max = 86400000,
     .help = "Longest pause of a destination."},
    {.name = "disable_after_failures",
     .kind = CFG_INT,
     .flags = CFG_RELOAD,
     .offset = AT(int64_t, disable_after_failures),
     .def = "100",
     .min = 0,
     .max = 1000000000,
     .help = "Failed attempts in a row after which a destination is disabled; 0: never."},
    {.name = "disable_after",
     .kind = CFG_DURATION,
     .flags = CFG_RELOAD,
     .offset = AT(int64_t, disable_after_ms),
     .def = "24h",
     .min = 0,
     .max = 2592000000,
     .help = "Time for which a destination must have been failing before it is disabled."},
    {.name = "retry_gone",
     .kind = CFG_BOOL,
     .flags = CFG_RELOAD,
     .offset = AT(bool, retry_gone),
     .def = "false",
     .help = "Retry after 410 Gone as after any other failure, instead of giving up."},
    {.name = "max_pending",
     .kind = CFG_INT,
     .flags = CFG_RELOAD,
     .offset = AT(int64_t, max_pending),
     .def = "5000000",
     .min = 1000,
     .max = 100000000,
     .help = "Pending deliveries above which publishing answers 503; each takes about 80 bytes."},
    {.name = "fresh_memory",
     .kind = CFG_SIZE,
     .flags = CFG_RELOAD,
     .offset = AT(int64_t, fresh_memory),
     .def = "64MiB",
     .min = 0,
     .max = INT64_C(1) << 40,
     .help =
         "Memory for new events until they are sent; beyond it they are read back from the store."},
    {.name = "inflight_memory",
     .kind = CFG_SIZE,
     .flags = CFG_RELOAD,
     .offset = AT(int64_t, inflight_memory),
     .def = "64MiB",
     .min = 65536,
     .max = INT64_C(1) << 40,
     .help = "Memory for the events of attempts under way; other attempts wait. One tenant gets a "
             "quarter of it."},
};
const size_t deliver_cfg_n_keys = LL_COUNT(deliver_cfg_keys);

int deliver_cfg_check(const struct deliver_cfg *cfg, struct err_detail *err)
{
    if (cfg->retry_schedule.n > RETRY_MAX_SCHEDULE) {
        return err_set(err, ERR_RANGE, 0, "delivery.retry_schedule has more than %d entries",
                       RETRY_MAX_SCHEDULE);
    }
    for (size_t i = 0; i < cfg->retry_schedule.n; i++) {
        int64_t ms = 0;
        if (cfg_parse_duration(str_c(cfg->retry_schedule.v[i]), &ms) != 0 || ms < 1) {
            return err_set(err, ERR_INVALID, 0,
                           "delivery.retry_schedule: \"%s\" is not a duration such as 30s or 5m",
                           cfg->retry_schedule.v[i]);
        }
    }
    if (cfg->initial_inflight > cfg->max_inflight_per_destination) {
        return err_set(err, ERR_INVALID, 0,
                       "delivery.initial_inflight is above delivery.max_inflight_per_destination");
    }
    return 0;
}

void deliver_policy_from_cfg(struct retry_policy *out, const struct deliver_cfg *cfg)
{
    *out = (struct retry_policy){.interval_ms = cfg->retry_interval_ms,
                                 .max_delay_ms = cfg->retry_max_delay_ms,
                                 .limit = (uint32_t)cfg->retry_limit,
                                 .jitter_pct = (unsigned)cfg->retry_jitter,
                                 .n_schedule = cfg->retry_schedule.n};
    for (size_t i = 0; i < out->n_schedule; i++) {
        /* deliver_cfg_check has seen every entry. */
        LL_ASSERT(cfg_parse_duration(str_c(cfg->retry_schedule.v[i]), &out->schedule_ms[i]) == 0);
    }
}

void deliver_sched_cfg(struct sched_cfg *out, const struct deliver_cfg *cfg)
{
    *out = (struct sched_cfg){
        .max_inflight = (uint32_t)cfg->max_inflight,
        .max_inflight_per_tenant = (uint32_t)cfg->max_inflight_per_tenant,
        .max_inflight_per_host = (uint32_t)cfg->max_inflight_per_host,
        .max_inflight_per_dest = (uint32_t)cfg->max_inflight_per_destination,
        .initial_inflight_per_dest = (uint32_t)cfg->initial_inflight,
        .max_inflight_kib = (uint64_t)cfg->inflight_memory / 1024,
        .max_inflight_kib_per_tenant = (uint64_t)cfg->inflight_memory / 1024 / 4,
        .breaker_failures = (uint32_t)cfg->breaker_failures,
        .breaker_open_ms = cfg->breaker_open_ms,
        .breaker_max_ms = cfg->breaker_max_ms,
        .max_idle_dests = 10000,
    };
}
