/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blocks that a file has ahead of its end.
 *
 * They are taken from the file system in steps before they are needed, and only while the reserve
 * stays free. So a commit within them cannot fail for lack of space, whatever others do to the
 * disk, and a start on a full disk can still write and delete. The size of the file stays as it is:
 * LMDB, a backup and a copy see nothing of this.
 *
 * Where the file system cannot do it (ext3, NFS 3), a file has the blocks that were written, and
 * the account of room (room.h) is all there is. Where it writes a changed block to another place,
 * as btrfs does, taking blocks ahead helps only files that are not copied on write (chattr +C on
 * the empty data directory).
 */
#ifndef LL_STORE_AHEAD_H
#define LL_STORE_AHEAD_H

#include <stdbool.h>
#include <stdint.h>

#include "journal/env.h"

void ahead_init(struct env *e); /* finds out what blocks there are */

/* Bytes from the beginning of the file that have blocks; at least its size. */
uint64_t ahead_blocks(const struct env *e);
/* Sees to it that `bytes` from the beginning have blocks, holes included, with at most `spare` from
 * the disk. False when that is too little, or not possible on this file system. */
bool ahead_take(struct env *e, uint64_t bytes, uint64_t spare);

/* Is the file that is open still the one in the directory? It may have been unlinked, replaced, or
 * moved away with its directory: what is written then is in nobody's sight. */
bool ahead_is_in_place(const struct env *e, const char *dir);

#endif
