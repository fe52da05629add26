/* SPDX-License-Identifier: Apache-2.0 */
/* Reading on the loop, between store_read_begin and store_read_end: what queries build on. */
#ifndef LL_STORE_READ_H
#define LL_STORE_READ_H

#include "store_internal.h"

static inline enum journal_tree read_tree_of(enum store_kind kind)
{
    return kind == STORE_EVENTS ? TREE_EV : TREE_AT;
}

/* The first row of a record; ERR_NOT_FOUND. */
int read_row(struct store *s, enum store_kind kind, uint64_t seq, struct str *row) LL_MUST_USE;
/* Row to record: ERR_CORRUPT (logged), ERR_TOO_BIG. */
int read_event(struct store *s, uint64_t seq, struct str row, struct arena *a,
               struct event_record *out) LL_MUST_USE;
int read_attempt(struct store *s, uint64_t seq, struct str row, struct arena *a,
                 struct attempt_record *out) LL_MUST_USE;

struct seqs { /* in an arena */
    uint64_t *v;
    size_t n, cap;
    bool is_partial; /* there may be more, beyond what may be looked at in one turn */
};
/* Candidates for events with this public id; they must be compared. ERR_TOO_BIG (arena). */
int read_event_seqs(struct store *s, struct str id, struct arena *a, struct seqs *out) LL_MUST_USE;
/* Indexed attempts of the event, ascending. ERR_CORRUPT: the index turned out damaged. */
int read_attempt_seqs(struct store *s, uint64_t event_seq, struct arena *a,
                      struct seqs *out) LL_MUST_USE;
/* The seq in an attempt's public id; false when the id was not made by store_attempt_id. */
bool read_attempt_id_seq(const struct store *s, struct str id, uint64_t *seq);

/* The journal's rows above a seq, newest first. */
struct tail {
    MDB_cursor *cur;
    uint64_t above;
    size_t left;
    bool is_first;
    bool is_cut; /* ended after INDEX_TAIL_MAX rows, not at its end */
};
int tail_open(struct tail *t, struct store *s, enum store_kind kind, uint64_t above) LL_MUST_USE;
bool tail_next(struct tail *t, uint64_t *seq, struct str *row);
void tail_close(struct tail *t);

#endif
