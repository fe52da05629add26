/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing a webhook destination: the rules of config.url and config.custom_headers, and the life of
 * its secrets.
 *
 *   secret                       generated when absent: there is always one; in the modes standard
 *                                and both, one that is set must be whsec_ and base64
 *   previous_secret, …invalid_at the one before, still used for signing until that time
 *   rotate_secret                a command: secret -> previous_secret, a new secret
 *
 * Tenants may rotate; only the admin may set secrets.
 */
#include "longline/date.h"
#include "longline/mem.h"

#include "webhook.h"

#define K_SECRET   STR("secret")
#define K_PREVIOUS STR("previous_secret")
#define K_UNTIL    STR("previous_secret_invalid_at")
#define K_ROTATE   STR("rotate_secret")

/* What is judged is what will be looked up and connected to: the host's ASCII form. */
static void check_target(const struct dest_env *env, const struct url *url, struct arena *a,
                         struct problem *p)
{
    if (!url->is_https && !env->policy->allow_http) {
        problem_add(p, a, "config.url must use https (egress.allow_http permits http)");
        return;
    }
    const char *reason = "blocked";
    if (egress_check_target(env->policy, url->host, url->port, &reason) == 0) {
        return;
    }
    if (str_eq(str_c(reason), STR(EGRESS_REASON_PORT))) {
        problem_add(p, a, "config.url uses port %u, which is not allowed", (unsigned)url->port);
    } else {
        problem_add(p, a, "config.url points to an address that is not allowed (%s)", reason);
    }
}

static void check_url(const struct dest_env *env, const struct destination *d, struct arena *a,
                      struct problem *p)
{
    const struct str text = kv_get(&d->config, STR("url"));
    if (text.n == 0) {
        problem_add(p, a, "config.url is required");
        return;
    }
    struct buf ascii;
    struct url url;
    struct err_detail err = {0};
    buf_init(&ascii, URL_MAX);
    if (webhook_parse_url(&url, text, &ascii, &err) == 0) {
        check_target(env, &url, a, p);
    } else {
        problem_add(p, a, "config.url failed pattern validation");
        if (err.msg[0] != '\0') {
            problem_add(p, a, "config.url: %s", err.msg);
        }
    }
    buf_fini(&ascii);
}

static void check_headers(const struct dest_env *env, const struct destination *d, struct arena *a,
                          struct problem *p)
{
    const struct str json = kv_get(&d->config, STR("custom_headers"));
    if (json.n == 0) {
        return;
    }
    struct http_header *h = NULL;
    size_t n = 0;
    if (webhook_parse_headers(json, a, p, &h, &n) == 0 &&
        n > (size_t)env->webhook->max_custom_headers) {
        problem_add(p, a, "config.custom_headers must be at most %d headers",
                    (int)env->webhook->max_custom_headers);
    }
}

/* The credentials while they are edited. */
struct secrets {
    struct str secret;
    struct str previous;
    struct str until;
};

static struct secrets secrets_of(const struct destination *d)
{
    if (d == NULL) {
        return (struct secrets){0};
    }
    return (struct secrets){.secret = kv_get(&d->credentials, K_SECRET),
                            .previous = kv_get(&d->credentials, K_PREVIOUS),
                            .until = kv_get(&d->credentials, K_UNTIL)};
}

static struct str new_secret(const struct dest_env *env, struct arena *a)
{
    char text[SIGN_NEW_SECRET_MAX];
    const enum sign_mode mode =
        env->webhook->mode == WEBHOOK_MODE_DEFAULT ? SIGN_MODE_DEFAULT : SIGN_MODE_STANDARD;
    const size_t n = sign_secret_new(text, mode, env->rng);
    const struct str secret = arena_str(a, str_of(text, n));
    mem_wipe(text, sizeof(text));
    return secret;
}

static struct str time_text(struct arena *a, int64_t wall_ms)
{
    char text[DATE_MAX];
    const size_t n = date_rfc3339_ms(text, wall_ms);
    return arena_str(a, str_of(text, n));
}

static bool is_true(struct str s)
{
    return str_eq_ci(s, STR("true")) || str_eq(s, STR("1")) || str_eq_ci(s, STR("on")) ||
           str_eq_ci(s, STR("yes"));
}

static void forbid_change(struct problem *p, struct arena *a, struct str key, struct str now,
                          struct str before)
{
    if (now.p != NULL && !str_eq(now, before)) {
        problem_add(p, a, "credentials." STR_FMT " is forbidden", STR_ARG(key));
    }
}

/* A receiver that follows Standard Webhooks decodes the secret. One that is in use already, from
 * before this rule or from another mode, may stay, also as the previous one. */
static void check_secret(const struct dest_env *env, const struct dest_write *w, struct str key,
                         struct str value, const struct secrets *before, struct problem *p)
{
    if (value.n == 0 || str_eq(value, before->secret) || str_eq(value, before->previous)) {
        return;
    }
    if (value.n > SIGN_SECRET_MAX) {
        problem_add(p, w->arena, "credentials." STR_FMT " must be at most %d characters",
                    STR_ARG(key), SIGN_SECRET_MAX);
    } else if (env->webhook->mode != WEBHOOK_MODE_DEFAULT && !sign_secret_is_standard(value)) {
        problem_add(p, w->arena, "credentials." STR_FMT " failed pattern validation", STR_ARG(key));
    }
}

