/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* memmem */
/* What the start refuses, what it repairs, and a reader that keeps pages. */
#include "fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "longline/check.h"
#include "longline/rng.h"

#include "store/repair/crash_mark.h"
#include "store/store_internal.h"

#define MIB    ((int64_t)1024 * 1024)
#define PAGE   4096
#define N_USED 300

static void fill(struct fixture *f, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const uint64_t seq = fx_put_event(f, &(struct fx_event){.n_data = 100 + i % 5000});
        (void)fx_put_attempt(f, seq, "t1", "d", ATTEMPT_FAILED);
        if (i % 100 == 0) {
            fx_commit(f);
        }
    }
    fx_commit(f);
}

static void write_byte(const char *path, off_t at, unsigned char byte)
{
    const int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    (void)close(fd);
}

/* Flips a bit behind the first place where the text stands. */
static void flip_behind(const char *path, const char *text)
{
    static char bytes[4 * 1024 * 1024];
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n;
    const char *p;
    assert_true(fd >= 0);
    n = read(fd, bytes, sizeof(bytes));
    (void)close(fd);
    assert_true(n > 0);
    p = memmem(bytes, (size_t)n, text, strlen(text));
    while (p != NULL) { /* older copies of the page as well */
        const size_t at = (size_t)(p - bytes) + strlen(text);
        write_byte(path, (off_t)at, (unsigned char)(bytes[at] ^ 1));
        p = memmem(bytes + at, (size_t)n - at, text, strlen(text));
    }
}

/* ---- refusals ---- */

static void test_damaged_object(void **state)
{
    struct fixture *f = *state;
    struct err_detail err = {0};
    char path[160];

    fx_open(f);
    assert_int_equal(store_put_object(f->store, STORE_TENANT, STR("acme"), STR("{tenant}")), 0);
    assert_int_equal(store_put_object(f->store, STORE_DESTINATION, str_of("acme\0des_1", 10),
                                      STR("{\"name\":\"here\"}")),
                     0);
    fx_close(f);
    fx_path(f, path, "journal/data.mdb");
    flip_behind(path, "\"name\":\"he");
    assert_int_equal(fx_try_open(f, &err), ERR_CORRUPT);
    assert_non_null(strstr(err.msg, "destination"));
    assert_non_null(strstr(err.msg, "des_1 of tenant acme"));
    assert_non_null(strstr(err.msg, "backup"));
}

static void test_journal_cut_to_nothing(void **state)
{
    struct fixture *f = *state;
    struct err_detail err = {0};
    char path[160];

    fx_open(f);
    fill(f, 10);
    fx_indexed(f);
    fx_close(f);
    fx_path(f, path, "journal/data.mdb");
    assert_int_equal(truncate(path, 0), 0);
    for (int i = 0; i < 2; i++) { /* the first try must not make it look like a store */
        assert_int_equal(fx_try_open(f, &err), ERR_CORRUPT);
        assert_non_null(strstr(err.msg, "journal is empty"));
    }
}

/* A backup's journal on top of the index of the original. */
static void test_restore_keeps_index(void **state)
{
    struct fixture *f = *state;
    struct err_detail err = {0};
    char copy[160];
    char from[200];
    char to[160];

    fx_open(f);
    fill(f, 10);
    fx_indexed(f);
    fx_close(f);
    fx_path(f, copy, "copy");
    assert_int_equal(store_backup(f->dir, copy, &err), 0);
    fx_path(f, to, "journal/data.mdb");
    (void)snprintf(from, sizeof(from), "%s/journal/data.mdb", copy);
    assert_int_equal(rename(from, to), 0);
    fx_path(f, to, "journal/lock.mdb");
    assert_int_equal(unlink(to), 0);
    fx_open(f);
    assert_int_equal(fx_count(f, STORE_EVENTS, "t1", NULL), 10);
}

static void test_lock_file_deleted(void **state)
{
    struct fixture *f = *state;
    struct fixture second = *f;
    struct err_detail err = {0};
    char path[160];

    fx_open(f);
    fx_path(f, path, "lock");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(fx_try_open(&second, &err), ERR_BUSY);
    assert_non_null(strstr(err.msg, "in use"));
    fx_close(f);
    fx_open(f);
}

