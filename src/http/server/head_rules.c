/* SPDX-License-Identifier: Apache-2.0 */
#include "head_rules.h"

#include "authority.h"
#include "longline/check.h"

struct seen {
    struct str host;
    unsigned n_host;
    unsigned n_length;
    unsigned n_encoding;
};

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* "." and "..", also with escaped dots: what a proxy in front may have resolved differently. */
static bool is_dot_segment(struct str s)
{
    size_t n_dots = 0;
    while (s.n != 0) {
        if (s.p[0] == '.') {
            s = str_of(s.p + 1, s.n - 1);
        } else if (s.n >= 3 && s.p[0] == '%' && s.p[1] == '2' && (s.p[2] == 'e' || s.p[2] == 'E')) {
            s = str_of(s.p + 3, s.n - 3);
        } else {
            return false;
        }
        n_dots++;
    }
    return n_dots == 1 || n_dots == 2;
}

static bool escapes_are_valid(struct str s)
{
    for (size_t i = str_find(s, '%'); i < s.n; i++) {
        int hi;
        int lo;
        if (s.p[i] != '%') {
            continue;
        }
        if (s.n - i < 3) {
            return false;
        }
        hi = hex_value(s.p[i + 1]);
        lo = hex_value(s.p[i + 2]);
        if (hi < 0 || lo < 0 || (hi == 0 && lo == 0)) {
            return false;
        }
    }
    return true;
}

static bool path_is_valid(struct str path)
{
    struct str rest;
    struct str segment;
    if (path.n == 0 || path.p[0] != '/' || !escapes_are_valid(path)) {
        return false;
    }
    rest = str_of(path.p + 1, path.n - 1);
    while (str_split(&rest, '/', &segment)) {
        /* An empty segment is fine at the end only. */
        if ((segment.n == 0 && rest.p != NULL) || is_dot_segment(segment)) {
            return false;
        }
    }
    return true;
}

/* Splits an absolute-form target: the authority, and the rest from its '/' or '?' on. */
static bool split_absolute(struct str target, struct str *authority, struct str *rest)
{
    static const char *const schemes[] = {"http://", "https://"};
    for (size_t i = 0; i < LL_COUNT(schemes); i++) {
        const struct str prefix = str_c(schemes[i]);
        size_t end = prefix.n;
        if (target.n < prefix.n || !str_eq_ci(str_of(target.p, prefix.n), prefix)) {
            continue;
        }
        while (end < target.n && target.p[end] != '/' && target.p[end] != '?') {
            end++;
        }
        *authority = str_of(target.p + prefix.n, end - prefix.n);
        *rest = str_of(target.p + end, target.n - end);
        return true;
    }
    return false;
}

static int check_target(struct http_request *rq, struct str host)
{
    struct str rest = rq->target;
    struct str authority;
    size_t mark;

    for (size_t i = 0; i < rest.n; i++) {
        const unsigned char c = (unsigned char)rest.p[i];
        if (c <= 0x20 || c >= 0x7f || c == '#') {
            return 400;
        }
    }
    if (str_eq(rest, STR("*"))) {
        rq->path = rest;
        rq->query = STR("");
        return rq->method == HTTP_METHOD_OPTIONS ? 0 : 400;
    }
    if (rest.n != 0 && rest.p[0] != '/') {
        if (!split_absolute(rest, &authority, &rest) || !str_eq_ci(authority, host)) {
            return 400;
        }
    }
    mark = str_find(rest, '?');
    rq->path = mark != 0 ? str_of(rest.p, mark) : STR("/");
    rq->query = mark < rest.n ? str_of(rest.p + mark + 1, rest.n - mark - 1) : STR("");
    if (rest.n == 0) {
        rq->path = STR("/");
    }
    return path_is_valid(rq->path) ? 0 : 400;
}

static int check_expect(const struct http_header *h, struct head_facts *facts)
{
    if (!facts->is_http11) {
        return 0; /* RFC 9110 10.1.1: ignored */
    }
    if (!str_eq_ci(h->value, STR("100-continue"))) {
        return 417;
    }
    facts->expects_continue = true;
    return 0;
}

static int check_length(struct http_request *rq, const struct http_header *h, struct seen *seen)
{
    uint64_t length;
    if (seen->n_length++ != 0 || str_to_u64(h->value, &length) != 0 || length > INT64_MAX) {
        return 400;
    }
    rq->has_length = true;
    rq->content_length = (int64_t)length;
    return 0;
}

static int check_encoding(const struct http_header *h, struct seen *seen, struct head_facts *facts)
{
    if (!facts->is_http11) {
        return 400;
    }
    if (seen->n_encoding++ != 0 || !str_eq_ci(h->value, STR("chunked"))) {
        return 501;
    }
    facts->is_chunked = true;
    return 0;
}

static int check_header(struct http_request *rq, const struct http_header *h, struct seen *seen,
                        struct head_facts *facts)
{
    if (!http_is_token(h->name) || !http_is_field_value(h->value)) {
        return 400;
    }
    if (str_eq_ci(h->name, STR("host"))) {
        seen->n_host++;
        seen->host = h->value;
    }
    if (str_eq_ci(h->name, STR("expect"))) {
        return check_expect(h, facts);
    }
    if (str_eq_ci(h->name, STR("content-length"))) {
        return check_length(rq, h, seen);
    }
    if (str_eq_ci(h->name, STR("transfer-encoding"))) {
        return check_encoding(h, seen, facts);
    }
    return 0;
}

int head_rules_check(struct http_request *rq, struct head_facts *facts)
{
    struct seen seen = {.host = STR_NULL};
    struct authority authority;

    for (size_t i = 0; i < rq->n_headers; i++) {
        const int status = check_header(rq, &rq->headers[i], &seen, facts);
        if (status != 0) {
            return status;
        }
    }
    if (facts->is_chunked && rq->has_length) {
        return 400;
    }
    if (seen.n_host > 1 || (facts->is_http11 && seen.n_host == 0)) {
        return 400;
    }
    if (seen.n_host == 1 && authority_parse(&authority, seen.host, NULL) != 0) {
        return 400;
    }
    return check_target(rq, seen.host);
}
