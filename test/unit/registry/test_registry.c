/* SPDX-License-Identifier: Apache-2.0 */
/* Creating, changing, deleting and reading back; what lies in the store. */
#include "registry_fixture.h"

#include <stdio.h>

#include "longline/mem.h"

static const struct destination *dest(struct rx *r, const char *tenant, const char *id)
{
    return registry_dest(r->registry, str_c(tenant), str_c(id));
}

static void test_tenants(void **state)
{
    struct rx *r = *state;
    assert_true(rx_tenant(r, "acme", 1000));
    assert_false(rx_tenant(r, "acme", 1000)); /* replaced */
    assert_true(rx_tenant(r, "m\xc3\xbcller & co", 2000));
    assert_int_equal(registry_n_tenants(r->registry), 2);
    rx_reopen(r);
    assert_int_equal(registry_n_tenants(r->registry), 2);
    const struct tenant *t = registry_tenant(r->registry, STR("acme"));
    assert_non_null(t);
    assert_int_equal(t->created_ms, 1000);
    assert_true(str_eq(kv_get(&t->metadata, STR("plan")), STR("free")));
    assert_int_equal(registry_del_tenant(r->registry, STR("acme"), 0), 0);
    assert_int_equal(registry_del_tenant(r->registry, STR("acme"), 0), ERR_NOT_FOUND);
    assert_null(registry_tenant(r->registry, STR("acme")));
    rx_reopen(r);
    assert_int_equal(registry_n_tenants(r->registry), 1);
    assert_null(registry_tenant(r->registry, STR("acme")));
    assert_non_null(registry_tenant(r->registry, STR("m\xc3\xbcller & co")));
}

static const struct tenant *tenant(struct rx *r, const char *id)
{
    const struct tenant *t = registry_tenant(r->registry, str_c(id));
    assert_non_null(t);
    return t;
}

static void del(struct rx *r, const char *id, int64_t now_ms)
{
    assert_int_equal(registry_del_tenant(r->registry, str_c(id), now_ms), 0);
}

/* A tenant that is made anew is another one, whatever the clock says; so it stays over restarts. */
static void test_generations(void **state)
{
    struct rx *r = *state;
    rx_tenant(r, "acme", 5000);
    const int64_t first = tenant(r, "acme")->generation;
    assert_true(first > 0);
    assert_int_equal(tenant(r, "acme")->tokens_after_s, 0);
    rx_tenant(r, "acme", 6000); /* replaced: the same tenant */
    assert_int_equal(tenant(r, "acme")->generation, first);
    rx_reopen(r);
    assert_int_equal(tenant(r, "acme")->generation, first);
    del(r, "acme", 7000);
    rx_tenant(r, "acme", 7000);
    const int64_t second = tenant(r, "acme")->generation;
    assert_int_not_equal(second, first);
    assert_int_equal(tenant(r, "acme")->tokens_after_s, 7);
    rx_tenant(r, "acme", 9000);
    assert_int_equal(tenant(r, "acme")->tokens_after_s, 7);
    rx_reopen(r);
    assert_int_equal(tenant(r, "acme")->generation, second);
    assert_int_equal(tenant(r, "acme")->tokens_after_s, 7);
    /* The clock has gone back, and the deletion lies behind a restart. */
    del(r, "acme", 3000);
    rx_reopen(r);
    rx_tenant(r, "acme", 2000);
    assert_int_equal(tenant(r, "acme")->tokens_after_s, 7);
    del(r, "acme", 8000);
    rx_tenant(r, "acme", 20000);
    assert_int_equal(tenant(r, "acme")->tokens_after_s, 20);
    del(r, "acme", 0);
    rx_tenant(r, "acme", 0);
    assert_int_equal(tenant(r, "acme")->tokens_after_s, 20);
    /* At the epoch a bound is still not "none". */
    rx_tenant(r, "early", 0);
    assert_int_equal(tenant(r, "early")->tokens_after_s, 0);
    del(r, "early", 0);
    rx_tenant(r, "early", 0);
    assert_int_equal(tenant(r, "early")->tokens_after_s, 1);
}

