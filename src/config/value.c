/* SPDX-License-Identifier: Apache-2.0 */
/* One value: from text to the typed field, back to text, compared, freed. */
#include "config_internal.h"

#include "longline/check.h"
#include "longline/mem.h"

struct unit {
    const char *name;
    int64_t factor;
};

#define KIB ((int64_t)1024)

/* Largest first: the writer takes the first that divides the value. */
static const struct unit size_units[] = {
    {"TiB", KIB *KIB *KIB *KIB}, {"GiB", KIB *KIB *KIB}, {"MiB", KIB *KIB}, {"KiB", KIB}, {"B", 1},
};

static const struct unit duration_units[] = {
    {"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1},
};

struct unit_table {
    const struct unit *v;
    size_t n;
};

static const struct unit_table sizes = {size_units, LL_COUNT(size_units)};
static const struct unit_table durations = {duration_units, LL_COUNT(duration_units)};

void *cfg_field(void *cfg, struct cfg_ref ref)
{
    return (char *)cfg + ref.sec->offset + ref.key->offset;
}

const void *cfg_field_const(const void *cfg, struct cfg_ref ref)
{
    return (const char *)cfg + ref.sec->offset + ref.key->offset;
}

static bool is_number(enum cfg_kind kind)
{
    return kind == CFG_INT || kind == CFG_SIZE || kind == CFG_DURATION;
}

/* "section.key: "text" <why>", without the text when it is secret. */
static int refuse(struct cfg_ref ref, struct str text, const char *why, struct err_detail *err)
{
    if ((ref.key->flags & CFG_SECRET) != 0) {
        return err_set(err, ERR_INVALID, 0, "%s.%s: the value %s", ref.sec->name, ref.key->name,
                       why);
    }
    if (text.n > 48) {
        text.n = 48;
    }
    return err_set(err, ERR_INVALID, 0, "%s.%s: \"" STR_FMT "\" %s", ref.sec->name, ref.key->name,
                   STR_ARG(text), why);
}

/* "<digits> <unit>" in the units given. ERR_SYNTAX, or ERR_RANGE. A bare number has factor 1;
 * *has_unit tells. */
static int parse_scaled(struct str text, const struct unit_table *units, int64_t *out,
                        bool *has_unit)
{
    size_t digits = text.n != 0 && text.p[0] == '-' ? 1 : 0;
    struct str unit;
    int rc;

    while (digits < text.n && char_is_digit(text.p[digits])) {
        digits++;
    }
    rc = str_to_i64(str_of(text.p, digits), out);
    if (rc != 0) {
        return rc;
    }
    unit = str_trim(str_of(text.p + digits, text.n - digits));
    *has_unit = unit.n != 0;
    if (unit.n == 0) {
        return 0;
    }
    for (size_t i = 0; i < units->n; i++) {
        if (str_eq_ci(unit, str_c(units->v[i].name))) {
            return __builtin_mul_overflow(*out, units->v[i].factor, out) ? ERR_RANGE : 0;
        }
    }
    return ERR_SYNTAX;
}

int cfg_parse_duration(struct str text, int64_t *ms)
{
    bool has_unit = false;
    const int rc = parse_scaled(text, &durations, ms, &has_unit);
    return rc == 0 && !has_unit && *ms != 0 ? ERR_SYNTAX : rc; /* seconds or milliseconds? */
}

/* "1MB": whether a power of 1000 or of 1024 is meant cannot be known. */
static bool is_decimal_size(struct str text)
{
    return text.n > 2 && (text.p[text.n - 1] == 'B' || text.p[text.n - 1] == 'b') &&
           str_find(STR("KMGTkmgt"), text.p[text.n - 2]) < 8;
}

static int refuse_decimal_size(struct cfg_ref ref, struct str text, struct err_detail *err)
{
    char why[64];
    const char c = text.p[text.n - 2];
    (void)snprintf(why, sizeof(why), "is no size; did you mean %ciB, a power of 1024?",
                   c >= 'a' ? c - 'a' + 'A' : c);
    return refuse(ref, text, why, err);
}

static int parse_number(struct cfg_ref ref, struct str text, int64_t *out, struct err_detail *err)
{
    const char *why = "is not a whole number";
    bool has_unit = false;
    int rc;

    if (ref.key->kind == CFG_SIZE) {
        if (is_decimal_size(text)) {
            return refuse_decimal_size(ref, text, err);
        }
        rc = parse_scaled(text, &sizes, out, &has_unit);
        why = "is not a size such as 64KiB or 10MiB";
    } else if (ref.key->kind == CFG_DURATION) {
        rc = cfg_parse_duration(text, out);
        why = "is not a duration such as 500ms, 10s or 7d";
    } else {
        rc = str_to_i64(text, out);
    }
    if (rc != 0) {
        return refuse(ref, text, rc == ERR_RANGE ? "is out of range" : why, err);
    }
    return 0;
}

static int check_bounds(struct cfg_ref ref, struct str text, int64_t v, struct err_detail *err)
{
    const struct cfg_key *key = ref.key;
    struct buf why;
    int rc;

    if ((key->min == 0 && key->max == 0) || (v >= key->min && v <= key->max)) {
        return 0;
    }
    buf_init(&why, 128);
    (void)buf_add_lit(&why, "is not between ");
    (void)cfg_format_number(&why, key->kind, key->min);
    (void)buf_add_lit(&why, " and ");
    (void)cfg_format_number(&why, key->kind, key->max);
    (void)buf_add_c(&why, '\0');
    rc = refuse(ref, text, why.failed ? "is out of bounds" : why.p, err);
    buf_fini(&why);
    return rc;
}

static int set_number(void *cfg, struct cfg_ref ref, struct str text, struct err_detail *err)
{
    int64_t *field = cfg_field(cfg, ref);
    int64_t v = 0;
    int rc = parse_number(ref, text, &v, err);
    if (rc == 0) {
        rc = check_bounds(ref, text, v, err);
    }
    if (rc == 0) {
        *field = v;
    }
    return rc;
}

static int set_bool(void *cfg, struct cfg_ref ref, struct str text, struct err_detail *err)
{
    static const struct {
        const char *word;
        bool value;
    } words[] = {
        {"true", true}, {"false", false}, {"yes", true}, {"no", false},
        {"on", true},   {"off", false},   {"1", true},   {"0", false},
    };
    bool *field = cfg_field(cfg, ref);
    for (size_t i = 0; i < LL_COUNT(words); i++) {
        if (str_eq_ci(text, str_c(words[i].word))) {
            *field = words[i].value;
            return 0;
        }
    }
    return refuse(ref, text, "is neither true nor false", err);
}

static int set_enum(void *cfg, struct cfg_ref ref, struct str text, struct err_detail *err)
{
    int *field = cfg_field(cfg, ref);
    struct str rest = str_c(ref.key->choices);
    struct str choice;
    char why[128];

    for (int i = 0; str_split(&rest, ' ', &choice); i++) {
        if (str_eq(choice, text)) {
            *field = i;
            return 0;
        }
    }
    (void)snprintf(why, sizeof(why), "is none of: %s", ref.key->choices);
    return refuse(ref, text, why, err);
}

static void free_text(char *p, bool secret)
{
    if (p != NULL && secret) {
        mem_wipe(p, strlen(p));
    }
    mem_free(p);
}

static bool is_secret(struct cfg_ref ref)
{
    return (ref.key->flags & CFG_SECRET) != 0;
}

static void free_list(struct cfg_list *l, bool secret)
{
    for (size_t i = 0; i < l->n; i++) {
        free_text(l->v[i], secret);
    }
    mem_free(l->v);
    *l = (struct cfg_list){0};
}

int cfg_list_extend(void *cfg, struct cfg_ref ref, struct str text, struct err_detail *err)
{
    struct cfg_list *l = cfg_field(cfg, ref);
    const size_t before = l->n;
    struct str rest = str_trim(text);
    struct str item;

    LL_ASSERT(ref.key->kind == CFG_LIST);
    if (rest.n == 0) {
        return 0;
    }
    while (str_split(&rest, ',', &item)) {
        item = str_trim(item);
        if (item.n == 0) {
            while (l->n > before) {
                free_text(l->v[--l->n], is_secret(ref));
            }
            return refuse(ref, text, "has an empty item", err);
        }
        l->v = mem_realloc_array(l->v, l->n + 1, sizeof(*l->v));
        l->v[l->n++] = mem_strndup(item.p, item.n);
    }
    return 0;
}

static int set_list(void *cfg, struct cfg_ref ref, struct str text, struct err_detail *err)
{
    struct cfg_list *field = cfg_field(cfg, ref);
    struct cfg_list old = *field;
    int rc;

    *field = (struct cfg_list){0};
    rc = cfg_list_extend(cfg, ref, text, err);
    if (rc != 0) {
        mem_free(field->v);
        *field = old;
        return rc;
    }
    free_list(&old, is_secret(ref));
    return 0;
}

static void set_string(void *cfg, struct cfg_ref ref, struct str text)
{
    char **field = cfg_field(cfg, ref);
    char *old = *field;
    *field = mem_strndup(text.p, text.n);
    free_text(old, is_secret(ref));
}

static bool is_none(struct cfg_ref ref, struct str given, struct str trimmed)
{
    return (ref.key->flags & CFG_NONE) != 0 &&
           ((given.n != 0 && trimmed.n == 0) || str_eq(trimmed, STR("none")));
}

int cfg_set(void *cfg, struct cfg_ref ref, struct str text, struct err_detail *err)
{
    const struct str given = text;
    text = str_trim(given);
    if (is_none(ref, given, text)) {
        text = STR(" ");
    }
    switch (ref.key->kind) {
    case CFG_BOOL:
        return set_bool(cfg, ref, text, err);
    case CFG_INT:
    case CFG_SIZE:
    case CFG_DURATION:
        return set_number(cfg, ref, text, err);
    case CFG_STRING:
        set_string(cfg, ref, text);
        return 0;
    case CFG_ENUM:
        return set_enum(cfg, ref, text, err);
    case CFG_LIST:
        return set_list(cfg, ref, text, err);
    }
    return ERR_INVALID;
}

void cfg_clear(void *cfg, struct cfg_ref ref)
{
    if (ref.key->kind == CFG_STRING) {
        char **field = cfg_field(cfg, ref);
        free_text(*field, is_secret(ref));
        *field = NULL;
    } else if (ref.key->kind == CFG_LIST) {
        free_list(cfg_field(cfg, ref), is_secret(ref));
    }
}

static bool lists_equal(const struct cfg_list *a, const struct cfg_list *b)
{
    if (a->n != b->n) {
        return false;
    }
    for (size_t i = 0; i < a->n; i++) {
        if (strcmp(a->v[i], b->v[i]) != 0) {
            return false;
        }
    }
    return true;
}

bool cfg_equal(const void *a, const void *b, struct cfg_ref ref)
{
    const void *fa = cfg_field_const(a, ref);
    const void *fb = cfg_field_const(b, ref);
    switch (ref.key->kind) {
    case CFG_BOOL:
        return *(const bool *)fa == *(const bool *)fb;
    case CFG_INT:
    case CFG_SIZE:
    case CFG_DURATION:
        return *(const int64_t *)fa == *(const int64_t *)fb;
    case CFG_STRING:
        return strcmp(*(char *const *)fa, *(char *const *)fb) == 0;
    case CFG_ENUM:
        return *(const int *)fa == *(const int *)fb;
    case CFG_LIST:
        return lists_equal(fa, fb);
    }
    return false;
}

int cfg_format_number(struct buf *out, enum cfg_kind kind, int64_t v)
{
    const struct unit_table *units = kind == CFG_SIZE ? &sizes : &durations;

    if (kind == CFG_INT || v == 0) {
        return buf_add_i64(out, v);
    }
    for (size_t i = 0; i < units->n; i++) {
        if (v % units->v[i].factor == 0) {
            (void)buf_add_i64(out, v / units->v[i].factor);
            return buf_add_str(out, str_c(units->v[i].name));
        }
    }
    return buf_add_i64(out, v);
}

static int format_enum(const struct cfg_key *key, int index, struct buf *out)
{
    struct str rest = str_c(key->choices);
    struct str choice = STR_NULL;
    for (int i = 0; i <= index && str_split(&rest, ' ', &choice); i++) {
    }
    return buf_add_str(out, choice);
}

int cfg_format(const void *cfg, struct cfg_ref ref, struct buf *out)
{
    const void *field = cfg_field_const(cfg, ref);
    const struct cfg_list *list;
    struct str text;
    bool is_none_value;

    if (is_number(ref.key->kind)) {
        return cfg_format_number(out, ref.key->kind, *(const int64_t *)field);
    }
    switch (ref.key->kind) {
    case CFG_BOOL:
        return buf_add_str(out, *(const bool *)field ? STR("true") : STR("false"));
    case CFG_STRING:
        text = str_c(*(char *const *)field);
        is_none_value = (ref.key->flags & CFG_NONE) != 0 && str_eq(text, STR(" "));
        return buf_add_str(out, is_none_value ? STR("none") : text);
    case CFG_ENUM:
        return format_enum(ref.key, *(const int *)field, out);
    case CFG_LIST:
        list = field;
        for (size_t i = 0; i < list->n; i++) {
            (void)buf_add_str(out, i != 0 ? STR(", ") : STR(""));
            (void)buf_add_str(out, str_c(list->v[i]));
        }
        return out->failed ? ERR_TOO_BIG : 0;
    case CFG_INT:
    case CFG_SIZE:
    case CFG_DURATION:
        break;
    }
    return ERR_INVALID;
}
