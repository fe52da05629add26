/* SPDX-License-Identifier: Apache-2.0 */
/* An arena for each test. */
#ifndef LL_TEST_MODEL_FIXTURE_H
#define LL_TEST_MODEL_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "longline/arena.h"

extern struct arena arena;

int fx_setup(void **state);
int fx_teardown(void **state);

#endif
