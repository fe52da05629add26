/* SPDX-License-Identifier: Apache-2.0 */
/* The page reader against files that LMDB wrote: what is sound passes, what is changed is found. */
#include "fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/repair/check.h"
#include "store/store_internal.h"

#define N 400

static const char *const one[] = {"d"};

static void fill(struct fixture *f)
{
    for (size_t i = 0; i < N; i++) {
        const uint64_t seq = fx_put_event(
            f, &(struct fx_event){
                   .n_data = i % 50 == 0 ? 20000 : 40 * (i % 60), .dests = one, .n_dests = 1});
        (void)fx_put_attempt(f, seq, "t1", "d", ATTEMPT_FAILED);
        store_put_retry(f->store, &(struct retry_record){.event_seq = seq, .dest_num = 7});
        store_put_idempotency(f->store, STR("t1"), STR("e"), seq);
        if (i % 40 == 0) {
            fx_commit(f);
        }
    }
    assert_int_equal(store_put_object(f->store, STORE_TENANT, STR("t1"), STR("{}")), 0);
    fx_commit(f);
}

static void make(struct fixture *f, char path[160])
{
    fx_path(f, path, "journal/data.mdb");
    fx_open(f);
    fill(f);
    fx_indexed(f);
    fx_close(f);
}

static size_t read_all(const char *path, unsigned char *out, size_t cap)
{
    FILE *in = fopen(path, "rb");
    size_t n;
    assert_non_null(in);
    n = fread(out, 1, cap, in);
    (void)fclose(in);
    assert_true(n < cap);
    return n;
}

static void write_all(const char *path, const unsigned char *p, size_t n)
{
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    assert_int_equal(fwrite(p, 1, n, out), n);
    assert_int_equal(fclose(out), 0);
}

static int look(const char *path, bool is_index, struct err_detail *err)
{
    struct check_job job = {.path = path, .is_index = is_index, .with_rows = true};
    return check_file_at_start(&job, err);
}

static void test_sound(void **state)
{
    struct fixture *f = *state;
    struct err_detail err = {0};
    char path[160];

    make(f, path);
    for (int i = 0; i < 5; i++) { /* new files, and files that went through many commits */
        if (look(path, false, &err) != 0) {
            fail_msg("%s", err.msg);
        }
        fx_path(f, path, "index/data.mdb");
        assert_int_equal(look(path, true, &err), 0);
        fx_path(f, path, "journal/data.mdb");
        fx_open(f);
        fill(f);
        fx_close(f);
    }
    fx_path(f, path, "none");
    assert_int_equal(look(path, false, &err), 0);
}

