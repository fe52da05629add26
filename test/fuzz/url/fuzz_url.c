/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whatever url_parse accepts is made of parts of the text and cannot break a request head; a peer
 * is written as the peer that its spelling leads to. What url_to_ascii makes of a text with other
 * characters is judged by the same rules; it is done with in one go, and what the text has before
 * and behind the host stays.
 */
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

/* The spelling of a peer is the only one: writing it again changes nothing. */
static void check_peer(const struct url *u)
{
    char peer[URL_PEER_MAX];
    char again[URL_PEER_MAX];
    const struct str first = str_of(peer, url_peer(peer, u));
    struct url other = *u;
    const size_t host_at = str_find(first, '/') + 1;
    other.host = str_of(first.p + host_at, first.n - host_at);
    LL_ASSERT(is_plain(first) && other.host.n != 0);
    LL_ASSERT(str_eq(first, str_of(again, url_peer(again, &other))));
}

static int check_parse(struct url *u, struct str text)
{
    struct err_detail err = {.code = 0};
    const int rc = url_parse(u, text, &err);

    if (rc != 0) {
        LL_ASSERT(rc == ERR_SYNTAX || rc == ERR_TOO_BIG);
        LL_ASSERT(err.code == rc && err.msg[0] != '\0');
        return rc;
    }
    LL_ASSERT(text.n <= URL_MAX && is_plain(text));
    LL_ASSERT(u->host.n != 0 && u->host.n <= 253 && is_part(u->host, text));
    LL_ASSERT(is_part(u->authority, text) && is_part(u->host, u->authority));
    LL_ASSERT(u->port != 0);
    LL_ASSERT(u->path.n != 0 && u->path.p[0] == '/');
    LL_ASSERT(is_part(u->path, text) || str_eq(u->path, STR("/")));
    check_peer(u);
    LL_ASSERT(str_find(text, '@') >= (size_t)(u->authority.p - text.p) + u->authority.n);
    return 0;
}

static bool is_ascii(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if ((unsigned char)s.p[i] >= 0x80) {
            return false;
        }
    }
    return true;
}

/* The first delimiter behind the scheme, which the translation of a host must not move. */
static size_t host_end(struct str s, size_t from)
{
    while (from < s.n && s.p[from] != '/' && s.p[from] != '?' && s.p[from] != ':') {
        from++;
    }
    return from;
}

static void check_translated(struct str text, const struct url *plain)
{
    struct err_detail err = {.code = 0};
    struct buf once;
    struct buf twice;
    struct url u;
    buf_init(&once, URL_MAX);
    buf_init(&twice, URL_MAX);
    const int rc = url_to_ascii(&once, text, &err);
    LL_ASSERT(rc == 0 || (err.code == rc && err.msg[0] != '\0'));
    LL_ASSERT(rc == 0 || rc == ERR_SYNTAX || rc == ERR_TOO_BIG);
    if (plain != NULL) { /* a URL that is ASCII is not touched */
        LL_ASSERT(rc == 0 && str_eq(buf_str(&once), text));
    }
    if (rc == 0 && check_parse(&u, buf_str(&once)) == 0) {
        const size_t scheme = u.is_https ? 8 : 7;
        const size_t given = host_end(text, scheme);
        const size_t made = host_end(buf_str(&once), scheme);
        LL_ASSERT(url_to_ascii(&twice, buf_str(&once), NULL) == 0);
        LL_ASSERT(str_eq(buf_str(&once), buf_str(&twice)));
        LL_ASSERT((given == text.n) == (made == once.n));
        LL_ASSERT(given == text.n || text.p[given] == once.p[made] || text.p[given] == '?');
        LL_ASSERT(!is_ascii(str_of(text.p, given)) || given == made);
    }
    buf_fini(&once);
    buf_fini(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct str text = str_of((const char *)data, size);
    struct url u;
    const bool is_url = check_parse(&u, text) == 0;

    check_translated(text, is_url ? &u : NULL);
    return 0;
}
