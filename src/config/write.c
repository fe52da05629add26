/* SPDX-License-Identifier: Apache-2.0 */
/* The reference file and the effective values. */
#include "config_internal.h"

#define WRAP_COLUMN 96

/* "# " lines of at most WRAP_COLUMN columns, broken at spaces. */
static void put_comment(struct buf *out, struct str text)
{
    struct str word;
    size_t column = 0;
    while (str_split(&text, ' ', &word)) {
        if (column == 0 || column + 1 + word.n > WRAP_COLUMN) {
            (void)buf_add_str(out, column == 0 ? STR("#") : STR("\n#"));
            column = 1;
        }
        (void)buf_add_c(out, ' ');
        (void)buf_add_str(out, word);
        column += 1 + word.n;
    }
    (void)buf_add_c(out, '\n');
}

/* What the help line cannot know: choices, bounds, flags. */
static void put_facts(struct buf *out, const struct cfg_key *key)
{
    if (key->kind == CFG_ENUM) {
        (void)buf_printf(out, " One of: %s.", key->choices);
    }
    if (key->min != 0 || key->max != 0) {
        (void)buf_add_lit(out, " From ");
        (void)cfg_format_number(out, key->kind, key->min);
        if (key->max == INT64_MAX) {
            (void)buf_add_lit(out, " up");
        } else {
            (void)buf_add_lit(out, " to ");
            (void)cfg_format_number(out, key->kind, key->max);
        }
        (void)buf_add_c(out, '.');
    }
    if ((key->flags & CFG_SECRET) != 0) {
        (void)buf_add_lit(out, " Secret.");
    }
    if ((key->flags & CFG_RELOAD) != 0) {
        (void)buf_add_lit(out, " Can change on reload.");
    }
}

static void put_key(struct buf *out, const struct cfg_key *key)
{
    struct buf comment;
    const struct str help = str_c(key->help);
    const char *def = key->def != NULL ? key->def : "";

    buf_init(&comment, 4096);
    (void)buf_add_str(&comment, help);
    if (help.n != 0 && !str_ends(help, STR("."))) {
        (void)buf_add_c(&comment, '.');
    }
    put_facts(&comment, key);
    put_comment(out, str_trim(buf_str(&comment)));
    out->failed = out->failed || comment.failed;
    buf_fini(&comment);
    (void)buf_printf(out, "#%s =%s%s\n\n", key->name, *def != '\0' ? " " : "", def);
}

int cfg_write_reference(const struct cfg_schema *s, struct buf *out)
{
    put_comment(out,
                STR("The configuration of Longline. Every key is here, commented out, with its "
                    "default."));
    put_comment(out, STR("Each can also be set as LONGLINE_<SECTION>_<KEY> in the environment or "
                         "with --set section.key=value; the later of file, environment and command "
                         "line wins."));
    put_comment(out, STR("Sizes take B KiB MiB GiB TiB, durations ms s m h d. A list is separated "
                         "by commas and may go on in indented lines. A ';' after a space starts a "
                         "comment."));
    for (size_t i = 0; i < s->n_sections; i++) {
        const struct cfg_section *sec = &s->sections[i];
        (void)buf_add_c(out, '\n');
        if (sec->help != NULL) {
            put_comment(out, str_c(sec->help));
        }
        (void)buf_printf(out, "[%s]\n\n", sec->name);
        for (size_t j = 0; j < sec->n_keys; j++) {
            put_key(out, &sec->keys[j]);
        }
        if (out->n != 0 && !out->failed) {
            out->n--; /* one empty line between sections, none at the end */
        }
    }
    return out->failed ? ERR_TOO_BIG : 0;
}

static bool is_empty(const void *cfg, struct cfg_ref ref)
{
    const void *field = cfg_field_const(cfg, ref);
    if (ref.key->kind == CFG_STRING) {
        return **(char *const *)field == '\0';
    }
    return ref.key->kind == CFG_LIST && ((const struct cfg_list *)field)->n == 0;
}

int cfg_write_values(const struct cfg_schema *s, const void *cfg, struct buf *out)
{
    for (size_t i = 0; i < s->n_sections; i++) {
        const struct cfg_section *sec = &s->sections[i];
        (void)buf_printf(out, "%s[%s]\n", i != 0 ? "\n" : "", sec->name);
        for (size_t j = 0; j < sec->n_keys; j++) {
            const struct cfg_ref ref = {.sec = sec, .key = &sec->keys[j]};
            (void)buf_printf(out, "%s =", ref.key->name);
            if (!is_empty(cfg, ref)) {
                (void)buf_add_c(out, ' ');
                if ((ref.key->flags & CFG_SECRET) != 0) {
                    (void)buf_add_lit(out, "***"); /* set, but not shown */
                } else {
                    (void)cfg_format(cfg, ref, out);
                }
            }
            (void)buf_add_c(out, '\n');
        }
    }
    return out->failed ? ERR_TOO_BIG : 0;
}
