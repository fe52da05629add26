/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One LMDB file, read with pread: which of its two meta pages counts, its pages, and values by
 * key. Never through LMDB, never through a map.
 */
#ifndef LL_STORE_PAGE_FILE_H
#define LL_STORE_PAGE_FILE_H

#include "longline/err.h"

#include "pages/page.h"

struct pg_file {
    int fd;
    uint64_t bytes;
    size_t page;
    struct pg_meta meta[2];
    const char *bad[2];  /* what is wrong with the meta page, or NULL */
    bool is_unproven[2]; /* only that its free list cannot be read, which would vouch for it */
    const char *doubt;   /* why it is not certain which one counts, or NULL */
    int newest;          /* the one that counts, when certain; else the better guess; -1: none */
};

/* 0, also when meta pages are damaged (see above); ERR_NOT_FOUND: there is no file, or it is
 * empty; else it cannot be read. */
int pg_file_open(struct pg_file *f, const char *path, struct err_detail *err) LL_MUST_USE;
void pg_file_close(struct pg_file *f);

/* Pages of the file, the last of which may be there in part. */
static inline uint64_t pg_file_pages(const struct pg_file *f)
{
    return (f->bytes + f->page - 1) / f->page;
}
/* Reads the page, with bytes that the file does not have as zeros; ERR_IO and the like. */
int pg_file_read(const struct pg_file *f, uint64_t number, unsigned char *out,
                 size_t n_pages) LL_MUST_USE;
/* Reads and parses; *why is set when it returns ERR_CORRUPT. */
int pg_file_page(const struct pg_file *f, uint64_t number, unsigned char *buf, struct pg_page *out,
                 const char **why) LL_MUST_USE;

/* The value of a key, copied to out[cap]; *n is its length. ERR_NOT_FOUND, ERR_CORRUPT (a page on
 * the way), ERR_TOO_BIG. buf holds one page. */
int pg_file_value(const struct pg_file *f, const struct pg_tree *t, struct str key,
                  unsigned char *buf, char *out, size_t cap, size_t *n) LL_MUST_USE;

#endif
