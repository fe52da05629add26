/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages into the loop: a list under a lock and a uv_async.
 *
 * Wake-ups coalesce, so the receiver always takes the whole list. The wake-up is sent with the lock
 * held: whoever has taken the lock after a message knows that its sender has left the mailbox,
 * which makes closing safe.
 */
#include "longline/mailbox.h"

#include "longline/mem.h"
#include "loop_impl.h"

#define MAILBOX_MAGIC 0x4d41494cu

struct mailbox {
    unsigned magic;
    bool closing;
    uv_async_t async;
    pthread_mutex_t lock;
    struct list msgs; /* under the lock */
    void (*take)(void *ctx, struct list *msgs);
    void *ctx;
    void (*done)(void *ctx);
    void *done_ctx;
};

static void take_all(struct mailbox *m)
{
    struct list msgs;
    list_init(&msgs);
    (void)pthread_mutex_lock(&m->lock);
    list_splice_tail(&msgs, &m->msgs);
    (void)pthread_mutex_unlock(&m->lock);
    if (!list_empty(&msgs)) {
        m->take(m->ctx, &msgs);
        LL_ASSERT(list_empty(&msgs));
    }
}

static void on_async(uv_async_t *h)
{
    struct mailbox *m = h->data;
    LL_MAGIC_CHECK(m, MAILBOX_MAGIC);
    if (!m->closing) {
        take_all(m);
    }
}

int mailbox_open(struct mailbox **out, struct loop *l, void (*take)(void *ctx, struct list *msgs),
                 void *ctx)
{
    struct mailbox *m = mem_zalloc(sizeof(*m));
    m->magic = MAILBOX_MAGIC;
    m->take = take;
    m->ctx = ctx;
    list_init(&m->msgs);
    const int rc = uv_async_init(&l->uv, &m->async, on_async);
    if (rc != 0) {
        mem_free(m);
        return err_from_uv(rc);
    }
    m->async.data = m;
    LL_ASSERT(pthread_mutex_init(&m->lock, NULL) == 0);
    *out = m;
    return 0;
}

void mailbox_post(struct mailbox *m, struct list *node)
{
    (void)pthread_mutex_lock(&m->lock);
    LL_ASSERT(!m->closing);
    const bool was_empty = list_empty(&m->msgs);
    list_push_tail(&m->msgs, node);
    if (was_empty) {
        (void)uv_async_send(&m->async);
    }
    (void)pthread_mutex_unlock(&m->lock);
}

static void on_closed(uv_handle_t *h)
{
    struct mailbox *m = h->data;
    LL_MAGIC_CHECK(m, MAILBOX_MAGIC);
    void (*const done)(void *) = m->done;
    void *const ctx = m->done_ctx;
    (void)pthread_mutex_destroy(&m->lock);
    m->magic = 0;
    mem_free(m);
    if (done != NULL) {
        done(ctx);
    }
}

void mailbox_close(struct mailbox *m, void (*done)(void *ctx), void *ctx)
{
    LL_MAGIC_CHECK(m, MAILBOX_MAGIC);
    LL_ASSERT(!m->closing);
    take_all(m);
    (void)pthread_mutex_lock(&m->lock);
    m->closing = true;
    LL_ASSERT(list_empty(&m->msgs));
    (void)pthread_mutex_unlock(&m->lock);
    m->done = done;
    m->done_ctx = ctx;
    uv_close((uv_handle_t *)&m->async, on_closed);
}
