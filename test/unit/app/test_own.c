/* SPDX-License-Identifier: Apache-2.0 */
/* Which addresses are the gateway's own, and that a new one is noticed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ifaddrs.h>

#include "app/own.h"
#include "longline/check.h"
#include "longline/str.h"

/* The list as getifaddrs gives it; NULL: an interface without an address. */
struct machine {
    struct ifaddrs list[OWN_MAX + 100];
    union addr addrs[OWN_MAX + 100];
    size_t n;
};

static struct machine machine;

static void add(const char *ip)
{
    struct machine *m = &machine;
    struct ifaddrs *i = &m->list[m->n];
    *i = (struct ifaddrs){.ifa_addr = NULL};
    if (ip != NULL) {
        assert_int_equal(addr_parse_ip(&m->addrs[m->n], str_c(ip), 0), 0);
        i->ifa_addr = &m->addrs[m->n].sa;
    }
    if (m->n > 0) {
        m->list[m->n - 1].ifa_next = i;
    }
    m->n++;
}

static union addr parse(const char *text)
{
    union addr a;
    assert_int_equal(addr_parse(&a, str_c(text)), 0);
    return a;
}

static const char *verdict(const struct own_addresses *own, const char *text)
{
    const struct egress_policy p = {
        .allow_private = true, .allow_loopback = true, .own = own->v, .n_own = own->n};
    const union addr a = parse(text);
    const char *reason = "";
    return egress_check(&p, &a, &reason) == 0 ? "" : reason;
}

static int clear(void **state)
{
    (void)state;
    machine.n = 0;
    return 0;
}

static void test_an_address_that_comes_and_goes(void **state)
{
    struct own_addresses own = {0};
    const union addr bound = parse("0.0.0.0:3333");
    (void)state;
    add("127.0.0.1");
    add(NULL);
    add("10.0.0.5");
    add("2001:db8::5");
    assert_true(own_set(&own, &bound, machine.list));
    assert_int_equal(own.n, 4);
    assert_string_equal(verdict(&own, "10.0.0.5:3333"), "own address");
    assert_string_equal(verdict(&own, "127.0.0.77:3333"), "own address");
    assert_string_equal(verdict(&own, "10.0.0.5:3334"), "");
    assert_string_equal(verdict(&own, "10.0.0.6:3333"), "");
    assert_false(own_set(&own, &bound, machine.list));

    add("10.0.0.6");
    assert_true(own_set(&own, &bound, machine.list));
    assert_string_equal(verdict(&own, "10.0.0.6:3333"), "own address");
    assert_string_equal(verdict(&own, "10.0.0.5:3333"), "own address");
    assert_false(own_set(&own, &bound, machine.list));

    machine.n = 1;
    machine.list[0].ifa_next = NULL;
    assert_true(own_set(&own, &bound, machine.list));
    assert_string_equal(verdict(&own, "10.0.0.6:3333"), "");
    own_fini(&own);
}

/* A listener on one address is reached there only. */
static void test_one_address(void **state)
{
    struct own_addresses own = {0};
    const union addr bound = parse("10.0.0.5:3333");
    (void)state;
    add("10.0.0.5");
    add("10.0.0.6");
    assert_false(own_is_wildcard(&bound));
    assert_true(own_set(&own, &bound, machine.list));
    assert_int_equal(own.n, 1);
    assert_string_equal(verdict(&own, "10.0.0.5:3333"), "own address");
    assert_string_equal(verdict(&own, "10.0.0.6:3333"), "");
    own_fini(&own);
}

static void test_many(void **state)
{
    struct own_addresses own = {0};
    const union addr bound = parse("[::]:3333");
    (void)state;
    assert_true(own_is_wildcard(&bound));
    for (unsigned i = 0; i < OWN_MAX + 100; i++) {
        add("10.0.0.5");
        machine.addrs[i].v4.sin_addr.s_addr = htonl(0x0a000000u + i);
    }
    assert_true(own_set(&own, &bound, machine.list));
    assert_int_equal(own.n, 1 + OWN_MAX);
    assert_string_equal(verdict(&own, "10.0.0.200:3333"), "own address");
    own_fini(&own);
}

/* What the machine has is what the kernel says. */
static void test_look(void **state)
{
    struct own_addresses own = {0};
    const union addr bound = parse("0.0.0.0:3333");
    (void)state;
    assert_true(own_look(&own, &bound));
    assert_true(own.n >= 1);
    own_fini(&own);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_an_address_that_comes_and_goes, clear),
        cmocka_unit_test_setup(test_one_address, clear),
        cmocka_unit_test_setup(test_many, clear),
        cmocka_unit_test_setup(test_look, clear),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
