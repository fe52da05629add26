/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "longline/check.h"
#include "longline/url.h"

struct good {
    const char *text;
    bool is_https;
    const char *host;
    uint16_t port;
    const char *authority;
    const char *path;
};

static const struct good good[] = {
    {"http://example.com", false, "example.com", 80, "example.com", "/"},
    {"https://example.com/", true, "example.com", 443, "example.com", "/"},
    {"HTTPS://Example.COM:8443/a/b?c=d&e", true, "Example.COM", 8443, "Example.COM:8443",
     "/a/b?c=d&e"},
    {"http://127.0.0.1:1/", false, "127.0.0.1", 1, "127.0.0.1:1", "/"},
    {"http://[::1]:65535/x", false, "::1", 65535, "[::1]:65535", "/x"},
    {"http://[2001:db8::7]/", false, "2001:db8::7", 80, "[2001:db8::7]", "/"},
    {"http://example.com./p", false, "example.com", 80, "example.com.", "/p"},
    {"http://a_b.example/%20%C3%A9", false, "a_b.example", 80, "a_b.example", "/%20%C3%A9"},
    {"http://xn--bcher-kva.example/{x}|y", false, "xn--bcher-kva.example", 80,
     "xn--bcher-kva.example", "/{x}|y"},
    {"http://h/?", false, "h", 80, "h", "/?"},
    {"http://h//a/../b", false, "h", 80, "h", "//a/../b"},
};

static void test_good(void **state)
{
    (void)state;
    for (size_t i = 0; i < LL_COUNT(good); i++) {
        const struct good *g = &good[i];
        struct err_detail err = {.code = 0};
        struct url u;
        if (url_parse(&u, str_c(g->text), &err) != 0) {
            fail_msg("%s: %s", g->text, err.msg);
        }
        assert_int_equal(u.is_https, g->is_https);
        assert_true(str_eq(u.host, str_c(g->host)));
        assert_int_equal(u.port, g->port);
        assert_true(str_eq(u.authority, str_c(g->authority)));
        assert_true(str_eq(u.path, str_c(g->path)));
    }
}

static const struct {
    const char *url, *peer;
} peers[] = {
    {"http://localhost/", "80/localhost"},
    {"http://LOCALHOST:80/x", "80/localhost"},
    {"http://localhost.:080/", "80/localhost"},
    {"https://Hooks.Example.com/", "443/hooks.example.com"},
    {"https://hooks.example.COM.:443/?q", "443/hooks.example.com"},
    {"http://hooks.example.com:443/", "443/hooks.example.com"},
    {"http://hooks.example.com:8080/", "8080/hooks.example.com"},
    {"http://127.0.0.1/", "80/127.0.0.1"},
    {"http://127.0.0.1./", "80/127.0.0.1"},
    {"http://[::ffff:127.0.0.1]/", "80/127.0.0.1"},
    {"http://[::FFFF:7f00:1]/", "80/127.0.0.1"},
    {"http://[0:0:0:0:0:ffff:7f00:0001]/", "80/127.0.0.1"},
    {"http://[::1]/", "80/::1"},
    {"http://[0:0:0:0:0:0:0:1]/", "80/::1"},
    {"http://[2001:DB8:0:0::00a]/", "80/2001:db8::a"},
    {"http://[::127.0.0.1]/", "80/::127.0.0.1"}, /* v4-compatible: another address */
};

static void test_peer(void **state)
{
    (void)state;
    for (size_t i = 0; i < LL_COUNT(peers); i++) {
        char text[URL_PEER_MAX];
        struct url u;
        assert_int_equal(url_parse(&u, str_c(peers[i].url), NULL), 0);
        const struct str peer = str_of(text, url_peer(text, &u));
        if (!str_eq(peer, str_c(peers[i].peer))) {
            fail_msg("%s: " STR_FMT, peers[i].url, STR_ARG(peer));
        }
    }
}

