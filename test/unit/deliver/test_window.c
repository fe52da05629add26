/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "deliver/window.h"

static const uint32_t dests[] = {1, 2, 3};

static void test_low_follows_the_oldest(void **state)
{
    (void)state;
    struct window w;
    window_init(&w, 5, 1000);
    assert_int_equal(window_low(&w), 5);
    assert_null(window_add(&w, 7, NULL, dests, 0, 0));
    assert_int_equal(window_low(&w), 8);
    struct fresh_event *a = window_add(&w, 10, NULL, dests, 2, 0);
    struct fresh_event *b = window_add(&w, 12, NULL, dests, 1, 0);
    assert_int_equal(window_low(&w), 10);
    window_release(&w, b);
    assert_int_equal(window_low(&w), 10); /* a is still fresh */
    window_release(&w, a);
    assert_int_equal(window_low(&w), 10); /* one of its two deliveries */
    window_release(&w, a);
    assert_int_equal(window_low(&w), 13);
    assert_null(window_oldest(&w));
    window_fini(&w);
}

static void test_blobs_stay_within_the_budget(void **state)
{
    (void)state;
    struct window w;
    window_init(&w, 0, 1000);
    struct blob *big = blob_new(600);
    struct fresh_event *a = window_add(&w, 1, big, dests, 1, 0);
    struct fresh_event *b = window_add(&w, 2, big, dests, 1, 0);
    assert_ptr_equal(a->blob, big);
    assert_null(b->blob); /* would be 1200 */
    assert_int_equal(w.blob_bytes, 600);
    window_release(&w, a);
    assert_int_equal(w.blob_bytes, 0);
    struct fresh_event *c = window_add(&w, 3, big, dests, 1, 0);
    assert_ptr_equal(c->blob, big);
    blob_unref(big);
    window_fini(&w); /* with events inside: the leak checker sees what is left */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_low_follows_the_oldest),
        cmocka_unit_test(test_blobs_stay_within_the_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
