/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "longline/check.h"
#include "longline/log.h"

#define CAPTURE_BYTES (1 << 20)

static char captured[CAPTURE_BYTES];

/* Stderr goes to a temporary file between begin and end. */
static FILE *capture_file;
static int saved_stderr;

static void capture_begin(void)
{
    capture_file = tmpfile();
    assert_non_null(capture_file);
    saved_stderr = dup(STDERR_FILENO);
    assert_true(dup2(fileno(capture_file), STDERR_FILENO) >= 0);
}

static void capture_end(void)
{
    size_t n;
    assert_true(dup2(saved_stderr, STDERR_FILENO) >= 0);
    (void)close(saved_stderr);
    rewind(capture_file);
    n = fread(captured, 1, sizeof(captured) - 1, capture_file);
    captured[n] = '\0';
    (void)fclose(capture_file);
}

/* What stands behind the time stamp (24 characters, and a space in text mode). */
static const char *after_time(void)
{
    assert_true(strlen(captured) > 25);
    assert_int_equal(captured[10], 'T');
    assert_int_equal(captured[23], 'Z');
    return captured + 25;
}

static void test_text(void **state)
{
    static const struct {
        struct log_field field;
        const char *text;
    } rows[] = {
        {{.kind = LOG_KIND_STR, .key = "k", .s = {"plain", 5}}, "k=plain"},
        {{.kind = LOG_KIND_STR, .key = "k", .s = {"", 0}}, "k=\"\""},
        {{.kind = LOG_KIND_STR, .key = "k", .s = {NULL, 0}}, "k=\"\""},
        {{.kind = LOG_KIND_STR, .key = "k", .s = {"a b", 3}}, "k=\"a b\""},
        {{.kind = LOG_KIND_STR, .key = "k", .s = {"a=b", 3}}, "k=\"a=b\""},
        {{.kind = LOG_KIND_STR, .key = "k", .s = {"a\"b\\", 4}}, "k=\"a\\\"b\\\\\""},
        {{.kind = LOG_KIND_STR, .key = "k", .s = {"a\nlevel=error", 13}}, "k=\"a\\nlevel=error\""},
        {{.kind = LOG_KIND_STR, .key = "k", .s = {"\x1b[2J\0", 5}}, "k=\"\\x1b[2J\\x00\""},
        {{.kind = LOG_KIND_STR, .key = "k", .s = {"\xc3\xa4", 2}}, "k=\xc3\xa4"},
        {{.kind = LOG_KIND_STR, .key = "k", .s = {"\xc2\x9b", 2}}, "k=\"\\xc2\\x9b\""},
        {{.kind = LOG_KIND_STR, .key = "k", .s = {"\xff", 1}}, "k=\"\\xff\""},
        {{.kind = LOG_KIND_INT, .key = "k", .i = INT64_MIN}, "k=-9223372036854775808"},
        {{.kind = LOG_KIND_INT, .key = "k", .i = 0}, "k=0"},
        {{.kind = LOG_KIND_BOOL, .key = "k", .i = 1}, "k=true"},
        {{.kind = LOG_KIND_BOOL, .key = "k", .i = 0}, "k=false"},
    };
    (void)state;
    log_setup(LOG_INFO, false);
    for (size_t i = 0; i < LL_COUNT(rows); i++) {
        char want[100];
        capture_begin();
        log_info("test.text", rows[i].field);
        capture_end();
        (void)snprintf(want, sizeof(want), "info test.text %s\n", rows[i].text);
        assert_string_equal(after_time(), want);
    }
}

static void test_json(void **state)
{
    (void)state;
    log_setup(LOG_INFO, true);
    capture_begin();
    log_info("test.json", LOG_STR("s", STR("a\"\n\x01\xff")), LOG_INT("n", -5), LOG_BOOL("b", true),
             LOG_CSTR("nil", NULL));
    capture_end();
    log_setup(LOG_INFO, false);
    assert_memory_equal(captured, "{\"time\":\"", 9);
    assert_string_equal(strchr(captured, 'Z') + 1,
                        "\",\"level\":\"info\",\"event\":\"test.json\","
                        "\"s\":\"a\\\"\\n\\u0001\\u00ff\",\"n\":-5,\"b\":true,\"nil\":\"\"}\n");
}

static int n_evaluated;

static int evaluate(void)
{
    return ++n_evaluated;
}

static void test_levels(void **state)
{
    (void)state;
    log_setup(LOG_WARN, false);
    capture_begin();
    log_debug("test.levels", LOG_INT("n", evaluate()));
    log_info("test.levels", LOG_INT("n", evaluate()));
    capture_end();
    assert_int_equal(n_evaluated, 0);
    assert_string_equal(captured, "");
    capture_begin();
    errno = 42;
    log_warn("test.levels", LOG_INT("n", evaluate()), LOG_ERR(-11));
    assert_int_equal(errno, 42);
    capture_end();
    assert_string_equal(after_time(), "warn test.levels n=1 error=\"timed out\"\n");
    assert_true(log_enabled(LOG_ERROR));
    assert_false(log_enabled(LOG_INFO));
    log_setup(LOG_INFO, false);
}