/* Each field of the meta page that counts: changed, it is refused before LMDB sees it. */
static void test_meta_pages(void **state)
{
    static unsigned char good[16 << 20];
    struct fixture *f = *state;
    struct err_detail err = {0};
    char path[160];
    size_t n;

    make(f, path);
    n = read_all(path, good, sizeof(good));
    for (size_t page = 0; page < 2; page++) {
        const size_t base = page * 4096;
        /* number, flags, magic, version, page size, flags of the trees, roots, commit; of both
         * trees the counts of branches, leaves, overflow pages (low and high bytes) and rows */
        static const size_t offsets[] = {0,  10, 16, 20, 40, 44, 46,  48,  53,  56,  64, 68,
                                         72, 80, 92, 94, 96, 99, 104, 112, 120, 128, 144};
        for (size_t i = 0; i < LL_COUNT(offsets); i++) {
            const bool is_newest =
                memcmp(good + 144, good + 4096 + 144, 8) > 0 ? page == 0 : page == 1;
            const bool always = offsets[i] < 46 || offsets[i] == 144 || offsets[i] == 80;
            good[base + offsets[i]] ^= 0x42;
            write_all(path, good, n);
            good[base + offsets[i]] ^= 0x42;
            if (is_newest || always) {
                if (look(path, false, &err) != ERR_CORRUPT) {
                    fail_msg("page %zu, offset %zu", page, offsets[i]);
                }
                assert_non_null(strstr(err.msg, "longline salvage OLD NEW"));
                assert_int_equal(fx_try_open(f, &err), ERR_CORRUPT);
            }
        }
    }
    for (size_t i = 0; i < 2; i++) { /* the last page: too low for the trees, beyond the file */
        static const uint64_t lasts[] = {3, UINT64_C(1) << 40};
        unsigned char *at = good + (memcmp(good + 144, good + 4096 + 144, 8) > 0 ? 0 : 4096) + 136;
        uint64_t was;
        memcpy(&was, at, 8);
        memcpy(at, &lasts[i], 8);
        write_all(path, good, n);
        memcpy(at, &was, 8);
        assert_int_equal(look(path, false, &err), ERR_CORRUPT);
    }
    /* The older one with a number that makes it the newer: the last commit would be lost. */
    for (size_t page = 0; page < 2; page++) {
        uint64_t txn;
        memcpy(&txn, good + page * 4096 + 144, 8);
        for (unsigned delta = 2; delta <= 4; delta += 2) {
            const uint64_t other = txn + delta;
            memcpy(good + page * 4096 + 144, &other, 8);
            write_all(path, good, n);
            memcpy(good + page * 4096 + 144, &txn, 8);
            assert_int_equal(look(path, false, &err), ERR_CORRUPT);
        }
    }
    write_all(path, good, n);
    fx_open(f);
}

/* What the root page says of a named tree: the store would take itself for full, and purge. */
static void test_counts_of_trees(void **state)
{
    static const uint64_t deltas[] = {1, UINT64_MAX, UINT64_C(1) << 40};
    static unsigned char file_bytes[16 << 20];
    struct fixture *f = *state;
    struct err_detail err = {0};
    struct pg_file file;
    struct pg_page page;
    char path[160];
    size_t n;

    make(f, path);
    n = read_all(path, file_bytes, sizeof(file_bytes));
    assert_int_equal(pg_file_open(&file, path, &err), 0);
    unsigned char *root = file_bytes + file.meta[file.newest].main.root * 4096;
    pg_file_close(&file);
    assert_null(pg_page_parse(&page, root, 4096, PG_NONE));
    assert_int_equal(page.n, N_JOURNAL_TREES);
    for (size_t i = 0; i < page.n; i++) {
        for (size_t field = 8; field <= 32; field += 8) { /* branches, leaves, overflows, rows */
            for (size_t k = 0; k < LL_COUNT(deltas); k++) {
                struct pg_node node;
                unsigned char *at;
                uint64_t was;
                uint64_t is;
                pg_node_get(&page, i, &node);
                at = root + ((const unsigned char *)node.data.p - root) + field;
                memcpy(&was, at, 8);
                is = was + deltas[k];
                memcpy(at, &is, 8);
                write_all(path, file_bytes, n);
                memcpy(at, &was, 8);
                assert_int_equal(look(path, false, &err), ERR_CORRUPT);
                assert_non_null(strstr(err.msg, "the count of its"));
                /* Too great for the file is seen before the leaves are read. */
                assert_true(field != 24 || k != 2 || strstr(err.msg, "impossible") != NULL);
            }
        }
    }
    write_all(path, file_bytes, n);
    assert_int_equal(look(path, false, &err), 0);
}

