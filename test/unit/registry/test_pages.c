/* SPDX-License-Identifier: Apache-2.0 */
/* Lists: tenants in pages, destinations by age, the union of topics. */
#include "registry_fixture.h"

#include <stdio.h>
#include <stdlib.h>

/* Walks all pages from the start and writes the ids, separated by spaces. */
static void walk(struct rx *r, struct registry_tenant_page q, char *out, size_t room, size_t *total)
{
    size_t n = 0;
    bool more = true;
    out[0] = '\0';
    for (int pages = 0; more; pages++) {
        const struct tenant **v = NULL;
        size_t n_page = 0;
        assert_true(pages < 100);
        assert_int_equal(
            registry_list_tenants(r->registry, &q, &r->fx->arena, &v, &n_page, &more, total), 0);
        assert_true(n_page <= q.limit);
        assert_true(n_page == q.limit || !more);
        for (size_t i = 0; i < n_page; i++) {
            n += (size_t)snprintf(out + n, room - n, "%s" STR_FMT, n > 0 ? " " : "",
                                  STR_ARG(v[i]->id));
        }
        if (n_page > 0) {
            q.after_ms = v[n_page - 1]->created_ms;
            q.after_id = v[n_page - 1]->id;
        }
    }
}

static void fill(struct rx *r)
{
    /* b, c and e were made in the same millisecond: their ids decide. */
    static const struct {
        const char *id;
        int64_t ms;
    } rows[] = {{"d", 300}, {"c", 200}, {"a", 100}, {"e", 200}, {"b", 200}, {"f", 50}};
    for (size_t i = 0; i < LL_COUNT(rows); i++) {
        rx_tenant(r, rows[i].id, rows[i].ms);
    }
}

static void test_pages(void **state)
{
    struct rx *r = *state;
    static const struct str some[] = {{"e", 1}, {"b", 1}, {"nobody", 6}, {"b", 1}};
    static const struct {
        bool ascending, some;
        const char *ids;
        size_t total;
    } rows[] = {
        {true, false, "f a b c e d", 6},
        {false, false, "d e c b a f", 6},
        {true, true, "b e", 2},
        {false, true, "e b", 2},
    };
    fill(r);
    for (int again = 0; again < 2; again++) {
        for (size_t i = 0; i < LL_COUNT(rows); i++) {
            for (size_t limit = 1; limit <= 7; limit++) {
                char ids[128];
                size_t total = 0;
                const struct registry_tenant_page q = {.ids = {some, rows[i].some ? 4 : 0},
                                                       .ascending = rows[i].ascending,
                                                       .limit = limit};
                walk(r, q, ids, sizeof(ids), &total);
                assert_string_equal(ids, rows[i].ids);
                assert_int_equal(total, rows[i].total);
            }
        }
        rx_reopen(r); /* the order does not depend on how they came in */
    }
}

/* A cursor stays good when the tenant it names is gone, and beyond both ends. */
static void test_cursor_without_its_tenant(void **state)
{
    struct rx *r = *state;
    static const struct {
        const char *id;
        int64_t ms;
        bool ascending;
        const char *ids;
    } rows[] = {
        {"c", 200, true, "e d"}, {"c", 200, false, "b a f"},      {"zz", 999, true, ""},
        {"", 0, false, ""},      {"zz", 999, false, "d e b a f"}, {"bb", 200, true, "e d"},
    };
    fill(r);
    assert_int_equal(registry_del_tenant(r->registry, STR("c"), 0), 0);
    for (size_t i = 0; i < LL_COUNT(rows); i++) {
        char ids[128];
        size_t total = 0;
        const struct registry_tenant_page q = {.ascending = rows[i].ascending,
                                               .limit = 2,
                                               .after_ms = rows[i].ms,
                                               .after_id = str_c(rows[i].id)};
        walk(r, q, ids, sizeof(ids), &total);
        assert_string_equal(ids, rows[i].ids);
    }
}

static void test_tenant_put_again_moves(void **state)
{
    struct rx *r = *state;
    char ids[128];
    size_t total = 0;
    fill(r);
    assert_false(rx_tenant(r, "d", 10));
    walk(r, (struct registry_tenant_page){.ascending = true, .limit = 100}, ids, sizeof(ids),
         &total);
    assert_string_equal(ids, "d f a b c e");
    assert_int_equal(total, 6);
}

