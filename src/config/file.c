/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The INI file, read through inih. Its handler gets no line number and the packaged builds cut
 * lines at a fixed length, so the lines are fed to it by our own reader, which counts them and
 * refuses one that inih would cut in two.
 *
 * inih calls the handler again for an indented line, with the name of the key above it. That is
 * how a list goes on over several lines:
 *
 *     allow = 10.0.0.0/8
 *         192.168.0.0/16
 *
 * For every other kind an indented line is an error. A key may stand once in a file.
 */
#include "config_internal.h"

#include <errno.h>
#include <ini.h>
#include <unistd.h>

#include "longline/check.h"
#include "longline/file.h"
#include "longline/mem.h"

struct reader {
    FILE *f;
    const char *name;
    int line;
    bool is_indented; /* the line that inih works on */
    int rc;           /* the first error; nothing is read after it */
    struct err_detail *err;

    const struct cfg_schema *schema;
    void *cfg;
    struct cfg_ref last;  /* the key of the last call */
    struct cfg_ref *seen; /* keys set so far */
    size_t n_seen;
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

/* r->err holds the message. */
static void fail(struct reader *r, int rc)
{
    r->rc = rc;
    err_prefix(r->err, "%s:%d", r->name, r->line);
}

/* Reads on to the end of the line. */
static void skip_line(FILE *f)
{
    int c;
    do {
        c = getc(f);
    } while (c != EOF && c != '\n');
}

/* The length of a comment does not matter. */
static bool is_comment(const char *line)
{
    while (is_blank(*line)) {
        line++;
    }
    return *line == '#' || *line == ';';
}

/* fgets for inih: one whole line, or NULL at the end and after an error. */
static char *read_line(char *line, int size, void *ctx)
{
    struct reader *r = ctx;
    size_t n;

    if (r->rc != 0 || fgets(line, size, r->f) == NULL) {
        return NULL;
    }
    r->line++;
    r->is_indented = is_blank(line[0]);
    n = strlen(line);
    if (n != 0 && line[n - 1] == '\n') {
        return line;
    }
    if (feof(r->f) && n != 0) {
        return line; /* the last line lacks its line end */
    }
    if (n == (size_t)size - 1) {
        if (is_comment(line)) {
            skip_line(r->f);
            line[n - 1] = '\n';
            return line;
        }
        (void)err_set(r->err, ERR_TOO_BIG, 0, "the line is longer than %d bytes", size - 3);
        fail(r, ERR_TOO_BIG);
        return NULL;
    }
    (void)err_set(r->err, ERR_SYNTAX, 0, "the line holds a NUL byte");
    fail(r, ERR_SYNTAX);
    return NULL;
}

static bool was_seen(struct reader *r, const struct cfg_ref *ref)
{
    for (size_t i = 0; i < r->n_seen; i++) {
        if (r->seen[i].key == ref->key && r->seen[i].sec == ref->sec) {
            return true;
        }
    }
    r->seen = mem_realloc_array(r->seen, r->n_seen + 1, sizeof(*r->seen));
    r->seen[r->n_seen++] = *ref;
    return false;
}

/* A list that goes on in the next line may end this one in a comma. */
static struct str list_line(struct str s)
{
    s = str_trim(s);
    if (s.n > 1 && s.p[s.n - 1] == ',') {
        s.n--;
    }
    return s;
}

static int take(struct reader *r, const char *section, const char *name, const char *value)
{
    struct cfg_ref ref;
    if (!cfg_find(r->schema, str_c(section), str_c(name), &ref)) {
        return cfg_unknown(r->schema, str_c(section), str_c(name), r->err);
    }
    if (r->is_indented && r->last.key == ref.key && r->last.sec == ref.sec) {
        if (ref.key->kind == CFG_LIST) {
            return cfg_list_extend(r->cfg, ref, list_line(str_c(value)), r->err);
        }
        return err_set(r->err, ERR_SYNTAX, 0, "an indented line cannot continue %s.%s",
                       ref.sec->name, ref.key->name);
    }
    r->last = ref;
    if (was_seen(r, &ref)) {
        return err_set(r->err, ERR_EXISTS, 0, "%s.%s is set twice", ref.sec->name, ref.key->name);
    }
    return cfg_set(r->cfg, ref, ref.key->kind == CFG_LIST ? list_line(str_c(value)) : str_c(value),
                   r->err);
}

/* inih's sense: non-zero is success. */
static int on_entry(void *ctx, const char *section, const char *name, const char *value)
{
    struct reader *r = ctx;
    int rc;

    if (r->rc != 0) {
        return 0;
    }
    rc = take(r, section, name, value != NULL ? value : "");
    if (rc != 0) {
        fail(r, rc);
        return 0;
    }
    return 1;
}

int cfg_read_stream(const struct cfg_schema *s, void *cfg, FILE *f, const char *name,
                    struct err_detail *err)
{
    struct reader r = {.f = f, .name = name, .err = err, .schema = s, .cfg = cfg};
    const int bad_line = ini_parse_stream(read_line, &r, on_entry, &r);

    mem_free(r.seen);
    if (ferror(f)) {
        return err_set(err, ERR_IO, errno, "%s: cannot be read", name);
    }
    /* inih goes on behind a line that it cannot read and returns the first such line; what we
     * found after it may only be its consequence. */
    if (bad_line > 0 && (r.rc == 0 || bad_line < r.line)) {
        return err_set(err, ERR_SYNTAX, 0, "%s:%d: neither [section] nor key = value", name,
                       bad_line);
    }
    if (r.rc != 0) {
        return r.rc;
    }
    return bad_line == 0 ? 0 : err_set(err, ERR_NOMEM, 0, "%s: out of memory", name);
}

/* A descriptor that the process was started with (standard input, the shell's "<(command)"), or
 * the empty file: whoever gave it knows what he waits for. */
static bool is_given(const char *path)
{
    static const char *const prefixes[] = {"/dev/stdin", "/dev/fd/", "/proc/self/fd/", "/dev/null"};
    for (size_t i = 0; i < LL_COUNT(prefixes); i++) {
        if (str_starts(str_c(path), str_c(prefixes[i]))) {
            return true;
        }
    }
    return false;
}

static int open_file(FILE **out, const char *path, struct err_detail *err)
{
    int fd = -1;
    if (is_given(path)) {
        *out = fopen(path, "re");
    } else {
        const int rc = file_open(&fd, path, err);
        if (rc != 0) {
            return rc;
        }
        *out = fdopen(fd, "r");
    }
    if (*out == NULL) {
        const int e = errno;
        const int rc = err_from_errno(e);
        if (fd >= 0) {
            (void)close(fd);
        }
        return err_set(err, rc, e, "%s: %s", path, err_text(rc));
    }
    return 0;
}

int cfg_read_file(const struct cfg_schema *s, void *cfg, const char *path, struct err_detail *err)
{
    FILE *f = NULL;
    int rc = open_file(&f, path, err);
    if (rc != 0) {
        return rc;
    }
    rc = cfg_read_stream(s, cfg, f, path, err);
    (void)fclose(f);
    return rc;
}
