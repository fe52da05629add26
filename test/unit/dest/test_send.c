/* SPDX-License-Identifier: Apache-2.0 */
/* Attempts over real connections: what the endpoint receives, byte for byte. */
#include "outbound.h"

#include <stdio.h>

#include "longline/mem.h"

#include "dest/webhook/webhook.h"
#include "test_wait.h"

#define NOW_MS   INT64_C(1767225600000) /* 2026-01-01T00:00:00Z */
#define NEW_TEXT "whsec_0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define OLD_TEXT "whsec_ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
#define V1_TEXT  "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define SIG_NEW  "e9e09be283ceef94a20dbd562a83a3840953c72f84febca13483d91cd0855de5"
#define SIG_OLD  "1916580f460bb39017f94fe6176847ea76ee54c6b489a4ab795838e056403c52"
#define SIG_V1   "v1,h9eVtrnyKk4Hb/bgHMTueIFOXiKXUzApnmGzc1fm5S4="

struct fx {
    struct loop *loop;
    struct outbound out;
    char url[96];
    struct kv config[3];
    struct kv credentials[3];
    struct kv metadata[8];
    struct destination dest;
    struct event_record event;
    /* The outcome of the last attempt. */
    int n_done;
    bool is_done;
    struct dest_outcome o;
    char code[32], error[256], response[2048];
};

static int setup(void **state)
{
    struct fx *f = mem_zalloc(sizeof(*f));
    assert_int_equal(loop_open(&f->loop, NULL), 0);
    ob_open(&f->out, f->loop);
    ob_url(&f->out, f->url, "/hook?a=b");
    f->config[0] = (struct kv){STR("url"), str_c(f->url)};
    f->credentials[0] = (struct kv){STR("secret"), STR(NEW_TEXT)};
    f->dest = (struct destination){.num = 1,
                                   .id = STR("d1"),
                                   .tenant_id = STR("acme"),
                                   .type = STR("webhook"),
                                   .config = {1, f->config},
                                   .credentials = {1, f->credentials}};
    f->event = (struct event_record){.id = STR("evt_1"),
                                     .tenant_id = STR("acme"),
                                     .topic = STR("order.created"),
                                     .metadata = STR("{\"source\":\"web\"}"),
                                     .data = STR("{\"order_id\":\"ord_1\",\"amount\":1500}")};
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fx *f = *state;
    ob_close(&f->out);
    loop_close_handles(f->loop);
    loop_free(f->loop);
    mem_free(f);
    return 0;
}

static void on_done(void *ctx, const struct dest_outcome *o)
{
    struct fx *f = ctx;
    f->n_done++;
    f->is_done = true;
    f->o = *o;
    (void)snprintf(f->code, sizeof(f->code), STR_FMT, STR_ARG(o->code));
    (void)snprintf(f->error, sizeof(f->error), STR_FMT, STR_ARG(o->error));
    (void)snprintf(f->response, sizeof(f->response), STR_FMT, STR_ARG(o->response));
}

static struct dest_endpoint *open_endpoint(struct fx *f)
{
    struct err_detail err = {0};
    struct dest_endpoint *ep = webhook_driver.open(&f->out.env, &f->dest, &err);
    if (ep == NULL) {
        fail_msg("open: %s", err.msg);
    }
    assert_ptr_equal(ep->driver, &webhook_driver);
    return ep;
}

static struct dest_send *start(struct fx *f, struct dest_endpoint *ep, struct err_detail *err)
{
    const struct dest_attempt at = {
        .event = &f->event, .dest_id = f->dest.id, .number = 1, .now_wall_ms = NOW_MS};
    f->is_done = false;
    return webhook_driver.send(&f->out.env, ep, &at, on_done, f, err);
}

/* One attempt from open to close; the last request received. */
static const struct hit *attempt(struct fx *f)
{
    struct err_detail err = {0};
    struct dest_endpoint *ep = open_endpoint(f);
    const int before = f->n_done;
    if (start(f, ep, &err) == NULL) {
        fail_msg("send: %s", err.msg);
    }
    assert_int_equal(f->n_done, before); /* never before send returned */
    assert_true(wait_flag(f->loop, &f->is_done, OB_DEADLINE_MS));
    webhook_driver.close(ep);
    return f->out.n_hits != 0 ? &f->out.hits[f->out.n_hits - 1] : NULL;
}