static const char *const bad[] = {
    "",
    "example.com",
    "ftp://example.com/",
    "http:/example.com",
    "http:example.com",
    "http://",
    "http:///path",
    "http://:80/",
    "http://./",
    "http://a..b/",
    "http://.a/",
    "http://a../",
    "http://user@example.com/",
    "http://user:pw@example.com/",
    "http://example.com:pw@127.0.0.1/",
    "http://example.com/#frag",
    "http://example.com#frag",
    "http://example.com?x=1",
    "http://example.com:/",
    "http://example.com:0/",
    "http://example.com:65536/",
    "http://example.com:+80/",
    "http://example.com:80a/",
    "http://example.com:000080/",
    "http://exa mple.com/",
    "http://example.com/a b",
    "http://example.com\\@evil.example/",
    "http://example.com/a\\b",
    "http://example.com/\r\nX: y",
    "http://example.com/\t",
    "http://ex%61mple.com/",
    "http://b\303\274cher.example/",
    "http://example.com/\xc3\xa9",
    "http://example.com/%",
    "http://example.com/%4",
    "http://example.com/%zz",
    "http://[::1/",
    "http://[::1]x/",
    "http://[fe80::1%25eth0]/",
    "http://[::ffff:1.2.3.4.5]/",
    "http://[127.0.0.1]/",
    "http://::1/",
    "http://[]/",
    " http://example.com/",
};

static void test_bad(void **state)
{
    (void)state;
    for (size_t i = 0; i < LL_COUNT(bad); i++) {
        struct err_detail err = {.code = 0};
        struct url u;
        const int rc = url_parse(&u, str_c(bad[i]), &err);
        if (rc != ERR_SYNTAX) {
            fail_msg("\"%s\" gave %d", bad[i], rc);
        }
        assert_int_equal(err.code, ERR_SYNTAX);
        assert_true(err.msg[0] != '\0');
        assert_int_equal(url_parse(&u, str_c(bad[i]), NULL), ERR_SYNTAX);
    }
}

static void test_lengths(void **state)
{
    char text[URL_MAX + 2];
    struct url u;
    (void)state;

    memset(text, 'a', sizeof(text));
    memcpy(text, "http://h/", 9);
    assert_int_equal(url_parse(&u, str_of(text, URL_MAX), NULL), 0);
    assert_int_equal(u.path.n, URL_MAX - 8);
    assert_int_equal(url_parse(&u, str_of(text, URL_MAX + 1), NULL), ERR_TOO_BIG);

    /* Labels of 63, a name of 253. */
    memset(text, 'a', sizeof(text));
    memcpy(text, "http://", 7);
    for (size_t i = 1; i < 4; i++) {
        text[7 + i * 64 - 1] = '.';
    }
    assert_int_equal(url_parse(&u, str_of(text, 7 + 253), NULL), 0);
    char peer[URL_PEER_MAX];
    assert_int_equal(url_peer(peer, &u), strlen("80/") + 253);
    u.port = UINT16_MAX;
    assert_int_equal(url_peer(peer, &u), URL_PEER_MAX);
    assert_int_equal(url_parse(&u, str_of(text, 7 + 254), NULL), ERR_SYNTAX);
    text[7 + 63] = 'a';
    assert_int_equal(url_parse(&u, str_of(text, 7 + 200), NULL), ERR_SYNTAX);
    /* A NUL inside. */
    assert_int_equal(url_parse(&u, str_of("http://h/\0x", 11), NULL), ERR_SYNTAX);
}

