/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A look over the pages of the index before anything is read from it. Every page in use begins with
 * its own number, so one that was overwritten, swapped or never written is found without its being
 * trusted. LMDB itself checks nothing: it would crash, or give wrong answers.
 */
#include <errno.h>
#include <unistd.h>

#include "longline/mem.h"

#include "index/index.h"

/* Pages that are looked at: 256 MiB of an index, read ahead of its use in a fraction of a second.
 * What lies beyond is met when it is used. */
#define PAGES_MAX  65536U
#define BLOCK      64U /* pages per read */
#define FIRST_PAGE 2U  /* behind the two meta pages */
#define HEAD_BYTES 16U
#define P_OVERFLOW 0x04U

struct check {
    unsigned char *is_free; /* a bit per page */
    size_t n_pages;
    size_t page;
};

static void set_free(struct check *c, size_t page)
{
    if (page < c->n_pages) {
        c->is_free[page / 8] |= (unsigned char)(1U << page % 8);
    }
}

/* Values of the free list: a count and as many page numbers. */
static int read_free(struct check *c, MDB_txn *txn)
{
    MDB_cursor *cur;
    MDB_val key;
    MDB_val value;
    int rc = mdb_cursor_open(txn, 0, &cur);

    if (rc != 0) {
        return err_from_mdb(rc);
    }
    while ((rc = mdb_cursor_get(cur, &key, &value, MDB_NEXT)) == 0) {
        const unsigned char *p = value.mv_data;
        size_t n = 0;
        if (value.mv_size >= sizeof(n)) {
            memcpy(&n, p, sizeof(n));
        }
        if (value.mv_size < sizeof(n) || n > value.mv_size / sizeof(n) - 1) {
            rc = MDB_CORRUPTED;
            break;
        }
        for (size_t i = 1; i <= n; i++) {
            size_t page;
            memcpy(&page, p + i * sizeof(page), sizeof(page));
            set_free(c, page);
        }
    }
    mdb_cursor_close(cur);
    return rc == MDB_NOTFOUND ? 0 : err_from_mdb(rc);
}

/* The head of a page in the file: its number, 2 bytes, flags, pages of an overflow run. */
static bool is_sound(const unsigned char *head, size_t number, size_t *skip)
{
    size_t stored;
    uint16_t flags;
    uint32_t n;

    memcpy(&stored, head, sizeof(stored));
    memcpy(&flags, head + 10, sizeof(flags));
    memcpy(&n, head + 12, sizeof(n));
    *skip = (flags & P_OVERFLOW) != 0 && n > 1 ? n - 1 : 0;
    return stored == number;
}

static int check_pages(const struct check *c, int fd)
{
    const size_t n_block = (size_t)BLOCK * c->page;
    unsigned char *block = mem_alloc(n_block);
    size_t next = FIRST_PAGE; /* behind a run */
    int rc = 0;

    for (size_t at = FIRST_PAGE; at < c->n_pages && rc == 0; at += BLOCK) {
        const ssize_t got = pread(fd, block, n_block, (off_t)(at * c->page));
        if (got < 0) {
            rc = err_from_errno(errno);
        }
        for (size_t i = 0; rc == 0 && i < BLOCK && at + i < c->n_pages; i++) {
            const size_t page = at + i;
            size_t skip = 0;
            if (page < next || (c->is_free[page / 8] & 1U << page % 8) != 0) {
                continue;
            }
            if ((size_t)got < i * c->page + HEAD_BYTES ||
                !is_sound(block + i * c->page, page, &skip)) {
                rc = ERR_CORRUPT;
            }
            next = page + 1 + skip;
        }
    }
    mem_free(block);
    return rc;
}

int index_check(struct env *e)
{
    struct check c = {.page = e->page};
    MDB_envinfo info;
    MDB_txn *txn;
    int fd = -1;
    int rc;

    if (mdb_env_info(e->mdb, &info) != 0 || mdb_env_get_fd(e->mdb, &fd) != 0) {
        return ERR_IO;
    }
    c.n_pages = info.me_last_pgno + 1 < PAGES_MAX ? info.me_last_pgno + 1 : PAGES_MAX;
    rc = mdb_txn_begin(e->mdb, NULL, MDB_RDONLY, &txn);
    if (rc != 0) {
        return err_from_mdb(rc);
    }
    c.is_free = mem_zalloc(c.n_pages / 8 + 1);
    rc = read_free(&c, txn);
    mdb_txn_abort(txn);
    if (rc == 0) {
        rc = check_pages(&c, fd);
    }
    mem_free(c.is_free);
    return rc;
}
