/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a URL as people write it to one that url_parse takes. Only what is not ASCII changes, and a
 * path is put before a query that has none; whether the result is a URL is for url_parse to say.
 *
 * The delimiters are looked for before the host is translated, and the translated host cannot hold
 * any, so a character that looks like a delimiter never becomes one.
 */
#include "authority.h"
#include "idn.h"
#include "longline/enc.h"
#include "longline/url.h"

static bool is_ascii(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        if ((unsigned char)s.p[i] >= 0x80) {
            return false;
        }
    }
    return true;
}

/* As in the path and query of a browser; url_parse has its rules for ASCII. */
static void add_encoded(struct buf *out, struct str s)
{
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < s.n; i++) {
        const unsigned char c = (unsigned char)s.p[i];
        if (c < 0x80) {
            (void)buf_add_c(out, s.p[i]);
        } else {
            const char text[3] = {'%', hex[c >> 4], hex[c & 15]};
            (void)buf_add(out, text, sizeof(text));
        }
    }
}

/* Anything but a plain name is left as it is: url_parse refuses what is not ASCII in it. */
static int add_authority(struct buf *out, struct str authority, struct err_detail *err)
{
    const size_t colon = str_find(authority, ':');
    const struct str host = str_of(authority.p, colon);
    if (is_ascii(host) || host.p[0] == '[' || str_find(authority, '@') != authority.n ||
        memchr(host.p, '\0', host.n) != NULL) {
        (void)buf_add_str(out, authority);
        return 0;
    }
    const int rc = idn_to_ascii(out, host, err);
    if (rc == 0) {
        (void)buf_add_str(out, str_of(authority.p + colon, authority.n - colon));
    }
    return rc;
}

int url_to_ascii(struct buf *out, struct str text, struct err_detail *err)
{
    struct str rest = text;
    bool is_https;

    if (text.n <= URL_MAX && !utf8_valid(text)) {
        return err_set(err, ERR_SYNTAX, 0, "the URL is not valid UTF-8");
    }
    if (text.n > URL_MAX || authority_take_scheme(&rest, &is_https) != 0) {
        (void)buf_add_str(out, text); /* url_parse says what is wrong */
    } else {
        const size_t end = authority_end(rest);
        (void)buf_add_str(out, str_of(text.p, text.n - rest.n));
        const int rc = add_authority(out, str_of(rest.p, end), err);
        if (rc != 0) {
            return rc;
        }
        if (end < rest.n && rest.p[end] == '?') {
            (void)buf_add_c(out, '/');
        }
        add_encoded(out, str_of(rest.p + end, rest.n - end));
    }
    if (out->failed) {
        return err_set(err, ERR_TOO_BIG, 0, "the URL is longer than %d characters", URL_MAX);
    }
    return 0;
}