static int count_object(void *ctx, struct str key, struct str value)
{
    (void)key;
    (void)value;
    ++*(int *)ctx;
    return 0;
}

static int n_tombstones(struct rx *r)
{
    int n = 0;
    fx_commit(r->fx);
    assert_int_equal(store_each_object(r->fx->store, STORE_TOMBSTONE, count_object, &n), 0);
    return n;
}

/* Few are remembered one by one; for the others there is one bound, over restarts too. */
static void test_tombstones_are_bounded(void **state)
{
    struct rx *r = *state;
    r->max_tombstones = 3;
    rx_reopen(r);
    static const int order[] = {3, 1, 4, 2, 5}; /* deleted in these seconds */
    for (size_t i = 0; i < LL_COUNT(order); i++) {
        char id[8];
        (void)snprintf(id, sizeof(id), "t%d", order[i]);
        rx_tenant(r, id, 500);
        del(r, id, order[i] * 1000);
    }
    assert_int_equal(n_tombstones(r), 4); /* and the bound of those that went: 1 and 2 */
    for (int i = 0; i < 2; i++) {
        rx_tenant(r, "new", 60000); /* perhaps it was deleted in the second 2 */
        assert_int_equal(tenant(r, "new")->tokens_after_s, 2);
        rx_reopen(r);
        assert_int_equal(tenant(r, "new")->tokens_after_s, 2);
        store_del_object(r->fx->store, STORE_TENANT, STR("new")); /* as if it had never been */
        rx_reopen(r);
    }
    rx_tenant(r, "t4", 60000);
    assert_int_equal(tenant(r, "t4")->tokens_after_s, 60);
    rx_tenant(r, "t1", 60000);
    assert_int_equal(tenant(r, "t1")->tokens_after_s, 2);
    assert_int_equal(n_tombstones(r), 3); /* t4 lives */
    del(r, "t1", 1000);                   /* its own bound stays */
    rx_tenant(r, "t1", 1000);
    assert_int_equal(tenant(r, "t1")->tokens_after_s, 2);
}

/* One crash may leave a tenant beside its tombstone: it is there, and the next deletion counts. */
static void test_a_tombstone_beside_its_tenant(void **state)
{
    struct rx *r = *state;
    rx_tenant(r, "acme", 5000);
    const int64_t first = tenant(r, "acme")->generation;
    assert_int_equal(store_put_object(r->fx->store, STORE_TOMBSTONE, STR("acme"),
                                      STR("{\"v\":1,\"tokens_after\":9}")),
                     0);
    rx_reopen(r);
    assert_int_equal(tenant(r, "acme")->generation, first);
    assert_int_equal(tenant(r, "acme")->tokens_after_s, 0);
    del(r, "acme", 6000);
    assert_int_equal(n_tombstones(r), 1);
    rx_tenant(r, "acme", 6000);
    assert_int_equal(tenant(r, "acme")->tokens_after_s, 6);
    assert_int_equal(n_tombstones(r), 0);
    assert_int_equal(store_put_object(r->fx->store, STORE_TOMBSTONE, STR("x"), STR("{\"v\":2}")),
                     0);
    fx_commit(r->fx);
    rx_close(r);
    struct err_detail err = {0};
    assert_int_equal(rx_try_open(r, &err), ERR_VERSION);
    assert_non_null(strstr(err.msg, "deleted tenant"));
}

