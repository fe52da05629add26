/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

struct arena arena;

int fx_setup(void **state)
{
    (void)state;
    arena_init(&arena, (size_t)4 * 1024 * 1024);
    return 0;
}

int fx_teardown(void **state)
{
    (void)state;
    arena_fini(&arena);
    return 0;
}
