/* SPDX-License-Identifier: Apache-2.0 */
#include "retry.h"

uint32_t retry_limit(const struct retry_policy *p)
{
    return p->n_schedule != 0 ? (uint32_t)p->n_schedule : p->limit;
}

static int64_t planned_delay(const struct retry_policy *p, uint32_t number)
{
    if (p->n_schedule != 0) {
        return p->schedule_ms[number - 1];
    }
    int64_t delay = p->interval_ms;
    for (uint32_t i = 1; i < number && delay < p->max_delay_ms; i++) {
        delay = delay > INT64_MAX / 2 ? INT64_MAX : delay * 2;
    }
    return delay < p->max_delay_ms ? delay : p->max_delay_ms;
}

int64_t retry_delay(const struct retry_policy *p, uint32_t number, int64_t retry_after_ms,
                    const struct rng *rng)
{
    if (number == 0 || number > retry_limit(p)) {
        return -1;
    }
    int64_t delay = planned_delay(p, number);
    const int64_t spread = delay / 100 * (int64_t)p->jitter_pct;
    if (spread > 0) {
        delay += (int64_t)rng_below(rng, (uint64_t)spread + 1);
    }
    if (retry_after_ms > RETRY_AFTER_CAP_MS) {
        retry_after_ms = RETRY_AFTER_CAP_MS;
    }
    return retry_after_ms > delay ? retry_after_ms : delay;
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t until(int64_t at_ms, int64_t now_ms) /* a clock before 1970 counts as 1970 */
{
    const int64_t from_ms = now_ms > 0 ? now_ms : 0;
    return at_ms > from_ms ? at_ms - from_ms : 0;
}

int64_t retry_left(const struct retry_policy *p, const struct retry_record *rt, int64_t wall_ms,
                   int64_t age_ms)
{
    const int64_t left = smaller(until(rt->next_at_ms, wall_ms), until(rt->due_age_ms, age_ms));
    return smaller(left, retry_longest(p));
}

int64_t retry_longest(const struct retry_policy *p)
{
    int64_t longest = p->n_schedule != 0 ? 0 : p->max_delay_ms;
    for (size_t i = 0; i < p->n_schedule; i++) {
        longest = p->schedule_ms[i] > longest ? p->schedule_ms[i] : longest;
    }
    longest += longest / 100 * (int64_t)p->jitter_pct;
    return longest > RETRY_AFTER_CAP_MS ? longest : RETRY_AFTER_CAP_MS;
}
