/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which snapshot of a damaged journal to read. When both meta pages are sound, the newer one's.
 * When one is damaged it may have been the newer: then every root page of the named trees that
 * still lies in the file is tried, and the one with the newest rows is taken. LMDB never overwrites
 * a page of the last two snapshots, so the newest is among them. When its trees are not whole, the
 * newest snapshot whose trees are whole fills the gaps.
 */
#ifndef LL_STORE_SALVAGE_ROOT_H
#define LL_STORE_SALVAGE_ROOT_H

#include "pages/walk.h"
#include "repair/offline.h"

struct salvage_root {
    struct pg_meta meta;
    bool found;
    struct pg_meta older; /* fills the gaps */
    bool has_older;
    bool is_guess; /* no meta page says so; what was deleted last may come back */
};

int salvage_find_root(const struct offline *o, const struct pg_file *f,
                      struct salvage_root *out) LL_MUST_USE;

#endif
