/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The formats on disk. The files in test/data/records/ must decode for ever. With --write DIR the
 * program writes those of the current version (for a new version; old files are never replaced).
 */
#include "fixture.h"

#include <stdio.h>
#include <string.h>

#include "longline/mem.h"
#include "store/record/record_internal.h"
#include "store/record/schema.h"

#define GOLDEN_MAX 65536

static const struct record_dest two_dests[] = {
    {.num = 1, .id = {.p = "des_one", .n = 7}},
    {.num = 0xfffffffe, .id = {.p = "des_two", .n = 7}},
};

static struct event_record event_v1(void)
{
    return (struct event_record){
        .seq = 42,
        .id = STR("evt_1"),
        .tenant_id = STR("tenant \xc3\xa4"),
        .topic = STR("order.created"),
        .time_ms = 1767225600123,
        .custom_id = true,
        .eligible_for_retry = false,
        .metadata = STR("{\"source\":\"test\"}"),
        .data = STR("{\"n\": 1.50}"),
        .n_dests = 2,
        .dests = two_dests,
    };
}

static struct event_record event_v1_empty(void)
{
    return (struct event_record){
        .seq = 43, .id = STR("e"), .time_ms = -1, .eligible_for_retry = true};
}

static struct attempt_record attempt_v1(void)
{
    return (struct attempt_record){
        .seq = 44,
        .event_seq = 42,
        .dest_num = 7,
        .event_id = STR("evt_1"),
        .tenant_id = STR("tenant"),
        .dest_id = STR("des_one"),
        .dest_type = STR("webhook"),
        .topic = STR("order.created"),
        .number = 3,
        .manual = true,
        .final = false,
        .status = ATTEMPT_FAILED,
        .time_ms = 1767225601000,
        .next_at_ms = 1767225661000,
        .duration_us = 1234567,
        .http_status = 503,
        .code = STR("503"),
        .error = STR("the receiver answered 503"),
        .response = STR("busy"),
        .response_truncated = true,
    };
}

static struct retry_record retry_v2(void)
{
    return (struct retry_record){
        .number = 4, .next_at_ms = 1767225661000, .due_age_ms = 86400123, .manual = true};
}

static void same_event(const struct event_record *a, const struct event_record *b)
{
    assert_int_equal(a->seq, b->seq);
    assert_true(str_eq(a->id, b->id) && str_eq(a->tenant_id, b->tenant_id));
    assert_true(str_eq(a->topic, b->topic) && str_eq(a->metadata, b->metadata));
    assert_true(str_eq(a->data, b->data));
    assert_int_equal(a->time_ms, b->time_ms);
    assert_int_equal(a->custom_id, b->custom_id);
    assert_int_equal(a->eligible_for_retry, b->eligible_for_retry);
    assert_int_equal(a->n_dests, b->n_dests);
    for (size_t i = 0; i < a->n_dests; i++) {
        assert_int_equal(a->dests[i].num, b->dests[i].num);
        assert_true(str_eq(a->dests[i].id, b->dests[i].id));
    }
}

static void same_attempt(const struct attempt_record *a, const struct attempt_record *b)
{
    assert_int_equal(a->seq, b->seq);
    assert_int_equal(a->event_seq, b->event_seq);
    assert_int_equal(a->dest_num, b->dest_num);
    assert_true(str_eq(a->event_id, b->event_id) && str_eq(a->tenant_id, b->tenant_id));
    assert_true(str_eq(a->dest_id, b->dest_id) && str_eq(a->dest_type, b->dest_type));
    assert_true(str_eq(a->topic, b->topic) && str_eq(a->code, b->code));
    assert_true(str_eq(a->error, b->error) && str_eq(a->response, b->response));
    assert_int_equal(a->number, b->number);
    assert_int_equal(a->manual, b->manual);
    assert_int_equal(a->final, b->final);
    assert_int_equal(a->status, b->status);
    assert_int_equal(a->time_ms, b->time_ms);
    assert_int_equal(a->next_at_ms, b->next_at_ms);
    assert_int_equal(a->duration_us, b->duration_us);
    assert_int_equal(a->http_status, b->http_status);
    assert_int_equal(a->response_truncated, b->response_truncated);
}

static struct str read_golden(const char *name, char *out)
{
    char path[200];
    size_t n;
    FILE *f;
    (void)snprintf(path, sizeof(path), "test/data/records/%s", name);
    f = fopen(path, "rb");
    if (f == NULL) {
        fail_msg("%s is missing", path);
    }
    n = fread(out, 1, GOLDEN_MAX, f);
    (void)fclose(f);
    return str_of(out, n);
}