static void test_destination_round_trip(void **state)
{
    struct rx *r = *state;
    rx_tenant(r, "acme", 1000);
    const uint32_t num = rx_dest(r, "acme", "d1", "order.*", "{\"topic\":\"order.a\"}");
    assert_int_equal(r->n_changed, 1);
    assert_int_equal(r->changed[0], num);
    rx_reopen(r);
    const struct destination *d = dest(r, "acme", "d1");
    assert_non_null(d);
    assert_ptr_equal(d, registry_dest_by_num(r->registry, num));
    assert_int_equal(d->num, num);
    assert_true(str_eq(d->topics[0], STR("order.*")));
    assert_true(str_eq(d->filter, STR("{\"topic\":\"order.a\"}")));
    assert_true(str_eq(kv_get(&d->credentials, STR("secret")), STR("open-sesame")));
    assert_true(str_eq(kv_get(&d->delivery_metadata, STR("token")), STR("very-private")));
    struct destination changed = *d;
    changed.disabled_ms = 5000;
    assert_int_equal(registry_put_dest(r->registry, &changed), 0);
    assert_int_equal(r->n_changed, 1);
    rx_reopen(r);
    assert_int_equal(dest(r, "acme", "d1")->disabled_ms, 5000);
    assert_int_equal(registry_n_destinations(r->registry), 1);
    assert_int_equal(registry_del_dest(r->registry, STR("acme"), STR("d1")), 0);
    assert_int_equal(r->n_changed, 1);
    assert_null(registry_dest_by_num(r->registry, num));
    assert_int_equal(registry_del_dest(r->registry, STR("acme"), STR("d1")), ERR_NOT_FOUND);
    rx_reopen(r);
    assert_null(dest(r, "acme", "d1"));
    assert_int_equal(registry_n_destinations(r->registry), 0);
    assert_true(rx_dest(r, "acme", "d1", "*", "") > num); /* numbers are never used again */
}

static void test_refusals(void **state)
{
    struct rx *r = *state;
    struct arena *a = &r->fx->arena;
    char long_id[600];
    memset(long_id, 'x', sizeof(long_id));
    long_id[sizeof(long_id) - 1] = '\0';
    assert_int_equal(registry_add_dest(r->registry, rx_draft("acme", "d", "*", ""), a),
                     ERR_NOT_FOUND);
    rx_tenant(r, "acme", 1000);
    (void)rx_dest(r, "acme", "d", "*", "");
    assert_int_equal(registry_add_dest(r->registry, rx_draft("acme", "d", "*", ""), a), ERR_EXISTS);
    assert_int_equal(registry_add_dest(r->registry, rx_draft("acme", long_id, "*", ""), a),
                     ERR_TOO_BIG);
    assert_int_equal(registry_put_dest(r->registry, rx_draft("acme", "e", "*", "")), ERR_NOT_FOUND);
    registry_set_limit(r->registry, 2);
    (void)rx_dest(r, "acme", "d2", "*", "");
    assert_int_equal(registry_add_dest(r->registry, rx_draft("acme", "d3", "*", ""), a), ERR_LIMIT);
    rx_tenant(r, "other", 1000);
    (void)rx_dest(r, "other", "d", "*", ""); /* the id and the limit belong to a tenant */
    assert_int_equal(registry_del_dest(r->registry, STR("acme"), STR("d")), 0);
    (void)rx_dest(r, "acme", "d3", "*", "");
    assert_int_equal(registry_n_destinations(r->registry), 3);
    assert_int_equal(r->n_changed, 5);
}

static void test_ids_are_made(void **state)
{
    struct rx *r = *state;
    rx_tenant(r, "acme", 1000);
    struct destination *d = rx_draft("acme", "", "*", "");
    assert_int_equal(registry_add_dest(r->registry, d, &r->fx->arena), 0);
    assert_int_equal(d->id.n, 36);
    assert_non_null(registry_dest(r->registry, STR("acme"), d->id));
}

