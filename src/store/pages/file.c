/* SPDX-License-Identifier: Apache-2.0 */
#include "pages/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "longline/check.h"
#include "longline/mem.h"

/* LMDB does not write pages that a transaction took at the end of the file and gave back. */
#define MISSING_MAX 256U

static int read_at(int fd, unsigned char *out, size_t n, uint64_t at)
{
    size_t done = 0;
    while (done < n) {
        const ssize_t got = pread(fd, out + done, n - done, (off_t)(at + done));
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return err_from_errno(errno);
        }
        if (got == 0) {
            memset(out + done, 0, n - done);
            break;
        }
        done += (size_t)got;
    }
    return 0;
}

int pg_file_read(const struct pg_file *f, uint64_t number, unsigned char *out, size_t n_pages)
{
    if (number > (uint64_t)INT64_MAX / PG_SIZE_MAX) {
        return ERR_CORRUPT;
    }
    return read_at(f->fd, out, n_pages * f->page, number * f->page);
}

int pg_file_page(const struct pg_file *f, uint64_t number, unsigned char *buf, struct pg_page *out,
                 const char **why)
{
    const int rc = pg_file_read(f, number, buf, 1);
    *why = NULL;
    if (rc != 0) {
        *why = "the page cannot be read";
        return rc;
    }
    *why = pg_page_parse(out, buf, f->page, number);
    return *why == NULL ? 0 : ERR_CORRUPT;
}

/* ---- the meta pages ---- */

/* The greatest key of the free list is the commit that wrote the meta page: every commit frees the
 * pages that it replaced. So a number that was changed is noticed. The first commit of a new file
 * or of a copy replaces nothing. */
static const char *check_txn(struct pg_file *f, unsigned which)
{
    const struct pg_meta *m = &f->meta[which];
    unsigned char *buf;
    struct pg_page page;
    struct pg_node node = {0};
    uint64_t number = m->free.root;
    const char *why = NULL;

    if (m->txn < 2) {
        return m->free.root == PG_NONE ? NULL : "its free list does not fit";
    }
    if (number == PG_NONE) {
        return "its free list is missing";
    }
    buf = mem_alloc(f->page);
    for (unsigned depth = 1; depth <= m->free.depth && why == NULL; depth++) {
        if (number < PG_FIRST || number > m->last ||
            pg_file_page(f, number, buf, &page, &why) != 0 ||
            page.kind != (depth == m->free.depth ? PG_LEAF : PG_BRANCH)) {
            why = "its free list is damaged";
        } else {
            pg_node_get(&page, page.n - 1, &node);
            number = node.child;
        }
    }
    f->is_unproven[which] = why != NULL;
    if (why == NULL && pg_number(node.key) != m->txn) {
        why = "its free list is of another commit";
    }
    mem_free(buf);
    return why;
}

static const char *check_size(const struct pg_file *f, const struct pg_meta *m)
{
    const uint64_t have = f->bytes / f->page;
    return m->last + 1 > have + MISSING_MAX ? "the file is shorter than it says" : NULL;
}

static void check_metas(struct pg_file *f)
{
    for (unsigned i = 0; i < 2; i++) {
        if (f->bad[i] == NULL) {
            f->bad[i] = pg_meta_check(&f->meta[i]);
        }
        if (f->bad[i] == NULL) {
            f->bad[i] = check_size(f, &f->meta[i]);
        }
        if (f->bad[i] == NULL) {
            f->bad[i] = check_txn(f, i);
        }
    }
}

static void choose(struct pg_file *f)
{
    const uint64_t a = f->meta[0].txn;
    const uint64_t b = f->meta[1].txn;

    if (f->bad[0] == NULL && f->bad[1] == NULL) {
        f->newest = b > a ? 1 : 0;
        if ((a > b ? a - b : b - a) > 1) {
            f->doubt = "the numbers of their commits do not follow one another";
        }
        return;
    }
    f->doubt = "one of them is damaged, and it may be the newer one";
    f->newest = f->bad[0] == NULL ? 0 : f->bad[1] == NULL ? 1 : -1;
    if (f->newest < 0) {
        f->doubt = "both are damaged";
    }
}

static uint64_t size_of_file(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && st.st_size > 0 ? (uint64_t)st.st_size : 0;
}

