/* SPDX-License-Identifier: Apache-2.0 */
/* Turning a loop until something has happened, with a deadline; tests never sleep. */
#ifndef LL_TEST_WAIT_H
#define LL_TEST_WAIT_H

#include "longline/loop.h"

/* False when so much real time passed first, whatever clock the loop has. */
bool wait_until(struct loop *l, bool (*cond)(void *ctx), void *ctx, int64_t ms);
bool wait_flag(struct loop *l, const bool *flag, int64_t ms);
/* Turns for so long. For showing that something does not happen. */
void wait_ms(struct loop *l, int64_t ms);

#endif