static void give_previous(struct fx *f, const char *until)
{
    f->credentials[1] = (struct kv){STR("previous_secret"), STR(OLD_TEXT)};
    f->credentials[2] = (struct kv){STR("previous_secret_invalid_at"), str_c(until)};
    f->dest.credentials.n = 3;
}

static void give_headers(struct fx *f, const char *json)
{
    f->config[1] = (struct kv){STR("custom_headers"), str_c(json)};
    f->dest.config.n = 2;
}

static void give_metadata(struct fx *f, const char *key, const char *value)
{
    f->dest.delivery_metadata.v = f->metadata;
    f->metadata[f->dest.delivery_metadata.n++] = (struct kv){str_c(key), str_c(value)};
}

static size_t count_headers(const struct hit *h, const char *name)
{
    size_t n = 0;
    for (size_t i = 0; i < h->n_headers; i++) {
        n += str_eq_ci(h->headers[i].name, str_c(name));
    }
    return n;
}

static void test_golden_during_rotation(void **state)
{
    struct fx *f = *state;
    give_previous(f, "2026-01-02T00:00:00Z");
    const struct hit *h = attempt(f);
    assert_true(f->o.success);
    assert_string_equal(f->code, "200");
    assert_string_equal(f->error, "");
    assert_string_equal(f->response, "ok");
    assert_int_equal(f->o.http_status, 200);
    assert_true(f->o.duration_us > 0);
    assert_str(h->target, "/hook?a=b");
    assert_str(h->body, "{\"order_id\":\"ord_1\",\"amount\":1500}");
    assert_str(hit_header(h, "content-type"), "application/json");
    assert_str(hit_header(h, "user-agent"), "Longline");
    assert_str(hit_header(h, "x-outpost-event-id"), "evt_1");
    assert_str(hit_header(h, "x-outpost-timestamp"), "2026-01-01T00:00:00Z");
    assert_str(hit_header(h, "x-outpost-topic"), "order.created");
    assert_str(hit_header(h, "x-outpost-source"), "web");
    assert_str(hit_header(h, "x-outpost-signature"), "v0=" SIG_NEW "," SIG_OLD);
    assert_str(hit_header(h, "content-length"), "34");
    assert_int_equal(h->n_headers, 9); /* those and Host: nothing else */
    assert_true(hit_header(h, "host").p != NULL);
}

/* The previous secret signs until its time is over, not at it; a damaged time is no time. */
static void test_end_of_rotation(void **state)
{
    struct fx *f = *state;
    static const struct {
        const char *until;
        bool both;
    } rows[] = {
        {"2026-01-01T00:00:00.001Z", true},
        {"2026-01-01T00:00:00Z", false},
        {"2025-12-31T23:59:59Z", false},
        {"never", false},
    };
    for (size_t i = 0; i < LL_COUNT(rows); i++) {
        give_previous(f, rows[i].until);
        assert_str(hit_header(attempt(f), "x-outpost-signature"),
                   rows[i].both ? "v0=" SIG_NEW "," SIG_OLD : "v0=" SIG_NEW);
    }
}

static void test_mode_standard(void **state)
{
    struct fx *f = *state;
    f->out.webhook.mode = WEBHOOK_MODE_STANDARD;
    f->credentials[0].value = STR(V1_TEXT);
    const struct hit *h = attempt(f);
    assert_str(hit_header(h, "webhook-id"), "evt_1");
    assert_str(hit_header(h, "webhook-timestamp"), "1767225600");
    assert_str(hit_header(h, "webhook-signature"), SIG_V1);
    assert_str(hit_header(h, "webhook-topic"), "order.created");
    assert_str(hit_header(h, "webhook-source"), "web");
    assert_null(hit_header(h, "x-outpost-signature").p);
    assert_null(hit_header(h, "x-outpost-topic").p);
    assert_str(hit_header(h, "source"), "web"); /* and without prefix */
    give_previous(f, "2026-01-02T00:00:00Z");
    h = attempt(f);
    const struct str both = hit_header(h, "webhook-signature");
    assert_true(str_starts(both, STR(SIG_V1 " v1,")));
    assert_int_equal(both.n, 2 * (sizeof(SIG_V1) - 1) + 1);
}