/* Of an old version: read, and not written any more. */
static void golden_event(const char *name, struct event_record want, bool is_old)
{
    static char bytes[GOLDEN_MAX];
    const struct str file = read_golden(name, bytes);
    struct event_record got;
    struct arena a;
    struct blob *b = event_encode(&want, SIZE_MAX);

    arena_init(&a, GOLDEN_MAX);
    assert_int_equal(event_decode(&got, want.seq, file, &a), 0);
    same_event(&got, &want);
    assert_int_equal(str_eq(file, str_of((const char *)b->p, b->n)), !is_old);
    /* The checksum covers the key from version 2 on. */
    assert_int_equal(event_decode(&got, want.seq + 1, file, &a), is_old ? 0 : ERR_CORRUPT);
    blob_unref(b);
    arena_fini(&a);
}

static void golden_attempt(const char *name, bool is_old)
{
    static char bytes[GOLDEN_MAX];
    const struct attempt_record want = attempt_v1();
    const struct str file = read_golden(name, bytes);
    struct attempt_record got;
    struct buf b;

    assert_int_equal(attempt_decode(&got, want.seq, file), 0);
    same_attempt(&got, &want);
    buf_init(&b, GOLDEN_MAX);
    assert_int_equal(attempt_encode(&b, &want), 0);
    assert_int_equal(str_eq(file, buf_str(&b)), !is_old);
    assert_int_equal(attempt_decode(&got, want.seq + 1, file), is_old ? 0 : ERR_CORRUPT);
    buf_fini(&b);
}

static void check_retry(const char *name, int64_t due_age_ms)
{
    static char bytes[GOLDEN_MAX];
    const struct retry_record want = retry_v2();
    const struct str file = read_golden(name, bytes);
    struct retry_record got = {0};

    assert_int_equal(retry_decode(&got, file), 0);
    assert_int_equal(got.number, want.number);
    assert_int_equal(got.next_at_ms, want.next_at_ms);
    assert_int_equal(got.manual, want.manual);
    assert_int_equal(got.due_age_ms, due_age_ms);
}

static void test_golden_retry(void **state)
{
    static char bytes[GOLDEN_MAX];
    const struct retry_record rt = retry_v2();
    const struct str file = read_golden("retry_v2.bin", bytes);
    unsigned char out[RETRY_PAYLOAD];
    struct retry_record got;

    (void)state;
    check_retry("retry_v1.bin", RETRY_NO_AGE);
    check_retry("retry_v2.bin", rt.due_age_ms);
    retry_encode(out, &rt);
    assert_true(str_eq(file, str_of((const char *)out, sizeof(out))));
    for (size_t n = 0; n < RETRY_PAYLOAD; n++) {
        assert_int_equal(retry_decode(&got, str_of((const char *)out, n)),
                         n == RETRY_PAYLOAD_V1 ? 0 : ERR_CORRUPT);
    }
}

static void test_golden(void **state)
{
    (void)state;
    golden_event("event_v1.bin", event_v1(), true);
    golden_event("event_v1_empty.bin", event_v1_empty(), true);
    golden_attempt("attempt_v1.bin", true);
    golden_event("event_v2.bin", event_v1(), false);
    golden_event("event_v2_empty.bin", event_v1_empty(), false);
    golden_attempt("attempt_v2.bin", false);
}

/* Sealed values: of version 1 under any key, of version 2 only where they were put. */
static void test_sealed(void **state)
{
    const struct str key = STR("low");
    unsigned char value[SEAL_BYTES + 8] = {0};
    char old[SEAL_BYTES + 8] = {1};
    const struct str v = str_of((const char *)value, sizeof(value));
    struct str payload;

    (void)state;
    memcpy(value + SEAL_BYTES, "12345678", 8);
    value_seal(value, sizeof(value), "mt", key);
    assert_int_equal(value_open(v, "mt", key, &payload), 0);
    assert_true(str_eq(payload, STR("12345678")));
    assert_int_equal(value_open(v, "cf", key, &payload), ERR_CORRUPT);
    assert_int_equal(value_open(v, "mt", STR("lox"), &payload), ERR_CORRUPT);
    value[0] = 3;
    assert_int_equal(value_open(v, "mt", key, &payload), ERR_VERSION);
    memcpy(old + SEAL_BYTES, "12345678", 8);
    put_be32(old + 1, 0x6087809aU); /* of "12345678", as version 1 wrote it */
    assert_int_equal(value_open(str_of(old, sizeof(old)), "mt", key, &payload), 0);
    assert_int_equal(value_open(str_of(old, sizeof(old)), "cf", STR("x"), &payload), 0);
    assert_true(str_eq(payload, STR("12345678")));
    old[SEAL_BYTES] = '0';
    assert_int_equal(value_open(str_of(old, sizeof(old)), "mt", key, &payload), ERR_CORRUPT);
}

