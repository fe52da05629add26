/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The configuration engine: tables of typed keys, filled from defaults, an INI file, the
 * environment and the command line, in that order. The tables live in the modules that read them;
 * app/ lists the sections. Unknown keys, bad values and values out of bounds are errors with their
 * origin (file:line, variable name or --set) and the nearest known name.
 */
#ifndef LL_CONFIG_H
#define LL_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "longline/buf.h"
#include "longline/err.h"
#include "longline/str.h"

/* Type of the field that a key of the kind fills. */
enum cfg_kind {
    CFG_BOOL,     /* bool: true/false, yes/no, on/off, 1/0 */
    CFG_INT,      /* int64_t, plain number */
    CFG_SIZE,     /* int64_t bytes; B KiB MiB GiB TiB */
    CFG_DURATION, /* int64_t milliseconds; ms s m h d; a bare number is an error unless 0 */
    CFG_STRING,   /* char * owned by the config, never NULL */
    CFG_ENUM,     /* int: index into the `choices` list */
    CFG_LIST      /* struct cfg_list: comma separated, items trimmed, empty items refused; in the
                   * file it may go on in indented lines */
};

struct cfg_list {
    char **v; /* terminated strings, owned by the config */
    size_t n;
};

enum cfg_flag {
    CFG_RELOAD = 1, /* SIGHUP may change it */
    CFG_SECRET = 2, /* never printed */
    CFG_NONE = 4    /* CFG_STRING: "none", or only white space where it can be given, is a value of
                     * its own, kept as " ": not the same as empty */
};

struct cfg_key {
    const char *name;
    enum cfg_kind kind;
    unsigned flags;
    size_t offset;       /* within the section's struct: CFG_AT */
    const char *def;     /* default, as text */
    int64_t min, max;    /* for numbers, sizes, durations; ignored when both are 0 */
    const char *choices; /* CFG_ENUM: "a b c" */
    const char *help;    /* one line */
};

/* offsetof that also checks the field's C type: CFG_AT(int64_t, struct server_cfg, max_body). */
/* NOLINTBEGIN(bugprone-macro-parentheses): a type cannot stand in parentheses there. */
#define CFG_AT(ctype, stype, field)                                                                \
    (offsetof(stype, field) + 0 * sizeof(char[_Generic(((stype *)0)->field, ctype : 1)]))
/* NOLINTEND(bugprone-macro-parentheses) */

struct cfg_section {
    const char *name;
    const struct cfg_key *keys;
    size_t n_keys;
    size_t offset; /* of the section's struct within the whole configuration */
    const char *help;
};

struct cfg_schema {
    const struct cfg_section *sections;
    size_t n_sections;
    size_t size; /* of the whole configuration struct */
    /* Checks that involve several keys; fills err and returns an error. May be NULL. */
    int (*check)(const void *cfg, struct err_detail *err);
};

struct cfg_source {
    const char *file;        /* NULL: no file */
    char *const *env;        /* NULL-terminated NAME=value list, or NULL; unknown LONGLINE_* names
                              * are errors, but for those that Kubernetes and Docker make for a
                              * service called longline */
    const char *const *sets; /* "section.key=value" */
    size_t n_sets;
};

/* "500ms", "10s", "5m", "2h", "7d", "0". ERR_SYNTAX, ERR_RANGE. For lists of durations. */
int cfg_parse_duration(struct str text, int64_t *ms) LL_MUST_USE;

/* A new configuration (zeroed, then defaults, file, environment LONGLINE_<SECTION>_<KEY>, sets,
 * checks). *out is freed with cfg_free. On error nothing is returned and err says where. */
int cfg_load(const struct cfg_schema *s, const struct cfg_source *src, void **out,
             struct err_detail *err) LL_MUST_USE;
void cfg_free(const struct cfg_schema *s, void *cfg); /* wipes secrets; NULL is fine */

/* Calls fn for every key whose value differs between a and b. */
typedef void (*cfg_diff_fn)(void *ctx, const struct cfg_section *sec, const struct cfg_key *key);
void cfg_diff(const struct cfg_schema *s, const void *a, const void *b, cfg_diff_fn fn, void *ctx);

/* conf/longline.conf: every key, commented out, with help and default. */
int cfg_write_reference(const struct cfg_schema *s, struct buf *out);
/* The effective values as INI; secrets as ***. */
int cfg_write_values(const struct cfg_schema *s, const void *cfg, struct buf *out);

#endif
