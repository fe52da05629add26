/* SPDX-License-Identifier: Apache-2.0 */
/* The egress policy, range by range: first and last address of each, and the neighbours that are
 * public. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "longline/addr.h"
#include "longline/check.h"

struct row {
    const char *ip;
    const char *reason; /* NULL: allowed by the strictest policy */
};

static const struct row rows[] = {
    /* IPv4 */
    {"0.0.0.0", "unspecified"},
    {"0.255.255.255", "unspecified"},
    {"1.0.0.0", NULL},
    {"9.255.255.255", NULL},
    {"10.0.0.0", "private"},
    {"10.255.255.255", "private"},
    {"11.0.0.0", NULL},
    {"100.63.255.255", NULL},
    {"100.64.0.0", "private"},
    {"100.127.255.255", "private"},
    {"100.128.0.0", NULL},
    {"126.255.255.255", NULL},
    {"127.0.0.0", "loopback"},
    {"127.0.0.1", "loopback"},
    {"127.255.255.255", "loopback"},
    {"128.0.0.0", NULL},
    {"169.253.255.255", NULL},
    {"169.254.0.0", "link-local"},
    {"169.254.255.255", "link-local"},
    {"169.255.0.0", NULL},
    {"172.15.255.255", NULL},
    {"172.16.0.0", "private"},
    {"172.31.255.255", "private"},
    {"172.32.0.0", NULL},
    {"191.255.255.255", NULL},
    {"192.0.0.0", "reserved"},
    {"192.0.0.255", "reserved"},
    {"192.0.1.0", NULL},
    {"192.0.2.0", "documentation"},
    {"192.0.2.255", "documentation"},
    {"192.0.3.0", NULL},
    {"192.31.195.255", NULL},
    {"192.31.196.0", "reserved"},
    {"192.31.196.255", "reserved"},
    {"192.31.197.0", NULL},
    {"192.52.193.0", "reserved"},
    {"192.52.193.255", "reserved"},
    {"192.52.194.0", NULL},
    {"192.88.99.0", "6to4"},
    {"192.88.99.255", "6to4"},
    {"192.88.100.0", NULL},
    {"192.167.255.255", NULL},
    {"192.168.0.0", "private"},
    {"192.168.255.255", "private"},
    {"192.169.0.0", NULL},
    {"192.175.48.0", "reserved"},
    {"192.175.48.255", "reserved"},
    {"192.175.49.0", NULL},
    {"198.17.255.255", NULL},
    {"198.18.0.0", "benchmarking"},
    {"198.19.255.255", "benchmarking"},
    {"198.20.0.0", NULL},
    {"198.51.99.255", NULL},
    {"198.51.100.0", "documentation"},
    {"198.51.100.255", "documentation"},
    {"198.51.101.0", NULL},
    {"203.0.112.255", NULL},
    {"203.0.113.0", "documentation"},
    {"203.0.113.255", "documentation"},
    {"203.0.114.0", NULL},
    {"223.255.255.255", NULL},
    {"224.0.0.0", "multicast"},
    {"239.255.255.255", "multicast"},
    {"240.0.0.0", "reserved"},
    {"255.255.255.254", "reserved"},
    {"255.255.255.255", "broadcast"},
    {"8.8.8.8", NULL},

    /* Metadata and host agents of clouds */
    {"169.254.169.254", "metadata"},
    {"169.254.170.2", "metadata"},
    {"169.254.170.23", "metadata"},
    {"169.254.42.42", "metadata"},
    {"100.100.100.200", "metadata"},
    {"192.0.0.192", "metadata"},
    {"168.63.129.16", "metadata"},
    {"168.63.129.15", NULL},
    {"168.63.129.17", NULL},
    {"fd00:ec2::254", "metadata"},
    {"fd00:ec2::23", "metadata"},
    {"fd20:ce::254", "metadata"},
    {"fd00:42::42", "metadata"},

    /* IPv6 */
    {"::", "unspecified"},
    {"::1", "loopback"},
    {"::2", "reserved"},
    {"::127.0.0.1", "reserved"}, /* v4-compatible */
    {"::8.8.8.8", "reserved"},
    {"::ffff:127.0.0.1", "loopback"}, /* v4-mapped */
    {"::ffff:10.0.0.1", "private"},
    {"::ffff:169.254.169.254", "metadata"},
    {"::ffff:8.8.8.8", NULL},
    {"::ffff:0:8.8.8.8", "reserved"},   /* v4-translated */
    {"64:ff9b::127.0.0.1", "loopback"}, /* NAT64: judged by the address inside */
    {"64:ff9b::10.0.0.1", "private"},
    {"64:ff9b::169.254.169.254", "metadata"},
    {"64:ff9b::8.8.8.8", NULL},
    {"64:ff9b:0:0:0:1:808:808", "reserved"}, /* beyond the /96 */
    {"64:ff9b:1::1", "reserved"},
    {"64:ff9b:ffff::8.8.8.8", "reserved"},
    {"ff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "reserved"},
    {"100::", "discard"},
    {"100::ffff:ffff:ffff:ffff", "discard"},
    {"100:0:0:1::", "reserved"},
    {"200::1", "not global"},
    {"1fff:ffff::1", "not global"},
    {"2000::1", NULL},
    {"2001::", "teredo"},
    {"2001:0:ffff:ffff:ffff:ffff:ffff:ffff", "teredo"},
    {"2001:1::1", "reserved"},
    {"2001:2::1", "reserved"},
    {"2001:10::1", "reserved"},
    {"2001:20::1", "reserved"},
    {"2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", "reserved"},
    {"2001:200::", NULL},
    {"2001:4860:4860::8888", NULL},
    {"2001:db7:ffff::1", NULL},
    {"2001:db8::", "documentation"},
    {"2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "documentation"},
    {"2001:db9::", NULL},
    {"2002::", "6to4"},
    {"2002:808:808::1", "6to4"},
    {"2002:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "6to4"},
    {"2003::", NULL},
    {"2606:4700::1111", NULL},
    {"2620:4f:8000::1", "reserved"},
    {"3ffe:ffff::1", NULL},
    {"3fff::", "documentation"},
    {"3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", "documentation"},
    {"3fff:1000::", NULL},
    {"4000::1", "not global"},
    {"5f00::", "reserved"},
    {"5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "reserved"},
    {"fbff::1", "not global"},
    {"fc00::", "private"},
    {"fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "private"},
    {"fe00::1", "not global"},
    {"fe80::1", "link-local"},
    {"febf:ffff::1", "link-local"},
    {"fec0::1", "site-local"},
    {"feff:ffff::1", "site-local"},
    {"ff00::", "multicast"},
    {"ff02::1", "multicast"},
};

static union addr ip(const char *text, uint16_t port)
{
    union addr a;
    if (addr_parse_ip(&a, str_c(text), port) != 0) {
        fail_msg("not an address: %s", text);
    }
    return a;
}

static struct cidr block(const char *text)
{
    struct cidr c;
    if (cidr_parse(&c, str_c(text)) != 0) {
        fail_msg("not a block: %s", text);
    }
    return c;
}

static int check(const struct egress_policy *p, const char *text)
{
    const union addr a = ip(text, 443);
    return egress_check(p, &a, NULL);
}

static void every_range_is_judged(void **state)
{
    (void)state;
    const struct egress_policy strict = {.version = 1};
    for (size_t i = 0; i < LL_COUNT(rows); i++) {
        const union addr a = ip(rows[i].ip, 443);
        const char *reason = NULL;
        const int rc = egress_check(&strict, &a, &reason);
        if (rows[i].reason == NULL) {
            if (rc != 0) {
                fail_msg("%s refused: %s", rows[i].ip, reason);
            }
        } else if (rc != ERR_BLOCKED || strcmp(reason, rows[i].reason) != 0) {
            fail_msg("%s: %s instead of %s", rows[i].ip, reason != NULL ? reason : "allowed",
                     rows[i].reason);
        }
    }
}

static void options_open_only_what_they_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < LL_COUNT(rows); i++) {
        const struct egress_policy private = {.allow_private = true};
        const struct egress_policy loopback = {.allow_loopback = true};
        const char *reason = rows[i].reason;
        const bool is_private = reason != NULL && strcmp(reason, "private") == 0;
        const bool is_loopback = reason != NULL && strcmp(reason, "loopback") == 0;
        assert_int_equal(check(&private, rows[i].ip) == 0, reason == NULL || is_private);
        assert_int_equal(check(&loopback, rows[i].ip) == 0, reason == NULL || is_loopback);
    }
}

static void not_an_ip_address_is_refused(void **state)
{
    (void)state;
    const struct egress_policy all = {.allow_private = true, .allow_loopback = true};
    union addr a;
    memset(&a, 0, sizeof(a));
    a.sa.sa_family = AF_UNIX;
    assert_int_equal(egress_check(&all, &a, NULL), ERR_BLOCKED);
}

static void allow_overrides_and_deny_adds(void **state)
{
    (void)state;
    struct cidr allow[2] = {block("169.254.169.254"), block("10.1.0.0/16")};
    struct cidr deny[3] = {block("8.8.8.0/24"), block("10.0.0.0/8"), block("2606:4700::/32")};
    const struct egress_policy p = {
        .allow_private = true,
        .allow = allow,
        .n_allow = 2,
        .deny = deny,
        .n_deny = 3,
    };
    assert_int_equal(check(&p, "169.254.169.254"), 0);
    assert_int_equal(check(&p, "169.254.169.253"), ERR_BLOCKED);
    assert_int_equal(check(&p, "10.1.2.3"), 0);
    assert_int_equal(check(&p, "10.2.2.3"), ERR_BLOCKED);
    assert_int_equal(check(&p, "192.168.1.1"), 0);
    assert_int_equal(check(&p, "8.8.8.8"), ERR_BLOCKED);
    assert_int_equal(check(&p, "8.8.4.4"), 0);
    assert_int_equal(check(&p, "::ffff:8.8.8.8"), ERR_BLOCKED);
    assert_int_equal(check(&p, "64:ff9b::8.8.8.8"), ERR_BLOCKED);
    assert_int_equal(check(&p, "2606:4700::1"), ERR_BLOCKED);
}

static void own_addresses_are_never_called(void **state)
{
    (void)state;
    union addr own[3] = {ip("127.0.0.1", 3333), ip("0.0.0.0", 4444), ip("8.8.8.8", 80)};
    struct cidr allow[1] = {block("127.0.0.0/8")};
    const struct egress_policy p = {
        .allow_loopback = true, .allow = allow, .n_allow = 1, .own = own, .n_own = 3};
    const char *reason = NULL;
    union addr a = ip("127.0.0.1", 3333);
    assert_int_equal(egress_check(&p, &a, &reason), ERR_BLOCKED);
    assert_string_equal(reason, "own address");
    a = ip("::ffff:127.0.0.1", 3333);
    assert_int_equal(egress_check(&p, &a, NULL), ERR_BLOCKED);
    a = ip("127.0.0.1", 3334);
    assert_int_equal(egress_check(&p, &a, NULL), 0);
    a = ip("127.0.0.2", 3333);
    assert_int_equal(egress_check(&p, &a, NULL), 0);
    a = ip("127.0.0.2", 4444); /* the listener is on every address */
    assert_int_equal(egress_check(&p, &a, NULL), ERR_BLOCKED);
    a = ip("::1", 4444);
    assert_int_equal(egress_check(&p, &a, NULL), ERR_BLOCKED);
    a = ip("8.8.8.8", 80);
    assert_int_equal(egress_check(&p, &a, NULL), ERR_BLOCKED);
    a = ip("8.8.8.8", 443);
    assert_int_equal(egress_check(&p, &a, NULL), 0);
}

struct host_row {
    const char *host;
    bool strict;   /* allowed by the strict policy */
    bool loopback; /* with allow_loopback */
    bool private;  /* with allow_private */
};

static const struct host_row hosts[] = {
    {"example.com", true, true, true},
    {"example.com.", true, true, true},
    {"xn--bcher-kva.example", true, true, true},
    {"8.8.8.8", true, true, true},
    {"localhost", false, true, false},
    {"LOCALHOST.", false, true, false},
    {"a.localhost", false, true, false},
    {"notlocalhost", true, true, true},
    {"printer.local", false, false, true},
    {"db.internal", false, false, true},
    {"internal", false, false, true},
    {"eternal", true, true, true},
    {"metadata.google.internal", false, false, false},
    {"Metadata.Google.Internal.", false, false, false},
    {"127.0.0.1", false, true, false},
    {"10.0.0.1", false, false, true},
    {"[::1]", false, true, false},
    {"::1", false, true, false},
    {"[fe80::1]", false, false, false},
    {"127.1", false, false, false},
    {"0x7f.1", false, false, false},
    {"0x7f000001", false, false, false},
    {"017700000001", false, false, false},
    {"2130706433", false, false, false},
    {"127.0.0.1.", false, false, false},
    {"1.2.3.0x4", false, false, false},
    {"1.2.3.4.5", false, false, false},
    {"example.0x", false, false, false},
    {"example.0xg", true, true, true},
    {"example.12a", true, true, true},
    {"", false, false, false},
    {"fe80::1%eth0", false, false, false},
    {"[fe80::1%25eth0]", false, false, false},
};

static void host_names_are_judged_at_registration(void **state)
{
    (void)state;
    const struct egress_policy strict = {.version = 1};
    const struct egress_policy loopback = {.allow_loopback = true};
    const struct egress_policy private = {.allow_private = true};
    for (size_t i = 0; i < LL_COUNT(hosts); i++) {
        const struct host_row *h = &hosts[i];
        const char *reason = NULL;
        if ((egress_check_host(&strict, str_c(h->host), &reason) == 0) != h->strict ||
            (egress_check_host(&loopback, str_c(h->host), NULL) == 0) != h->loopback ||
            (egress_check_host(&private, str_c(h->host), NULL) == 0) != h->private) {
            fail_msg("\"%s\" (%s)", h->host, reason != NULL ? reason : "allowed");
        }
        assert_int_equal(reason == NULL, h->strict);
    }
}

/* What the allow list opens can be registered by name as well. */
static void names_follow_the_allow_list(void **state)
{
    (void)state;
    static const struct {
        const char *allow, *host, *reason; /* NULL: allowed */
    } names[] = {
        {"10.0.0.0/8", "x.internal", NULL},
        {"10.0.0.0/8", "printer.local", NULL},
        {"10.0.0.0/8", "10.1.2.3", NULL},
        {"10.0.0.0/8", "192.168.1.1", "private"},
        {"10.0.0.0/8", "localhost", "loopback"},
        {"10.0.0.0/8", "metadata.google.internal", "metadata"},
        {"10.0.0.0/8", "0x0a.1", "odd IPv4 spelling"},
        {"127.0.0.0/8", "localhost", NULL},
        {"127.0.0.2", "localhost", "loopback"}, /* it is 127.0.0.1 */
        {"::1", "a.localhost", NULL},
        {"169.254.169.254", "metadata.google.internal", NULL},
    };
    for (size_t i = 0; i < LL_COUNT(names); i++) {
        struct cidr c;
        const char *reason = NULL;
        assert_int_equal(cidr_parse(&c, str_c(names[i].allow)), 0);
        const struct egress_policy p = {.allow = &c, .n_allow = 1};
        const int rc = egress_check_host(&p, str_c(names[i].host), &reason);
        assert_int_equal(rc, names[i].reason != NULL ? ERR_BLOCKED : 0);
        assert_string_equal(reason != NULL ? reason : "",
                            names[i].reason != NULL ? names[i].reason : "");
    }
}

static void test_ports_of_other_protocols(void **state)
{
    (void)state;
    struct cidr all;
    assert_int_equal(cidr_parse(&all, STR("8.8.8.8")), 0);
    const struct egress_policy strict = {0};
    const struct egress_policy listed = {.allow = &all, .n_allow = 1};
    const uint16_t bad[] = {22, 25, 2049, 6379, 11211};
    const uint16_t good[] = {80, 443, 8080, 8443, 50000};
    union addr a;
    for (size_t i = 0; i < LL_COUNT(bad); i++) {
        const char *reason = NULL;
        assert_int_equal(addr_parse_ip(&a, STR("8.8.8.8"), bad[i]), 0);
        assert_int_equal(egress_check(&strict, &a, &reason), ERR_BLOCKED);
        assert_string_equal(reason, "port");
        assert_int_equal(egress_check(&listed, &a, NULL), 0); /* an operator may insist */
    }
    for (size_t i = 0; i < LL_COUNT(good); i++) {
        assert_int_equal(addr_parse_ip(&a, STR("8.8.8.8"), good[i]), 0);
        assert_int_equal(egress_check(&strict, &a, NULL), 0);
    }
}

/* The same before anything is resolved. */
static void test_ports_at_registration(void **state)
{
    (void)state;
    struct cidr some;
    assert_int_equal(cidr_parse(&some, STR("8.8.8.8")), 0);
    const struct egress_policy strict = {0};
    const struct egress_policy loopback = {.allow_loopback = true};
    const struct egress_policy listed = {.allow = &some, .n_allow = 1};
    const struct {
        const struct egress_policy *policy;
        const char *host;
        uint16_t port;
        const char *reason; /* NULL: allowed */
    } targets[] = {
        {&strict, "example.com", 443, NULL},
        {&strict, "example.com", 22, "port"},
        {&strict, "8.8.8.8", 22, "port"},
        {&strict, "2606:2800:220:1::1", 6379, "port"},
        {&strict, "127.0.0.1", 22, "loopback"}, /* the worse one first */
        {&strict, "localhost", 22, "loopback"},
        {&loopback, "127.0.0.1", 22, NULL},
        {&loopback, "a.localhost", 22, NULL},
        {&loopback, "example.com", 22, NULL}, /* it may be loopback: its attempts will tell */
        {&loopback, "8.8.8.8", 22, "port"},
        {&listed, "8.8.8.8", 22, NULL},
        {&listed, "8.8.4.4", 22, "port"},
        {&listed, "example.com", 22, NULL}, /* it may be 8.8.8.8 */
    };
    for (size_t i = 0; i < LL_COUNT(targets); i++) {
        const char *reason = NULL;
        const int rc = egress_check_target(targets[i].policy, str_c(targets[i].host),
                                           targets[i].port, &reason);
        assert_int_equal(rc, targets[i].reason != NULL ? ERR_BLOCKED : 0);
        assert_string_equal(reason != NULL ? reason : "",
                            targets[i].reason != NULL ? targets[i].reason : "");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ports_of_other_protocols),
        cmocka_unit_test(test_ports_at_registration),
        cmocka_unit_test(every_range_is_judged),
        cmocka_unit_test(options_open_only_what_they_name),
        cmocka_unit_test(not_an_ip_address_is_refused),
        cmocka_unit_test(allow_overrides_and_deny_adds),
        cmocka_unit_test(own_addresses_are_never_called),
        cmocka_unit_test(host_names_are_judged_at_registration),
        cmocka_unit_test(names_follow_the_allow_list),
    };
    return cmocka_run_group_tests_name("net_egress", tests, NULL, NULL);
}
