/* SPDX-License-Identifier: Apache-2.0 */
/* POST /publish. The answer is given when the event is durable. */
#include "native.h"

static void on_published(void *ctx, const struct publish_result *r)
{
    struct call *c = ctx;
    struct jw w;

    LL_MAGIC_CHECK(c, CALL_MAGIC);
    reply_begin(c, &w);
    jw_obj(&w);
    JW_STR(&w, "id", r->id);
    JW_BOOL(&w, "duplicate", r->duplicate);
    jw_key(&w, STR("destination_ids"));
    jw_arr(&w);
    for (size_t i = 0; i < r->n_dests; i++) {
        jw_str(&w, r->dests[i].id);
    }
    jw_arr_end(&w);
    jw_obj_end(&w);
    reply_send(c, 202);
}

void publish_post(struct call *c)
{
    struct problem problem = {.status = 0};
    const int rc =
        publish_start(c->api->sv.publish, c->rq->body, call_arena(c), &problem, on_published, c);
    if (rc == 0) {
        return;
    }
    if (problem.status != 0) {
        reply_problem(c, &problem);
    } else {
        reply_failure(c, rc);
    }
}