/* Pages that are in use: zeroed, swapped, cut off. */
static void test_pages(void **state)
{
    static unsigned char good[16 << 20];
    static unsigned char bad[16 << 20];
    struct fixture *f = *state;
    struct err_detail err = {0};
    struct pg_file file;
    char path[160];
    size_t n;

    make(f, path);
    n = read_all(path, good, sizeof(good));
    assert_int_equal(pg_file_open(&file, path, &err), 0);
    const struct pg_meta m = file.meta[file.newest];
    pg_file_close(&file);
    /* The free list names some pages: those may hold anything. */
    for (uint64_t page = 2; page <= m.last; page++) {
        struct check_job job = {.path = path, .with_rows = true};
        memcpy(bad, good, n);
        memset(bad + page * 4096, 0, 4096);
        write_all(path, bad, n);
        if (check_file_at_start(&job, &err) == 0) {
            /* Then it is a free page: what the store shows is complete. */
            fx_open(f);
            assert_int_equal(fx_count(f, STORE_EVENTS, NULL, NULL), N);
            assert_int_equal(fx_count(f, STORE_ATTEMPTS, NULL, NULL), N);
            fx_close(f);
        }
    }
    memcpy(bad, good, n);
    memcpy(bad + m.main.root * 4096, good + m.free.root * 4096, 4096);
    write_all(path, bad, n);
    assert_int_equal(look(path, false, &err), ERR_CORRUPT);
    write_all(path, good, n / 2 / 4096 * 4096);
    assert_int_equal(look(path, false, &err), ERR_CORRUPT);
}

/* Overwrites what is the same in the file and in LMDB's map. */
static void overwrite(const char *path, uint64_t at, const void *p, size_t n)
{
    const int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, p, n, (off_t)at), n);
    (void)close(fd);
}

/* The page at that depth (0: the root) of a tree where its newest rows lie; its depth in all. */
static unsigned find_page(struct fixture *f, bool is_index, int tree, unsigned depth,
                          uint64_t *number)
{
    unsigned char buf[4096];
    struct err_detail err = {0};
    struct pg_walk_result result;
    struct pg_file file;
    struct pg_page page;
    struct pg_node node;
    const char *why;
    char path[160];

    fx_path(f, path, is_index ? "index/data.mdb" : "journal/data.mdb");
    assert_int_equal(pg_file_open(&file, path, &err), 0);
    const struct pg_walk_spec spec = {.file = &file,
                                      .meta = &file.meta[file.newest],
                                      .rules = is_index ? index_rules : journal_rules,
                                      .n_rules = is_index ? (size_t)N_INDEX_TREES
                                                          : (size_t)N_JOURNAL_TREES};
    assert_int_equal(pg_walk(&spec, &result), 0);
    const unsigned all = result.trees[tree].depth;
    *number = result.trees[tree].root;
    for (unsigned i = 1; i < all && i <= depth; i++) {
        assert_int_equal(pg_file_page(&file, *number, buf, &page, &why), 0);
        pg_node_get(&page, page.n - 1, &node);
        *number = node.child;
    }
    pg_walk_result_fini(&result);
    pg_file_close(&file);
    return all;
}

/* ---- salvage ---- */

struct said {
    char text[65536];
    size_t n;
};

static void say(void *ctx, const char *line)
{
    struct said *s = ctx;
    const int n = snprintf(s->text + s->n, sizeof(s->text) - s->n, "%s\n", line);
    s->n += n > 0 && s->n + (size_t)n < sizeof(s->text) ? (size_t)n : 0;
}

static void test_salvage(void **state)
{
    static unsigned char good[16 << 20];
    static struct said said;
    struct fixture *f = *state;
    struct err_detail err = {0};
    char path[160];
    char to[160];
    char *home = f->cfg.data_dir;
    size_t n;

    make(f, path);
    n = read_all(path, good, sizeof(good));
    assert_int_equal(store_check(f->dir, say, &said, &err), 0);
    for (int which = 0; which < 4; which++) { /* none, either, both meta pages */
        memset(good + (which & 1 ? 0 : 4096), which == 0 ? good[4096] : 0, which == 0 ? 1 : 4096);
        if (which == 3) {
            memset(good, 0, 8192);
        }
        write_all(path, good, n);
        (void)snprintf(to, sizeof(to), "%s/new-%d", f->dir, which);
        said.n = 0;
        if (store_salvage(f->dir, to, say, &said, &err) != 0) {
            fail_msg("%s\n%s", err.msg, said.text);
        }
        assert_int_equal(store_check(to, say, &said, &err), 0);
        f->cfg.data_dir = to;
        fx_open(f);
        fx_indexed(f);
        assert_int_equal(fx_count(f, STORE_EVENTS, NULL, NULL), N);
        assert_int_equal(fx_count(f, STORE_ATTEMPTS, NULL, "d"), N);
        fx_close(f);
        f->cfg.data_dir = home;
    }
    assert_int_equal(store_salvage(f->dir, to, say, &said, &err), ERR_EXISTS);
    assert_int_equal(store_check(f->dir, say, &said, &err), ERR_CORRUPT);
    f->cfg.data_dir = to;
    fx_open(f); /* in use */
    (void)snprintf(path, sizeof(path), "%s/newer", f->dir);
    assert_int_equal(store_salvage(to, path, say, &said, &err), ERR_BUSY);
    assert_int_equal(store_check(to, say, &said, &err), ERR_BUSY);
    fx_close(f);
    f->cfg.data_dir = home;
}

