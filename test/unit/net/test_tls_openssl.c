/* SPDX-License-Identifier: Apache-2.0 */
/* TLS streams against another implementation: `openssl s_server`, which sends two tickets after a
 * TLS 1.3 handshake, in one flight with nothing behind them. Skipped where there is no openssl. */
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "longline/check.h"
#include "longline/log.h"
#include "test_wait.h"
#include "tls_fixture.h"

extern char **environ;

struct s_server {
    pid_t pid;
    uint16_t port;
    int out;
};

/* Reads the server's first words until it says where it listens. */
static uint16_t read_port(int fd)
{
    char text[4096];
    size_t n = 0;
    while (n + 1 < sizeof(text)) {
        const ssize_t got = read(fd, text + n, sizeof(text) - 1 - n);
        if (got <= 0) {
            return 0;
        }
        n += (size_t)got;
        text[n] = '\0';
        const char *line = strstr(text, "ACCEPT ");
        const char *end = line != NULL ? strchr(line, '\n') : NULL;
        if (end != NULL) {
            const char *colon = end;
            while (*colon != ':') {
                colon--;
            }
            return (uint16_t)strtoul(colon + 1, NULL, 10);
        }
    }
    return 0;
}

static bool s_server_open(struct s_server *s, char *cert, char *key, const char *const *more)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    posix_spawn_file_actions_t actions;
    assert_int_equal(posix_spawn_file_actions_init(&actions), 0);
    assert_int_equal(posix_spawn_file_actions_adddup2(&actions, fds[1], 1), 0);
    assert_int_equal(posix_spawn_file_actions_addclose(&actions, fds[0]), 0);
    assert_int_equal(posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", 1, 0), 0);
    char words[6][16] = {"openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", "-key"};
    char extra[4][16];
    char *argv[16] = {words[0], words[1], words[2], words[3], words[4], cert, words[5], key};
    size_t n = 8;
    for (size_t i = 0; more[i] != NULL; i++) {
        LL_ASSERT(i < 4 && strlen(more[i]) < sizeof(extra[i]));
        (void)memcpy(extra[i], more[i], strlen(more[i]) + 1);
        argv[n++] = extra[i];
    }
    const int rc = posix_spawnp(&s->pid, "openssl", &actions, NULL, argv, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)close(fds[1]);
    s->out = fds[0];
    s->port = rc == 0 ? read_port(fds[0]) : 0;
    return s->port != 0;
}

static void s_server_close(struct s_server *s)
{
    (void)kill(s->pid, SIGKILL);
    (void)waitpid(s->pid, NULL, 0);
    (void)close(s->out);
}

struct version {
    const char *flag;
    const char *name;
};

static const struct version versions[] = {{"-tls1_2", "TLSv1.2"}, {"-tls1_3", "TLSv1.3"}};

static const struct test_leaf_options good = {.file = "good", .dns = "hook.test"};

/* One connection: a line there, the line reversed back. */
static void exchange(struct tls_fixture *f, uint16_t port, const char *version, bool resumed)
{
    assert_int_equal(tls_fixture_connect(f, "hook.test", port), 0);
    struct stream_info info;
    stream_get_info(f->s, &info);
    assert_string_equal(info.tls_version, version);
    assert_int_equal(info.resumed, resumed);
    struct peer p;
    peer_init(&p, f->l);
    peer_take(&p, f->s);
    assert_int_equal(peer_send(&p, "abcdef\n"), 0);
    assert_true(peer_wait_bytes(&p, 7, WAIT_MS));
    assert_memory_equal(p.got.p, "fedcba\n", 7);
    stream_close_graceful(p.s);
    assert_true(peer_wait_closed(&p, WAIT_MS));
    peer_fini(&p);
}

static void resumes_with_openssl(void **state)
{
    (void)state;
    for (size_t i = 0; i < LL_COUNT(versions); i++) {
        struct tls_fixture f;
        tls_fixture_open(&f, true);
        struct test_leaf files;
        test_certs_leaf(&f.certs, &good, &files);
        struct s_server s;
        const char *const more[] = {"-rev", versions[i].flag, NULL};
        if (!s_server_open(&s, files.cert, files.key, more)) {
            tls_fixture_close(&f);
            fail_msg("openssl s_server does not start (scripts/deps test installs it)");
        }
        exchange(&f, s.port, versions[i].name, false);
        exchange(&f, s.port, versions[i].name, true);
        exchange(&f, s.port, versions[i].name, true);
        s_server_close(&s);
        tls_fixture_close(&f);
    }
}

static void server_without_tickets_is_not_resumed(void **state)
{
    (void)state;
    for (size_t i = 0; i < LL_COUNT(versions); i++) {
        struct tls_fixture f;
        tls_fixture_open(&f, true);
        struct test_leaf files;
        test_certs_leaf(&f.certs, &good, &files);
        struct s_server s;
        const char *const more[] = {"-rev", versions[i].flag, "-num_tickets", "0"};
        const char *const no_ticket[] = {"-rev", versions[i].flag, "-no_ticket", NULL};
        const char *words[5] = {more[0], more[1], more[2], more[3], NULL};
        if (!s_server_open(&s, files.cert, files.key, i == 0 ? no_ticket : words)) {
            tls_fixture_close(&f);
            fail_msg("openssl s_server does not start (scripts/deps test installs it)");
        }
        exchange(&f, s.port, versions[i].name, false);
        /* TLS 1.2 may still resume by session id. */
        assert_int_equal(tls_fixture_connect(&f, "hook.test", s.port), 0);
        stream_close(f.s);
        s_server_close(&s);
        tls_fixture_close(&f);
    }
}

static void old_versions_are_refused(void **state)
{
    (void)state;
    struct tls_fixture f;
    tls_fixture_open(&f, true);
    struct test_leaf files;
    test_certs_leaf(&f.certs, &good, &files);
    struct s_server s;
    const char *const more[] = {"-rev", "-tls1_1", "-cipher", "ALL:@SECLEVEL=0", NULL};
    if (!s_server_open(&s, files.cert, files.key, more)) {
        tls_fixture_close(&f);
        skip();
    }
    assert_int_equal(tls_fixture_connect(&f, "hook.test", s.port), ERR_TLS);
    s_server_close(&s);
    tls_fixture_close(&f);
}

int main(void)
{
    log_setup(LOG_ERROR, false);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resumes_with_openssl),
        cmocka_unit_test(server_without_tickets_is_not_resumed),
        cmocka_unit_test(old_versions_are_refused),
    };
    return cmocka_run_group_tests_name("net_tls_openssl", tests, NULL, NULL);
}
