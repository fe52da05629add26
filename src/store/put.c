/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The writing half of the contract, on the loop thread: operations are added to the open batch,
 * which the end-of-turn hook queues for the writer. While the writer is busy or keeps its distance
 * the next turn takes the batch back and fills it further, so a commit holds all that came in.
 */
#include "store_internal.h"

#include "longline/check.h"
#include "longline/mem.h"

#include "record/record_internal.h"

#define OBJECT_MAX   ((size_t)1024 * 1024)
#define KEY_TEXT_MAX (KEY_OBJECT_MAX - 1U)
#define SKEW_STEP_MS INT64_C(1000)

struct batch *store_batch(struct store *s)
{
    LL_DCHECK(loop_is_own_thread(s->loop));
    LL_ASSERT(!s->is_closing);
    if (s->open == NULL) {
        s->open = writer_take_back(s);
    }
    if (s->open == NULL) {
        struct list *node = list_pop_head(&s->spare);
        s->open = node != NULL ? LIST_ENTRY(node, struct batch, node) : batch_new();
        s->last = s->open;
    }
    return s->open;
}

/* An event or an attempt begins a group: what belongs to it, its idempotency key or the end of its
 * retry record, follows and must not come apart from it in a crash. So only here may a full batch
 * go and a new one be begun. */
static struct batch *batch_for_group(struct store *s)
{
    if (s->open != NULL && batch_is_full(s->open)) {
        writer_push(s, s->open);
        s->open = NULL;
    }
    return store_batch(s);
}

void store_account(struct store *s, struct batch *b, size_t n)
{
    const size_t room = (size_t)room_of_record(n);
    b->bytes += n + BATCH_OP_BYTES;
    s->pending_bytes += n + BATCH_OP_BYTES;
    b->room += room;
    s->pending_room += room;
}

int64_t store_now_ms(struct store *s)
{
    return steady_now(&s->steady, loop_wall_ms(s->loop), loop_mono_ms(s->loop));
}

int64_t store_age_ms(struct store *s)
{
    return age_clock_now(&s->age, loop_mono_us(s->loop) / 1000);
}

int64_t store_seq_age_ms(struct store *s, uint64_t seq)
{
    const int64_t age_ms = store_now_ms(s) - SEQ_MS(seq);
    return age_ms > 0 ? age_ms : 0;
}

uint64_t store_cutoff(const struct store *s)
{
    return atomic_load_explicit(&s->gauges.cutoff_seq, memory_order_relaxed);
}

uint64_t store_next_seq(struct store *s)
{
    return seqgen_next(&s->seqgen, store_now_ms(s));
}

/* Rounded up, so that the mark is seldom written. */
static bool raise(int64_t *mark, int64_t by)
{
    if (by <= *mark) {
        return false;
    }
    *mark = by > INT64_MAX - 2 * SKEW_STEP_MS ? by : (by / SKEW_STEP_MS + 1) * SKEW_STEP_MS;
    return true;
}

static int64_t difference(int64_t a, int64_t b) /* without overflow; b is never negative */
{
    return a < INT64_MIN + b ? INT64_MIN : a - b;
}

static void note_time(struct store *s, struct batch *b, enum store_kind kind, uint64_t seq,
                      int64_t time_ms)
{
    const int64_t d = difference(time_ms, SEQ_MS(seq));
    const bool later = d > 0 && raise(&s->skew.ahead[kind], d);
    const bool earlier = d < 0 && raise(&s->skew.behind[kind], d == INT64_MIN ? INT64_MAX : -d);
    if (later || earlier) {
        b->skew = s->skew;
        b->has_skew = true;
        b->has_meta = true;
    }
}

void store_put_event(struct store *s, uint64_t seq, struct blob *encoded)
{
    struct batch *b = batch_for_group(s);
    struct op *op = batch_add(b, OP_EVENT);

    LL_ASSERT(seq > s->last_event);
    s->last_event = seq;
    op->seq = seq;
    op->blob = blob_ref(encoded);
    b->n_events++;
    store_account(s, b, encoded->n);
    note_time(s, b, STORE_EVENTS, seq,
              event_peek_time(str_of((const char *)encoded->p, encoded->n)));
}

int store_put_attempt(struct store *s, const struct attempt_record *at)
{
    struct batch *b = batch_for_group(s);
    const size_t offset = b->data.n;
    struct op *op;
    int rc;

    if (at->seq <= s->last_attempt) {
        return ERR_INVALID;
    }
    rc = attempt_encode(&b->data, at);
    if (rc != 0) {
        return rc;
    }
    s->last_attempt = at->seq;
    op = batch_add(b, OP_ATTEMPT);
    op->seq = at->seq;
    op->offset = offset;
    op->n = (uint32_t)(b->data.n - offset);
    b->n_attempts++;
    store_account(s, b, op->n);
    note_time(s, b, STORE_ATTEMPTS, at->seq, at->time_ms);
    return 0;
}

