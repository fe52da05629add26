/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands on a stopped data directory share. */
#ifndef LL_STORE_OFFLINE_H
#define LL_STORE_OFFLINE_H

#include "longline/store.h"

struct offline {
    int lock_fd, dir_fd;
    store_say_fn say;
    void *ctx;
};

/* Keeps a gateway out as long as it is held, and is kept out by one: ERR_BUSY. Writes nothing. */
int offline_lock(struct offline *o, const char *data_dir, struct err_detail *err) LL_MUST_USE;
void offline_unlock(struct offline *o);
/* One line for the operator. */
void offline_say(const struct offline *o, const char *fmt, ...) LL_PRINTF(2, 3);

/* "event 1882… (2026-11-21T16:09:40.525Z)" and the like, from a journal's key. */
#define OFFLINE_KEY_MAX 200U
void offline_key_text(char out[OFFLINE_KEY_MAX], const char *tree, struct str key);

#endif