static void test_mode_both(void **state)
{
    struct fx *f = *state;
    f->out.webhook.mode = WEBHOOK_MODE_BOTH;
    f->credentials[0].value = STR(V1_TEXT);
    const struct hit *h = attempt(f);
    assert_str(hit_header(h, "webhook-signature"), SIG_V1);
    assert_str(hit_header(h, "webhook-id"), "evt_1");
    assert_str(hit_header(h, "webhook-timestamp"), "1767225600");
    assert_str(hit_header(h, "x-outpost-event-id"), "evt_1");
    assert_str(hit_header(h, "x-outpost-topic"), "order.created");
    struct sign_key key;
    assert_int_equal(sign_key_from_secret(&key, SIGN_MODE_DEFAULT, STR(V1_TEXT)), 0);
    assert_int_equal(sign_default_verify(&key, 1, h->body, hit_header(h, "x-outpost-signature")),
                     0);
}

/* Outpost sends the event's metadata with and without prefix; the destination's with it only. What
 * frames the message, names us or signs is not to be had in either way. */
static void test_bare_metadata(void **state)
{
    struct fx *f = *state;
    static const int modes[] = {WEBHOOK_MODE_STANDARD, WEBHOOK_MODE_BOTH};
    give_headers(f, "{\"Own\":\"custom\",\"Mk\":\"custom\"}");
    give_metadata(f, "dk", "delivery");
    f->credentials[0].value = STR(V1_TEXT);
    f->event.metadata =
        STR("{\"Mk\":\"mv\",\"host\":\"evil\",\"Content-Type\":\"evil\",\"user-agent\":\"evil\","
            "\"content-length\":\"1\",\"webhook-id\":\"evil\",\"Webhook-Signature\":\"evil\","
            "\"webhook-timestamp\":\"1\",\"x-outpost-signature\":\"evil\",\"no name\":\"x\"}");
    for (size_t i = 0; i < LL_COUNT(modes); i++) {
        f->out.webhook.mode = modes[i];
        const bool standard = modes[i] == WEBHOOK_MODE_STANDARD;
        const struct hit *h = attempt(f);
        assert_true(f->o.success);
        assert_str(hit_header(h, "mk"), "mv");
        assert_str(hit_header(h, standard ? "webhook-mk" : "x-outpost-mk"), "mv");
        assert_str(hit_header(h, standard ? "webhook-dk" : "x-outpost-dk"), "delivery");
        assert_null(hit_header(h, "dk").p);
        assert_str(hit_header(h, "own"), "custom");
        assert_str(hit_header(h, "content-type"), "application/json");
        assert_str(hit_header(h, "user-agent"), "Longline");
        assert_str(hit_header(h, "content-length"), "34");
        assert_str(hit_header(h, "webhook-id"), "evt_1");
        assert_str(hit_header(h, "webhook-timestamp"), "1767225600");
        assert_str(hit_header(h, "webhook-signature"), SIG_V1);
        assert_false(str_eq(hit_header(h, "host"), STR("evil")));
        for (size_t j = 0; j < h->n_headers; j++) {
            char name[64];
            (void)snprintf(name, sizeof(name), STR_FMT, STR_ARG(h->headers[j].name));
            assert_int_equal(count_headers(h, name), 1);
        }
    }
    f->out.webhook.mode = WEBHOOK_MODE_DEFAULT;
    f->dest.config.n = 1;
    assert_null(hit_header(attempt(f), "mk").p);
}

