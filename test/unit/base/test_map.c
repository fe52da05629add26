/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "longline/check.h"
#include "longline/map.h"
#include "longline/mem.h"
#include "longline/rng.h"

#define N_MODEL 3000
#define N_MANY  200000

struct item {
    char key[16];
    size_t n;
    int present;
};

static struct str key_of(const void *p)
{
    const struct item *item = p;
    return str_of(item->key, item->n);
}

static void make_item(struct item *item, size_t number)
{
    item->n = (size_t)snprintf(item->key, sizeof(item->key), "k%zu", number);
    item->present = 0;
}

static void test_basics(void **state)
{
    struct map m;
    struct item a;
    struct item b;
    struct item empty = {.n = 0};
    size_t pos = 0;
    (void)state;

    make_item(&a, 1);
    make_item(&b, 1);
    map_init(&m, key_of);
    assert_null(map_get(&m, STR("k1")));
    assert_null(map_del(&m, STR("k1")));
    assert_null(map_next(&m, &pos));
    assert_null(map_put(&m, &a));
    assert_ptr_equal(map_get(&m, STR("k1")), &a);
    assert_ptr_equal(map_put(&m, &b), &a);
    assert_int_equal(m.n, 1);
    assert_ptr_equal(map_get(&m, STR("k1")), &b);
    assert_null(map_get(&m, STR_NULL));
    assert_null(map_put(&m, &empty));
    assert_ptr_equal(map_get(&m, STR_NULL), &empty);
    assert_ptr_equal(map_del(&m, STR("k1")), &b);
    assert_null(map_get(&m, STR("k1")));
    map_fini(&m);
    assert_null(map_get(&m, STR("")));
    map_fini(&m);
}

static void test_against_model(void **state)
{
    struct item *items = mem_array(N_MODEL, sizeof(*items));
    struct rng_seeded rng;
    struct map m;
    size_t n = 0;
    (void)state;

    map_init(&m, key_of);
    rng_seeded_init(&rng, 5);
    for (size_t i = 0; i < N_MODEL; i++) {
        make_item(&items[i], i);
    }
    for (int round = 0; round < 200000; round++) {
        /* Phases of growth and of decline, so that the table resizes both ways. */
        const int grow = rng_below(&rng.rng, 10) < ((round / 20000) % 2 == 0 ? 7U : 2U);
        struct item *item = &items[rng_below(&rng.rng, N_MODEL)];
        assert_ptr_equal(map_get(&m, key_of(item)), item->present ? item : NULL);
        if (grow) {
            assert_ptr_equal(map_put(&m, item), item->present ? item : NULL);
            n += item->present ? 0 : 1;
        } else {
            assert_ptr_equal(map_del(&m, key_of(item)), item->present ? item : NULL);
            n -= item->present ? 1 : 0;
        }
        item->present = grow;
        assert_int_equal(m.n, n);
    }
    for (size_t i = 0; i < N_MODEL; i++) {
        assert_ptr_equal(map_get(&m, key_of(&items[i])), items[i].present ? &items[i] : NULL);
    }
    {
        struct item *item;
        size_t pos = 0;
        size_t seen = 0;
        while ((item = map_next(&m, &pos)) != NULL) {
            assert_int_equal(item->present, 1);
            item->present = 2; /* each once */
            seen++;
        }
        assert_int_equal(seen, n);
    }
    map_fini(&m);
    mem_free(items);
}

static void test_memory_follows(void **state)
{
    struct item *items = mem_array(N_MANY, sizeof(*items));
    struct map m;
    size_t peak;
    (void)state;

    map_init(&m, key_of);
    for (size_t i = 0; i < N_MANY; i++) {
        make_item(&items[i], i);
        assert_null(map_put(&m, &items[i]));
    }
    peak = m.n_slots;
    assert_true(peak <= 2 * N_MANY);
    for (size_t i = 0; i < N_MANY; i++) {
        assert_ptr_equal(map_get(&m, key_of(&items[i])), &items[i]);
    }
    for (size_t i = 0; i < N_MANY - 10; i++) {
        assert_ptr_equal(map_del(&m, key_of(&items[i])), &items[i]);
    }
    assert_true(m.n_slots <= 256);
    for (size_t i = N_MANY - 10; i < N_MANY; i++) {
        assert_ptr_equal(map_get(&m, key_of(&items[i])), &items[i]);
    }
    map_fini(&m);
    mem_free(items);
}

static void test_map64_against_model(void **state)
{
    struct map64 m;
    struct rng_seeded rng;
    char items[N_MODEL] = {0}; /* 1: present */
    size_t n = 0;
    (void)state;

    map64_init(&m);
    assert_null(map64_get(&m, 0));
    assert_null(map64_del(&m, 0));
    rng_seeded_init(&rng, 6);
    for (int round = 0; round < 300000; round++) {
        const int grow = rng_below(&rng.rng, 10) < ((round / 30000) % 2 == 0 ? 7U : 2U);
        const uint64_t i = rng_below(&rng.rng, N_MODEL);
        const uint64_t key = i % 2 == 0 ? i << 20 : i; /* dense and sparse */
        assert_ptr_equal(map64_get(&m, key), items[i] ? &items[i] : NULL);
        if (grow) {
            assert_ptr_equal(map64_put(&m, key, &items[i]), items[i] ? &items[i] : NULL);
            n += items[i] ? 0 : 1;
        } else {
            assert_ptr_equal(map64_del(&m, key), items[i] ? &items[i] : NULL);
            n -= items[i] ? 1 : 0;
        }
        items[i] = (char)grow;
        assert_int_equal(m.n, n);
    }
    {
        const char *item;
        size_t pos = 0;
        size_t seen = 0;
        uint64_t key;
        while ((item = map64_next(&m, &pos, &key)) != NULL) {
            const size_t i = (size_t)(item - items);
            assert_int_equal(*item, 1);
            assert_true(key == (i % 2 == 0 ? (uint64_t)i << 20 : (uint64_t)i));
            seen++;
        }
        assert_int_equal(seen, n);
    }
    for (uint64_t i = 0; i < N_MODEL; i++) {
        (void)map64_del(&m, i % 2 == 0 ? i << 20 : i);
    }
    assert_int_equal(m.n, 0);
    assert_int_equal(m.n_slots, 16);
    map64_fini(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_basics),
        cmocka_unit_test(test_against_model),
        cmocka_unit_test(test_memory_follows),
        cmocka_unit_test(test_map64_against_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
