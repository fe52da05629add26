/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "longline/list.h"

struct item {
    int value;
    struct list node;
};

static void expect(struct list *l, const int *values, size_t n)
{
    size_t i = 0;
    LIST_FOREACH (it, l) {
        assert_true(i < n);
        assert_int_equal(LIST_ENTRY(it, struct item, node)->value, values[i]);
        assert_ptr_equal(it->next->prev, it);
        i++;
    }
    assert_int_equal(i, n);
}

static void test_list(void **state)
{
    struct item items[4] = {{.value = 0}, {.value = 1}, {.value = 2}, {.value = 3}};
    struct list a;
    struct list b;
    (void)state;

    list_init(&a);
    list_init(&b);
    assert_true(list_empty(&a));
    assert_null(list_pop_head(&a));
    for (int i = 0; i < 4; i++) {
        list_init(&items[i].node);
        assert_false(list_linked(&items[i].node));
    }
    list_push_tail(&a, &items[1].node);
    list_push_tail(&a, &items[2].node);
    list_push_head(&a, &items[0].node);
    assert_true(list_linked(&items[1].node));
    expect(&a, (const int[]){0, 1, 2}, 3);

    list_del(&items[1].node);
    list_del(&items[1].node); /* harmless */
    expect(&a, (const int[]){0, 2}, 2);
    list_push_tail(&b, &items[3].node);
    list_splice_tail(&b, &a);
    assert_true(list_empty(&a));
    expect(&b, (const int[]){3, 0, 2}, 3);
    list_splice_tail(&b, &a);
    expect(&b, (const int[]){3, 0, 2}, 3);
    list_splice_tail(&a, &b);
    expect(&a, (const int[]){3, 0, 2}, 3);

    assert_ptr_equal(list_pop_head(&a), &items[3].node);
    assert_false(list_linked(&items[3].node));
    LIST_FOREACH_SAFE (it, tmp, &a) {
        list_del(it);
    }
    assert_true(list_empty(&a));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_list)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