/* What fits once is sent once: the second copy never costs an event its delivery. */
static void test_bare_metadata_gives_way(void **state)
{
    struct fx *f = *state;
    const size_t room = 40000;
    char *text = mem_alloc(room);
    const int n = snprintf(text, room, "{\"big\":\"%030000d\",\"small\":\"1\"}", 7);
    f->out.webhook.mode = WEBHOOK_MODE_STANDARD;
    f->credentials[0].value = STR(V1_TEXT);
    f->event.metadata = str_of(text, (size_t)n);
    const struct hit *h = attempt(f);
    assert_true(f->o.success);
    assert_int_equal(hit_header(h, "webhook-big").n, 30000);
    assert_null(hit_header(h, "big").p);
    assert_str(hit_header(h, "webhook-small"), "1");
    assert_str(hit_header(h, "small"), "1");
    mem_free(text);
}

/* Custom < system < delivery_metadata < event metadata; nothing replaces what identifies us. */
static void test_precedence(void **state)
{
    struct fx *f = *state;
    give_headers(f, "{\"X-Outpost-Topic\":\"custom\",\"X-Outpost-Timestamp\":\"custom\","
                    "\"X-Outpost-A\":\"custom\",\"X-Outpost-B\":\"custom\",\"Own\":\"custom\","
                    "\"x-outpost-signature\":\"custom\"}");
    give_metadata(f, "a", "delivery");
    give_metadata(f, "b", "delivery");
    give_metadata(f, "event-id", "delivery");
    give_metadata(f, "Signature", "delivery");
    f->event.metadata = STR("{\"b\":\"event\",\"topic\":\"event\",\"signature\":\"event\"}");
    const struct hit *h = attempt(f);
    assert_str(hit_header(h, "own"), "custom");
    assert_str(hit_header(h, "x-outpost-a"), "delivery");
    assert_str(hit_header(h, "x-outpost-b"), "event");
    assert_str(hit_header(h, "x-outpost-topic"), "event");
    assert_str(hit_header(h, "x-outpost-event-id"), "delivery");
    assert_str(hit_header(h, "x-outpost-timestamp"), "2026-01-01T00:00:00Z");
    assert_str(hit_header(h, "x-outpost-signature"), "v0=" SIG_NEW);
    for (size_t i = 0; i < h->n_headers; i++) {
        char name[64];
        (void)snprintf(name, sizeof(name), STR_FMT, STR_ARG(h->headers[i].name));
        assert_int_equal(count_headers(h, name), 1);
    }
}

static void test_unfit_metadata_is_left_out(void **state)
{
    struct fx *f = *state;
    give_metadata(f, "de livery", "x");
    give_metadata(f, "nl", "a\nb: c");
    give_metadata(f, "fine", "1");
    f->event.topic = STR("order\r\nX-Evil: 1");
    f->event.metadata = STR("{\"sp ace\":\"x\",\"col:on\":\"x\",\"crlf\":\"a\\r\\nb\","
                            "\"nul\":\"a\\u0000b\",\"good\":\"\xc3\xa4\",\"empty\":\"\"}");
    const struct hit *h = attempt(f);
    assert_true(f->o.success);
    assert_str(hit_header(h, "x-outpost-fine"), "1");
    assert_str(hit_header(h, "x-outpost-good"), "\xc3\xa4");
    assert_str(hit_header(h, "x-outpost-empty"), "");
    assert_null(hit_header(h, "x-outpost-topic").p);
    assert_null(hit_header(h, "x-outpost-nl").p);
    assert_null(hit_header(h, "x-outpost-crlf").p);
    assert_null(hit_header(h, "x-outpost-nul").p);
    assert_null(hit_header(h, "x-evil").p);
    /* Host, content-type, user-agent, content-length; event-id, timestamp, signature; the three. */
    assert_int_equal(h->n_headers, 10);
}