/* The last commit holds an event; the page of its free list and the branch of its events, or its
 * meta page and that branch, are damaged. Neither vouches for the snapshot then, and its trees are
 * not whole: it has to be read all the same. */
static void test_salvage_of_the_last_commit(void **state)
{
    static unsigned char good[16 << 20];
    static unsigned char bad[16 << 20];
    static struct said said;
    struct fixture *f = *state;
    struct err_detail err = {0};
    char path[160];
    char to[160];
    char *home = f->cfg.data_dir;
    struct pg_file file;
    uint64_t branch = 0;
    size_t n;

    make(f, path);
    fx_open(f);
    (void)fx_put_attempt(
        f, fx_put_event(f, &(struct fx_event){.n_data = 100, .dests = one, .n_dests = 1}), "t1",
        "d", ATTEMPT_FAILED);
    assert_int_equal(store_put_object(f->store, STORE_TENANT, STR("last"), STR("{}")), 0);
    fx_commit(f);
    n = read_all(path, good, sizeof(good)); /* before the commit of an orderly end */
    assert_true(find_page(f, false, TREE_EV, 0, &branch) > 1);
    assert_int_equal(pg_file_open(&file, path, &err), 0);
    const int newest = file.newest;
    const uint64_t free_root = file.meta[newest].free.root;
    pg_file_close(&file);
    fx_close(f);
    for (int i = 0; i < 2; i++) {
        memcpy(bad, good, n);
        memset(bad + branch * 4096, 0, 4096);
        memset(bad + (i == 0 ? free_root : (uint64_t)newest) * 4096, 0, 4096);
        write_all(path, bad, n);
        (void)snprintf(to, sizeof(to), "%s/last-%d", f->dir, i);
        said.n = 0;
        assert_int_equal(store_salvage(f->dir, to, say, &said, &err), 0);
        f->cfg.data_dir = to;
        fx_open(f);
        fx_indexed(f);
        if (fx_count(f, STORE_EVENTS, NULL, NULL) != N + 1 ||
            fx_count(f, STORE_ATTEMPTS, NULL, "d") != N + 1) {
            fail_msg("%d: %s", i, said.text);
        }
        fx_close(f);
        f->cfg.data_dir = home;
    }
}

/* A root of all trees that was left behind, and names as that of the attempts a page which belongs
 * to the free list by now: its keys are numbers of commits, and no seqs. */