static void test_index_is_no_directory(void **state)
{
    struct fixture *f = *state;
    struct err_detail err = {0};
    char path[160];
    int fd;

    fx_path(f, path, "index");
    assert_int_equal(symlink("/nowhere/at/all", path), 0);
    assert_int_equal(fx_try_open(f, &err), ERR_CORRUPT);
    assert_non_null(strstr(err.msg, "delete it"));
    assert_int_equal(unlink(path), 0);
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    (void)close(fd);
    assert_int_equal(fx_try_open(f, &err), ERR_CORRUPT);
    assert_int_equal(unlink(path), 0);
    fx_open(f);
}

/* ---- a damaged index ---- */

static ino_t index_inode(const struct fixture *f)
{
    char path[160];
    struct stat st;
    fx_path(f, path, "index/data.mdb");
    assert_int_equal(stat(path, &st), 0);
    return st.st_ino;
}

static void spoil_page(const char *path, off_t page)
{
    unsigned char bytes[PAGE];
    const int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    rng_fill(rng_system(), bytes, sizeof(bytes));
    assert_int_equal(pwrite(fd, bytes, sizeof(bytes), page * PAGE), PAGE);
    (void)close(fd);
}

/* Sound pages are not taken for damaged ones: after much rewriting the index is still the same. */
static void test_sound_index_stays(void **state)
{
    struct fixture *f = *state;
    ino_t inode;

    f->cfg.max_size = 16 * MIB;
    fx_open(f);
    inode = index_inode(f);
    for (int i = 0; i < 8; i++) {
        fill(f, 800);
        store_set_low(f->store, store_next_seq(f->store));
        fx_indexed(f);
        fx_close(f);
        fx_open(f);
        assert_true(index_inode(f) == inode);
    }
    assert_true(store_get_stats(f->store)->purged_events > 0 ||
                fx_count(f, STORE_EVENTS, "t1", NULL) < 6400);
}

/* In a process of its own: the store there. Signals do what they do without a sanitizer. */
static struct fixture *open_in(const char *dir)
{
    const struct rlimit no_core = {0, 0};
    struct fixture *f;
    void *state = NULL;

    (void)setrlimit(RLIMIT_CORE, &no_core);
    for (int i = 1; i < NSIG; i++) {
        (void)signal(i, SIG_DFL);
    }
    if (fx_setup(&state) != 0) {
        _exit(2);
    }
    f = state;
    (void)rmdir(f->dir);
    (void)snprintf(f->dir, sizeof(f->dir), "%.60s", dir);
    return f;
}

static int die_in(const char *dir, int signum)
{
    fx_open(open_in(dir));
    (void)raise(signum);
    return 0;
}