/* With no prefix, metadata must not frame the message or speak for us. */
static void test_no_prefix(void **state)
{
    struct fx *f = *state;
    (void)snprintf(f->out.prefix, sizeof(f->out.prefix), " ");
    give_metadata(f, "host", "evil");
    give_metadata(f, "user-agent", "evil");
    give_metadata(f, "mine", "1");
    f->event.metadata = STR("{\"content-length\":\"1\",\"transfer-encoding\":\"chunked\","
                            "\"Connection\":\"close\",\"content-type\":\"text/plain\","
                            "\"signature\":\"evil\",\"other\":\"2\"}");
    const struct hit *h = attempt(f);
    assert_true(f->o.success);
    assert_str(hit_header(h, "mine"), "1");
    assert_str(hit_header(h, "other"), "2");
    assert_str(hit_header(h, "event-id"), "evt_1");
    assert_str(hit_header(h, "topic"), "order.created");
    assert_str(hit_header(h, "signature"), "v0=" SIG_NEW);
    assert_str(hit_header(h, "content-type"), "application/json");
    assert_str(hit_header(h, "user-agent"), "Longline");
    assert_str(h->body, "{\"order_id\":\"ord_1\",\"amount\":1500}");
}

static void test_own_prefix(void **state)
{
    struct fx *f = *state;
    (void)snprintf(f->out.prefix, sizeof(f->out.prefix), "X-Acme-");
    const struct hit *h = attempt(f);
    assert_str(hit_header(h, "x-acme-event-id"), "evt_1");
    assert_str(hit_header(h, "x-acme-signature"), "v0=" SIG_NEW);
    assert_str(hit_header(h, "x-acme-source"), "web");
}

/* White space, escapes, order and spelling of numbers all survive; so does a large body. */
static void test_body_is_byte_exact(void **state)
{
    struct fx *f = *state;
    static const char text[] = "{ \"b\" : 1.0e+2,\r\n\t\"a\":\"<\\u00e4\xc3\xa4>\",\"a\":null }";
    f->event.data = STR(text);
    const struct hit *h = attempt(f);
    assert_true(str_eq(h->body, STR(text)));
    const size_t n = 3u << 20;
    char *big = mem_alloc(n);
    memset(big, 'x', n);
    big[0] = '"';
    big[n - 1] = '"';
    f->event.data = str_of(big, n);
    h = attempt(f);
    assert_true(f->o.success);
    assert_true(str_eq(h->body, f->event.data));
    struct sign_key key;
    assert_int_equal(sign_key_from_secret(&key, SIGN_MODE_DEFAULT, STR(NEW_TEXT)), 0);
    assert_int_equal(sign_default_verify(&key, 1, h->body, hit_header(h, "x-outpost-signature")),
                     0);
    mem_free(big);
}

static void test_outcomes(void **state)
{
    struct fx *f = *state;
    static const struct ob_reply script[] = {
        {.status = 503, .body = "busy", .retry_after = "7"}, {.status = 410}, {.status = 302}};
    ob_script(&f->out, script, LL_COUNT(script));
    (void)attempt(f);
    assert_false(f->o.success);
    assert_string_equal(f->code, "503");
    assert_string_equal(f->response, "busy");
    assert_true(f->o.overload);
    assert_int_equal(f->o.retry_after_ms, 7000);
    (void)attempt(f);
    assert_true(f->o.gone);
    (void)attempt(f);
    assert_string_equal(f->code, "302");
    assert_false(f->o.success);
    assert_int_equal(f->out.n_hits, 3); /* not followed */
    char closed_port[] = "http://127.0.0.1:1/";
    f->config[0].value = str_c(closed_port);
    (void)attempt(f);
    assert_string_equal(f->code, "connection_refused");
    assert_true(f->o.unreachable);
    f->out.policy.allow_loopback = false;
    f->out.policy.version++;
    f->config[0].value = str_c(f->url);
    (void)attempt(f);
    assert_string_equal(f->code, "blocked_address");
    assert_true(f->o.blocked);
    assert_int_equal(f->out.n_hits, 3);
}

static void test_cancel(void **state)
{
    struct fx *f = *state;
    static const struct ob_reply hold[] = {{.status = 0}};
    ob_script(&f->out, hold, 1);
    struct dest_endpoint *ep = open_endpoint(f);
    for (int turns = 0; turns < 12; turns++) {
        struct err_detail err = {0};
        struct dest_send *s = start(f, ep, &err);
        assert_non_null(s);
        for (int i = 0; i < turns; i++) {
            (void)loop_turn(f->loop, false);
        }
        webhook_driver.cancel(s);
        wait_ms(f->loop, 2);
        assert_int_equal(f->n_done, 0);
    }
    webhook_driver.close(ep);
}