static void test_long_values(void **state)
{
    static char text[5000];
    size_t n_lines = 0;
    (void)state;
    memset(text, 'x', sizeof(text));
    capture_begin();
    log_info("test.long", LOG_STR("k", str_of(text, sizeof(text))));
    capture_end();
    assert_non_null(strstr(captured, "xx...\"\n"));
    assert_true(strlen(captured) < 1200);

    memset(text, '\x01', sizeof(text));
    for (int json = 0; json < 2; json++) {
        log_setup(LOG_INFO, json != 0);
        capture_begin();
        log_info("test.long", LOG_INT("first", 1), LOG_STR("a", str_of(text, sizeof(text))),
                 LOG_INT("last", 1));
        capture_end();
        assert_true(strlen(captured) <= 4096);
        assert_non_null(strstr(captured, json != 0 ? "\"first\":1" : " first=1"));
        assert_non_null(
            strstr(captured, json != 0 ? ",\"truncated\":true}\n" : " truncated=true\n"));
        assert_null(strstr(captured, "last"));
        for (const char *p = captured; *p != '\0'; p++) {
            n_lines += *p == '\n';
        }
    }
    assert_int_equal(n_lines, 2);
    log_setup(LOG_INFO, false);
}

static size_t count(const char *text)
{
    size_t n = 0;
    for (const char *p = strstr(captured, text); p != NULL; p = strstr(p + 1, text)) {
        n++;
    }
    return n;
}

static void test_rate_limit(void **state)
{
    size_t n = 0;
    (void)state;
    capture_begin();
    for (int i = 0; i < 1000; i++) {
        log_warn("test.flood", LOG_INT("i", i));
        log_info("test.free", LOG_INT("i", i));
    }
    log_error("test.other", LOG_INT("i", 1));
    capture_end();
    assert_int_equal(count("test.free"), 1000);
    assert_int_equal(count("test.other"), 1);
    n = count("test.flood");
    assert_in_range(n, LOG_BURST, 500); /* seconds may change meanwhile */

    /* A later second brings the count of what was left out. */
    for (int tries = 0; tries < 3000; tries++) {
        capture_begin();
        for (int i = 0; i < 2 * LOG_BURST; i++) {
            log_warn("test.flood", LOG_INT("i", 0));
        }
        capture_end();
        if (strstr(captured, "suppressed=") != NULL) {
            break;
        }
        (void)usleep(10000);
    }
    assert_non_null(strstr(captured, " i=0 suppressed="));
}

static void test_many_event_names(void **state)
{
    (void)state;
    capture_begin();
    for (int i = 0; i < 500; i++) {
        char name[100];
        (void)snprintf(name, sizeof(name), "test.%060d.%d", i % 3, i);
        log_warn(name, LOG_INT("i", i));
    }
    capture_end();
    assert_true(count("warn test.") >= LOG_BURST);
}

static void *log_much(void *arg)
{
    for (int i = 0; i < 300; i++) {
        log_info("test.threads", LOG_CSTR("who", arg), LOG_CSTR("end", "yes"));
    }
    return NULL;
}

static void test_threads(void **state)
{
    pthread_t threads[3];
    static char names[3][2] = {"a", "b", "c"};
    (void)state;
    capture_begin();
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, log_much, names[i]), 0);
    }
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    capture_end();
    assert_int_equal(count("test.threads who="), 900);
    assert_int_equal(count(" end=yes\n"), 900);
}

/* A broken invariant says which, shows the recent records, and ends by SIGABRT. */
static void test_check_failed(void **state)
{
    int status = 0;
    pid_t child;
    (void)state;
    capture_begin();
    for (int i = 0; i < 300; i++) {
        log_info("test.ring", LOG_INT("i", i));
    }
    capture_end();

    capture_begin();
    child = fork();
    if (child == 0) {
        LL_ASSERT(1 + 1 == 3);
        _exit(0);
    }
    assert_true(waitpid(child, &status, 0) == child);
    capture_end();
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGABRT);
    assert_non_null(strstr(captured, "assertion failed: 1 + 1 == 3"));
    assert_non_null(strstr(captured, "test_check_failed"));
    assert_null(strstr(captured, "i=171\n"));
    assert_non_null(strstr(captured, "i=172\n"));
    assert_non_null(strstr(captured, "i=299\n"));
    assert_int_equal(count("test.ring"), 128);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),       cmocka_unit_test(test_json),
        cmocka_unit_test(test_levels),     cmocka_unit_test(test_long_values),
        cmocka_unit_test(test_rate_limit), cmocka_unit_test(test_many_event_names),
        cmocka_unit_test(test_threads),    cmocka_unit_test(test_check_failed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
