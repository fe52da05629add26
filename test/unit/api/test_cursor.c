/* SPDX-License-Identifier: Apache-2.0 */
/* The cursor codec: a vector, round trips, and everything that must be refused. */
#include "fixture.h"

#include "api/cursor.h"
#include "longline/check.h"

#define EVT             STR("evt")
#define VECTOR          "1f3NIeN6a1j8EG15av9COX3d9FE8TaDNUkLRv"
#define VECTOR_POSITION "1767225600000::evt_1"

static void assert_str(struct str got, struct str want)
{
    assert_int_equal(got.n, want.n);
    assert_memory_equal(got.p, want.p, want.n);
}

static void test_vector(void **state)
{
    struct str position;
    assert_str(cursor_encode(*state, EVT, STR(VECTOR_POSITION)), STR(VECTOR));
    assert_int_equal(cursor_decode(*state, EVT, STR(VECTOR), &position), 0);
    assert_str(position, STR(VECTOR_POSITION));
}

static void test_round_trip_of_every_length(void **state)
{
    char text[CURSOR_MAX_BYTES];
    for (size_t n = 0; n + 7 <= CURSOR_MAX_BYTES; n++) {
        struct str cursor;
        struct str position;
        text[n] = (char)('!' + n % 90);
        cursor = cursor_encode(*state, STR("tnt"), str_of(text, n));
        assert_non_null(cursor.p);
        assert_int_equal(cursor_decode(*state, STR("tnt"), cursor, &position), 0);
        assert_str(position, str_of(text, n));
        arena_reset(*state);
    }
    assert_null(cursor_encode(*state, EVT, str_of(text, CURSOR_MAX_BYTES - 6)).p);
}

static void test_refused(void **state)
{
    static const struct {
        const char *name;
        const char *text;
    } cases[] = {
        {"empty", ""},
        {"not base-62", "abc-def"},
        {"white space", " " VECTOR},
        {"zero", "0"},
        {"some number", "123456789"},
        {"cut off", "1f3NIeN6a1j8EG15av9COX3d9FE8TaDNUkLR"},
        {"not ASCII", "\xc3\xa4"},
    };
    struct str position;
    char big[1000];

    for (size_t i = 0; i < LL_COUNT(cases); i++) {
        const int rc = cursor_decode(*state, EVT, str_c(cases[i].text), &position);
        if (rc != ERR_SYNTAX) {
            fail_msg("%s: %d", cases[i].name, rc);
        }
    }
    memset(big, 'Z', sizeof(big));
    for (size_t n = 680; n <= sizeof(big); n++) {
        assert_int_equal(cursor_decode(*state, EVT, str_of(big, n), &position), ERR_SYNTAX);
    }
}

static void test_other_resource(void **state)
{
    struct str position;
    const struct str cursor = cursor_encode_seq(*state, STR("att"), 77);
    assert_int_equal(cursor_decode(*state, EVT, cursor, &position), ERR_SYNTAX);
    assert_int_equal(cursor_decode(*state, STR("att"), cursor, &position), 0);
}

/* base-62 of "evtv02:5": version 01 is encoded with the digit exchanged. */
static void test_other_version(void **state)
{
    struct str position;
    /* "evtv01:" + "5" and "evtv02:5" differ by 1 in the third byte from the end: by 65536. */
    struct str cursor = cursor_encode(*state, EVT, STR("5"));
    char text[32];
    uint64_t add = 65536;

    assert_true(cursor.n < sizeof(text));
    memcpy(text, cursor.p, cursor.n);
    for (size_t i = cursor.n; i-- > 0 && add != 0;) {
        static const char digits[] =
            "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
        const size_t d = (size_t)(strchr(digits, text[i]) - digits);
        add += d;
        text[i] = digits[add % 62];
        add /= 62;
    }
    assert_int_equal(cursor_decode(*state, EVT, str_of(text, cursor.n), &position), ERR_VERSION);
}

static void test_positions(void **state)
{
    struct str position;
    struct str id;
    uint64_t seq;
    int64_t ms;

    assert_int_equal(
        cursor_decode(*state, EVT, cursor_encode_seq(*state, EVT, UINT64_MAX), &position), 0);
    assert_int_equal(cursor_parse_seq(position, &seq), 0);
    assert_true(seq == UINT64_MAX);
    assert_int_equal(cursor_parse_seq(STR("0"), &seq), ERR_SYNTAX);
    assert_int_equal(cursor_parse_seq(STR("-1"), &seq), ERR_SYNTAX);
    assert_int_equal(cursor_parse_seq(STR("1x"), &seq), ERR_SYNTAX);
    assert_int_equal(cursor_parse_seq(STR(""), &seq), ERR_SYNTAX);
    assert_int_equal(cursor_parse_seq(STR("99999999999999999999"), &seq), ERR_SYNTAX);

    assert_int_equal(cursor_decode(*state, STR("tnt"),
                                   cursor_encode_tenant(*state, 1767225600000, STR("a::b")),
                                   &position),
                     0);
    assert_int_equal(cursor_parse_tenant(position, &ms, &id), 0);
    assert_true(ms == 1767225600000);
    assert_str(id, STR("a::b"));
    assert_int_equal(cursor_parse_tenant(STR("-1::a"), &ms, &id), ERR_SYNTAX);
    assert_int_equal(cursor_parse_tenant(STR("9223372036854775807::a"), &ms, &id), ERR_SYNTAX);
    assert_int_equal(cursor_parse_tenant(STR("12::"), &ms, &id), ERR_SYNTAX);
    assert_int_equal(cursor_parse_tenant(STR("12:x"), &ms, &id), ERR_SYNTAX);
    assert_int_equal(cursor_parse_tenant(STR("x::y"), &ms, &id), ERR_SYNTAX);
    assert_int_equal(cursor_parse_tenant(STR(""), &ms, &id), ERR_SYNTAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_vector, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(test_round_trip_of_every_length, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(test_refused, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(test_other_resource, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(test_other_version, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(test_positions, fx_setup, fx_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
