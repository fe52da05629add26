/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking for damage with the page reader: whole (longline check, and after a crash), or bounded in
 * time (at every other start). A page that is not what it should be must not be met by LMDB and
 * refuses the start. A record whose checksum is wrong harms nothing else: it is noted, shown in
 * lists as damaged, and the rest is served.
 */
#ifndef LL_STORE_CHECK_H
#define LL_STORE_CHECK_H

#include "longline/store.h"

#include "pages/walk.h"
#include "record/schema.h"

#define CHECK_REMEDY "restore the backup, or try: longline salvage OLD NEW"

extern const struct pg_rule journal_rules[N_JOURNAL_TREES]; /* by enum journal_tree */
extern const struct pg_rule index_rules[N_INDEX_TREES];

/* Chunks of a record that takes more than one row: appends to out[have..cap) what lies in chunk
 * `chunk` (1 …); ERR_NOT_FOUND. */
typedef int (*check_chunk_fn)(void *ctx, uint64_t seq, unsigned chunk, char *out, size_t cap,
                              size_t *n);
/* NULL when the row of the journal is sound, else what is wrong. Chunks are sound with their
 * record. chunk may be NULL: such a record is not sound then. */
const char *check_journal_row(enum journal_tree tree, struct str key, struct str value,
                              check_chunk_fn chunk, void *ctx, struct buf *scratch);
const char *check_index_row(enum index_tree tree, struct str key, struct str value);

/* Rows of the journal while it is walked: brings the chunks of large records together. */
struct check_rows {
    const struct pg_file *file;
    const struct pg_walk_result *walk;
    struct buf scratch;
    unsigned char page[PG_SIZE_MAX];
};
void check_rows_init(struct check_rows *r, const struct pg_file *f,
                     const struct pg_walk_result *walk);
void check_rows_fini(struct check_rows *r);
const char *check_rows_look(struct check_rows *r, const struct pg_row *row);

/* ---- for people ---- */
const char *check_name(bool is_index); /* "journal/data.mdb" */
struct offline;
void check_say_problem(const struct offline *o, const char *name, bool is_index,
                       const struct pg_problem *p);
void check_say_metas(const struct offline *o, const char *name, const struct pg_file *f);

struct check_bad_row { /* an event or an attempt */
    enum store_kind kind;
    uint64_t seq;
};
struct check_job {
    const char *path; /* of data.mdb */
    bool is_index;
    int64_t budget_ns; /* 0: whole */
    bool with_rows;
    /* Each damaged row of ev and at, when with_rows; may be NULL. */
    void (*on_bad_row)(void *ctx, const struct check_bad_row *row);
    void *ctx;
    bool complete; /* out: all was looked at */
};
/* 0: no page is damaged, or there is no file. ERR_CORRUPT, with what and what to do. */
int check_file_at_start(struct check_job *job, struct err_detail *err) LL_MUST_USE;

#endif
