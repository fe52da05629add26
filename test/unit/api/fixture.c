/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

int fx_setup(void **state)
{
    static struct arena a;
    arena_init(&a, 1 << 20);
    *state = &a;
    return 0;
}

int fx_teardown(void **state)
{
    arena_fini(*state);
    return 0;
}
