/* SPDX-License-Identifier: Apache-2.0 */
/* Builds a configuration: defaults, file, environment, --set, checks. All or nothing. */
#include "config_internal.h"
#include "longline/check.h"
#include "longline/mem.h"

#define ENV_PREFIX   "LONGLINE_"
#define ENV_NAME_MAX 96

bool cfg_find(const struct cfg_schema *s, struct str section, struct str key, struct cfg_ref *out)
{
    for (size_t i = 0; i < s->n_sections; i++) {
        const struct cfg_section *sec = &s->sections[i];
        if (!str_eq(section, str_c(sec->name))) {
            continue;
        }
        for (size_t j = 0; j < sec->n_keys; j++) {
            if (str_eq(key, str_c(sec->keys[j].name))) {
                *out = (struct cfg_ref){.sec = sec, .key = &sec->keys[j]};
                return true;
            }
        }
    }
    return false;
}

/* Names in messages come from outside. */
static struct str shorten(struct str s)
{
    return str_of(s.p, s.n < 40 ? s.n : 40);
}

static int unknown_section(const struct cfg_schema *s, struct str section, struct err_detail *err)
{
    struct nearest near;
    const struct str shown = shorten(section);

    nearest_init(&near, section);
    for (size_t i = 0; i < s->n_sections; i++) {
        (void)nearest_offer(&near, str_c(s->sections[i].name));
    }
    if (section.n == 0) {
        return err_set(err, ERR_NOT_FOUND, 0, "a key stands before the first [section]");
    }
    if (!near.is_close) {
        return err_set(err, ERR_NOT_FOUND, 0, "unknown section [" STR_FMT "]", STR_ARG(shown));
    }
    return err_set(err, ERR_NOT_FOUND, 0,
                   "unknown section [" STR_FMT "]; did you mean [" STR_FMT "]?", STR_ARG(shown),
                   STR_ARG(near.best));
}

/* The section that does have the key, or NULL. */
static const struct cfg_section *section_with(const struct cfg_schema *s, struct str key)
{
    for (size_t i = 0; i < s->n_sections; i++) {
        struct cfg_ref ref;
        if (cfg_find(s, str_c(s->sections[i].name), key, &ref)) {
            return ref.sec;
        }
    }
    return NULL;
}

int cfg_unknown(const struct cfg_schema *s, struct str section, struct str key,
                struct err_detail *err)
{
    const struct cfg_section *elsewhere;
    const struct str shown = shorten(key);
    struct nearest near;
    bool is_known = false;

    nearest_init(&near, key);
    for (size_t i = 0; i < s->n_sections; i++) {
        const struct cfg_section *sec = &s->sections[i];
        if (!str_eq(section, str_c(sec->name))) {
            continue;
        }
        is_known = true;
        for (size_t j = 0; j < sec->n_keys; j++) {
            (void)nearest_offer(&near, str_c(sec->keys[j].name));
        }
    }
    if (!is_known) {
        return unknown_section(s, section, err);
    }
    if (near.is_close) {
        return err_set(err, ERR_NOT_FOUND, 0,
                       "unknown key \"" STR_FMT "\" in [" STR_FMT "]; did you mean \"" STR_FMT
                       "\"?",
                       STR_ARG(shown), STR_ARG(section), STR_ARG(near.best));
    }
    elsewhere = section_with(s, key);
    if (elsewhere != NULL) {
        return err_set(err, ERR_NOT_FOUND, 0,
                       "unknown key \"" STR_FMT "\" in [" STR_FMT "]; there is one in [%s]",
                       STR_ARG(shown), STR_ARG(section), elsewhere->name);
    }
    return err_set(err, ERR_NOT_FOUND, 0, "unknown key \"" STR_FMT "\" in [" STR_FMT "]",
                   STR_ARG(shown), STR_ARG(section));
}

typedef int (*each_fn)(void *ctx, struct cfg_ref ref);

/* Calls fn for every key until one returns an error. */
static int for_each(const struct cfg_schema *s, each_fn fn, void *ctx)
{
    for (size_t i = 0; i < s->n_sections; i++) {
        for (size_t j = 0; j < s->sections[i].n_keys; j++) {
            const struct cfg_ref ref = {.sec = &s->sections[i], .key = &s->sections[i].keys[j]};
            const int rc = fn(ctx, ref);
            if (rc != 0) {
                return rc;
            }
        }
    }
    return 0;
}

