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
    assert_int_equal(url_parse(&u, str_of(text, 7 + 254), NULL), ERR_SYNTAX);
    text[7 + 63] = 'a';
    assert_int_equal(url_parse(&u, str_of(text, 7 + 200), NULL), ERR_SYNTAX);
    /* A NUL inside. */
    assert_int_equal(url_parse(&u, str_of("http://h/\0x", 11), NULL), ERR_SYNTAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),
        cmocka_unit_test(test_bad),
        cmocka_unit_test(test_lengths),
    };
    return cmocka_run_group_tests_name("url", tests, NULL, NULL);
}