static void test_salvage_passes_over_an_old_root(void **state)
{
    static struct said said;
    struct fixture *f = *state;
    struct err_detail err = {0};
    char path[160];
    char to[160];
    unsigned char buf[PG_SIZE_MAX];
    struct pg_file file;
    struct pg_page page;
    struct pg_node node;
    const char *why;

    make(f, path);
    fx_open(f);
    for (int n = 0; n < 60; n++) { /* numbers of commits that would be seqs of a later year */
        assert_int_equal(store_put_object(f->store, STORE_TENANT, STR("again"), STR("{}")), 0);
        fx_commit(f);
    }
    fx_close(f);
    assert_int_equal(pg_file_open(&file, path, &err), 0);
    const struct pg_meta *m = &file.meta[file.newest];
    const uint64_t n_pages = pg_file_pages(&file);
    const uint64_t other_meta = (uint64_t)(1 - file.newest);
    const uint16_t one_level = 1;
    size_t i = 0;
    assert_int_equal(m->free.depth, 1);
    assert_int_equal(pg_file_page(&file, m->main.root, buf, &page, &why), 0);
    do {
        assert_true(i < page.n);
        pg_node_get(&page, i++, &node);
    } while (!str_eq(node.key, STR("at")));
    unsigned char *const tree = buf + (node.data.p - (const char *)buf);
    memcpy(tree + 6, &one_level, sizeof(one_level)); /* struct MDB_db: depth and root */
    memcpy(tree + 40, &m->free.root, sizeof(m->free.root));
    memcpy(buf, &n_pages, sizeof(n_pages)); /* the page's own number */
    pg_file_close(&file);
    overwrite(path, n_pages * 4096, buf, 4096);
    memset(buf, 0, sizeof(buf));
    overwrite(path, other_meta * 4096, buf, 4096);

    (void)snprintf(to, sizeof(to), "%s/old-root", f->dir);
    said.n = 0;
    assert_int_equal(store_salvage(f->dir, to, say, &said, &err), 0);
    if (strstr(said.text, "the newest one is that of a meta page") == NULL) {
        fail_msg("%s", said.text);
    }
}

/* A damaged branch over parts of large records: its nodes, read as those of a leaf, look like such
 * parts, and nothing in a part says that it is none. */
static void test_salvage_of_a_branch(void **state)
{
    static unsigned char bytes[16 << 20];
    static struct said said;
    struct fixture *f = *state;
    struct err_detail err = {0};
    struct pg_page page;
    struct pg_node node;
    char path[160];
    char to[160];
    uint64_t branch = 0;
    size_t n;

    fx_path(f, path, "journal/data.mdb");
    fx_open(f);
    for (size_t i = 0; i < 100; i++) {
        (void)fx_put_event(f, &(struct fx_event){.n_data = 20000, .dests = one, .n_dests = 1});
    }
    fx_commit(f);
    fx_close(f);
    assert_true(find_page(f, false, TREE_BD, 0, &branch) > 1);
    n = read_all(path, bytes, sizeof(bytes));
    assert_null(pg_page_parse(&page, bytes + branch * 4096, 4096, branch));
    assert_true(page.n > 2);
    /* The offset of node 1 leads into the gap, to what would be a row of 100 bytes in a leaf, with
     * a key that is there. */
    pg_node_get(&page, 2, &node);
    memcpy(bytes + branch * 4096 + PG_HEAD + 2, "\xd0\x07", 2);
    memcpy(bytes + branch * 4096 + 2000, "\x64\0\0\0\0\0\x0a", 8);
    memcpy(bytes + branch * 4096 + 2008, node.key.p, KEY_CHUNK);
    write_all(path, bytes, n);
    (void)snprintf(to, sizeof(to), "%s/new", f->dir);
    if (store_salvage(f->dir, to, say, &said, &err) != 0) {
        fail_msg("%s\n%s", err.msg, said.text);
    }
    f->cfg.data_dir = to;
    fx_open(f);
    fx_indexed(f);
    assert_int_equal(fx_count(f, STORE_EVENTS, NULL, NULL), 100);
    fx_close(f);
}

static int count_object(void *ctx, struct str key, struct str value)
{
    int *n = ctx;
    (void)key;
    (void)value;
    ++*n;
    return 0;
}