struct load {
    const struct cfg_schema *schema;
    void *cfg;
    struct err_detail *err;
};

static int set_default(void *ctx, struct cfg_ref ref)
{
    struct load *l = ctx;
    const char *def = ref.key->def != NULL ? ref.key->def : "";
    const int rc = cfg_set(l->cfg, ref, str_c(def), l->err);
    if (rc != 0) {
        err_prefix(l->err, "built-in default");
    }
    return rc;
}

static size_t put_upper(char *out, struct str in)
{
    for (size_t i = 0; i < in.n; i++) {
        const char c = in.p[i];
        out[i] = (char)(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
    }
    return in.n;
}

/* Takes prefix off the front of s. */
static bool take_prefix(struct str *s, struct str prefix)
{
    if (!str_starts(*s, prefix)) {
        return false;
    }
    *s = str_of(s->p + prefix.n, s->n - prefix.n);
    return true;
}

/* The end of a name, or of one of its words. */
static bool at_word_end(struct str s)
{
    return s.n == 0 || s.p[0] == '_';
}

/*
 * Beside a service called "longline" Kubernetes and Docker put its addresses into every
 * environment:
 *
 *     LONGLINE_SERVICE_HOST, LONGLINE_SERVICE_PORT[_<NAME>]
 *     LONGLINE_PORT, LONGLINE_PORT_<n>_<protocol>[_<WHAT>]
 *
 * They are none of ours, so no section can be called "service" or "port".
 */
static bool is_service_link(struct str name)
{
    static const struct str protocols[] = {{"_TCP", 4}, {"_UDP", 4}, {"_SCTP", 5}};
    struct str s = name;
    if (str_eq(s, STR(ENV_PREFIX "SERVICE_HOST"))) {
        return true;
    }
    if (take_prefix(&s, STR(ENV_PREFIX "SERVICE_PORT"))) {
        return at_word_end(s);
    }
    if (!take_prefix(&s, STR(ENV_PREFIX "PORT"))) {
        return false;
    }
    if (s.n == 0) {
        return true;
    }
    if (!take_prefix(&s, STR("_")) || s.n == 0 || !char_is_digit(s.p[0])) {
        return false;
    }
    while (s.n != 0 && char_is_digit(s.p[0])) {
        s = str_of(s.p + 1, s.n - 1);
    }
    for (size_t i = 0; i < LL_COUNT(protocols); i++) {
        if (take_prefix(&s, protocols[i])) {
            return at_word_end(s);
        }
    }
    return false;
}

/* LONGLINE_<SECTION>_<KEY> of a key. */
static struct str env_name(char out[ENV_NAME_MAX], struct cfg_ref ref)
{
    size_t n = sizeof(ENV_PREFIX) - 1;
    LL_ASSERT(n + strlen(ref.sec->name) + 1 + strlen(ref.key->name) <= ENV_NAME_MAX);
    memcpy(out, ENV_PREFIX, n);
    n += put_upper(out + n, str_c(ref.sec->name));
    out[n++] = '_';
    n += put_upper(out + n, str_c(ref.key->name));
    LL_ASSERT(!is_service_link(str_of(out, n)));
    return str_of(out, n);
}

/* All names share the prefix; it must not make them look alike. */
static struct str without_prefix(struct str name)
{
    const size_t n = sizeof(ENV_PREFIX) - 1;
    return str_of(name.p + n, name.n - n);
}

struct env_search {
    struct str name;
    struct cfg_ref found;
    struct nearest near;
    char near_name[ENV_NAME_MAX];
};

static int match_env(void *ctx, struct cfg_ref ref)
{
    struct env_search *e = ctx;
    char text[ENV_NAME_MAX];
    const struct str name = env_name(text, ref);

    if (str_eq(name, e->name)) {
        e->found = ref;
        return 1; /* stop */
    }
    if (nearest_offer(&e->near, without_prefix(name))) {
        memcpy(e->near_name, text, name.n);
        e->near.best = str_of(e->near_name, name.n);
    }
    return 0;
}

static int unknown_env(const struct env_search *e, struct err_detail *err)
{
    const struct str shown = str_of(e->name.p, e->name.n < 64 ? e->name.n : 64);
    if (!e->near.is_close && e->near.n_words == 0) {
        return err_set(err, ERR_NOT_FOUND, 0,
                       "unknown environment variable " STR_FMT "; the names are " ENV_PREFIX
                       "<SECTION>_<KEY>",
                       STR_ARG(shown));
    }
    if (!e->near.is_close) {
        return err_set(err, ERR_NOT_FOUND, 0,
                       "unknown environment variable " STR_FMT "; the nearest is " STR_FMT,
                       STR_ARG(shown), STR_ARG(e->near.best));
    }
    return err_set(err, ERR_NOT_FOUND, 0,
                   "unknown environment variable " STR_FMT "; did you mean " STR_FMT "?",
                   STR_ARG(shown), STR_ARG(e->near.best));
}

static int load_env(struct load *l, char *const *env)
{
    for (; *env != NULL; env++) {
        const struct str entry = str_c(*env);
        const size_t at = str_find(entry, '=');
        struct env_search search = {.name = str_of(entry.p, at)};
        int rc;

        if (!str_starts(entry, STR(ENV_PREFIX)) || at == entry.n || is_service_link(search.name)) {
            continue;
        }
        char upper[ENV_NAME_MAX];
        const struct str wanted = str_of(search.name.p, at < sizeof(upper) ? at : sizeof(upper));
        nearest_init(&search.near, without_prefix(str_of(upper, put_upper(upper, wanted))));
        (void)for_each(l->schema, match_env, &search);
        if (search.found.key == NULL) {
            return unknown_env(&search, l->err);
        }
        rc = cfg_set(l->cfg, search.found, str_of(entry.p + at + 1, entry.n - at - 1), l->err);
        if (rc != 0) {
            err_prefix(l->err, STR_FMT, STR_ARG(search.name));
            return rc;
        }
    }
    return 0;
}

static int load_set(struct load *l, const char *text)
{
    struct str value = str_c(text);
    struct str key;
    struct str section;
    struct cfg_ref ref;
    int rc;

    if (str_find(value, '=') == value.n || !str_split(&value, '=', &key) ||
        str_find(key, '.') == key.n || !str_split(&key, '.', &section)) {
        return err_set(l->err, ERR_SYNTAX, 0, "--set: wants section.key=value");
    }
    section = str_trim(section);
    key = str_trim(key);
    /* "a.b=" leaves no rest. */
    value = value.p != NULL ? value : STR("");
    if (!cfg_find(l->schema, section, key, &ref)) {
        rc = cfg_unknown(l->schema, section, key, l->err);
    } else {
        rc = cfg_set(l->cfg, ref, value, l->err);
    }
    if (rc != 0) {
        err_prefix(l->err, "--set");
    }
    return rc;
}

static int load_all(struct load *l, const struct cfg_source *src)
{
    int rc = for_each(l->schema, set_default, l);
    if (rc == 0 && src->file != NULL) {
        rc = cfg_read_file(l->schema, l->cfg, src->file, l->err);
    }
    if (rc == 0 && src->env != NULL) {
        rc = load_env(l, src->env);
    }
    for (size_t i = 0; i < src->n_sets && rc == 0; i++) {
        rc = load_set(l, src->sets[i]);
    }
    if (rc == 0 && l->schema->check != NULL) {
        rc = l->schema->check(l->cfg, l->err);
    }
    return rc;
}

int cfg_load(const struct cfg_schema *s, const struct cfg_source *src, void **out,
             struct err_detail *err)
{
    struct load l = {.schema = s, .cfg = mem_zalloc(s->size), .err = err};
    const int rc = load_all(&l, src);
    if (rc != 0) {
        cfg_free(s, l.cfg);
        return rc;
    }
    *out = l.cfg;
    return 0;
}

static int clear_key(void *ctx, struct cfg_ref ref)
{
    cfg_clear(ctx, ref);
    return 0;
}

void cfg_free(const struct cfg_schema *s, void *cfg)
{
    if (cfg == NULL) {
        return;
    }
    (void)for_each(s, clear_key, cfg);
    mem_free(cfg);
}

struct diff {
    const void *a;
    const void *b;
    cfg_diff_fn fn;
    void *ctx;
};

static int diff_key(void *ctx, struct cfg_ref ref)
{
    struct diff *d = ctx;
    if (!cfg_equal(d->a, d->b, ref)) {
        d->fn(d->ctx, ref.sec, ref.key);
    }
    return 0;
}

void cfg_diff(const struct cfg_schema *s, const void *a, const void *b, cfg_diff_fn fn, void *ctx)
{
    struct diff d = {.a = a, .b = b, .fn = fn, .ctx = ctx};
    (void)for_each(s, diff_key, &d);
}
