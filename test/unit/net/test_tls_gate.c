/* SPDX-License-Identifier: Apache-2.0 */
/* Places for handshakes: how many, and whose. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "longline/check.h"
#include "net/tls_gate.h"

static const unsigned char *key(const char *ip)
{
    static unsigned char out[ADDR_PEER_KEY];
    union addr a;
    assert_int_equal(addr_parse_ip(&a, str_c(ip), 1), 0);
    addr_peer_key(out, &a);
    return out;
}

static void places_are_counted_per_peer_and_in_all(void **state)
{
    (void)state;
    struct tls_gate g;
    struct tls_place p[5] = {0};
    tls_gate_init(&g, 4, 2);
    tls_gate_enter(&g, &p[0], key("192.0.2.1"));
    assert_int_equal(tls_gate_judge(&g, key("192.0.2.1")), TLS_ADMIT);
    tls_gate_enter(&g, &p[1], key("192.0.2.1"));
    assert_int_equal(tls_gate_judge(&g, key("192.0.2.1")), TLS_FULL_FOR_PEER);
    assert_int_equal(tls_gate_judge(&g, key("192.0.2.2")), TLS_ADMIT);
    /* What a client has to itself of IPv6 counts as one. */
    tls_gate_enter(&g, &p[2], key("2001:db8::1"));
    tls_gate_enter(&g, &p[3], key("2001:db8::2:0:0:2"));
    assert_int_equal(tls_gate_judge(&g, key("2001:db8::3")), TLS_FULL_FOR_PEER);
    assert_int_equal(tls_gate_judge(&g, key("2001:db8:0:1::1")), TLS_FULL);
    assert_int_equal(tls_gate_judge(&g, key("192.0.2.2")), TLS_FULL);
    tls_gate_leave(&g, &p[0]);
    tls_gate_leave(&g, &p[0]);
    tls_gate_leave(&g, &p[4]); /* it has not entered */
    assert_int_equal(g.n, 3);
    assert_int_equal(tls_gate_judge(&g, key("192.0.2.1")), TLS_ADMIT);
    for (size_t i = 1; i < LL_COUNT(p); i++) {
        tls_gate_leave(&g, &p[i]);
    }
    assert_int_equal(g.n, 0);
    tls_gate_fini(&g);
}

static void the_longest_wait_is_known(void **state)
{
    (void)state;
    struct tls_gate g;
    struct tls_place a = {0};
    struct tls_place b = {0};
    tls_gate_init(&g, 4, 4);
    assert_null(tls_gate_oldest(&g));
    tls_gate_enter(&g, &a, key("192.0.2.1"));
    tls_gate_enter(&g, &b, key("192.0.2.2"));
    assert_ptr_equal(tls_gate_oldest(&g), &a);
    tls_gate_works(&a);
    assert_ptr_equal(tls_gate_oldest(&g), &b);
    tls_gate_waits(&g, &a); /* it waits for its client anew */
    assert_ptr_equal(tls_gate_oldest(&g), &b);
    tls_gate_leave(&g, &b);
    assert_ptr_equal(tls_gate_oldest(&g), &a);
    tls_gate_works(&a);
    assert_null(tls_gate_oldest(&g));
    tls_gate_leave(&g, &a);
    tls_gate_fini(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(places_are_counted_per_peer_and_in_all),
        cmocka_unit_test(the_longest_wait_is_known),
    };
    return cmocka_run_group_tests_name("net_tls_gate", tests, NULL, NULL);
}