/* Without meta pages, root and branches, rows are known by their keys and checksums alone. */
static void test_salvage_of_leaves(void **state)
{
    static unsigned char bytes[16 << 20];
    static struct said said;
    struct fixture *f = *state;
    struct err_detail err = {0};
    char path[160];
    char to[160];
    size_t n;
    uint64_t seq;

    fx_path(f, path, "journal/data.mdb");
    fx_open(f);
    fill(f);
    for (enum store_object kind = STORE_TENANT; kind <= STORE_LAST_OBJECT; kind++) {
        assert_int_equal(store_put_object(f->store, kind, STR("of-each-kind"), STR("{}")), 0);
    }
    fx_commit(f);
    fx_close(f);
    n = read_all(path, bytes, sizeof(bytes));
    memset(bytes, 0, 8192);
    for (size_t page = 2; page < n / 4096; page++) {
        struct pg_page p;
        struct pg_node node;
        if (pg_page_parse(&p, bytes + page * 4096, 4096, page) != NULL || p.kind == PG_OVERFLOW) {
            continue;
        }
        pg_node_get(&p, 0, &node);
        if (p.kind == PG_BRANCH || node.is_tree) {
            memset(bytes + page * 4096, 0, 4096);
        }
    }
    write_all(path, bytes, n);
    (void)snprintf(to, sizeof(to), "%s/new", f->dir);
    if (store_salvage(f->dir, to, say, &said, &err) != 0) {
        fail_msg("%s\n%s", err.msg, said.text);
    }
    f->cfg.data_dir = to;
    fx_open(f);
    fx_indexed(f);
    assert_int_equal(fx_count(f, STORE_EVENTS, NULL, NULL), N);
    assert_int_equal(fx_count(f, STORE_ATTEMPTS, NULL, "d"), N);
    for (enum store_object kind = STORE_TENANT; kind <= STORE_LAST_OBJECT; kind++) {
        int n_found = 0;
        assert_int_equal(store_each_object(f->store, kind, count_object, &n_found), 0);
        assert_int_equal(n_found, kind == STORE_TENANT ? 2 : 1);
    }
    assert_int_equal(store_read_begin(f->store), 0);
    assert_int_equal(store_find_idempotency(f->store, STR("t1"), STR("e"), &seq), 0);
    store_read_end(f->store);
    fx_close(f);
}

/* ---- LMDB's assertion, and repeated crashes ---- */