/* What people write, what is sent; NULL: refused before url_parse or by it. */
static const struct {
    const char *given, *ascii;
} translated[] = {
    {"https://example.com/a?b=c", "https://example.com/a?b=c"},
    {"HTTPS://Example.COM/%c3%a9{x}|y", "HTTPS://Example.COM/%c3%a9{x}|y"},
    {"http://h?x=1", "http://h/?x=1"},
    {"http://h", "http://h"},
    {"https://b\303\274cher.example/", "https://xn--bcher-kva.example/"},
    {"https://B\303\234CHER.Example:8443/x", "https://xn--bcher-kva.example:8443/x"},
    {"https://b\303\274cher.example", "https://xn--bcher-kva.example"},
    {"https://b\303\274cher.example.?q", "https://xn--bcher-kva.example./?q"},
    {"https://fa\303\237.example/", "https://xn--fa-hia.example/"}, /* not "fass" */
    {"https://a_b.b\303\274cher.example/", "https://a_b.xn--bcher-kva.example/"},
    {"https://\344\276\213\343\201\210.\343\203\206\343\202\271\343\203\210/",
     "https://xn--r8jz45g.xn--zckzah/"},
    {"http://h/\303\251", "http://h/%C3%A9"},
    {"http://h/a?q=\360\237\230\200&r=\303\251%20", "http://h/a?q=%F0%9F%98%80&r=%C3%A9%20"},
    {"http://h/\302\240\342\200\256", "http://h/%C2%A0%E2%80%AE"},
    /* Spellings of addresses and inner names become what they stand for, to be judged as such. */
    {"http://\357\274\221\357\274\222\357\274\227\357\274\216\357\274\220.0.1/",
     "http://127.0.0.1/"},
    {"http://127\343\200\2020\343\200\2020\357\275\2411/", "http://127.0.0.1/"},
    {"http://\342\221\240/", "http://1/"},
    {"http://0\357\275\2307f.1/", "http://0x7f.1/"},
    {"http://\357\275\214ocalhost/", "http://localhost/"},
    {"http://x.\357\275\211nternal/", "http://x.internal/"},
    {"http://local\302\255host/", "http://localhost/"}, /* a soft hyphen is nothing */
    /* What would become a delimiter. */
    {"http://\342\204\200.example/", NULL},        /* "a/c" */
    {"http://a\357\274\217b.example/", NULL},      /* full-width "/" */
    {"http://a\357\274\240b.example/", NULL},      /* "@" */
    {"http://a\357\274\23280/", NULL},             /* ":" */
    {"http://a\357\274\203b.example/", NULL},      /* "#" */
    {"http://a\357\274\205b.example/", NULL},      /* "%" */
    {"http://\357\274\273::1\357\274\275/", NULL}, /* "[::1]" */
    {"http://[::\357\274\221]/", NULL},
    {"http://h:\357\274\230\357\274\220/", NULL},
    {"http://u\303\274@h/", NULL},
    {"http://\342\230\225.example/", NULL}, /* IDNA 2008 knows no emoji */
    {"http://a\342\200\213b.example\\c/", NULL},
    {"http://\302\255/", NULL},
    {"http://.b\303\274cher/", NULL},
    {"http://b\303\274cher..example/", NULL},
    {"http://b%c3%bccher.b\303\274cher/", NULL},
    {"\303\274://h/", NULL},
    {"http://h/\303", NULL},
    {"http://h/\303\251 x", NULL},
    {"http://h/\303\251#x", NULL},
    {"http://h/\303\251%4", NULL},
};

static void test_translation(void **state)
{
    (void)state;
    for (size_t i = 0; i < LL_COUNT(translated); i++) {
        struct err_detail err = {0};
        struct url u;
        struct buf b;
        buf_init(&b, URL_MAX);
        int rc = url_to_ascii(&b, str_c(translated[i].given), &err);
        if (rc == 0) {
            rc = url_parse(&u, buf_str(&b), &err);
        }
        if (translated[i].ascii == NULL) {
            if (rc != ERR_SYNTAX || err.msg[0] == '\0') {
                fail_msg("%s gave %d, " STR_FMT, translated[i].given, rc, STR_ARG(buf_str(&b)));
            }
        } else if (rc != 0 || !str_eq(buf_str(&b), str_c(translated[i].ascii))) {
            fail_msg("%s: " STR_FMT " (%s)", translated[i].given, STR_ARG(buf_str(&b)), err.msg);
        }
        buf_fini(&b);
    }
}

/* The limit is on what is sent: an encoded character counts three times per byte. */
static void test_translated_lengths(void **state)
{
    (void)state;
    char text[URL_MAX + 16] = "http://h/";
    size_t n = 9;
    while (n < 9 + 2 * 338) {
        memcpy(text + n, "\303\251", 2);
        n += 2;
    }
    for (size_t more = 0; more < 30; more++) {
        struct buf b;
        buf_init(&b, URL_MAX);
        const size_t sent = 9 + 6 * 338 + more;
        text[n + more] = 'x';
        const int rc = url_to_ascii(&b, str_of(text, n + more), NULL);
        assert_int_equal(rc, sent <= URL_MAX ? 0 : ERR_TOO_BIG);
        buf_fini(&b);
    }
    struct buf b;
    buf_init(&b, URL_MAX);
    memset(text + 7, 'a', sizeof(text) - 7);
    memcpy(text + 7, "\303\274", 2);
    assert_int_equal(url_to_ascii(&b, str_of(text, URL_MAX + 1), NULL), ERR_TOO_BIG);
    buf_reset(&b);
    assert_int_equal(url_to_ascii(&b, str_of(text, URL_MAX), NULL), ERR_SYNTAX); /* no such label */
    buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),        cmocka_unit_test(test_peer),
        cmocka_unit_test(test_bad),         cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_translation), cmocka_unit_test(test_translated_lengths),
    };
    return cmocka_run_group_tests_name("url", tests, NULL, NULL);
}
