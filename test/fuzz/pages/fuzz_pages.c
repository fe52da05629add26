/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The page reader on a file of arbitrary bytes: nothing that is in it may make it read out of
 * bounds, run for ever, or take a page that does not parse for one that does.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "store/repair/check.h"

#define MAX ((size_t)256 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int memfd_create(const char *name, unsigned flags);

struct seen {
    struct check_rows rows;
    size_t n_problems;
    size_t n_rows;
};

static void on_problem(void *ctx, const struct pg_problem *p)
{
    struct seen *s = ctx;
    if (p->what == NULL || p->tree == NULL) {
        abort();
    }
    s->n_problems++;
}

static void on_row(void *ctx, const struct pg_row *row)
{
    struct seen *s = ctx;
    s->n_rows++;
    (void)check_rows_look(&s->rows, row);
}

static void walk(const struct pg_file *f, const struct pg_meta *meta)
{
    static struct seen s;
    struct pg_walk_result result;
    const struct pg_walk_spec spec = {.file = f,
                                      .meta = meta,
                                      .rules = journal_rules,
                                      .n_rules = N_JOURNAL_TREES,
                                      .on_problem = on_problem,
                                      .on_row = on_row,
                                      .ctx = &s};

    s = (struct seen){0};
    check_rows_init(&s.rows, f, &result);
    if (pg_walk(&spec, &result) == 0 &&
        (result.n_problems != s.n_problems || result.n_rows != s.n_rows)) {
        abort();
    }
    check_rows_fini(&s.rows);
    pg_walk_result_fini(&result);
}

/* Exactly one page of memory, for the sanitizer. */
static void parse_page(const uint8_t *data, uint64_t number)
{
    unsigned char *copy = malloc(PG_SIZE_MIN);
    struct pg_page page;
    struct pg_node node;

    if (copy == NULL) {
        abort();
    }
    memcpy(copy, data, PG_SIZE_MIN);
    if (pg_page_parse(&page, copy, PG_SIZE_MIN, PG_NONE) == NULL) {
        for (size_t i = 0; i < page.n; i++) {
            pg_node_get(&page, i, &node);
            (void)pg_key_compare(node.key, node.data, false);
        }
    }
    for (size_t i = 0; i < pg_leaf_slots(copy, PG_SIZE_MIN); i++) {
        (void)pg_leaf_try(copy, PG_SIZE_MIN, i, &node);
    }
    (void)pg_is_leaf(copy, number);
    free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[64];
    struct pg_file f;
    const int fd = size <= MAX ? memfd_create("pages", 0) : -1;

    if (fd < 0) {
        return 0;
    }
    for (size_t at = 0; at + PG_SIZE_MIN <= size; at += PG_SIZE_MIN) {
        parse_page(data + at, at / PG_SIZE_MIN);
    }
    (void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    if (write(fd, data, size) == (ssize_t)size && pg_file_open(&f, path, NULL) == 0) {
        for (int i = 0; i < 2; i++) {
            /* Also with a meta page that did not pass: salvage may have to. */
            if (f.page != 0 && f.meta[i].last < MAX / PG_SIZE_MIN + 256) {
                walk(&f, &f.meta[i]);
            }
        }
        pg_file_close(&f);
    }
    (void)close(fd);
    return 0;
}
