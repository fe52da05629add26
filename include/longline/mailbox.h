/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages into the loop thread from others. Posting is safe from any thread; the receiver gets
 * the whole list at once, in the order of posting. A message belongs to the receiver once posted.
 */
#ifndef LL_MAILBOX_H
#define LL_MAILBOX_H

#include "longline/list.h"
#include "longline/loop.h"

struct mailbox;

/* `take` runs on the loop with a list of all posted nodes; it empties the list. */
int mailbox_open(struct mailbox **out, struct loop *l, void (*take)(void *ctx, struct list *msgs),
                 void *ctx) LL_MUST_USE;
void mailbox_post(struct mailbox *m, struct list *node); /* any thread */
/* No posting after this. Messages that were not taken yet are taken first. `done` (may be NULL)
 * follows on a later turn, after which the mailbox is gone. */
void mailbox_close(struct mailbox *m, void (*done)(void *ctx), void *ctx);

#endif
