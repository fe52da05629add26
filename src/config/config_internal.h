/* SPDX-License-Identifier: Apache-2.0 */
/* Private to src/config. */
#ifndef LL_CONFIG_INTERNAL_H
#define LL_CONFIG_INTERNAL_H

#include <stdio.h>

#include "longline/config.h"

/* A key and the section it stands in. */
struct cfg_ref {
    const struct cfg_section *sec;
    const struct cfg_key *key;
};

/* load.c. False when there is no such key. */
bool cfg_find(const struct cfg_schema *s, struct str section, struct str key, struct cfg_ref *out);
/* Fills err for a key that cfg_find did not find. */
int cfg_unknown(const struct cfg_schema *s, struct str section, struct str key,
                struct err_detail *err);

/* value.c */
/* The field of the key within the configuration. */
void *cfg_field(void *cfg, struct cfg_ref ref);
const void *cfg_field_const(const void *cfg, struct cfg_ref ref);
/* Sets the field from text; the old value goes. On error the field is as it was, and err names
 * section and key but never shows a secret. */
int cfg_set(void *cfg, struct cfg_ref ref, struct str text, struct err_detail *err) LL_MUST_USE;
/* Adds the items of text to a CFG_LIST. */
int cfg_list_extend(void *cfg, struct cfg_ref ref, struct str text,
                    struct err_detail *err) LL_MUST_USE;
/* Frees what the field owns, wiping secrets. */
void cfg_clear(void *cfg, struct cfg_ref ref);
bool cfg_equal(const void *a, const void *b, struct cfg_ref ref);
/* The value as cfg_set would read it. */
int cfg_format(const void *cfg, struct cfg_ref ref, struct buf *out);
/* A number of the given kind with its unit: "10MiB", "1500ms". */
int cfg_format_number(struct buf *out, enum cfg_kind kind, int64_t v);

/* file.c. Reads INI text into cfg; `name` is for messages. */
int cfg_read_stream(const struct cfg_schema *s, void *cfg, FILE *f, const char *name,
                    struct err_detail *err) LL_MUST_USE;
int cfg_read_file(const struct cfg_schema *s, void *cfg, const char *path,
                  struct err_detail *err) LL_MUST_USE;

/* nearest.c. Offer names one by one. best is the name that looks most like the wanted one;
 * is_close when few letters differ, so that it may be a slip. */
struct nearest {
    struct str wanted;
    struct str best; /* p is NULL when nothing was offered, or a name is too long */
    bool is_close;
    size_t n_words; /* that both have; names are words between underscores */
    size_t distance;
};
void nearest_init(struct nearest *n, struct str wanted);
/* True when name is the best one now. */
bool nearest_offer(struct nearest *n, struct str name);

#endif
