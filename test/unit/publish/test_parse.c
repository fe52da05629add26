/* SPDX-License-Identifier: Apache-2.0 */
/* The body of POST /publish: what is taken, what is refused and with which words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "longline/check.h"

#include "publish/parse.h"

#define T "\"tenant_id\":\"t\""
#define D "\"data\":{}"

static const struct str known[] = {{"order.created", 13}, {"user.created", 12}};
static const struct topic_rules any_topic;
static const struct topic_rules some_topics = {.topics = known, .n_topics = 2};

struct refusal {
    const char *body;
    bool topics; /* only the known ones */
    int status;
    const char *message;
    const char *items; /* joined by '|' */
};

static const struct refusal refusals[] = {
    {"", false, 422, "invalid JSON", ""},
    {"{", false, 422, "invalid JSON", ""},
    {"[]", false, 422, "invalid JSON", ""},
    {"null", false, 422, "invalid JSON", ""},
    {"\"x\"", false, 422, "invalid JSON", ""},
    {"{} {}", false, 422, "invalid JSON", ""},
    {"{}", false, 422, "validation error", "tenant_id is required|data is required"},
    {"{}", true, 422, "validation error",
     "tenant_id is required|topic is required|data is required"},
    {"{" T "}", false, 422, "validation error", "data is required"},
    {"{" T ",\"data\":null}", false, 422, "validation error", "data is required"},
    {"{" T ",\"data\":[]}", false, 422, "validation error", "data must be a valid JSON object"},
    {"{" T ",\"data\":\"{}\"}", false, 422, "validation error", "data must be a valid JSON object"},
    {"{" D "}", false, 422, "validation error", "tenant_id is required"},
    {"{\"tenant_id\":\"\"," D "}", false, 422, "validation error", "tenant_id is required"},
    {"{\"tenant_id\":\"a\\u0000\"," D "}", false, 422, "validation error",
     "tenant_id failed pattern validation"},
    {"{\"tenant_id\":1," D "}", false, 422, "invalid JSON", ""},
    {"{" T "," D ",\"id\":1}", false, 422, "invalid JSON", ""},
    {"{" T "," D ",\"id\":\"a b\"}", false, 422, "validation error",
     "id failed pattern validation"},
    {"{" T "," D ",\"id\":\".\"}", false, 422, "validation error", "id failed pattern validation"},
    {"{" T "," D ",\"id\":\"..\"}", false, 422, "validation error", "id failed pattern validation"},
    {"{\"tenant_id\":\"..\"," D "}", false, 422, "validation error",
     "tenant_id failed pattern validation"},
    {"{" T "," D ",\"id\":\"a\\n\"}", false, 422, "validation error",
     "id failed pattern validation"},
    {"{" T "," D ",\"id\":\"\xc3\xa4\"}", false, 422, "validation error",
     "id failed pattern validation"},
    {"{" T "," D ",\"destination_id\":{}}", false, 422, "invalid JSON", ""},
    {"{" T "," D ",\"topic\":true}", false, 422, "invalid JSON", ""},
    {"{" T "," D ",\"topic\":\"nope\"}", true, 422, "validation error", "topic is invalid"},
    {"{" T "," D ",\"topic\":\"\"}", true, 422, "validation error", "topic is required"},
    {"{" T "," D ",\"eligible_for_retry\":\"true\"}", false, 422, "invalid JSON", ""},
    {"{" T "," D ",\"metadata\":[]}", false, 422, "invalid JSON", ""},
    {"{" T "," D ",\"metadata\":{\"a\":1}}", false, 422, "invalid JSON", ""},
    {"{" T "," D ",\"metadata\":{\"a\":null,\"b\":1}}", false, 422, "invalid JSON", ""},
    {"{" T "," D ",\"time\":1}", false, 422, "invalid JSON", ""},
    {"{" T "," D ",\"time\":\"today\"}", false, 422,
     "time must be an RFC 3339 date, such as 2026-01-02T15:04:05Z", ""},
    {"{" T "," D ",\"time\":\"2026-02-30T00:00:00Z\"}", false, 422,
     "time must be an RFC 3339 date, such as 2026-01-02T15:04:05Z", ""},
    {"{" T "," D ",\"time\":\"2026-01-01t00:00:00Z\"}", false, 422,
     "time must be an RFC 3339 date, such as 2026-01-02T15:04:05Z", ""},
    {"{" T "," D ",\"time\":\"2026-01-01T00:00:00z\"}", false, 422,
     "time must be an RFC 3339 date, such as 2026-01-02T15:04:05Z", ""},
    {"{" T "," D ",\"time\":\"2026-01-01T00:00:60Z\"}", false, 422,
     "time must be an RFC 3339 date, such as 2026-01-02T15:04:05Z", ""},
    {"{" T "," D ",\"time\":\"9999-12-31T23:59:59-00:01\"}", false, 422,
     "time must be an RFC 3339 date, such as 2026-01-02T15:04:05Z", ""},
    {"{" T "," D ",\"data\":{\"a\":1}}", false, 422, "invalid JSON: a field stands twice", ""},
    {"{" T "," T "," D "}", false, 422, "invalid JSON: a field stands twice", ""},
    {"{" T "," D ",\"\\u0064ata\":{\"a\":1}}", false, 422, "invalid JSON: a field stands twice",
     ""},
};

