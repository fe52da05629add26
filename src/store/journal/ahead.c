/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* fallocate */
#include "journal/ahead.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK         512U /* unit of st_blocks */
/* A file's blocks are counted together with those that say where they are. */
#define MAPPING_PARTS 256U

static int fd_of(const struct env *e)
{
    int fd = -1;
    return mdb_env_get_fd(e->mdb, &fd) == 0 ? fd : -1;
}

uint64_t ahead_blocks(const struct env *e)
{
    const uint64_t file = env_file_bytes(e);
    return e->blocks > file && !e->no_ahead ? e->blocks : file;
}

void ahead_init(struct env *e)
{
    const int fd = fd_of(e);
    struct stat st;
    if (fstat(fd, &st) == 0) {
        const uint64_t taken = (uint64_t)st.st_blocks * BLOCK;
        e->blocks = taken - taken / MAPPING_PARTS;
    }
    /* The first block is there: this takes nothing, and tells whether it can be done at all. */
    e->no_ahead =
        fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 1) != 0 && (errno == EOPNOTSUPP || errno == ENOSYS);
}

bool ahead_take(struct env *e, uint64_t bytes, uint64_t spare)
{
    const int fd = fd_of(e);
    struct stat st;
    uint64_t taken;
    uint64_t from;

    if (bytes <= e->blocks) {
        return true;
    }
    if (e->no_ahead || fstat(fd, &st) != 0) {
        return false;
    }
    taken = (uint64_t)st.st_blocks * BLOCK;
    if (bytes > taken && bytes - taken > spare) {
        return false;
    }
    from = e->is_filled ? e->blocks : 0; /* the first time, the holes as well */
    if (fallocate(fd, FALLOC_FL_KEEP_SIZE, (off_t)from, (off_t)(bytes - from)) != 0) {
        return false; /* others were quicker */
    }
    e->blocks = bytes;
    e->is_filled = true;
    return true;
}

bool ahead_is_in_place(const struct env *e, const char *dir)
{
    char path[ENV_PATH_MAX];
    struct stat open_file;
    struct stat named;

    if (path_join(path, dir, "data.mdb") != 0 || fstat(fd_of(e), &open_file) != 0) {
        return true;
    }
    if (stat(path, &named) != 0) {
        return errno != ENOENT && errno != ENOTDIR; /* else the path cannot be followed just now */
    }
    return named.st_ino == open_file.st_ino && named.st_dev == open_file.st_dev;
}
