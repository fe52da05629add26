/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever a date parser accepts must survive being written and parsed again. */
#include <stdint.h>
#include <string.h>

#include "longline/check.h"
#include "longline/date.h"

static int64_t floor_to(int64_t v, int64_t unit)
{
    int64_t rest = v % unit;
    if (rest < 0) {
        rest += unit;
    }
    return v - rest;
}

static void check_rfc3339(int64_t ms)
{
    char out[DATE_MAX];
    int64_t back;
    size_t n = date_rfc3339_ms(out, ms);
    LL_ASSERT(n < DATE_MAX && out[n] == '\0');
    LL_ASSERT(date_parse_rfc3339(str_of(out, n), &back) == 0);
    LL_ASSERT(back == ms);
    n = date_rfc3339_s(out, ms);
    LL_ASSERT(date_parse_rfc3339(str_of(out, n), &back) == 0);
    LL_ASSERT(back == floor_to(ms, 1000));
}

static void check_http(int64_t ms)
{
    char out[DATE_MAX];
    int64_t back;
    const size_t n = date_http(out, ms);
    LL_ASSERT(n == 29 && out[n] == '\0');
    LL_ASSERT(date_parse_http(str_of(out, n), &back) == 0);
    LL_ASSERT(back == ms);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct str text = str_of((const char *)data, size);
    int64_t v;
    int64_t bound;
    bool is_whole;
    const int filter_rc = date_parse_filter(text, &bound, &is_whole);

    LL_ASSERT(filter_rc == 0 || filter_rc == ERR_SYNTAX);
    if (date_parse_rfc3339(text, &v) == 0) {
        check_rfc3339(v);
        LL_ASSERT(filter_rc == 0 && bound == v);
    }
    if (date_parse_http(text, &v) == 0 && v <= INT64_C(253402300799000)) {
        check_http(v);
    }
    if (size >= sizeof(v)) {
        char out[DATE_MAX];
        memcpy(&v, data, sizeof(v));
        LL_ASSERT(date_rfc3339_ms(out, v) < DATE_MAX);
        LL_ASSERT(date_rfc3339_s(out, v) < DATE_MAX);
        LL_ASSERT(date_http(out, v) < DATE_MAX);
    }
    return 0;
}
