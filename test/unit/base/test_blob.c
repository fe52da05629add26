/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <string.h>

#include "longline/blob.h"

#define N_THREADS 4
#define N_ROUNDS  20000

static void test_lifetime(void **state)
{
    struct blob *b = blob_new(3);
    (void)state;
    assert_non_null(b);
    for (size_t i = 0; i < 3; i++) {
        b->p[i] = (unsigned char)("abc"[i]);
    }
    assert_int_equal(b->n, 3);
    assert_ptr_equal(blob_ref(b), b);
    blob_unref(b);
    assert_memory_equal(b->p, "abc", 3);
    blob_unref(b);
    blob_unref(NULL);
    b = blob_new(0);
    assert_non_null(b);
    blob_unref(b);
    assert_null(blob_new(SIZE_MAX));
}

static void *share(void *arg)
{
    struct blob *b = arg;
    for (int i = 0; i < N_ROUNDS; i++) {
        (void)blob_ref(b);
        blob_unref(b);
    }
    blob_unref(b);
    return NULL;
}

static void test_threads(void **state)
{
    pthread_t threads[N_THREADS];
    struct blob *b = blob_new(100);
    (void)state;
    for (int i = 0; i < N_THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, share, blob_ref(b)), 0);
    }
    blob_unref(b);
    for (int i = 0; i < N_THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lifetime),
        cmocka_unit_test(test_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