/* Ids that would run into each other if the key were only their concatenation. */
static void test_keys_do_not_collide(void **state)
{
    struct rx *r = *state;
    rx_tenant(r, "a", 1000);
    rx_tenant(r, "ab", 1000);
    const uint32_t one = rx_dest(r, "a", "bc", "*", "");
    const uint32_t two = rx_dest(r, "ab", "c", "*", "");
    rx_reopen(r);
    assert_int_equal(dest(r, "a", "bc")->num, one);
    assert_int_equal(dest(r, "ab", "c")->num, two);
    assert_null(dest(r, "a", "c"));
    assert_null(registry_dest(r->registry, STR("a"), STR("bc\0x")));
    assert_null(registry_dest(r->registry, STR("a\0bc"), STR("")));
}

static void test_tenant_goes_with_its_destinations(void **state)
{
    struct rx *r = *state;
    rx_tenant(r, "acme", 1000);
    rx_tenant(r, "other", 1000);
    const uint32_t a = rx_dest(r, "acme", "d1", "*", "{\"topic\":\"x\"}");
    const uint32_t b = rx_dest(r, "acme", "d2", "*", "");
    const uint32_t c = rx_dest(r, "other", "d1", "*", "");
    r->n_changed = 0;
    assert_int_equal(registry_del_tenant(r->registry, STR("acme"), 0), 0);
    assert_int_equal(r->n_changed, 2);
    assert_int_equal(r->changed[0] + r->changed[1], a + b);
    assert_int_equal(registry_n_destinations(r->registry), 1);
    rx_reopen(r);
    assert_int_equal(registry_n_tenants(r->registry), 1);
    assert_int_equal(registry_n_destinations(r->registry), 1);
    assert_non_null(registry_dest_by_num(r->registry, c));
    assert_true(rx_tenant(r, "acme", 9000)); /* made again: the old ones do not come back */
    assert_int_equal(registry_tenant_n_destinations(r->registry, STR("acme")), 0);
}

struct seen {
    size_t n;
    char key[64];
    size_t key_n;
    char value[4096];
};

static int on_object(void *ctx, struct str key, struct str value)
{
    struct seen *s = ctx;
    s->n++;
    s->key_n = key.n;
    memcpy(s->key, key.p, key.n);
    (void)snprintf(s->value, sizeof(s->value), STR_FMT, STR_ARG(value));
    return 0;
}

static void test_credentials_are_sealed(void **state)
{
    struct rx *r = *state;
    struct seen s = {0};
    rx_tenant(r, "acme", 1000);
    (void)rx_dest(r, "acme", "d1", "*", "");
    fx_commit(r->fx);
    assert_int_equal(store_each_object(r->fx->store, STORE_DESTINATION, on_object, &s), 0);
    assert_int_equal(s.n, 1);
    assert_int_equal(s.key_n, 7);
    assert_memory_equal(s.key, "acme\0d1", 7);
    assert_null(strstr(s.value, "example.com")); /* a URL may hold a token */
    assert_null(strstr(s.value, "open-sesame"));
    assert_null(strstr(s.value, "very-private"));
    assert_null(strstr(s.value, "secret"));
}

static struct str read_golden(struct arena *a, const char *name)
{
    char path[128];
    char *text = arena_alloc(a, 4096);
    (void)snprintf(path, sizeof(path), "test/data/records/%s", name);
    FILE *f = fopen(path, "rb");
    if (f == NULL || text == NULL) {
        fail_msg("%s is missing", path);
    }
    const size_t n = fread(text, 1, 4096, f);
    (void)fclose(f);
    return str_of(text, n);
}

static void assert_golden(const struct destination *d)
{
    assert_non_null(d);
    assert_int_equal(d->num, 7);
    assert_int_equal(d->n_topics, 2);
    assert_true(str_eq(d->filter, STR("{\"data\":{\"n\":1.50}}")));
    assert_int_equal(d->config.n, 2);
    assert_true(
        str_eq(kv_get(&d->config, STR("url")), STR("https://example.com/hook?key=url-secret")));
    assert_true(str_eq(kv_get(&d->config, STR("custom_headers")),
                       STR("{\"Authorization\":\"Bearer header-secret\"}")));
    assert_true(str_eq(kv_get(&d->credentials, STR("secret")), STR("open-sesame")));
    assert_true(str_eq(kv_get(&d->delivery_metadata, STR("token")), STR("very-private")));
    assert_true(str_eq(kv_get(&d->metadata, STR("plan")), STR("free")));
    assert_int_equal(d->updated_ms, INT64_C(1767225600250));
}