static int run_self(const char *what, const char *dir, const char *arg, bool wait)
{
    int status = -1;
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)execl("/proc/self/exe", "test_store_faults", what, dir, arg, (char *)NULL);
        _exit(127);
    }
    if (!wait) {
        return pid;
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

/* Also in a process of its own: are the answers of the store there right? */
static int use(const char *dir)
{
    struct fixture *f = open_in(dir);
    bool right;
    fx_open(f);
    right = fx_count(f, STORE_EVENTS, "t1", NULL) == N_USED;
    fx_turns(f, 50); /* the index thread has met what there is */
    fx_indexed(f);
    right = right && fx_count(f, STORE_ATTEMPTS, NULL, "d") == N_USED;
    fx_close(f);
    return right ? 0 : 1;
}

/* Whatever page is damaged: it crashes once at most, and the answers are right. */
static void test_every_page(void **state)
{
    struct fixture *f = *state;
    char path[160];
    struct stat st;

    fx_open(f);
    fill(f, N_USED);
    fx_indexed(f);
    fx_close(f);
    fx_path(f, path, "index/data.mdb");
    assert_int_equal(stat(path, &st), 0);
    for (off_t page = 0; page < st.st_size / PAGE; page++) {
        int status;
        spoil_page(path, page);
        status = run_self("--use", f->dir, "", true);
        if (WIFSIGNALED(status)) {
            status = run_self("--use", f->dir, "", true);
        }
        assert_int_equal(status, 0);
        assert_int_equal(stat(path, &st), 0);
    }
}

static void test_crash_mark(void **state)
{
    static const struct {
        int signum;
        bool is_new;
    } cases[] = {{SIGSEGV, true}, {SIGBUS, true}, {SIGABRT, true}, {SIGKILL, false}};
    struct fixture *f = *state;
    char path[160];
    char other[160];
    ino_t inode;

    fx_path(f, path, "index/data.mdb");
    fx_path(f, other, "other");
    fx_open(f);
    fill(f, 50);
    fx_indexed(f);
    fx_close(f);
    for (size_t i = 0; i < LL_COUNT(cases); i++) {
        char arg[8];
        int status;
        (void)snprintf(arg, sizeof(arg), "%d", cases[i].signum);
        inode = index_inode(f);
        assert_int_equal(link(path, other), 0); /* keeps the number from being given out again */
        status = run_self("--die", f->dir, arg, true);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(WTERMSIG(status), cases[i].signum);
        assert_int_equal(crash_mark_is_set(f->dir, CRASH_INDEX), cases[i].is_new);
        assert_int_equal(crash_mark_is_set(f->dir, CRASH_JOURNAL), cases[i].is_new);
        fx_open(f);
        assert_false(crash_mark_is_set(f->dir, CRASH_INDEX));
        assert_false(crash_mark_is_set(f->dir, CRASH_JOURNAL));
        assert_int_equal(index_inode(f) != inode, cases[i].is_new);
        (void)unlink(other);
        fx_indexed(f);
        assert_int_equal(fx_count(f, STORE_ATTEMPTS, NULL, "d"), 50);
        fx_close(f);
    }
}

/* ---- a reader that keeps pages ---- */

/* In a process of its own, like a backup: reads until it is told to end. */
static int hold(const char *dir)
{
    char path[200];
    MDB_env *env;
    MDB_txn *txn;
    (void)snprintf(path, sizeof(path), "%.100s/journal", dir);
    if (mdb_env_create(&env) != 0 || mdb_env_open(env, path, MDB_RDONLY | MDB_NOTLS, 0600) != 0 ||
        mdb_txn_begin(env, NULL, MDB_RDONLY, &txn) != 0) {
        return 1;
    }
    (void)snprintf(path, sizeof(path), "%.100s/holding", dir);
    (void)close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    for (;;) {
        (void)pause();
    }
}

static bool is_held(struct fixture *f)
{
    char path[160];
    struct stat st;
    fx_path(f, path, "holding");
    return stat(path, &st) == 0;
}

static bool accepts(struct fixture *f)
{
    return store_admit(f->store, 20000, 0) == 0;
}

/* Everything is resolved and may be deleted, and the map is small: refused in time, no commit
 * fails, and when the reader is gone it goes on. */
static void test_pinned_pages(void **state)
{
    struct fixture *f = *state;
    uint64_t seq = 0;
    pid_t pid;
    size_t n_refused = 0;
    int status = 0;

    f->cfg.map_size = 32 * MIB;
    fx_open(f);
    for (size_t i = 0; i < 600; i++) {
        seq = fx_put_event(f, &(struct fx_event){.n_data = 20000});
    }
    store_set_low(f->store, seq);
    fx_commit(f);
    pid = run_self("--hold", f->dir, "", false);
    fx_until(f, is_held);
    for (size_t i = 0; i < 3000; i++) {
        if (!accepts(f)) {
            n_refused++;
            fx_turns(f, 1);
            continue;
        }
        seq = fx_put_event(f, &(struct fx_event){.n_data = 20000});
        store_set_low(f->store, seq);
        fx_commit(f);
    }
    assert_int_equal(f->n_fatal, 0);
    assert_true(n_refused > 1000);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    fx_until(f, accepts);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, fx_setup, fx_teardown)
        T(test_damaged_object),        T(test_journal_cut_to_nothing),
        T(test_restore_keeps_index),   T(test_lock_file_deleted),
        T(test_index_is_no_directory), T(test_every_page),
        T(test_sound_index_stays),     T(test_crash_mark),
        T(test_pinned_pages),
    };
    if (argc == 4 && strcmp(argv[1], "--hold") == 0) {
        return hold(argv[2]);
    }
    if (argc == 4 && strcmp(argv[1], "--use") == 0) {
        _exit(use(argv[2]));
    }
    if (argc == 4 && strcmp(argv[1], "--die") == 0) {
        return die_in(argv[2], (int)strtol(argv[3], NULL, 10));
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
