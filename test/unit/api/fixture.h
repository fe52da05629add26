/* SPDX-License-Identifier: Apache-2.0 */
/* For tests whose state is an arena. */
#ifndef LL_TEST_API_FIXTURE_H
#define LL_TEST_API_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "longline/arena.h"

int fx_setup(void **state); /* *state is a struct arena */
int fx_teardown(void **state);

#endif