/* The registry after a start with this record of acme's d1 in the store. */
static void open_with_golden(struct rx *r, const char *name)
{
    rx_tenant(r, "acme", 1000);
    const struct str text = read_golden(&r->fx->arena, name);
    assert_int_equal(store_put_object(r->fx->store, STORE_DESTINATION, STR("acme\0d1"), text), 0);
    rx_reopen(r);
}

/* Records of every version open for ever. Both files hold the same, sealed with KEY_A. */
static void test_golden(void **state)
{
    struct rx *r = *state;
    static const char *const names[] = {"destination_v1.json", "destination_v2.json"};
    for (size_t i = 0; i < LL_COUNT(names); i++) {
        open_with_golden(r, names[i]);
        assert_golden(dest(r, "acme", "d1"));
    }
}

static bool is_done(struct rx *r, struct seen *s, const char *marker)
{
    *s = (struct seen){0};
    fx_commit(r->fx);
    assert_int_equal(store_each_object(r->fx->store, STORE_DESTINATION, on_object, s), 0);
    return strstr(s->value, marker) != NULL;
}

/* What an older version wrote in clear is sealed after the start, also when the key has changed in
 * between; and before that nothing is lost by stopping. */
static void test_reseal(void **state)
{
    struct rx *r = *state;
    struct seen s;
    open_with_golden(r, "destination_v1.json");
    registry_reseal_start(r->registry);
    registry_reseal_stop(r->registry);
    assert_true(is_done(r, &s, "header-secret"));
    rx_close(r);
    r->key = KEY_B;
    r->old_key = KEY_A;
    rx_open(r);
    registry_reseal_start(r->registry);
    for (int i = 0; i < 100 && !is_done(r, &s, "\"v\":2"); i++) {
    }
    assert_int_equal(s.n, 1);
    assert_non_null(strstr(s.value, "\"v\":2"));
    assert_null(strstr(s.value, "header-secret"));
    assert_null(strstr(s.value, "url-secret"));
    assert_int_equal(r->n_changed, 0);
    registry_reseal_stop(r->registry);
    rx_close(r);
    r->old_key = NULL; /* sealed with the new key */
    rx_open(r);
    assert_golden(dest(r, "acme", "d1"));
}

static int count_clear(void *ctx, struct str key, struct str value)
{
    struct seen *s = ctx;
    (void)key;
    (void)snprintf(s->value, sizeof(s->value), STR_FMT, STR_ARG(value));
    s->n += strstr(s->value, "clear-token") != NULL ? 1 : 0;
    return 0;
}

/* More than a slice; some are changed or deleted before their turn comes, which must not bring back
 * what they were. */
