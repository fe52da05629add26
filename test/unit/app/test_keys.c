/* SPDX-License-Identifier: Apache-2.0 */
/* Key files: made once, readable by their owner only, never half. */
#define _XOPEN_SOURCE 700

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/keys.h"
#include "longline/check.h"

struct fx {
    char dir[64];
    char path[128];
    struct buf key;
    struct err_detail err;
    bool made;
};

static struct fx fx;

static int setup(void **state)
{
    const char *base = getenv("TMPDIR");
    memset(&fx, 0, sizeof(fx));
    (void)snprintf(fx.dir, sizeof(fx.dir), "%.30s/keys-test-XXXXXX", base != NULL ? base : "/tmp");
    if (mkdtemp(fx.dir) == NULL) {
        return -1;
    }
    (void)snprintf(fx.path, sizeof(fx.path), "%s/k.key", fx.dir);
    buf_init(&fx.key, 4096);
    *state = &fx;
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static int teardown(void **state)
{
    struct fx *f = *state;
    buf_fini(&f->key);
    return nftw(f->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static int load_min(struct fx *f, size_t min)
{
    buf_reset(&f->key);
    f->err = (struct err_detail){0};
    return key_file_load(f->dir, "k.key", min, &f->key, &f->made, &f->err);
}

static int load(struct fx *f)
{
    return load_min(f, 16);
}

static void write_file(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void test_made_once(void **state)
{
    struct fx *f = *state;
    struct stat st;
    char first[KEY_FILE_TEXT + 1];
    const mode_t mask = umask(0); /* even when nothing is masked */
    assert_int_equal(load(f), 0);
    (void)umask(mask);
    assert_true(f->made);
    assert_int_equal(f->key.n, KEY_FILE_TEXT);
    (void)snprintf(first, sizeof(first), STR_FMT, STR_ARG(buf_str(&f->key)));
    assert_int_equal(strspn(first, "0123456789abcdef"), KEY_FILE_TEXT);
    assert_int_equal(stat(f->path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(st.st_size, KEY_FILE_TEXT + 1);
    assert_int_equal(load(f), 0);
    assert_false(f->made);
    assert_true(str_eq(buf_str(&f->key), str_c(first)));
    assert_int_equal(unlink(f->path), 0);
    assert_int_equal(load(f), 0);
    assert_true(f->made);
    assert_false(str_eq(buf_str(&f->key), str_c(first)));
}

static void test_own_text(void **state)
{
    struct fx *f = *state;
    static char long_key[600];
    memset(long_key, 'k', sizeof(long_key) - 1);
    const struct {
        const char *text;
        int rc;
        const char *key; /* or how the message ends */
    } rows[] = {
        {"my own key, chosen", 0, "my own key, chosen"},
        {"  0123456789abcdef\r\n\n", 0, "0123456789abcdef"},
        {"", ERR_INVALID, "holds less than 16 characters"},
        {"\n", ERR_INVALID, "holds less than 16 characters"},
        {"0123456789abcde\n", ERR_INVALID, "holds less than 16 characters"},
        {long_key, ERR_TOO_BIG, "holds more than a key"},
    };
    for (size_t i = 0; i < LL_COUNT(rows); i++) {
        write_file(f->path, rows[i].text);
        assert_int_equal(load(f), rows[i].rc);
        assert_false(f->made);
        if (rows[i].rc == 0) {
            assert_true(str_eq(buf_str(&f->key), str_c(rows[i].key)));
        } else {
            assert_true(str_ends(str_c(f->err.msg), str_c(rows[i].key)));
            assert_int_equal(f->key.n, 0);
        }
    }
}

static void test_short(void **state)
{
    struct fx *f = *state;
    write_file(f->path, "dev\n");
    assert_int_equal(load(f), ERR_INVALID);
    assert_int_equal(load_min(f, 1), 0);
    assert_true(str_eq(buf_str(&f->key), STR("dev")));
    write_file(f->path, "\n");
    assert_int_equal(load_min(f, 1), ERR_INVALID);
}

/* What a crash left behind under the temporary name is neither used nor in the way. */
static void test_left_over(void **state)
{
    struct fx *f = *state;
    char tmp[160];
    (void)snprintf(tmp, sizeof(tmp), "%s.new", f->path);
    write_file(tmp, "00112233");
    assert_int_equal(load(f), 0);
    assert_true(f->made);
    assert_int_equal(f->key.n, KEY_FILE_TEXT);
    assert_int_equal(access(tmp, F_OK), -1);
}

static void test_unreadable(void **state)
{
    struct fx *f = *state;
    assert_int_equal(mkdir(f->path, 0700), 0);
    assert_int_equal(load(f), ERR_INVALID);
    assert_true(str_starts(str_c(f->err.msg), str_c(f->path)));
    assert_non_null(strstr(f->err.msg, "is not a regular file"));
    assert_int_equal(rmdir(f->path), 0);
    assert_int_equal(mkfifo(f->path, 0600), 0);
    assert_int_equal(load(f), ERR_INVALID);
    assert_int_equal(unlink(f->path), 0);
    assert_int_equal(symlink(f->path, f->path), 0); /* ELOOP, also for root */
    assert_int_not_equal(load(f), 0);
    assert_true(str_starts(str_c(f->err.msg), str_c(f->path)));
    assert_int_equal(unlink(f->path), 0);
    if (geteuid() != 0) {
        write_file(f->path, "0123456789abcdef");
        assert_int_equal(chmod(f->path, 0), 0);
        assert_int_equal(load(f), ERR_DENIED);
        assert_int_equal(unlink(f->path), 0);
    }
    assert_false(f->made);
    bool made = true;
    struct err_detail err = {0};
    assert_int_not_equal(key_file_load("/nonexistent/dir", "k", 16, &f->key, &made, &err), 0);
    assert_true(str_starts(str_c(err.msg), STR("cannot create ")));
    static char deep[5000];
    memset(deep, 'd', sizeof(deep) - 1);
    assert_int_equal(key_file_load(deep, "k", 16, &f->key, &made, &err), ERR_TOO_BIG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_made_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_own_text, setup, teardown),
        cmocka_unit_test_setup_teardown(test_short, setup, teardown),
        cmocka_unit_test_setup_teardown(test_left_over, setup, teardown),
        cmocka_unit_test_setup_teardown(test_unreadable, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
