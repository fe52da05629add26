/* SPDX-License-Identifier: Apache-2.0 */
#include "longline/url.h"

#include "authority.h"
#include "longline/addr.h"
#include "longline/check.h"

#define PORT_DIGITS 5

/* Everything that is not visible ASCII, and the backslash, which some parsers take for a slash. */
static bool is_url_char(char c)
{
    return c > 0x20 && c < 0x7f && c != '\\';
}

static bool is_hex(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool escapes_are_valid(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '%' && (s.n - i < 3 || !is_hex(s.p[i + 1]) || !is_hex(s.p[i + 2]))) {
            return false;
        }
    }
    return true;
}

int url_parse(struct url *out, struct str text, struct err_detail *err)
{
    struct authority a;
    struct str rest = text;
    const char *why = NULL;
    size_t end;

    *out = (struct url){.port = 0};
    if (text.n > URL_MAX) {
        return err_set(err, ERR_TOO_BIG, 0, "the URL is longer than %d characters", URL_MAX);
    }
    for (size_t i = 0; i < text.n; i++) {
        if (!is_url_char(text.p[i])) {
            return err_set(
                err, ERR_SYNTAX, 0,
                "the URL has a space, a backslash or a character that is not ASCII text");
        }
    }
    if (authority_take_scheme(&rest, &out->is_https) != 0) {
        return err_set(err, ERR_SYNTAX, 0, "the URL must begin with http:// or https://");
    }
    if (str_find(rest, '#') != rest.n) {
        return err_set(err, ERR_SYNTAX, 0, "the URL must not have a fragment");
    }
    end = authority_end(rest);
    out->authority = str_of(rest.p, end);
    if (str_find(out->authority, '@') != out->authority.n) {
        return err_set(err, ERR_SYNTAX, 0, "the URL must not have a user name or password");
    }
    if (authority_parse(&a, out->authority, &why) != 0) {
        return err_set(err, ERR_SYNTAX, 0, "%s", why);
    }
    out->host = a.host;
    out->port = a.port;
    if (!a.has_port) {
        out->port = out->is_https ? 443 : 80;
    }
    out->path = end < rest.n ? str_of(rest.p + end, rest.n - end) : STR("/");
    if (out->path.p[0] == '?') {
        /* The parts point into the text, and a request line needs the slash. */
        return err_set(err, ERR_SYNTAX, 0, "the URL must have a path before the query: use \"/?\"");
    }
    if (!escapes_are_valid(out->path)) {
        return err_set(err, ERR_SYNTAX, 0, "the URL has a '%%' without two hex digits");
    }
    return 0;
}

/* The IPv4 address inside of a v4-mapped one; connecting to either is the same. */
static void unmap(union addr *a)
{
    struct in_addr v4;
    if (a->sa.sa_family != AF_INET6 || !IN6_IS_ADDR_V4MAPPED(&a->v6.sin6_addr)) {
        return;
    }
    memcpy(&v4, &a->v6.sin6_addr.s6_addr[12], sizeof(v4));
    *a = (union addr){.v4 = {.sin_family = AF_INET, .sin_addr = v4}};
}

size_t url_peer(char out[URL_PEER_MAX], const struct url *u)
{
    char ip[ADDR_TEXT_MAX];
    struct str host = u->host;
    union addr a;
    /* An IPv4 address that can be parsed is in its only spelling. This is asked for each request,
     * so nothing is formatted that need not be. */
    if (str_find(host, ':') < host.n && addr_parse_ip(&a, host, 0) == 0) {
        unmap(&a);
        host = str_of(ip, addr_format_ip(ip, &a));
    }
    char port[PORT_DIGITS + 1];
    size_t at = sizeof(port);
    unsigned left = u->port;
    port[--at] = '/';
    do {
        port[--at] = (char)('0' + left % 10);
        left /= 10;
    } while (left != 0);
    const size_t n = sizeof(port) - at;
    LL_ASSERT(n + host.n <= URL_PEER_MAX);
    memcpy(out, port + at, n);
    for (size_t i = 0; i < host.n; i++) {
        const char c = host.p[i];
        out[n + i] = (char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    }
    return n + host.n;
}