static void test_reseal_many(void **state)
{
    struct rx *r = *state;
    enum { N = 150 };
    struct seen s = {0};
    rx_tenant(r, "acme", 1000);
    for (int i = 0; i < N; i++) {
        char key[16];
        char text[512];
        const int key_n = snprintf(key, sizeof(key), "acme.%d", i);
        const int n = snprintf(text, sizeof(text),
                               "{\"v\":1,\"num\":%d,\"id\":\"%d\",\"tenant_id\":\"acme\","
                               "\"type\":\"webhook\",\"topics\":[\"*\"],\"config\":{\"url\":"
                               "\"https://h/clear-token\"},\"metadata\":{},\"created_at\":1,"
                               "\"updated_at\":1,\"disabled_at\":0}",
                               i + 1, i);
        key[4] = '\0';
        assert_int_equal(store_put_object(r->fx->store, STORE_DESTINATION,
                                          str_of(key, (size_t)key_n), str_of(text, (size_t)n)),
                         0);
    }
    rx_reopen(r);
    registry_reseal_start(r->registry);
    struct destination d = *dest(r, "acme", "149");
    d.disabled_ms = 5000;
    assert_int_equal(registry_put_dest(r->registry, &d), 0);
    assert_int_equal(registry_del_dest(r->registry, STR("acme"), STR("148")), 0);
    do {
        s.n = 0;
        fx_commit(r->fx);
        assert_int_equal(store_each_object(r->fx->store, STORE_DESTINATION, count_clear, &s), 0);
    } while (s.n != 0); /* ctest ends it when it does not end */
    registry_reseal_stop(r->registry);
    rx_reopen(r);
    assert_int_equal(registry_n_destinations(r->registry), N - 1);
    assert_int_equal(dest(r, "acme", "149")->disabled_ms, 5000);
    assert_null(dest(r, "acme", "148"));
    assert_true(
        str_eq(kv_get(&dest(r, "acme", "0")->config, STR("url")), STR("https://h/clear-token")));
}

/* The limit is on the text before sealing, which nobody sees: a config that just fits can still be
 * disabled and written again. */
static void test_large_config(void **state)
{
    struct rx *r = *state;
    const size_t n = 250000;
    char *big = arena_alloc(&r->fx->arena, n);
    assert_non_null(big);
    memset(big, 'x', n);
    rx_tenant(r, "acme", 1000);
    struct destination *draft = rx_draft("acme", "d1", "*", "");
    draft->config.v[0].value = str_of(big, n);
    assert_int_equal(registry_add_dest(r->registry, draft, &r->fx->arena), 0);
    rx_reopen(r);
    struct destination d = *dest(r, "acme", "d1");
    assert_int_equal(d.config.v[0].value.n, n);
    d.disabled_ms = 5000;
    assert_int_equal(registry_put_dest(r->registry, &d), 0);
    draft = rx_draft("acme", "d2", "*", "");
    draft->config.v[0].value = str_of(big, n);
    draft->credentials.v[0].value = str_of(big, 20000);
    assert_int_equal(registry_add_dest(r->registry, draft, &r->fx->arena), ERR_TOO_BIG);
}

/* A record that is moved to another destination's key cannot be opened there. */
static void test_sealed_text_cannot_be_moved(void **state)
{
    struct rx *r = *state;
    struct seen s = {0};
    struct err_detail err = {0};
    rx_tenant(r, "acme", 1000);
    rx_tenant(r, "evil", 1000);
    (void)rx_dest(r, "acme", "d1", "*", "");
    fx_commit(r->fx);
    assert_int_equal(store_each_object(r->fx->store, STORE_DESTINATION, on_object, &s), 0);
    assert_int_equal(
        store_put_object(r->fx->store, STORE_DESTINATION, STR("evil\0d1"), str_c(s.value)), 0);
    fx_commit(r->fx);
    rx_close(r);
    assert_int_equal(rx_try_open(r, &err), ERR_CORRUPT);
    assert_string_equal(err.msg,
                        "a stored destination of tenant \"evil\" cannot be read: data is corrupt");
}

static void test_wrong_key(void **state)
{
    struct rx *r = *state;
    struct err_detail err = {0};
    rx_tenant(r, "acme", 1000);
    (void)rx_dest(r, "acme", "d1", "*", "");
    fx_commit(r->fx);
    rx_close(r);
    r->key = KEY_B;
    assert_int_equal(rx_try_open(r, &err), ERR_NOT_FOUND);
    assert_string_equal(err.msg, "a stored destination of tenant \"acme\" cannot be read: its "
                                 "credentials were sealed with another key (secrets.key)");
    r->old_key = KEY_A;
    rx_open(r);
    assert_true(
        str_eq(kv_get(&dest(r, "acme", "d1")->credentials, STR("secret")), STR("open-sesame")));
    /* Written again it is sealed with the new key. */
    assert_int_equal(registry_put_dest(r->registry, dest(r, "acme", "d1")), 0);
    fx_commit(r->fx);
    rx_close(r);
    r->old_key = NULL;
    rx_open(r);
    assert_non_null(dest(r, "acme", "d1"));
}