/* The page size stands in the meta pages, and where the second one begins depends on it. */
static int read_metas(struct pg_file *f)
{
    unsigned char first[PG_SIZE_MIN];
    unsigned char second[PG_SIZE_MIN];
    const uint32_t system = (uint32_t)sysconf(_SC_PAGESIZE);
    int rc = read_at(f->fd, first, sizeof(first), 0);

    if (rc != 0) {
        return rc;
    }
    f->bad[0] = pg_meta_parse(first, sizeof(first), 0, &f->meta[0]);
    f->page = f->bad[0] == NULL ? f->meta[0].page_size : system;
    rc = read_at(f->fd, second, sizeof(second), f->page);
    if (rc != 0) {
        return rc;
    }
    f->bad[1] = pg_meta_parse(second, sizeof(second), 1, &f->meta[1]);
    if (f->bad[1] == NULL && f->meta[1].page_size != f->page) {
        f->bad[1] = "impossible page size";
    }
    return 0;
}

int pg_file_open(struct pg_file *f, const char *path, struct err_detail *err)
{
    int rc;

    *f = (struct pg_file){.fd = open(path, O_RDONLY | O_CLOEXEC), .newest = -1};
    if (f->fd < 0) {
        return err_set(err, err_from_errno(errno), errno, "cannot open %.120s", path);
    }
    f->bytes = size_of_file(f->fd);
    if (f->bytes == 0) {
        pg_file_close(f);
        return ERR_NOT_FOUND;
    }
    rc = read_metas(f);
    if (rc != 0) {
        pg_file_close(f);
        return err_set(err, rc, 0, "cannot read %.120s: %s", path, err_text(rc));
    }
    check_metas(f);
    choose(f);
    return 0;
}

void pg_file_close(struct pg_file *f)
{
    if (f->fd >= 0) {
        (void)close(f->fd);
    }
    f->fd = -1;
}

/* ---- values by key ---- */

/* The last node whose key is not greater; a branch's first key is below all. */
static size_t place(const struct pg_page *page, struct str key, bool *exact)
{
    size_t lo = page->kind == PG_BRANCH ? 1 : 0;
    size_t hi = page->n;

    *exact = false;
    while (lo < hi) {
        const size_t mid = (lo + hi) / 2;
        struct pg_node node;
        int c;
        pg_node_get(page, mid, &node);
        c = pg_key_compare(node.key, key, false);
        *exact = *exact || c == 0;
        if (c <= 0) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo != 0 ? lo - 1 : 0;
}

/* A value behind the head of its run of pages. */
static int read_run(const struct pg_file *f, uint64_t number, unsigned char *buf, char *out,
                    size_t n)
{
    struct pg_page page;
    const char *why;
    int rc = pg_file_page(f, number, buf, &page, &why);

    if (rc == 0 && (page.kind != PG_OVERFLOW || page.pages * f->page < n + PG_HEAD)) {
        rc = ERR_CORRUPT;
    }
    return rc == 0 ? read_at(f->fd, (unsigned char *)out, n, number * f->page + PG_HEAD) : rc;
}

int pg_file_value(const struct pg_file *f, const struct pg_tree *t, struct str key,
                  unsigned char *buf, char *out, size_t cap, size_t *n)
{
    uint64_t number = t->root;
    struct pg_page page;
    struct pg_node node;
    bool exact = false;
    const char *why;

    if (number == PG_NONE) {
        return ERR_NOT_FOUND;
    }
    for (unsigned depth = 1;; depth++) {
        const int rc = pg_file_page(f, number, buf, &page, &why);
        if (rc != 0) {
            return rc;
        }
        if (page.kind != (depth == t->depth ? PG_LEAF : PG_BRANCH)) {
            return ERR_CORRUPT;
        }
        pg_node_get(&page, place(&page, key, &exact), &node);
        if (page.kind == PG_LEAF) {
            break;
        }
        number = node.child;
    }
    if (!exact) {
        return ERR_NOT_FOUND;
    }
    *n = node.n_data;
    if (node.n_data > cap) {
        return ERR_TOO_BIG;
    }
    if (node.run != 0) {
        return read_run(f, node.run, buf, out, node.n_data);
    }
    memcpy(out, node.data.p, node.n_data);
    return 0;
}
