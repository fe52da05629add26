/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "longline/check.h"
#include "longline/heap.h"
#include "longline/rng.h"

#define N 500

static void validate(const struct heap *h)
{
#ifdef LL_DEBUG
    heap_validate(h);
#else
    (void)h;
#endif
}

static void test_order(void **state)
{
    struct heap h;
    struct heap_node nodes[N];
    struct rng_seeded rng;
    int64_t last = INT64_MIN;
    (void)state;

    heap_init(&h);
    assert_null(heap_min(&h));
    rng_seeded_init(&rng, 3);
    memset(nodes, 0, sizeof(nodes));
    for (int i = 0; i < N; i++) {
        heap_insert(&h, &nodes[i], (int64_t)rng_below(&rng.rng, 100) - 50);
        validate(&h);
    }
    while (h.n != 0) {
        struct heap_node *min = heap_min(&h);
        assert_true(min->key >= last);
        last = min->key;
        heap_remove(&h, min);
        assert_false(heap_has(min));
        heap_remove(&h, min); /* harmless */
    }
    heap_fini(&h);
}

/* Random operations against the plainest possible model. */
static void test_against_model(void **state)
{
    struct heap h;
    struct heap_node nodes[64];
    struct rng_seeded rng;
    (void)state;

    heap_init(&h);
    heap_reserve(&h, 10);
    rng_seeded_init(&rng, 4);
    memset(nodes, 0, sizeof(nodes));
    for (int round = 0; round < 20000; round++) {
        struct heap_node *node = &nodes[rng_below(&rng.rng, LL_COUNT(nodes))];
        const int64_t key = (int64_t)rng_below(&rng.rng, 1000);
        int64_t least = INT64_MAX;
        size_t n = 0;
        if (!heap_has(node)) {
            heap_insert(&h, node, key);
        } else if (key % 2 == 0) {
            heap_update(&h, node, key);
        } else {
            heap_remove(&h, node);
        }
        validate(&h);
        for (size_t i = 0; i < LL_COUNT(nodes); i++) {
            if (heap_has(&nodes[i])) {
                n++;
                least = nodes[i].key < least ? nodes[i].key : least;
            }
        }
        assert_int_equal(h.n, n);
        {
            const struct heap_node *min = heap_min(&h);
            assert_int_equal(min != NULL, n != 0);
            assert_true(min == NULL || min->key == least);
        }
    }
    heap_fini(&h);
    for (size_t i = 0; i < LL_COUNT(nodes); i++) {
        assert_false(heap_has(&nodes[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_against_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