static void test_damaged_objects(void **state)
{
    struct rx *r = *state;
    struct err_detail err = {0};
    rx_tenant(r, "acme", 1000);
    assert_int_equal(store_put_object(r->fx->store, STORE_TENANT, STR("bad"), STR("{")), 0);
    fx_commit(r->fx);
    rx_close(r);
    assert_int_not_equal(rx_try_open(r, &err), 0);
    assert_string_equal(err.msg, "the stored tenant \"bad\" cannot be read");
}

/* A full store refuses new objects and changes, and still lets go of old ones. */
static void test_full_store(void **state)
{
    struct rx *r = *state;
    bool created = false;
    rx_tenant(r, "acme", 1000);
    (void)rx_dest(r, "acme", "d1", "*", "");
    fx_commit(r->fx);
    struct store_cfg tiny = r->fx->cfg;
    tiny.max_size = 4096;
    store_reload(r->fx->store, &tiny);
    fx_commit(r->fx);
    const struct tenant t = {.id = STR("t2")};
    assert_int_equal(registry_put_tenant(r->registry, &t, &created), ERR_FULL);
    assert_null(registry_tenant(r->registry, STR("t2")));
    assert_int_equal(registry_add_dest(r->registry, rx_draft("acme", "d2", "*", ""), &r->fx->arena),
                     ERR_FULL);
    struct destination d = *dest(r, "acme", "d1");
    d.disabled_ms = 1;
    assert_int_equal(registry_put_dest(r->registry, &d), ERR_FULL);
    assert_int_equal(dest(r, "acme", "d1")->disabled_ms, 0); /* memory agrees with the store */
    assert_int_equal(registry_del_dest(r->registry, STR("acme"), STR("d1")), 0);
    assert_int_equal(registry_del_tenant(r->registry, STR("acme"), 0), 0);
    rx_reopen(r);
    assert_int_equal(registry_n_tenants(r->registry), 0);
}

static void test_too_big(void **state)
{
    struct rx *r = *state;
    const size_t n = 2u << 20;
    char *big = mem_alloc(n);
    memset(big, 'x', n);
    rx_tenant(r, "acme", 1000);
    struct destination *d = rx_draft("acme", "d1", "*", "");
    d->credentials.v[0].value = str_of(big, n);
    assert_int_equal(registry_add_dest(r->registry, d, &r->fx->arena), ERR_TOO_BIG);
    d = rx_draft("acme", "d1", "*", "");
    d->config.v[0].value = str_of(big, n);
    assert_int_equal(registry_add_dest(r->registry, d, &r->fx->arena), ERR_TOO_BIG);
    struct kv metadata = {STR("a"), str_of(big, n)};
    const struct tenant t = {.id = STR("acme"), .metadata = {1, &metadata}};
    bool created = false;
    assert_int_equal(registry_put_tenant(r->registry, &t, &created), ERR_TOO_BIG);
    mem_free(big);
    assert_int_equal(registry_n_destinations(r->registry), 0);
    rx_reopen(r);
    assert_int_equal(registry_tenant(r->registry, STR("acme"))->metadata.v[0].value.n, 4);
}

#define WITH_RX(test) cmocka_unit_test_setup_teardown(test, rx_setup, rx_teardown)

/* Some bytes of one destination, as filter text. */
static struct str padding(struct arena *a, size_t n)
{
    char *p = arena_alloc(a, n);
    assert_non_null(p);
    memset(p, 'x', n);
    memcpy(p, "{\"a\":\"", 6);
    memcpy(p + n - 2, "\"}", 2);
    return str_of(p, n);
}

