/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway.h"

#include <stdio.h>

#include "longline/log.h"
#include "longline/mem.h"

#include "test_wait.h"

#define KEY "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

static const struct destination *find_dest(void *ctx, uint32_t num)
{
    const struct gateway *g = ctx;
    return registry_dest_by_num(g->registry, num);
}

static int disable_dest(void *ctx, uint32_t num)
{
    struct gateway *g = ctx;
    struct destination d = *registry_dest_by_num(g->registry, num);
    d.disabled_ms = loop_wall_ms(g->fx->loop);
    return registry_put_dest(g->registry, &d);
}

static void on_changed(void *ctx, uint32_t num)
{
    struct gateway *g = ctx;
    deliver_dest_changed(g->deliver, num);
}

static void open_registry(struct gateway *g)
{
    struct err_detail err = {0};
    assert_int_equal(vault_new(&g->vault, STR(KEY), &err), 0);
    const struct registry_options o = {.store = g->fx->store,
                                       .vault = g->vault,
                                       .max_destinations_per_tenant = 100,
                                       .max_tombstones = REGISTRY_MAX_TOMBSTONES,
                                       .max_cached_filters = 100};
    if (registry_open(&g->registry, &o, &err) != 0) {
        fail_msg("registry: %s", err.msg);
    }
    if (registry_tenant(g->registry, STR("acme")) == NULL) {
        bool created = false;
        const struct tenant t = {.id = STR("acme"), .created_ms = 1, .updated_ms = 1};
        assert_int_equal(registry_put_tenant(g->registry, &t, &created), 0);
    }
}

void gw_open(struct gateway *g)
{
    fx_open(g->fx);
    open_registry(g);
    ob_open(&g->out, g->fx->loop);
    const struct deliver_options dv = {
        .loop = g->fx->loop,
        .store = g->fx->store,
        .env = &g->out.env,
        .source = {.find = find_dest, .disable = disable_dest, .ctx = g},
        .rng = rng_system(),
        .cfg = &g->cfg};
    deliver_open(&g->deliver, &dv);
    registry_set_hook(g->registry, on_changed, g);
    g->options.loop = g->fx->loop;
    g->options.store = g->fx->store;
    g->options.registry = g->registry;
    g->options.deliver = g->deliver;
    g->options.rng = rng_system();
    g->options.topics = &g->topics;
    publish_open(&g->publish, &g->options);
    assert_int_equal(deliver_recover(g->deliver), 0);
    g->is_open = true;
}

void gw_close(struct gateway *g)
{
    registry_set_hook(g->registry, NULL, NULL);
    deliver_free(g->deliver);
    ob_close(&g->out);
    publish_free(g->publish);
    registry_free(g->registry);
    vault_free(g->vault);
    fx_close(g->fx);
    g->is_open = false;
}

void gw_reopen(struct gateway *g)
{
    gw_close(g);
    gw_open(g);
}

/* What the table of keys says. */
static void default_cfg(struct deliver_cfg *out)
{
    const struct cfg_section section = {
        .name = "delivery", .keys = deliver_cfg_keys, .n_keys = deliver_cfg_n_keys};
    const struct cfg_schema schema = {.sections = &section, .n_sections = 1, .size = sizeof(*out)};
    struct err_detail err = {0};
    void *cfg = NULL;
    assert_int_equal(cfg_load(&schema, &(struct cfg_source){0}, &cfg, &err), 0);
    memcpy(out, cfg, sizeof(*out));
    out->retry_schedule = (struct cfg_list){0};
    cfg_free(&schema, cfg);
}

int gw_setup(void **state)
{
    struct gateway *g = mem_zalloc(sizeof(*g));
    void *fx = NULL;
    if (fx_setup(&fx) != 0) {
        return -1;
    }
    g->fx = fx;
    default_cfg(&g->cfg);
    g->cfg.max_inflight_per_host = 100;
    g->cfg.retry_interval_ms = 5;
    g->cfg.retry_max_delay_ms = 20;
    g->cfg.retry_limit = 3;
    g->cfg.retry_jitter = 0;
    g->cfg.breaker_failures = 0;
    g->cfg.disable_after_failures = 0;
    g->cfg.disable_after_ms = 0;
    g->cfg.max_pending = 1000;
    g->options.max_event = 1u << 20;
    gw_open(g);
    *state = g;
    return 0;
}

int gw_teardown(void **state)
{
    struct gateway *g = *state;
    if (g->is_open) {
        gw_close(g);
    }
    void *fx = g->fx;
    const int rc = fx_teardown(&fx);
    mem_free(g);
    return rc;
}

uint32_t gw_dest(struct gateway *g, const char *id, const char *topic, const char *filter)
{
    char url[96];
    ob_url(&g->out, url, "/");
    struct str topics[1] = {str_c(topic)};
    struct kv config[1] = {{STR("url"), str_c(url)}};
    struct kv credentials[1] = {{STR("secret"), STR("s")}};
    struct destination d = {.id = str_c(id),
                            .tenant_id = STR("acme"),
                            .type = STR("webhook"),
                            .n_topics = 1,
                            .topics = topics,
                            .filter = str_c(filter),
                            .config = {1, config},
                            .credentials = {1, credentials},
                            .created_ms = 1};
    struct arena a;
    arena_init(&a, 4096);
    assert_int_equal(registry_add_dest(g->registry, &d, &a), 0);
    arena_fini(&a);
    return d.num;
}

static struct destination copy_of(struct gateway *g, const char *id)
{
    const struct destination *d = registry_dest(g->registry, STR("acme"), str_c(id));
    assert_non_null(d);
    return *d;
}