static void assert_items(const struct problem *p, const char *row, const char *expected)
{
    char got[512] = "";
    size_t n = 0;
    for (size_t i = 0; i < p->n_items; i++) {
        n += (size_t)snprintf(got + n, sizeof(got) - n, "%s" STR_FMT, i > 0 ? "|" : "",
                              STR_ARG(p->items[i]));
    }
    if (strcmp(got, expected) != 0) {
        fail_msg("%s: \"%s\"", row, got);
    }
}

static void test_refusals(void **state)
{
    (void)state;
    for (size_t i = 0; i < LL_COUNT(refusals); i++) {
        const struct refusal *row = &refusals[i];
        struct arena a;
        struct publish_request rq;
        struct problem p = {0};
        arena_init(&a, 1u << 20);
        publish_parse(&rq, str_c(row->body), row->topics ? &some_topics : &any_topic, &a, &p);
        if (p.status != row->status || strcmp(p.message, row->message) != 0) {
            fail_msg("%s: %d %s", row->body, p.status, p.message);
        }
        assert_items(&p, row->body, row->items);
        arena_fini(&a);
    }
}

struct accepted {
    const char *body;
    bool topics;
    const char *id, *dest, *topic, *metadata, *data; /* id, dest: NULL when absent */
    bool no_retry;
    int64_t time_ms; /* 0: none */
};

static const struct accepted accepted_rows[] = {
    {"{" T "," D "}", false, NULL, NULL, "", "", "{}", false, 0},
    {" {\"data\" : { \"a\" : [1.0e+2, \"<\"] } , " T " } ", false, NULL, NULL, "", "",
     "{ \"a\" : [1.0e+2, \"<\"] }", false, 0},
    {"{" T "," D ",\"id\":\"evt_1.x\",\"destination_id\":\"d\",\"topic\":\"any thing\"}", false,
     "evt_1.x", "d", "any thing", "", "{}", false, 0},
    {"{" T "," D ",\"id\":\"\",\"destination_id\":\"\"}", false, NULL, NULL, "", "", "{}", false,
     0},
    {"{" T "," D ",\"id\":null,\"destination_id\":null,\"topic\":null,\"time\":null,"
     "\"metadata\":null,\"eligible_for_retry\":null}",
     false, NULL, NULL, "", "", "{}", false, 0},
    {"{" T "," D ",\"topic\":\"order.created\"}", true, NULL, NULL, "order.created", "", "{}",
     false, 0},
    {"{" T "," D ",\"topic\":\"*\"}", true, NULL, NULL, "*", "", "{}", false, 0},
    {"{" T "," D ",\"metadata\":{ \"a\":\"b\"},\"eligible_for_retry\":false}", false, NULL, NULL,
     "", "{ \"a\":\"b\"}", "{}", true, 0},
    {"{" T "," D ",\"metadata\":{ \"a\" : null, \"\\u0062\": \"\\u00e9\\n\", \"c\":null }}", false,
     NULL, NULL, "", "{\"a\":\"\",\"b\":\"\xc3\xa9\\n\",\"c\":\"\"}", "{}", false, 0},
    {"{" T "," D ",\"metadata\":{\"\":null}}", false, NULL, NULL, "", "{\"\":\"\"}", "{}", false,
     0},
    {"{" T "," D ",\"metadata\":{}}", false, NULL, NULL, "", "{}", "{}", false, 0},
    {"{" T "," D ",\"time\":\"2026-01-01T01:00:00.25+01:00\",\"unknown\":[1],\"unknown\":2}", false,
     NULL, NULL, "", "", "{}", false, INT64_C(1767225600250)},
    {"{" T "," D ",\"time\":\"9999-12-31T23:59:59.999Z\"}", false, NULL, NULL, "", "", "{}", false,
     INT64_C(253402300799999)},
    {"{" T "," D ",\"time\":\"0001-01-01T00:00:01Z\"}", false, NULL, NULL, "", "", "{}", false,
     INT64_C(-62135596799000)},
};