/* Fills the tenant with destinations of `size`; returns how many it took, the last was refused. */
static size_t fill(struct rx *r, size_t size)
{
    struct arena *a = &r->fx->arena;
    const struct str filter = padding(a, size);
    size_t n = 0;
    r->n_changed = 0; /* it has only so much room */
    for (;;) {
        char id[16];
        (void)snprintf(id, sizeof(id), "d%zu", n);
        struct destination *d = rx_draft("acme", id, "*", "");
        d->filter = filter;
        const int rc = registry_add_dest(r->registry, d, a);
        if (rc != 0) {
            assert_int_equal(rc, ERR_RANGE);
            return n;
        }
        n++;
    }
}

/* All of a tenant's destinations together are bounded, and the sum follows every change. */
static void test_weight(void **state)
{
    struct rx *r = *state;
    struct arena *a = &r->fx->arena;
    const size_t size = 203000; /* so that little room is left */
    registry_set_limit(r->registry, 4096);
    rx_tenant(r, "acme", 1000);
    rx_tenant(r, "other", 1000);
    const size_t n = fill(r, size);
    assert_in_range(n, 30, REGISTRY_MAX_TENANT_WEIGHT / size);
    (void)rx_dest(r, "other", "d", "*", "");
    rx_reopen(r); /* counted again on loading */
    registry_set_limit(r->registry, 4096);
    struct destination *more = rx_draft("acme", "more", "*", "");
    more->filter = padding(a, size);
    assert_int_equal(registry_add_dest(r->registry, more, a), ERR_RANGE);
    /* What does not grow may be written at any weight; what shrinks makes room. */
    struct destination d = *dest(r, "acme", "d0");
    d.disabled_ms = 1700000000000;
    assert_int_equal(registry_put_dest(r->registry, &d), 0);
    d = *dest(r, "acme", "d0");
    d.disabled_ms = 0;
    assert_int_equal(registry_put_dest(r->registry, &d), 0);
    d = *dest(r, "acme", "d0");
    d.filter = padding(a, size + size / 5);
    assert_int_equal(registry_put_dest(r->registry, &d), ERR_RANGE);
    d = *dest(r, "acme", "d0");
    assert_int_equal(d.filter.n, size);
    d.filter = STR("");
    assert_int_equal(registry_put_dest(r->registry, &d), 0);
    more = rx_draft("acme", "more", "*", "");
    more->filter = padding(a, size);
    assert_int_equal(registry_add_dest(r->registry, more, a), 0);
    assert_int_equal(registry_del_dest(r->registry, STR("acme"), STR("more")), 0);
    assert_int_equal(registry_del_dest(r->registry, STR("acme"), STR("d1")), 0);
    r->n_changed = 0;
    assert_int_equal(registry_del_tenant(r->registry, STR("acme"), 0), 0);
    assert_int_equal(registry_tenant_topics_cost(r->registry, STR("acme")), 0);
    rx_tenant(r, "acme", 1000);
    assert_int_equal(fill(r, size), n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_RX(test_tenants),
        WITH_RX(test_generations),
        WITH_RX(test_tombstones_are_bounded),
        WITH_RX(test_a_tombstone_beside_its_tenant),
        WITH_RX(test_destination_round_trip),
        WITH_RX(test_refusals),
        WITH_RX(test_ids_are_made),
        WITH_RX(test_keys_do_not_collide),
        WITH_RX(test_tenant_goes_with_its_destinations),
        WITH_RX(test_credentials_are_sealed),
        WITH_RX(test_golden),
        WITH_RX(test_reseal),
        WITH_RX(test_reseal_many),
        WITH_RX(test_large_config),
        WITH_RX(test_sealed_text_cannot_be_moved),
        WITH_RX(test_wrong_key),
        WITH_RX(test_damaged_objects),
        WITH_RX(test_full_store),
        WITH_RX(test_too_big),
        WITH_RX(test_weight),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