/* A branch with one child, under the feet of an environment that is open. */
static void test_assert_ends_in_a_status(void **state)
{
    static const unsigned char lower[] = {PG_HEAD + 2, 0};
    struct fixture *f = *state;
    char path[160];
    uint64_t root = 0;
    int status = 0;
    pid_t child;

    make(f, path);
    assert_true(find_page(f, false, TREE_EV, 0, &root) > 1);
    child = fork();
    if (child == 0) {
        struct event_record e;
        fx_open(f);
        f->store->journal.assert_status = 65;
        overwrite(path, root * 4096 + 12, lower, sizeof(lower));
        if (store_read_begin(f->store) == 0) {
            (void)!store_get_event(f->store, 1, &f->arena, &e);
        }
        _exit(1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 65);
    assert_true(crash_mark_is_set(f->dir, CRASH_JOURNAL));
    assert_false(crash_mark_is_set(f->dir, CRASH_INDEX));
}

static void test_crashes_end_in_a_refusal(void **state)
{
    struct fixture *f = *state;
    struct err_detail err = {0};
    char path[160];

    make(f, path);
    for (unsigned i = 1; i < CRASH_MAX; i++) {
        assert_int_equal(crash_mark_arm(f->dir), 0);
        crash_mark_set(CRASH_JOURNAL);
        crash_mark_disarm();
        assert_int_equal(crash_count(f->dir), i);
        assert_int_equal(fx_try_open(f, &err), 0); /* the check finds nothing */
        assert_int_equal(crash_count(f->dir), i);
        assert_false(crash_mark_is_set(f->dir, CRASH_JOURNAL));
        fx_close(f); /* an orderly stop forgets */
        assert_int_equal(crash_count(f->dir), 0);
        for (unsigned k = 0; k < i; k++) { /* as if it had not been orderly */
            assert_int_equal(crash_mark_arm(f->dir), 0);
            crash_mark_set(CRASH_JOURNAL);
            crash_mark_disarm();
            assert_int_equal(crash_checked(f->dir), 0);
        }
    }
    assert_int_equal(crash_mark_arm(f->dir), 0);
    crash_mark_set(CRASH_JOURNAL);
    crash_mark_disarm();
    assert_int_equal(crash_count(f->dir), CRASH_MAX);
    assert_int_equal(fx_try_open(f, &err), ERR_CORRUPT);
    assert_non_null(strstr(err.msg, ".journal-crashed"));
}

/* ---- in the background ---- */

static bool is_noted(struct fixture *f)
{
    return damage_count(&f->store->damage) != 0;
}

static bool has_ended(struct fixture *f)
{
    return f->n_fatal != 0;
}

/* What the check at the start had no time for. */
static void test_background(void **state)
{
    static const unsigned char zeros[4096];
    struct fixture *f = *state;
    struct err_detail err = {0};
    char path[160];
    uint64_t leaf = 0;

    make(f, path);
    fx_open(f);
    assert_true(f->store->is_checked);
    (void)find_page(f, false, TREE_AT, PG_DEPTH_MAX, &leaf);
    overwrite(path, leaf * 4096 + 4090, "\1\2\3", 3); /* within the last row of the page */
    f->store->is_checked = false;
    assert_int_equal(scrub_start(f->store, &err), 0);
    fx_until(f, is_noted);
    fx_close(f);
    fx_open(f);
    assert_true(is_noted(f)); /* the check at the start finds it as well */
    (void)find_page(f, false, TREE_AT, PG_DEPTH_MAX, &leaf);
    overwrite(path, leaf * 4096, zeros, 16);
    f->store->is_checked = false;
    assert_int_equal(scrub_start(f->store, &err), 0);
    fx_until(f, has_ended);
    assert_int_equal(f->fatal.code, ERR_CORRUPT);
    assert_non_null(strstr(f->fatal.msg, "longline salvage OLD NEW"));
    assert_true(crash_mark_is_set(f->dir, CRASH_JOURNAL));
    fx_close(f);
    assert_int_equal(fx_try_open(f, &err), ERR_CORRUPT);
    assert_true(crash_mark_is_set(f->dir, CRASH_JOURNAL));
}

static ino_t old_inode;

static bool is_new_index(struct fixture *f)
{
    struct stat st;
    char path[160];
    fx_path(f, path, "index/data.mdb");
    return stat(path, &st) == 0 && st.st_ino != old_inode && atomic_load(&f->store->index.ready);
}

/* Behind what the start looked at: a row whose key was changed is not found, and not missed. */
static void test_background_of_index(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    char path[160];
    uint64_t leaf = 0;
    int fd;

    make(f, path);
    fx_path(f, path, "index/data.mdb");
    fx_open(f);
    fx_indexed(f);
    assert_int_equal(atomic_load(&f->store->index.check.tree), N_INDEX_TREES);
    (void)find_page(f, true, TREE_EA, PG_DEPTH_MAX, &leaf);
    fd = open(path, O_RDONLY | O_CLOEXEC); /* its inode is not given to the new file */
    assert_int_equal(fstat(fd, &st), 0);
    old_inode = st.st_ino;
    overwrite(path, leaf * 4096 + 4090, "\1\2\3", 3); /* within the first row that was written */
    atomic_store(&f->store->index.check.tree, 0);
    fx_until(f, is_new_index);
    assert_int_equal(atomic_load(&f->store->index.check.tree), N_INDEX_TREES);
    (void)close(fd);
    fx_indexed(f);
    assert_int_equal(fx_count(f, STORE_ATTEMPTS, NULL, "d"), N);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, fx_setup, fx_teardown)
        T(test_sound),
        T(test_meta_pages),
        T(test_counts_of_trees),
        T(test_pages),
        T(test_salvage),
        T(test_salvage_of_the_last_commit),
        T(test_salvage_passes_over_an_old_root),
        T(test_salvage_of_a_branch),
        T(test_salvage_of_leaves),
        T(test_background),
        T(test_background_of_index),
        T(test_assert_ends_in_a_status),
        T(test_crashes_end_in_a_refusal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
