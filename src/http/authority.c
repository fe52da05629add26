/* SPDX-License-Identifier: Apache-2.0 */
#include "authority.h"

#include <arpa/inet.h>

#include "longline/check.h"

#define HOST_MAX  253
#define LABEL_MAX 63

static int fail(const char **why, const char *text)
{
    if (why != NULL) {
        *why = text;
    }
    return ERR_SYNTAX;
}

static bool is_host_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_';
}

bool authority_is_plain_name(struct str host)
{
    for (size_t i = 0; i < host.n; i++) {
        if (!is_host_char(host.p[i])) {
            return false;
        }
    }
    return true;
}

static int check_name(struct str host, const char **why)
{
    struct str rest = host;
    struct str label;
    if (!authority_is_plain_name(host)) {
        return fail(why, "the host has a character that is not allowed");
    }
    while (str_split(&rest, '.', &label)) {
        if (label.n == 0 || label.n > LABEL_MAX) {
            return fail(why, "the host has an empty or overlong label");
        }
    }
    return 0;
}

int authority_take_scheme(struct str *rest, bool *is_https)
{
    static const struct {
        const char *text;
        bool is_https;
    } schemes[] = {{"https://", true}, {"http://", false}};

    for (size_t i = 0; i < LL_COUNT(schemes); i++) {
        const struct str prefix = str_c(schemes[i].text);
        if (rest->n >= prefix.n && str_eq_ci(str_of(rest->p, prefix.n), prefix)) {
            *is_https = schemes[i].is_https;
            *rest = str_of(rest->p + prefix.n, rest->n - prefix.n);
            return 0;
        }
    }
    return ERR_SYNTAX;
}

size_t authority_end(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '/' || s.p[i] == '?' || s.p[i] == '#') {
            return i;
        }
    }
    return s.n;
}

static int check_ipv6(struct str host, const char **why)
{
    char text[INET6_ADDRSTRLEN];
    struct in6_addr ip;
    if (host.n >= sizeof(text)) {
        return fail(why, "the IPv6 address is not valid");
    }
    memcpy(text, host.p, host.n);
    text[host.n] = '\0';
    if (inet_pton(AF_INET6, text, &ip) != 1) {
        return fail(why, "the IPv6 address is not valid");
    }
    return 0;
}

static int parse_port(struct authority *out, struct str s, const char **why)
{
    uint64_t port;
    if (s.n > 5 || str_to_u64(s, &port) != 0 || port == 0 || port > UINT16_MAX) {
        return fail(why, "the port must be a number from 1 to 65535");
    }
    out->has_port = true;
    out->port = (uint16_t)port;
    return 0;
}

int authority_parse(struct authority *out, struct str text, const char **why)
{
    struct str after;
    size_t end;
    int rc;

    *out = (struct authority){.port = 0};
    if (text.n != 0 && text.p[0] == '[') {
        end = str_find(text, ']');
        if (end == text.n) {
            return fail(why, "the IPv6 address has no closing bracket");
        }
        out->is_ipv6 = true;
        out->host = str_of(text.p + 1, end - 1);
        after = str_of(text.p + end + 1, text.n - end - 1);
        rc = check_ipv6(out->host, why);
    } else {
        end = str_find(text, ':');
        out->host = str_of(text.p, end);
        after = str_of(text.p + end, text.n - end);
        if (out->host.n > 1 && out->host.p[out->host.n - 1] == '.') {
            out->host.n--;
        }
        if (out->host.n == 0) {
            return fail(why, "the host is missing");
        }
        if (out->host.n > HOST_MAX) {
            return fail(why, "the host is longer than 253 characters");
        }
        rc = check_name(out->host, why);
    }
    if (rc != 0 || after.n == 0) {
        return rc;
    }
    if (after.p[0] != ':') {
        return fail(why, "unexpected text after the host");
    }
    return parse_port(out, str_of(after.p + 1, after.n - 1), why);
}
