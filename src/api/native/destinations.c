/* SPDX-License-Identifier: Apache-2.0 */
/* /tenants/:id/destinations: reading and deleting. Writing is in destination_write.c. */
#include "native.h"

#include "longline/topic.h"

void destination_show(struct call *c, struct jw *w, const struct destination *d)
{
    const struct dest_driver *driver = dest_find(d->type);
    struct kv_map credentials = {.n = 0};
    struct str target = STR_NULL;
    struct str target_url = STR_NULL;

    if (driver != NULL) {
        driver->show(d, call_now_ms(c), call_arena(c), &credentials);
        driver->target(d, &target, &target_url);
    }
    destination_write(w, d, &credentials, target, target_url);
}

static bool is_all(struct str topic)
{
    return topic.n == 1 && topic.p[0] == '*';
}

/* Every listed topic must be wanted; "*" itself only by those that want everything. */
static bool has_topics(const struct destination *d, const struct store_strs *topics)
{
    const bool wants_all = d->n_topics == 1 && is_all(d->topics[0]);
    for (size_t i = 0; i < topics->n && !wants_all; i++) {
        if (is_all(topics->v[i]) || !topics_match(d->topics, d->n_topics, topics->v[i])) {
            return false;
        }
    }
    return true;
}

void destinations_list(struct call *c)
{
    const struct destination **v = NULL;
    struct store_strs types;
    struct store_strs topics;
    struct query q;
    struct jw w;
    size_t n = 0;
    int rc;

    if (!call_query(c, &q)) {
        return;
    }
    rc = query_list(&q, STR("type"), call_arena(c), &types);
    if (rc == 0) {
        rc = query_list(&q, STR("topics"), call_arena(c), &topics);
    }
    if (rc == 0) {
        rc = registry_list_dests(c->api->sv.registry, c->params[0], call_arena(c), &v, &n);
    }
    if (rc == ERR_NOT_FOUND) {
        reply_error(c, 404, "tenant not found");
        return;
    }
    if (rc != 0) {
        reply_failure(c, rc);
        return;
    }
    reply_begin(c, &w);
    jw_arr(&w);
    for (size_t i = 0; i < n; i++) {
        if ((types.n == 0 || query_list_has(&types, v[i]->type)) && has_topics(v[i], &topics)) {
            destination_show(c, &w, v[i]);
        }
    }
    jw_arr_end(&w);
    reply_send(c, 200);
}

void destinations_get(struct call *c)
{
    const struct destination *d = registry_dest(c->api->sv.registry, c->params[0], c->params[1]);
    struct jw w;

    if (d == NULL) {
        reply_error(c, 404, "destination not found");
        return;
    }
    reply_begin(c, &w);
    destination_show(c, &w, d);
    reply_send(c, 200);
}

void destinations_delete(struct call *c)
{
    const int rc = registry_del_dest(c->api->sv.registry, c->params[0], c->params[1]);
    if (rc == 0) {
        audit(c, "destination.delete", c->params[1]);
        reply_success_durable(c, 200);
    } else if (rc == ERR_NOT_FOUND) {
        reply_error(c, 404, "destination not found");
    } else {
        reply_failure(c, rc);
    }
}