/* Every truncation and every flipped bit is noticed. */
static void test_damage(void **state)
{
    const struct event_record event = event_v1();
    const struct attempt_record attempt = attempt_v1();
    struct blob *e = event_encode(&event, SIZE_MAX);
    struct event_record event_out;
    struct attempt_record attempt_out;
    struct arena a;
    struct buf b;

    (void)state;
    arena_init(&a, GOLDEN_MAX);
    buf_init(&b, GOLDEN_MAX);
    assert_int_equal(attempt_encode(&b, &attempt), 0);
    for (size_t n = 0; n < e->n; n++) {
        char *copy = mem_alloc(n + 1); /* exactly n, for the sanitizer */
        memcpy(copy, e->p, n);
        assert_true(event_decode(&event_out, event.seq, str_of(copy, n), &a) < 0);
        mem_free(copy);
    }
    for (size_t i = 0; i < e->n * 8; i++) {
        e->p[i / 8] ^= (unsigned char)(1U << i % 8);
        assert_true(event_decode(&event_out, event.seq, str_of((char *)e->p, e->n), &a) < 0);
        e->p[i / 8] ^= (unsigned char)(1U << i % 8);
    }
    for (size_t n = 0; n < b.n; n++) {
        assert_true(attempt_decode(&attempt_out, attempt.seq, str_of(b.p, n)) < 0);
    }
    for (size_t i = 0; i < b.n * 8; i++) {
        b.p[i / 8] = (char)(b.p[i / 8] ^ (1 << i % 8));
        assert_true(attempt_decode(&attempt_out, attempt.seq, buf_str(&b)) < 0);
        b.p[i / 8] = (char)(b.p[i / 8] ^ (1 << i % 8));
    }
    assert_int_equal(event_decode(&event_out, event.seq, str_of((char *)e->p, e->n), &a), 0);
    e->p[0] = 3;
    assert_int_equal(event_decode(&event_out, event.seq, str_of((char *)e->p, e->n), &a),
                     ERR_VERSION);
    buf_fini(&b);
    arena_fini(&a);
    blob_unref(e);
}

static void test_limits(void **state)
{
    static char text[70000];
    static struct record_dest dests[RECORD_MAX_DESTS + 1];
    struct event_record e = event_v1();
    struct event_record out;
    struct attempt_record at = attempt_v1();
    struct arena a;
    struct blob *b;
    struct buf buf;

    (void)state;
    e.seq = 1;
    e.dests = dests;
    e.n_dests = RECORD_MAX_DESTS + 1;
    assert_null(event_encode(&e, SIZE_MAX));
    e.n_dests = RECORD_MAX_DESTS;
    b = event_encode(&e, SIZE_MAX);
    assert_non_null(b);
    assert_null(event_encode(&e, b->n - 1));
    arena_init(&a, 4096);
    assert_int_equal(event_decode(&out, 1, str_of((char *)b->p, b->n), &a), ERR_TOO_BIG);
    arena_fini(&a);
    assert_int_equal(event_decode_head(&out, 1, str_of((char *)b->p, b->n - e.data.n), NULL), 0);
    assert_int_equal(out.n_dests, RECORD_MAX_DESTS);
    assert_int_equal(out.data.n, 0);
    blob_unref(b);
    e.n_dests = 0;
    e.topic = str_of(text, 65536);
    assert_null(event_encode(&e, SIZE_MAX));
    at.error = str_of(text, 65536);
    buf_init(&buf, 200000);
    assert_int_equal(attempt_encode(&buf, &at), ERR_TOO_BIG);
    at.error = STR("");
    at.response = str_of(text, sizeof(text));
    assert_int_equal(attempt_encode(&buf, &at), 0);
    buf_fini(&buf);
}

static int write_file(const char *dir, const char *name, struct str bytes)
{
    char path[300];
    FILE *f;
    size_t n;
    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    f = fopen(path, "wb");
    if (f == NULL) {
        return 1;
    }
    n = fwrite(bytes.p, 1, bytes.n, f);
    return fclose(f) == 0 && n == bytes.n ? 0 : 1;
}

static int write_golden(const char *dir)
{
    const struct event_record events[] = {event_v1(), event_v1_empty()};
    static const char *const names[] = {"event_v2.bin", "event_v2_empty.bin"};
    const struct attempt_record at = attempt_v1();
    const struct retry_record rt = retry_v2();
    unsigned char retry[RETRY_PAYLOAD];
    struct buf buf;
    int rc = 0;
    for (size_t i = 0; i < 2; i++) {
        struct blob *b = event_encode(&events[i], SIZE_MAX);
        rc |= write_file(dir, names[i], str_of((const char *)b->p, b->n));
        blob_unref(b);
    }
    buf_init(&buf, GOLDEN_MAX);
    retry_encode(retry, &rt);
    rc |= write_file(dir, "retry_v2.bin", str_of((const char *)retry, sizeof(retry)));
    rc |= attempt_encode(&buf, &at) != 0 || write_file(dir, "attempt_v2.bin", buf_str(&buf)) != 0;
    buf_fini(&buf);
    return rc;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden), cmocka_unit_test(test_golden_retry),
        cmocka_unit_test(test_sealed), cmocka_unit_test(test_damage),
        cmocka_unit_test(test_limits),
    };
    if (argc == 3 && strcmp(argv[1], "--write") == 0) {
        return write_golden(argv[2]);
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
