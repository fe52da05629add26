/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A JSON body: read as POST, as PATCH of what another body made, as PUT of a tenant and as a stored
 * record. What is accepted must keep the promises of the model, survive being stored and be copied
 * without loss.
 */
#include <stddef.h>
#include <stdint.h>

#include "longline/check.h"
#include "longline/mem.h"
#include "longline/model.h"

#define NOW_MS   INT64_C(1767225600000)
#define MEMORY   ((size_t)8 * 1024 * 1024)
#define MAX_BODY 65536

static void dump(const struct destination *d, struct buf *out)
{
    struct jw w;
    buf_init(out, MEMORY);
    jw_init(&w, out);
    destination_write_stored(&w, d, STR("c2VhbGVk"));
    jw_init(&w, out);
    destination_write_secrets(&w, d);
    jw_init(&w, out);
    destination_write(&w, d, &d->credentials, STR("target"), STR_NULL);
    LL_ASSERT(!out->failed);
}

static void assert_same(const struct destination *a, const struct destination *b)
{
    struct buf one;
    struct buf two;
    dump(a, &one);
    dump(b, &two);
    LL_ASSERT(str_eq(buf_str(&one), buf_str(&two)));
    buf_fini(&one);
    buf_fini(&two);
}

static void check_stored(const struct destination *d, struct arena *a)
{
    struct buf text;
    struct jw w;
    struct destination back;
    struct stored_secrets secrets;
    buf_init(&text, MEMORY);
    jw_init(&w, &text);
    destination_write_stored(&w, d, STR("c2VhbGVk"));
    int rc = destination_parse_stored(&back, &secrets, buf_str(&text), a);
    LL_ASSERT(rc == 0 || rc == ERR_TOO_BIG);
    buf_reset(&text);
    jw_init(&w, &text);
    destination_write_secrets(&w, d);
    if (rc == 0) {
        LL_ASSERT(secrets.with_config && str_eq(secrets.sealed, STR("c2VhbGVk")));
        rc = destination_parse_secrets(&back, true, buf_str(&text), a);
        LL_ASSERT(rc == 0 || rc == ERR_TOO_BIG);
    }
    buf_fini(&text);
    if (rc == 0) {
        assert_same(d, &back);
    }
}

static void check_accepted(struct destination *d, struct arena *a)
{
    LL_ASSERT(d->n_topics > 0 && d->n_topics <= MODEL_MAX_TOPICS);
    LL_ASSERT(d->id.n == 0 || model_id_valid(d->id));
    LL_ASSERT(d->type.n > 0);
    LL_ASSERT(d->created_ms <= NOW_MS && d->updated_ms <= NOW_MS && d->disabled_ms <= NOW_MS);
    LL_ASSERT(d->config.n <= MODEL_MAX_KV && d->credentials.n <= MODEL_MAX_KV);
    d->tenant_id = STR("acme");
    struct destination *copy = destination_copy(d);
    assert_same(d, copy);
    destination_free(copy);
    check_stored(d, a);
}

static void check_patch(yyjson_val *body, const struct model_caller *caller, struct arena *a)
{
    yyjson_doc *doc = json_parse(a,
                                 STR("{\"id\":\"d1\",\"type\":\"webhook\",\"topics\":[\"a\"],"
                                     "\"filter\":{\"topic\":\"a\"},\"config\":{\"url\":\"u\"},"
                                     "\"credentials\":{\"secret\":\"s\"}}"),
                                 NULL);
    struct destination old;
    struct destination d;
    struct problem p = {0};
    bool touched = false;
    if (doc == NULL) {
        return;
    }
    destination_parse_create(&old, yyjson_doc_get_root(doc), caller, a, &p);
    if (p.status != 0) {
        return;
    }
    destination_parse_patch(&d, &old, body, caller, &touched, a, &p);
    if (p.status == 0) {
        LL_ASSERT(str_eq(d.id, old.id) && str_eq(d.type, old.type));
        check_accepted(&d, a);
    }
}

static void check_tenant(yyjson_val *body, struct arena *a)
{
    struct tenant t = {.id = STR("acme")};
    struct problem p = {0};
    tenant_parse(&t, body, a, &p);
    if (p.status == 0) {
        struct tenant *copy = tenant_copy(&t);
        LL_ASSERT(copy->metadata.n == t.metadata.n);
        mem_free(copy);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct str topics[] = {{"order.created", 13}, {"order.updated", 13}};
    if (size == 0 || size > MAX_BODY) {
        return 0;
    }
    /* The length picks the rules, so that the input stays plain JSON. */
    const struct topic_rules rules = {
        .topics = topics, .n_topics = size % 2 * 2, .allow_wildcards = size % 3 == 0};
    const struct model_caller caller = {
        .is_admin = size % 5 != 0, .now_ms = NOW_MS, .topics = &rules};
    const struct model_caller lax = {.is_admin = true, .now_ms = NOW_MS};
    const struct str text = str_of((const char *)data, size);
    struct arena a;
    arena_init(&a, MEMORY);
    yyjson_doc *doc = json_parse(&a, text, NULL);
    if (doc != NULL) {
        struct destination d;
        struct problem p = {0};
        destination_parse_create(&d, yyjson_doc_get_root(doc), &caller, &a, &p);
        LL_ASSERT(p.n_items <= PROBLEM_MAX_ITEMS);
        if (p.status == 0) {
            check_accepted(&d, &a);
        }
        check_patch(yyjson_doc_get_root(doc), &lax, &a);
        check_tenant(yyjson_doc_get_root(doc), &a);
    }
    struct destination stored;
    struct tenant tenant;
    struct stored_secrets secrets;
    (void)!destination_parse_stored(&stored, &secrets, text, &a);
    (void)!destination_parse_secrets(&stored, size % 2 == 0, text, &a);
    (void)!tenant_parse_stored(&tenant, text, &a);
    arena_fini(&a);
    return 0;
}
