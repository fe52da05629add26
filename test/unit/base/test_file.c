/* SPDX-License-Identifier: Apache-2.0 */
/* Files that people put in place: read whole, and never waited for. */
#define _XOPEN_SOURCE 700

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "longline/check.h"
#include "longline/file.h"

struct fx {
    char dir[64];
    char path[96]; /* of the file in question */
    struct buf text;
    struct err_detail err;
};

static struct fx fx;

static int setup(void **state)
{
    const char *base = getenv("TMPDIR");
    memset(&fx, 0, sizeof(fx));
    (void)snprintf(fx.dir, sizeof(fx.dir), "%.30s/file-test-XXXXXX", base != NULL ? base : "/tmp");
    if (mkdtemp(fx.dir) == NULL) {
        return -1;
    }
    (void)snprintf(fx.path, sizeof(fx.path), "%s/it", fx.dir);
    buf_init(&fx.text, 100000);
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
    buf_fini(&f->text);
    return nftw(f->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void put(const char *path, size_t n)
{
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (size_t i = 0; i < n; i++) {
        assert_int_not_equal(fputc('a' + (int)(i % 26), file), EOF);
    }
    assert_int_equal(fclose(file), 0);
}

static void test_whole(void **state)
{
    struct fx *f = *state;
    static const size_t sizes[] = {0, 1, 4096, 16384, 16385, 99999, 100000};
    for (size_t i = 0; i < LL_COUNT(sizes); i++) {
        put(f->path, sizes[i]);
        buf_reset(&f->text);
        assert_int_equal(file_read(&f->text, f->path, &f->err), 0);
        assert_int_equal(f->text.n, sizes[i]);
        for (size_t k = 0; k < sizes[i]; k++) {
            assert_int_equal(f->text.p[k], 'a' + (int)(k % 26));
        }
    }
    put(f->path, 100001);
    buf_reset(&f->text);
    assert_int_equal(file_read(&f->text, f->path, &f->err), ERR_TOO_BIG);
    assert_non_null(strstr(f->err.msg, f->path));
}

static void test_through_links(void **state)
{
    struct fx *f = *state;
    char target[96];
    char middle[96];
    (void)snprintf(target, sizeof(target), "%s/..data", f->dir);
    (void)snprintf(middle, sizeof(middle), "%s/middle", f->dir);
    put(target, 5);
    assert_int_equal(symlink("..data", middle), 0);
    assert_int_equal(symlink(middle, f->path), 0);
    assert_int_equal(file_read(&f->text, f->path, &f->err), 0);
    assert_int_equal(f->text.n, 5);
}

static void refused(struct fx *f, int code)
{
    int fd = -1;
    f->err = (struct err_detail){0};
    assert_int_equal(file_open(&fd, f->path, &f->err), code);
    assert_int_equal(fd, -1);
    assert_non_null(strstr(f->err.msg, f->path));
    assert_int_equal(file_open(&fd, f->path, NULL), code);
}

/* Without a writer, opening it in the usual way would never return. */
static void test_fifo(void **state)
{
    struct fx *f = *state;
    assert_int_equal(mkfifo(f->path, 0600), 0);
    (void)alarm(30); /* ends a test that waits all the same */
    refused(f, ERR_INVALID);
    const int both_ends = open(f->path, O_RDWR);
    assert_true(both_ends >= 0);
    refused(f, ERR_INVALID);
    (void)close(both_ends);
    (void)alarm(0);
}

static void test_other_kinds(void **state)
{
    struct fx *f = *state;
    refused(f, ERR_NOT_FOUND);
    assert_int_equal(symlink("nowhere", f->path), 0);
    refused(f, ERR_NOT_FOUND);
    assert_int_equal(unlink(f->path), 0);
    assert_int_equal(mkdir(f->path, 0700), 0);
    refused(f, ERR_INVALID);
    assert_int_equal(rmdir(f->path), 0);
    assert_int_equal(symlink("/dev/zero", f->path), 0);
    refused(f, ERR_INVALID);
    assert_int_equal(unlink(f->path), 0);

    struct sockaddr_un name = {.sun_family = AF_UNIX};
    (void)snprintf(name.sun_path, sizeof(name.sun_path), "%s", f->path);
    const int s = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(s, (struct sockaddr *)&name, sizeof(name)), 0);
    refused(f, ERR_INVALID);
    (void)close(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_whole, setup, teardown),
        cmocka_unit_test_setup_teardown(test_through_links, setup, teardown),
        cmocka_unit_test_setup_teardown(test_fifo, setup, teardown),
        cmocka_unit_test_setup_teardown(test_other_kinds, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