static void test_many_tenants(void **state)
{
    struct rx *r = *state;
    char id[16];
    for (int i = 0; i < 500; i++) { /* in a scattered order */
        (void)snprintf(id, sizeof(id), "t%03d", i * 137 % 500);
        rx_tenant(r, id, i * 137 % 500 / 10);
    }
    const struct tenant **v = NULL;
    size_t n = 0;
    bool more = false;
    size_t total = 0;
    const struct registry_tenant_page q = {.ascending = true, .limit = 1000};
    assert_int_equal(registry_list_tenants(r->registry, &q, &r->fx->arena, &v, &n, &more, &total),
                     0);
    assert_int_equal(n, 500);
    for (size_t i = 1; i < n; i++) {
        assert_true(str_cmp(v[i - 1]->id, v[i]->id) < 0);
    }
}

static void test_destinations_by_age(void **state)
{
    struct rx *r = *state;
    rx_tenant(r, "acme", 1);
    static const struct {
        const char *id;
        int64_t ms;
    } rows[] = {{"c", 300}, {"z", 200}, {"a", 200}, {"b", 100}, {"d", 400}};
    for (size_t i = 0; i < LL_COUNT(rows); i++) {
        struct destination *d = rx_draft("acme", rows[i].id, "*", "");
        d->created_ms = rows[i].ms;
        assert_int_equal(registry_add_dest(r->registry, d, &r->fx->arena), 0);
    }
    for (int again = 0; again < 2; again++) {
        const struct destination **v = NULL;
        size_t n = 0;
        char ids[16] = "";
        assert_int_equal(registry_list_dests(r->registry, STR("acme"), &r->fx->arena, &v, &n), 0);
        assert_int_equal(n, 5);
        for (size_t i = 0; i < n; i++) {
            ids[i] = v[i]->id.p[0];
        }
        assert_string_equal(ids, "bzacd"); /* of one age: as they were made */
        rx_reopen(r);
    }
    const struct destination **v = NULL;
    size_t n = 7;
    assert_int_equal(registry_list_dests(r->registry, STR("no"), &r->fx->arena, &v, &n),
                     ERR_NOT_FOUND);
    rx_tenant(r, "empty", 1);
    assert_int_equal(registry_list_dests(r->registry, STR("empty"), &r->fx->arena, &v, &n), 0);
    assert_int_equal(n, 0);
}

static void assert_topics(struct rx *r, const char *expected)
{
    struct str *v = NULL;
    size_t n = 0;
    char got[128] = "";
    size_t len = 0;
    assert_int_equal(registry_tenant_topics(r->registry, STR("acme"), &r->fx->arena, &v, &n), 0);
    for (size_t i = 0; i < n; i++) {
        len += (size_t)snprintf(got + len, sizeof(got) - len, "%s" STR_FMT, i > 0 ? " " : "",
                                STR_ARG(v[i]));
    }
    assert_string_equal(got, expected);
}

static void test_tenant_topics(void **state)
{
    struct rx *r = *state;
    struct str *v = NULL;
    size_t n = 0;
    assert_int_equal(registry_tenant_topics(r->registry, STR("acme"), &r->fx->arena, &v, &n),
                     ERR_NOT_FOUND);
    rx_tenant(r, "acme", 1);
    assert_topics(r, "");
    (void)rx_dest(r, "acme", "d1", "user.created", "");
    (void)rx_dest(r, "acme", "d2", "order.*", "");
    (void)rx_dest(r, "acme", "d3", "user.created", "");
    assert_topics(r, "order.* user.created");
    (void)rx_dest(r, "acme", "d4", "*", "");
    assert_topics(r, "*");
    struct destination off = *registry_dest(r->registry, STR("acme"), STR("d4"));
    off.disabled_ms = 1;
    assert_int_equal(registry_put_dest(r->registry, &off), 0);
    assert_topics(r, "*"); /* disabled ones count too */
    assert_int_equal(registry_del_dest(r->registry, STR("acme"), STR("d4")), 0);
    assert_topics(r, "order.* user.created");
}

#define WITH_RX(test) cmocka_unit_test_setup_teardown(test, rx_setup, rx_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_RX(test_pages),
        WITH_RX(test_cursor_without_its_tenant),
        WITH_RX(test_tenant_put_again_moves),
        WITH_RX(test_many_tenants),
        WITH_RX(test_destinations_by_age),
        WITH_RX(test_tenant_topics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