/* An operation with a small payload. */
static struct op *add_small(struct store *s, enum op_kind kind, const void *p, size_t n)
{
    struct batch *b = store_batch(s);
    struct op *op = batch_add(b, kind);
    op->offset = b->data.n;
    op->n = (uint32_t)n;
    LL_ASSERT(buf_add(&b->data, p, n) == 0);
    store_account(s, b, n);
    return op;
}

void store_put_retry(struct store *s, const struct retry_record *rt)
{
    unsigned char value[SEAL_BYTES + RETRY_PAYLOAD];
    unsigned char key[KEY_RETRY];
    struct op *op;

    key_retry(key, rt->event_seq, rt->dest_num);
    retry_encode(value + SEAL_BYTES, rt);
    value_seal(value, sizeof(value), journal_trees[TREE_RT],
               str_of((const char *)key, sizeof(key)));
    op = add_small(s, OP_PUT_RETRY, value, sizeof(value));
    op->seq = rt->event_seq;
    op->dest = rt->dest_num;
}

void store_del_retry(struct store *s, uint64_t event_seq, uint32_t dest_num)
{
    struct op *op = add_small(s, OP_DEL_RETRY, NULL, 0);
    op->seq = event_seq;
    op->dest = dest_num;
}

void store_set_low(struct store *s, uint64_t seq)
{
    struct batch *b;
    if (seq <= s->low) {
        return;
    }
    b = store_batch(s);
    s->low = seq;
    b->low = seq;
    b->has_meta = true;
}

uint64_t store_low(const struct store *s)
{
    return s->low;
}

uint32_t store_next_dest_num(struct store *s)
{
    struct batch *b = store_batch(s);
    LL_ASSERT(s->dest_num != UINT32_MAX);
    s->dest_num++;
    b->dest_num = s->dest_num;
    b->has_meta = true;
    return s->dest_num;
}

uint32_t store_last_dest_num(const struct store *s)
{
    return s->dest_num;
}

static size_t object_key(unsigned char out[KEY_OBJECT_MAX], enum store_object kind, struct str key)
{
    out[0] = (unsigned char)kind;
    memcpy(out + 1, key.p, key.n);
    return key.n + 1;
}

int store_put_object(struct store *s, enum store_object kind, struct str key, struct str value)
{
    unsigned char head[KEY_OBJECT_MAX + SEAL_BYTES];
    struct batch *b;
    struct op *op;
    size_t n_key;
    size_t offset;

    if (key.n == 0 || key.n > KEY_TEXT_MAX || value.n > OBJECT_MAX) {
        return ERR_TOO_BIG;
    }
    n_key = object_key(head, kind, key);
    b = store_batch(s);
    offset = b->data.n;
    if (buf_reserve(&b->data, n_key + SEAL_BYTES + value.n) != 0) {
        return ERR_NOMEM;
    }
    memset(head + n_key, 0, SEAL_BYTES);
    op = add_small(s, OP_PUT_OBJECT, head, n_key + SEAL_BYTES);
    LL_ASSERT(buf_add_str(&b->data, value) == 0);
    value_seal((unsigned char *)b->data.p + offset + n_key, SEAL_BYTES + value.n,
               journal_trees[TREE_CF], str_of((const char *)head, n_key));
    op->n_key = (uint32_t)n_key;
    op->n = (uint32_t)(n_key + SEAL_BYTES + value.n);
    b->bytes += value.n;
    s->pending_bytes += value.n;
    b->room += (size_t)room_of_record(value.n);
    s->pending_room += (size_t)room_of_record(value.n);
    return 0;
}

void store_del_object(struct store *s, enum store_object kind, struct str key)
{
    unsigned char bytes[KEY_OBJECT_MAX];
    struct op *op;
    if (key.n == 0 || key.n > KEY_TEXT_MAX) {
        return; /* was never put */
    }
    op = add_small(s, OP_DEL_OBJECT, bytes, object_key(bytes, kind, key));
    op->n_key = op->n;
}

void store_wait(struct store *s, struct store_waiter *w)
{
    if (s->last != NULL) {
        list_push_tail(&s->last->waiters, &w->node);
        return;
    }
    list_push_tail(&s->idle_waiters, &w->node);
    timer_in(&s->idle, 0);
}

void store_wait_cancel(struct store_waiter *w)
{
    list_del(&w->node);
}
