/* SPDX-License-Identifier: Apache-2.0 */
/* Text to address and back, and CIDR blocks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "longline/addr.h"
#include "longline/check.h"

static const char *const good[] = {
    "127.0.0.1:80", "0.0.0.0:0",         "255.255.255.255:65535", "[::1]:80",
    "[::]:0",       "[2001:db8::1]:443", "[::ffff:1.2.3.4]:1",
};

static const char *const bad[] = {
    "",           ":",           ":80",           "127.0.0.1",      "127.0.0.1:",
    "127.1:80",   "0x7f.1:80",   "017.0.0.1:80",  "2130706433:80",  "127.0.0.1:65536",
    "1.2.3.4:-1", "1.2.3.4:+1",  "1.2.3.4: 1",    "1.2.3.4:1x",     "1.2.3.4:000001",
    "::1:80",     "::1",         "[::1]",         "[::1]80",        "[::1:80",
    "::1]:80",    "[1.2.3.4]:1", "[fe80::1%1]:1", "[fe80::1%lo]:1", "1.2.3.4.5:80",
    "host:80",    " 1.2.3.4:1",  "1.2.3.4 :1",    "[[::1]]:80",     "256.0.0.1:1",
};

static void addresses_come_back_as_they_were(void **state)
{
    (void)state;
    for (size_t i = 0; i < LL_COUNT(good); i++) {
        union addr a;
        if (addr_parse(&a, str_c(good[i])) != 0) {
            fail_msg("refused: %s", good[i]);
        }
        char text[ADDR_TEXT_MAX];
        assert_int_equal(addr_format(text, &a), strlen(good[i]));
        assert_string_equal(text, good[i]);
    }
}

static void odd_spellings_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < LL_COUNT(bad); i++) {
        union addr a;
        if (addr_parse(&a, str_c(bad[i])) == 0) {
            fail_msg("accepted: %s", bad[i]);
        }
    }
    union addr a;
    assert_int_equal(addr_parse(&a, str_of("1.2.3.4\0:80", 11)), ERR_SYNTAX);
}

static void literals_take_a_port(void **state)
{
    (void)state;
    union addr a;
    char text[ADDR_TEXT_MAX];
    assert_int_equal(addr_parse_ip(&a, STR("10.1.2.3"), 8080), 0);
    assert_int_equal(addr_port(&a), 8080);
    (void)addr_format_ip(text, &a);
    assert_string_equal(text, "10.1.2.3");
    assert_int_equal(addr_parse_ip(&a, STR("::1"), 1), 0);
    assert_int_equal(addr_parse_ip(&a, STR("[::1]"), 1), 0);
    addr_set_port(&a, 99);
    (void)addr_format(text, &a);
    assert_string_equal(text, "[::1]:99");
    assert_int_equal(addr_parse_ip(&a, STR("[10.1.2.3]"), 1), ERR_SYNTAX);
    assert_int_equal(addr_parse_ip(&a, STR("[]"), 1), ERR_SYNTAX);
    assert_int_equal(addr_parse_ip(&a, STR("["), 1), ERR_SYNTAX);
    assert_int_equal(addr_parse_ip(&a, STR("example.com"), 1), ERR_SYNTAX);
    memset(&a, 0, sizeof(a));
    (void)addr_format(text, &a);
    assert_string_equal(text, "-:0");
}

struct cidr_row {
    const char *cidr;
    const char *in;  /* NULL for none */
    const char *out; /* NULL for none */
};

static const struct cidr_row cidrs[] = {
    {"10.0.0.0/8", "10.255.255.255", "11.0.0.0"},
    {"10.0.0.0/8", "::ffff:10.1.1.1", "::10.1.1.1"},
    {"172.16.0.0/12", "172.31.0.1", "172.32.0.0"},
    {"192.168.7.7", "192.168.7.7", "192.168.7.6"},
    {"192.168.7.6/31", "192.168.7.7", "192.168.7.8"},
    {"0.0.0.0/0", "8.8.8.8", "2001:db8::1"},
    {"::/0", "2001:db8::1", "8.8.8.8"},
    {"fc00::/7", "fdff::1", "fe00::"},
    {"::1/128", "::1", "::2"},
    {"[::1]", "::1", "::2"},
    {"2001:db8::/33", "2001:db8:7fff::1", "2001:db8:8000::"},
    {"::ffff:0:0/96", "1.2.3.4", "::1"},
};

static const char *const bad_cidrs[] = {
    "",          "/",           "10.0.0.0/",     "10.0.0.0/33", "10.0.0.1/8", "::1/129",
    "::1/64",    "10.0.0.0/-1", "10.0.0.0/8/8",  "10/8",        "10.0/16",    "10.0.0.0/08 ",
    "0.0.0.1/0", "/8",          "10.0.0.0/1234",
};

static void cidr_blocks_contain_what_they_say(void **state)
{
    (void)state;
    for (size_t i = 0; i < LL_COUNT(cidrs); i++) {
        struct cidr c;
        union addr a;
        if (cidr_parse(&c, str_c(cidrs[i].cidr)) != 0) {
            fail_msg("refused: %s", cidrs[i].cidr);
        }
        assert_int_equal(addr_parse_ip(&a, str_c(cidrs[i].in), 0), 0);
        assert_true(cidr_contains(&c, &a));
        assert_int_equal(addr_parse_ip(&a, str_c(cidrs[i].out), 0), 0);
        assert_false(cidr_contains(&c, &a));
    }
    for (size_t i = 0; i < LL_COUNT(bad_cidrs); i++) {
        struct cidr c;
        if (cidr_parse(&c, str_c(bad_cidrs[i])) == 0) {
            fail_msg("accepted: %s", bad_cidrs[i]);
        }
    }
}

static void peers_are_known_by_what_they_have_to_themselves(void **state)
{
    static const struct {
        const char *a;
        const char *b;
        bool same;
    } cases[] = {
        {"192.0.2.1", "192.0.2.1", true},
        {"192.0.2.1", "192.0.2.2", false},
        {"192.0.2.1", "::ffff:192.0.2.1", true},
        {"2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", true},
        {"2001:db8::1", "2001:db8:0:1::1", false},
        {"::1", "0.0.0.0", false},
    };
    (void)state;
    for (size_t i = 0; i < LL_COUNT(cases); i++) {
        unsigned char key[2][ADDR_PEER_KEY];
        union addr a;
        assert_int_equal(addr_parse_ip(&a, str_c(cases[i].a), 1), 0);
        addr_peer_key(key[0], &a);
        assert_int_equal(addr_parse_ip(&a, str_c(cases[i].b), 2), 0);
        addr_peer_key(key[1], &a);
        assert_int_equal(memcmp(key[0], key[1], ADDR_PEER_KEY) == 0, cases[i].same);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_come_back_as_they_were),
        cmocka_unit_test(peers_are_known_by_what_they_have_to_themselves),
        cmocka_unit_test(odd_spellings_are_refused),
        cmocka_unit_test(literals_take_a_port),
        cmocka_unit_test(cidr_blocks_contain_what_they_say),
    };
    return cmocka_run_group_tests_name("net_addr", tests, NULL, NULL);
}