static void assert_text(const char *row, struct str got, const char *expected)
{
    if ((got.p == NULL) != (expected == NULL) || !str_eq(got, str_c(expected))) {
        fail_msg("%s: got \"" STR_FMT "\"", row, STR_ARG(got));
    }
}

static void test_accepted(void **state)
{
    (void)state;
    for (size_t i = 0; i < LL_COUNT(accepted_rows); i++) {
        const struct accepted *row = &accepted_rows[i];
        struct arena a;
        struct publish_request rq;
        struct problem p = {0};
        arena_init(&a, 1u << 20);
        publish_parse(&rq, str_c(row->body), row->topics ? &some_topics : &any_topic, &a, &p);
        assert_items(&p, row->body, "");
        assert_int_equal(p.status, 0);
        assert_text(row->body, rq.tenant_id, "t");
        assert_text(row->body, rq.id, row->id);
        assert_text(row->body, rq.destination_id, row->dest);
        assert_text(row->body, rq.topic, row->topic);
        assert_text(row->body, rq.metadata, row->metadata);
        assert_text(row->body, rq.data, row->data);
        assert_int_equal(rq.eligible_for_retry, !row->no_retry);
        assert_int_equal(rq.has_time, row->time_ms != 0);
        assert_int_equal(rq.time_ms, row->time_ms);
        assert_non_null(rq.data_val);
        assert_int_equal(rq.metadata_val != NULL, row->metadata[0] != '\0');
        arena_fini(&a);
    }
}

/* Whatever id a tenant may have, it can be published for. */
static void test_limits(void **state)
{
    (void)state;
    static const struct {
        const char *field;
        size_t n;
        const char *items;
    } rows[] = {
        {"id", 255, ""},        {"id", 256, "id failed pattern validation"},
        {"tenant_id", 255, ""}, {"tenant_id", 256, "tenant_id failed pattern validation"},
        {"topic", 255, ""},     {"topic", 256, "topic must be at most 255 characters"},
    };
    for (size_t i = 0; i < LL_COUNT(rows); i++) {
        char text[300];
        char body[600];
        struct arena a;
        struct publish_request rq;
        struct problem p = {0};
        memset(text, 'x', rows[i].n);
        text[rows[i].n] = '\0';
        (void)snprintf(body, sizeof(body), "{%s" D ",\"%s\":\"%s\"}",
                       strcmp(rows[i].field, "tenant_id") == 0 ? "" : T ",", rows[i].field, text);
        arena_init(&a, 1u << 20);
        publish_parse(&rq, str_c(body), &any_topic, &a, &p);
        assert_items(&p, rows[i].field, rows[i].items);
        arena_fini(&a);
    }
    struct arena a;
    struct publish_request rq;
    struct problem p = {0};
    const struct str body = STR("{\"tenant_id\":\"M\xc3\xbcller & Co\"," D "}");
    arena_init(&a, 1u << 20);
    publish_parse(&rq, body, &any_topic, &a, &p);
    assert_int_equal(p.status, 0);
    assert_true(model_id_valid(rq.tenant_id));
    arena_fini(&a);
    arena_init(&a, 64); /* no memory is a refusal, not a crash */
    p = (struct problem){0};
    publish_parse(&rq, body, &any_topic, &a, &p);
    assert_int_not_equal(p.status, 0);
    arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_accepted),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