void gw_set_url(struct gateway *g, const char *id, const char *url)
{
    struct destination d = copy_of(g, id);
    struct kv config[1] = {{STR("url"), str_c(url)}};
    d.config = (struct kv_map){1, config};
    assert_int_equal(registry_put_dest(g->registry, &d), 0);
}

void gw_set_disabled(struct gateway *g, const char *id, bool disabled)
{
    struct destination d = copy_of(g, id);
    d.disabled_ms = disabled ? 1 : 0;
    assert_int_equal(registry_put_dest(g->registry, &d), 0);
}

/* ---- publishing ---- */

struct pending {
    struct gateway *g;
    struct gw_result *r;
};

static void on_published(void *ctx, const struct publish_result *p)
{
    struct pending *pending = ctx;
    struct gw_result *r = pending->r;
    size_t n = 0;
    assert_false(r->is_done);
    r->is_done = true;
    r->order = ++pending->g->n_done;
    r->duplicate = p->duplicate;
    (void)snprintf(r->id, sizeof(r->id), STR_FMT, STR_ARG(p->id));
    for (size_t i = 0; i < p->n_dests; i++) {
        n += (size_t)snprintf(r->dests + n, sizeof(r->dests) - n, "%s" STR_FMT, i > 0 ? " " : "",
                              STR_ARG(p->dests[i].id));
    }
}

void gw_publish(struct gateway *g, struct gw_result *r, const char *body)
{
    *r = (struct gw_result){.rc = 0};
    arena_init(&r->arena, 16u << 20);
    struct pending *pending = arena_alloc(&r->arena, sizeof(*pending));
    *pending = (struct pending){g, r};
    r->rc = publish_start(g->publish, arena_str(&r->arena, str_c(body)), &r->arena, &r->problem,
                          on_published, pending);
    assert_false(r->is_done); /* never before publish_start returned */
    assert_int_equal(r->rc != 0, r->problem.status != 0);
}

void gw_forget(struct gw_result *r)
{
    arena_fini(&r->arena);
}

void gw_wait_done(struct gateway *g, const struct gw_result *r)
{
    if (!wait_flag(g->fx->loop, &r->is_done, OB_DEADLINE_MS)) {
        fail_msg("the publish is not done");
    }
}

uint64_t gw_event(struct gateway *g, const char *id)
{
    struct gw_result r;
    char body[256];
    (void)snprintf(body, sizeof(body),
                   "{\"id\":\"%s\",\"tenant_id\":\"acme\",\"topic\":\"t\",\"data\":{\"n\":1}}", id);
    gw_publish(g, &r, body);
    assert_int_equal(r.rc, 0);
    gw_wait_done(g, &r);
    assert_false(r.duplicate);
    gw_forget(&r);
    const uint64_t seq = fx_find_idempotency(g->fx->store, STR("acme"), str_c(id));
    assert_true(seq != 0);
    return seq;
}

/* ---- looking ---- */

void gw_wait(struct gateway *g, bool (*cond)(void *ctx), void *ctx, const char *what)
{
    if (!wait_until(g->fx->loop, cond, ctx, OB_DEADLINE_MS)) {
        fail_msg("did not come about: %s", what);
    }
}

int64_t gw_pending(struct gateway *g)
{
    const struct metric *m = &deliver_get_metrics(g->deliver)->pending;
    return m->read(m->ctx);
}

struct pending_goal {
    struct gateway *g;
    int64_t n;
};

static bool has_pending(void *ctx)
{
    const struct pending_goal *goal = ctx;
    return gw_pending(goal->g) == goal->n;
}

void gw_wait_pending(struct gateway *g, int64_t n)
{
    struct pending_goal goal = {g, n};
    gw_wait(g, has_pending, &goal, "pending");
}

struct collect {
    uint64_t event_seq;
    struct gw_attempt *out;
    size_t n;
};

static int on_attempt(void *ctx, const struct attempt_record *at)
{
    struct collect *c = ctx;
    if (at->event_seq != c->event_seq) {
        return 0;
    }
    assert_true(c->n < GW_MAX_ATTEMPTS);
    struct gw_attempt *a = &c->out[c->n++];
    *a = (struct gw_attempt){.seq = at->seq,
                             .number = at->number,
                             .manual = at->manual,
                             .final = at->final,
                             .success = at->status == ATTEMPT_SUCCESS,
                             .http_status = at->http_status,
                             .time_ms = at->time_ms,
                             .next_at_ms = at->next_at_ms};
    (void)snprintf(a->code, sizeof(a->code), STR_FMT, STR_ARG(at->code));
    (void)snprintf(a->error, sizeof(a->error), STR_FMT, STR_ARG(at->error));
    (void)snprintf(a->dest_id, sizeof(a->dest_id), STR_FMT, STR_ARG(at->dest_id));
    (void)snprintf(a->response, sizeof(a->response), STR_FMT, STR_ARG(at->response));
    return 0;
}

size_t gw_attempts(struct gateway *g, uint64_t event_seq, struct gw_attempt out[GW_MAX_ATTEMPTS])
{
    struct collect c = {.event_seq = event_seq, .out = out};
    fx_commit(g->fx);
    assert_int_equal(store_each_attempt(g->fx->store, event_seq, on_attempt, &c), 0);
    return c.n;
}

static int on_retry(void *ctx, const struct retry_record *rt)
{
    size_t *n = ctx;
    (void)rt;
    ++*n;
    return 0;
}

size_t gw_retries(struct gateway *g)
{
    size_t n = 0;
    fx_commit(g->fx);
    assert_int_equal(store_each_retry(g->fx->store, 0, 0, on_retry, &n), 0);
    return n;
}
