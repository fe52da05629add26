/* SPDX-License-Identifier: Apache-2.0 */
#include "longline/date.h"
#include "longline/http.h"

#define RETRY_AFTER_MAX_MS (INT64_C(24) * 3600 * 1000)

static int64_t clamp(int64_t ms)
{
    if (ms < 0) {
        return 0;
    }
    return ms < RETRY_AFTER_MAX_MS ? ms : RETRY_AFTER_MAX_MS;
}

int http_parse_retry_after(struct str v, int64_t now_wall_ms, int64_t *delay_ms)
{
    const struct str s = str_trim(v);
    uint64_t seconds;
    int64_t at_ms;
    int rc;

    if (s.n > 1 && s.p[0] == '-') {
        rc = str_to_u64(str_of(s.p + 1, s.n - 1), &seconds);
        *delay_ms = 0;
        return rc == ERR_RANGE ? 0 : rc;
    }
    rc = str_to_u64(s, &seconds);
    if (rc == ERR_RANGE || (rc == 0 && seconds > (uint64_t)RETRY_AFTER_MAX_MS / 1000)) {
        *delay_ms = RETRY_AFTER_MAX_MS;
        return 0;
    }
    if (rc == 0) {
        *delay_ms = clamp((int64_t)seconds * 1000);
        return 0;
    }
    rc = date_parse_http(s, &at_ms);
    if (rc != 0) {
        return ERR_SYNTAX;
    }
    *delay_ms = at_ms > now_wall_ms ? clamp(at_ms - now_wall_ms) : 0;
    return 0;
}
