/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the check at the start had no time for: the journal is read on in the background, once, by a
 * thread of low priority at a bounded rate. It reads one tree after the other in slices; each pins
 * a snapshot for a moment only, so that pages can be used again.
 */
#ifndef LL_STORE_SCRUB_H
#define LL_STORE_SCRUB_H

#include <pthread.h>
#include <stdbool.h>

#include "journal/batch.h"

struct store;

struct scrub {
    pthread_t thread;
    bool running;
    pthread_mutex_t mu;
    pthread_cond_t cv;
    bool stop;
    struct store_msg msg; /* MSG_DAMAGED: a page is damaged; err says which */
    struct err_detail err;
};

int scrub_start(struct store *s, struct err_detail *err) LL_MUST_USE;
void scrub_stop(struct store *s); /* joins; fine when it was never started */

#endif