/* A request to rotate what is there; on create the command is refused. */
static bool is_rotation(const struct dest_write *w, const struct secrets *before)
{
    return is_true(kv_get(&w->dest->credentials, K_ROTATE)) && before->secret.n != 0;
}

/* A tenant, who may not set secrets, cannot drop or empty them either. */
static void restore_for_tenant(const struct dest_write *w, const struct secrets *before,
                               struct secrets *s)
{
    if (w->old == NULL || w->is_admin) {
        return;
    }
    s->secret = s->secret.n != 0 ? s->secret : before->secret;
    s->previous = s->previous.n != 0 ? s->previous : before->previous;
    s->until = s->until.n != 0 ? s->until : before->until;
}

static void check_until(const struct dest_write *w, const struct secrets *before,
                        const struct secrets *s, struct problem *p)
{
    int64_t ms = 0;
    if (s->until.n != 0 && date_parse_rfc3339(s->until, &ms) != 0) {
        problem_add(p, w->arena,
                    "credentials.previous_secret_invalid_at failed pattern validation");
    }
    if (s->until.n != 0 && s->previous.n == 0 && !is_rotation(w, before)) {
        problem_add(p, w->arena, "credentials.previous_secret is required");
    }
}

/* Is there something about a previous secret, but no current one? */
static bool lacks_secret(const struct secrets *s)
{
    return s->secret.n == 0 && (s->previous.n != 0 || s->until.n != 0);
}

static void create_secrets(const struct dest_env *env, struct dest_write *w, struct secrets *s,
                           struct problem *p)
{
    if (is_true(kv_get(&w->dest->credentials, K_ROTATE))) {
        problem_add(p, w->arena, "credentials.rotate_secret failed invalid validation");
    }
    if (s->previous.n != 0 && s->until.n == 0) {
        problem_add(p, w->arena, "credentials.previous_secret_invalid_at is required");
    }
    if (lacks_secret(s)) {
        problem_add(p, w->arena, "credentials.secret is required");
    }
    if (s->secret.n == 0) {
        s->secret = new_secret(env, w->arena);
    }
}

static void rotate(const struct dest_env *env, struct dest_write *w, const struct secrets *before,
                   struct secrets *s)
{
    /* invalid_at counts only when this request gave it: otherwise a new overlap begins. */
    const bool given = s->until.n != 0 && !str_eq(s->until, before->until);
    s->previous = before->secret;
    if (!given) {
        s->until = time_text(w->arena, w->now_ms + env->webhook->secret_overlap_ms);
    }
    s->secret = new_secret(env, w->arena);
}

static void update_secrets(const struct dest_env *env, struct dest_write *w,
                           const struct secrets *before, struct secrets *s, struct problem *p)
{
    if (is_rotation(w, before)) {
        rotate(env, w, before, s);
        return;
    }
    if (s->previous.n != 0 && s->until.n == 0) {
        s->until = time_text(w->arena, w->now_ms + env->webhook->secret_overlap_ms);
    }
    if (lacks_secret(s)) {
        problem_add(p, w->arena, "credentials.secret is required");
    } else if (s->secret.n == 0) { /* an empty key would sign nothing */
        s->secret = new_secret(env, w->arena);
    }
}

static void store_secrets(struct dest_write *w, const struct secrets *s, struct problem *p)
{
    struct kv *v = arena_alloc(w->arena, 3 * sizeof(*v));
    if (v == NULL || s->secret.p == NULL) {
        problem_set(p, 413, "the request is too big");
        return;
    }
    struct kv_map *out = &w->dest->credentials;
    *out = (struct kv_map){.n = 0, .v = v};
    out->v[out->n++] = (struct kv){K_SECRET, s->secret};
    if (s->previous.n != 0) {
        out->v[out->n++] = (struct kv){K_PREVIOUS, s->previous};
        out->v[out->n++] = (struct kv){K_UNTIL, s->until};
    }
}

void webhook_prepare(const struct dest_env *env, struct dest_write *w, struct problem *p)
{
    if (w->check || w->old == NULL) {
        check_url(env, w->dest, w->arena, p);
        check_headers(env, w->dest, w->arena, p);
    }
    const struct secrets before = secrets_of(w->old);
    struct secrets s = secrets_of(w->dest);
    restore_for_tenant(w, &before, &s);
    check_until(w, &before, &s, p);
    if (w->is_admin) {
        check_secret(env, w, K_SECRET, s.secret, &before, p);
        check_secret(env, w, K_PREVIOUS, s.previous, &before, p);
    } else {
        forbid_change(p, w->arena, K_SECRET, s.secret, before.secret);
        forbid_change(p, w->arena, K_PREVIOUS, s.previous, before.previous);
        if (!is_rotation(w, &before)) {
            forbid_change(p, w->arena, K_UNTIL, s.until, before.until);
        }
    }
    if (w->old == NULL) {
        create_secrets(env, w, &s, p);
    } else {
        update_secrets(env, w, &before, &s, p);
    }
    if (p->status == 0) {
        store_secrets(w, &s, p);
    }
}

void webhook_show(const struct destination *d, int64_t now_ms, struct arena *a, struct kv_map *out)
{
    (void)a;
    *out = d->credentials;
    const struct str until = kv_get(&d->credentials, K_UNTIL);
    int64_t ms = 0;
    if (until.n != 0 && (date_parse_rfc3339(until, &ms) != 0 || ms <= now_ms)) {
        out->n = 1; /* store_secrets puts the current one first */
    }
}