static void test_unfit_events(void **state)
{
    struct fx *f = *state;
    struct err_detail err = {0};
    char *big = mem_alloc(60000);
    char *many = mem_alloc(400000);
    struct dest_endpoint *ep = open_endpoint(f);
    size_t n = (size_t)snprintf(big, 60000, "{\"a\":\"%050000d\"}", 1);
    f->event.metadata = str_of(big, n);
    assert_null(start(f, ep, &err));
    assert_string_equal(err.msg, "the event's headers are too long");
    n = (size_t)snprintf(many, 400000, "{\"a\":\"%0390000d\"}", 1);
    f->event.metadata = str_of(many, n);
    assert_null(start(f, ep, &err));
    assert_string_equal(err.msg, "the event's headers are too long");
    mem_free(big);
    mem_free(many);
    f->event.metadata = STR("");
    f->out.webhook.mode = WEBHOOK_MODE_BOTH;
    f->event.id = STR("a.b");
    assert_null(start(f, ep, &err));
    assert_string_equal(err.msg, "an event id with a dot cannot be signed in mode standard");
    wait_ms(f->loop, 2);
    assert_int_equal(f->n_done, 0);
    webhook_driver.close(ep);
}

/* More metadata than there is room for: the request still goes out, signed. */
static void test_many_metadata(void **state)
{
    struct fx *f = *state;
    char text[4096] = "{";
    size_t n = 1;
    for (int i = 0; i < 200; i++) {
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s\"k%d\":\"%d\"", i > 0 ? "," : "", i,
                              i);
    }
    text[n++] = '}';
    f->event.metadata = str_of(text, n);
    const struct hit *h = attempt(f);
    assert_true(f->o.success);
    assert_str(hit_header(h, "x-outpost-k0"), "0");
    assert_str(hit_header(h, "x-outpost-topic"), "order.created");
    assert_str(hit_header(h, "x-outpost-signature"), "v0=" SIG_NEW);
}

static void test_damaged_destinations(void **state)
{
    struct fx *f = *state;
    static const struct {
        const char *url, *secret, *headers, *starts;
    } rows[] = {
        {"", "s", "", "config.url: "},
        {"nonsense", "s", "", "config.url: "},
        {"https://example.com/", "", "", "the destination has no usable secret"},
        {"https://example.com/", "s", "{", "the destination's headers are not usable"},
        {"https://example.com/", "s", "{\"Host\":\"a\"}",
         "the destination's headers are not usable"},
    };
    for (size_t i = 0; i < LL_COUNT(rows); i++) {
        struct err_detail err = {0};
        f->config[0].value = str_c(rows[i].url);
        f->credentials[0].value = str_c(rows[i].secret);
        give_headers(f, rows[i].headers);
        assert_null(webhook_driver.open(&f->out.env, &f->dest, &err));
        if (!str_starts(str_c(err.msg), str_c(rows[i].starts))) {
            fail_msg("row %zu: %s", i, err.msg);
        }
    }
    struct err_detail err = {0};
    f->dest.config.n = 0;
    f->dest.credentials.n = 0;
    assert_null(webhook_driver.open(&f->out.env, &f->dest, &err));
}

#define WITH_FX(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FX(test_golden_during_rotation),
        WITH_FX(test_end_of_rotation),
        WITH_FX(test_mode_standard),
        WITH_FX(test_mode_both),
        WITH_FX(test_bare_metadata),
        WITH_FX(test_bare_metadata_gives_way),
        WITH_FX(test_precedence),
        WITH_FX(test_unfit_metadata_is_left_out),
        WITH_FX(test_no_prefix),
        WITH_FX(test_own_prefix),
        WITH_FX(test_body_is_byte_exact),
        WITH_FX(test_outcomes),
        WITH_FX(test_cancel),
        WITH_FX(test_unfit_events),
        WITH_FX(test_many_metadata),
        WITH_FX(test_damaged_destinations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
