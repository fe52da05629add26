/* SPDX-License-Identifier: Apache-2.0 */
#include "registry_fixture.h"

#include "longline/mem.h"

static void on_changed(void *ctx, uint32_t num)
{
    struct rx *r = ctx;
    LL_ASSERT(r->n_changed < LL_COUNT(r->changed));
    r->changed[r->n_changed++] = num;
}

int rx_try_open(struct rx *r, struct err_detail *err)
{
    fx_open(r->fx);
    assert_int_equal(vault_new(&r->vault, str_c(r->key), err), 0);
    if (r->old_key != NULL) {
        assert_int_equal(vault_add_old(r->vault, str_c(r->old_key), err), 0);
    }
    const struct registry_options o = {.store = r->fx->store,
                                       .vault = r->vault,
                                       .max_destinations_per_tenant = r->max_dests,
                                       .max_tombstones = r->max_tombstones,
                                       .max_cached_filters = r->max_filters,
                                       .on_dest_changed = on_changed,
                                       .ctx = r};
    r->registry = NULL;
    const int rc = registry_open(&r->registry, &o, err);
    r->n_changed = 0;
    if (rc != 0) {
        rx_close(r);
    }
    return rc;
}

void rx_open(struct rx *r)
{
    struct err_detail err = {0};
    if (rx_try_open(r, &err) != 0) {
        fail_msg("registry_open: %s", err.msg);
    }
}

void rx_close(struct rx *r)
{
    registry_free(r->registry);
    r->registry = NULL;
    vault_free(r->vault);
    r->vault = NULL;
    fx_close(r->fx);
}

void rx_reopen(struct rx *r)
{
    fx_commit(r->fx);
    rx_close(r);
    rx_open(r);
}

int rx_setup(void **state)
{
    struct rx *r = mem_zalloc(sizeof(*r));
    void *fx = NULL;
    if (fx_setup(&fx) != 0) {
        return -1;
    }
    r->fx = fx;
    r->key = KEY_A;
    r->max_dests = 20;
    r->max_filters = 100;
    r->max_tombstones = REGISTRY_MAX_TOMBSTONES;
    rx_open(r);
    *state = r;
    return 0;
}

int rx_teardown(void **state)
{
    struct rx *r = *state;
    if (r->registry != NULL) {
        rx_close(r);
    }
    void *fx = r->fx;
    const int rc = fx_teardown(&fx);
    mem_free(r);
    return rc;
}

bool rx_tenant(struct rx *r, const char *id, int64_t created_ms)
{
    struct kv metadata = {STR("plan"), STR("free")};
    const struct tenant t = {.id = str_c(id),
                             .metadata = {1, &metadata},
                             .created_ms = created_ms,
                             .updated_ms = created_ms};
    bool created = false;
    assert_int_equal(registry_put_tenant(r->registry, &t, &created), 0);
    return created;
}

struct destination *rx_draft(const char *tenant, const char *id, const char *topic,
                             const char *filter)
{
    static struct destination d;
    static struct str topics[1];
    static struct kv config[1];
    static struct kv credentials[1];
    static struct kv delivery[1];
    topics[0] = str_c(topic);
    config[0] = (struct kv){STR("url"), STR("https://example.com/")};
    credentials[0] = (struct kv){STR("secret"), STR("open-sesame")};
    delivery[0] = (struct kv){STR("token"), STR("very-private")};
    d = (struct destination){.id = str_c(id),
                             .tenant_id = str_c(tenant),
                             .type = STR("webhook"),
                             .n_topics = 1,
                             .topics = topics,
                             .filter = str_c(filter),
                             .config = {1, config},
                             .credentials = {1, credentials},
                             .delivery_metadata = {1, delivery},
                             .created_ms = 1000,
                             .updated_ms = 1000};
    return &d;
}

uint32_t rx_dest(struct rx *r, const char *tenant, const char *id, const char *topic,
                 const char *filter)
{
    struct destination *d = rx_draft(tenant, id, topic, filter);
    assert_int_equal(registry_add_dest(r->registry, d, &r->fx->arena), 0);
    return d->num;
}
