/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "longline/check.h"
#include "longline/topic.h"

#define MAX_TOPICS 8

static void test_glob(void **state)
{
    (void)state;
    static const struct {
        const char *pattern;
        const char *topic;
        bool match;
    } cases[] = {
        {"", "", true},
        {"", "a", false},
        {"a", "", false},
        {"a", "a", true},
        {"a", "b", false},
        {"a", "aa", false},
        {"*", "", true},
        {"*", "a.b.c", true},
        {"**", "", true},
        {"**", "x", true},
        {"user.*", "user.created", true},
        {"user.*", "user.", true},
        {"user.*", "user", false},
        {"user.*", "user.profile.updated", true},
        {"user.*", "xuser.created", false},
        {"*.created", "user.created", true},
        {"*.created", ".created", true},
        {"*.created", "user.created.x", false},
        {"*.created", "created", false},
        {"user.*.done", "user.a.done", true},
        {"user.*.done", "user.a.b.done", true},
        {"user.*.done", "user..done", true},
        {"user.*.done", "user.done", false},
        {"a*b*c", "abc", true},
        {"a*b*c", "axxbxxc", true},
        {"a*b*c", "axxcxxb", false},
        {"a*b*c", "abcb", false},
        {"a*b*c", "abcbc", true},
        {"*a*", "banana", true},
        {"*x*", "banana", false},
        {"*ana", "banana", true},
        {"ba*na*na", "banana", true},
        {"ban*ana", "banana", true},
        {"bana*nana", "banana", false},
        {"aa*aa", "aaa", false},
        {"aa*aa", "aaaa", true},
        {"*ab*ab*", "xabxabx", true},
        {"*ab*ab*", "xabx", false},
        {"a?", "ab", false},
        {"a.c", "abc", false},
        {"A", "a", false},
        {"\xc3\xa9*", "\xc3\xa9t\xc3\xa9", true},
    };
    for (size_t i = 0; i < LL_COUNT(cases); i++) {
        if (topic_glob(str_c(cases[i].pattern), str_c(cases[i].topic)) != cases[i].match) {
            fail_msg("%s ~ %s", cases[i].pattern, cases[i].topic);
        }
    }
    assert_true(topic_glob(STR_NULL, STR_NULL));
    assert_true(topic_glob(STR("*"), STR_NULL));
    assert_true(topic_glob(STR("***"), STR_NULL));
    assert_false(topic_glob(STR("*a"), STR_NULL));
    assert_false(topic_glob(STR("*a*"), STR_NULL));
}

/* A pattern that makes backtracking matchers take exponential or cubic time. */
static void test_glob_is_fast(void **state)
{
    (void)state;
    static char pattern[40001];
    static char topic[100001];
    for (size_t i = 0; i < sizeof(pattern) - 1; i += 2) {
        pattern[i] = 'a';
        pattern[i + 1] = '*';
    }
    pattern[sizeof(pattern) - 1] = 'b';
    memset(topic, 'a', sizeof(topic));
    assert_false(topic_glob(str_of(pattern, sizeof(pattern)), str_of(topic, sizeof(topic))));
}

static void test_topics_match(void **state)
{
    (void)state;
    static const struct str two[] = {{"order.created", 13}, {"user.*", 6}};
    static const struct str all[] = {{"*", 1}};
    static const struct {
        const struct str *topics;
        size_t n;
        const char *topic;
        bool match;
    } cases[] = {
        {two, 2, "order.created", true},
        {two, 2, "user.x", true},
        {two, 2, "order.updated", false},
        {two, 2, "", true},
        {two, 2, "*", true},
        {two, 2, "user.*", true},
        {all, 1, "anything", true},
        {two, 0, "x", false},
        {two, 0, "*", true},
        {two, 2, "order.*", false},
    };
    for (size_t i = 0; i < LL_COUNT(cases); i++) {
        if (topics_match(cases[i].topics, cases[i].n, str_c(cases[i].topic)) != cases[i].match) {
            fail_msg("case %zu: %s", i, cases[i].topic);
        }
    }
}

static void test_normalise(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        const char *out;
    } cases[] = {
        {"a", "a"},
        {"a,b", "a,b"},
        {"b,a", "b,a"},
        {"a,a", "a"},
        {"a,b,a,b", "a,b"},
        {"user.*,user.created", "user.*"},
        {"user.created,user.*", "user.*"},
        {"user.created,order.x,user.*", "order.x,user.*"},
        {"user.*,user.*.done", "user.*"},
        {"user.*.done,user.*", "user.*"},
        {"user.*,user", "user.*,user"},
        {"*,a,b.*", "*"},
        {"a,*", "*"},
        {"a*,*a", "a*,*a"},
        {"a*,*a,aa", "a*,*a"},
        {"a*,a**", "a*"},
        {"a**,a*", "a**"},
        {"*,**", "*"},
        {"a*,ab*,abc*,abcd", "a*"},
        {"abcd,abc*,ab*,a*", "a*"},
        {"x,abcd,abc*,y,ab*", "x,y,ab*"},
    };
    for (size_t i = 0; i < LL_COUNT(cases); i++) {
        struct str topics[MAX_TOPICS];
        struct str rest = str_c(cases[i].in);
        size_t n = 0;
        while (n < MAX_TOPICS && str_split(&rest, ',', &topics[n])) {
            n++;
        }
        n = topics_normalise(topics, n);
        char text[256];
        size_t len = 0;
        for (size_t k = 0; k < n; k++) {
            len += (size_t)snprintf(text + len, sizeof(text) - len, "%s" STR_FMT, k > 0 ? "," : "",
                                    STR_ARG(topics[k]));
        }
        if (!str_eq(str_of(text, len), str_c(cases[i].out))) {
            fail_msg("%s: %.*s", cases[i].in, (int)len, text);
        }
    }
    assert_int_equal(topics_normalise(NULL, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_glob),
        cmocka_unit_test(test_glob_is_fast),
        cmocka_unit_test(test_topics_match),
        cmocka_unit_test(test_normalise),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
