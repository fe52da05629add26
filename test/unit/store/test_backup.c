/* SPDX-License-Identifier: Apache-2.0 */
/* A backup made by another process (this program, started again) while the store is written to. */
#include "fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/store_internal.h"

#define MAX_EVENTS 20000

static pid_t start_backup(const char *from, const char *to)
{
    const pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        (void)execl("/proc/self/exe", "test_store_backup", "--backup", from, to, (char *)NULL);
        _exit(127);
    }
    return pid;
}

static void write_file(const char *path, const char *text, mode_t mode)
{
    const int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, mode);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
    (void)close(fd);
}

static void test_backup_while_writing(void **state)
{
    struct fixture *f = *state;
    static uint64_t seqs[MAX_EVENTS];
    struct fixture copy = *f;
    char to[160];
    char path[160];
    struct stat st;
    size_t n = 0;
    size_t n_before;
    int status = -1;
    pid_t pid;

    fx_path(f, path, "admin.key");
    write_file(path, "secret", 0600);
    fx_path(f, path, "note");
    write_file(path, "text", 0640);
    fx_path(f, to, "copy");
    fx_open(f);
    while (n < 1000) {
        seqs[n] = fx_put_event(f, &(struct fx_event){.n_data = 100 + n % 9000});
        n++;
    }
    fx_commit(f);
    fx_indexed(f);
    n_before = n;
    pid = start_backup(f->dir, to);
    while (n < MAX_EVENTS && waitpid(pid, &status, WNOHANG) == 0) {
        for (int i = 0; i < 20 && n < MAX_EVENTS; i++) {
            seqs[n] = fx_put_event(f, &(struct fx_event){.n_data = 100 + n % 9000});
            n++;
        }
        fx_commit(f);
    }
    if (n == MAX_EVENTS) {
        (void)waitpid(pid, &status, 0);
    }
    assert_int_equal(status, 0);
    fx_close(f);

    copy.cfg.data_dir = to;
    fx_open(&copy);
    fx_indexed(&copy);
    assert_int_equal(store_read_begin(copy.store), 0);
    bool ended = false;
    for (size_t i = 0; i < n; i++) { /* all from before; then a prefix of what came meanwhile */
        struct event_record e;
        const int rc = store_get_event(copy.store, seqs[i], &copy.arena, &e);
        assert_true(rc == 0 || (rc == ERR_NOT_FOUND && i >= n_before));
        assert_false(rc == 0 && ended);
        ended = ended || rc != 0;
        arena_reset(&copy.arena);
    }
    store_read_end(copy.store);
    assert_memory_not_equal(copy.store->identity, f->dir, 16);
    fx_close(&copy);
    (void)snprintf(path, sizeof(path), "%.100s/admin.key", to);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    (void)snprintf(path, sizeof(path), "%.100s/note", to);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0640);
    (void)snprintf(path, sizeof(path), "%.100s/journal/data.mdb", to);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
}

static void test_refusals(void **state)
{
    struct fixture *f = *state;
    struct err_detail err;
    char to[160];

    fx_path(f, to, "copy");
    assert_int_equal(store_backup(f->dir, to, &err), ERR_NOT_FOUND); /* no journal there */
    fx_open(f);
    (void)fx_put_event(f, &(struct fx_event){.n_data = 10});
    fx_close(f);
    assert_int_equal(store_backup(f->dir, f->dir, &err), ERR_EXISTS); /* not empty */
    assert_int_equal(store_backup(f->dir, to, &err), 0);
    assert_int_equal(store_backup(f->dir, to, &err), ERR_EXISTS);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, fx_setup, fx_teardown)
        T(test_backup_while_writing),
        T(test_refusals),
    };
    if (argc == 4 && strcmp(argv[1], "--backup") == 0) {
        struct err_detail err = {0};
        const int rc = store_backup(argv[2], argv[3], &err);
        if (rc != 0) {
            (void)fprintf(stderr, "backup: %s\n", err.msg);
        }
        return rc == 0 ? 0 : 1;
    }
    return cmocka_run_group_tests(tests, NULL, NULL);
}
