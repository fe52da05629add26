/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever url_parse accepts is made of parts of the text and cannot break a request head. */
#include "longline/check.h"
#include "longline/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_part(struct str part, struct str whole)
{
    return part.p >= whole.p && part.n <= whole.n && part.p + part.n <= whole.p + whole.n;
}

static bool is_plain(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] <= 0x20 || s.p[i] >= 0x7f || s.p[i] == '\\' || s.p[i] == '#') {
            return false;
        }
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct str text = str_of((const char *)data, size);
    struct err_detail err = {.code = 0};
    struct url u;
    const int rc = url_parse(&u, text, &err);

    if (rc != 0) {
        LL_ASSERT(rc == ERR_SYNTAX || rc == ERR_TOO_BIG);
        LL_ASSERT(err.code == rc && err.msg[0] != '\0');
        return 0;
    }
    LL_ASSERT(size <= URL_MAX && is_plain(text));
    LL_ASSERT(u.host.n != 0 && u.host.n <= 253 && is_part(u.host, text));
    LL_ASSERT(is_part(u.authority, text) && is_part(u.host, u.authority));
    LL_ASSERT(u.port != 0);
    LL_ASSERT(u.path.n != 0 && u.path.p[0] == '/');
    LL_ASSERT(is_part(u.path, text) || str_eq(u.path, STR("/")));
    LL_ASSERT(str_find(text, '@') >= (size_t)(u.authority.p - text.p) + u.authority.n);
    return 0;
}
