/* SPDX-License-Identifier: Apache-2.0 */
/* The list of sections, and the sections that belong to the process itself. */
#include "app_config.h"

#include "longline/check.h"
#include "longline/mem.h"

#define AUTH(ctype, f)    CFG_AT(ctype, struct auth_cfg, f)
#define SECRETS(ctype, f) CFG_AT(ctype, struct secrets_cfg, f)
#define EGRESS(ctype, f)  CFG_AT(ctype, struct egress_cfg, f)

static const struct cfg_key auth_keys[] = {
    {.name = "admin_key",
     .kind = CFG_STRING,
     .flags = CFG_SECRET | CFG_RELOAD,
     .offset = AUTH(char *, admin_key),
     .def = "",
     .help = "Key of the operator's API calls (16 characters or more); empty: generated into "
             "admin.key in the data directory."},
    {.name = "jwt_secret",
     .kind = CFG_STRING,
     .flags = CFG_SECRET | CFG_RELOAD,
     .offset = AUTH(char *, jwt_secret),
     .def = "",
     .help = "Key that signs tenant tokens (16 bytes or more); empty: generated into jwt.key."},
    {.name = "require_exp",
     .kind = CFG_BOOL,
     .flags = CFG_RELOAD,
     .offset = AUTH(bool, require_exp),
     .def = "true",
     .help = "Refuse tenant tokens without exp, which would be good for ever."},
    {.name = "allow_short_keys",
     .kind = CFG_BOOL,
     .flags = CFG_RELOAD,
     .offset = AUTH(bool, allow_short_keys),
     .def = "false",
     .help = "Accept admin_key and jwt_secret with fewer than 16 characters, for development."},
};

static const struct cfg_key secrets_keys[] = {
    {.name = "key",
     .kind = CFG_STRING,
     .flags = CFG_SECRET,
     .offset = SECRETS(char *, key),
     .def = "",
     .help =
         "Key that encrypts stored credentials, 64 hex digits; empty: generated into secret.key."},
    {.name = "old_keys",
     .kind = CFG_LIST,
     .flags = CFG_SECRET,
     .offset = SECRETS(struct cfg_list, old_keys),
     .def = "",
     .help = "Earlier keys, with which stored credentials may still be encrypted."},
};

static const struct cfg_key egress_keys[] = {
    {.name = "allow_loopback",
     .kind = CFG_BOOL,
     .flags = CFG_RELOAD,
     .offset = EGRESS(bool, allow_loopback),
     .def = "false",
     .help = "Allow deliveries to 127.0.0.0/8 and ::1, for development."},
    {.name = "allow_private",
     .kind = CFG_BOOL,
     .flags = CFG_RELOAD,
     .offset = EGRESS(bool, allow_private),
     .def = "false",
     .help = "Allow deliveries to private networks (RFC 1918, ULA, CGNAT)."},
    {.name = "allow_http",
     .kind = CFG_BOOL,
     .flags = CFG_RELOAD,
     .offset = EGRESS(bool, allow_http),
     .def = "false",
     .help = "Allow deliveries to plain http URLs."},
    {.name = "allow",
     .kind = CFG_LIST,
     .flags = CFG_RELOAD,
     .offset = EGRESS(struct cfg_list, allow),
     .def = "",
     .help = "Networks (CIDR) to which deliveries are allowed whatever else refuses them."},
    {.name = "deny",
     .kind = CFG_LIST,
     .flags = CFG_RELOAD,
     .offset = EGRESS(struct cfg_list, deny),
     .def = "",
     .help = "Further networks (CIDR) to which deliveries are refused."},
    {.name = "ca_file",
     .kind = CFG_STRING,
     .offset = EGRESS(char *, ca_file),
     .def = "",
     .help = "PEM file with certificate authorities trusted beside the system's."},
    {.name = "ca_only",
     .kind = CFG_BOOL,
     .offset = EGRESS(bool, ca_only),
     .def = "false",
     .help = "Trust ca_file instead of the system's certificate authorities."},
    {.name = "tls_workers",
     .kind = CFG_INT,
     .offset = EGRESS(int64_t, tls_workers),
     .def = "1",
     .min = 1,
     .max = 4,
     .help = "Number of threads for TLS handshakes."},
    {.name = "dns_servers",
     .kind = CFG_STRING,
     .offset = EGRESS(char *, dns_servers),
     .def = "",
     .help = "Name servers instead of the system's, as ip[:port], separated by commas."},
};

static const struct cfg_key log_keys[] = {
    {.name = "level",
     .kind = CFG_ENUM,
     .flags = CFG_RELOAD,
     .offset = CFG_AT(int, struct log_cfg, level),
     .def = "info",
     .choices = "error warn info debug",
     .help = "Least important level that is logged on stderr."},
    {.name = "format",
     .kind = CFG_ENUM,
     .flags = CFG_RELOAD,
     .offset = CFG_AT(int, struct log_cfg, format),
     .def = "text",
     .choices = "text json",
     .help = "Form of the log: key=value lines, or JSON."},
};

static const struct cfg_key process_keys[] = {
    {.name = "shutdown_timeout",
     .kind = CFG_DURATION,
     .flags = CFG_RELOAD,
     .offset = CFG_AT(int64_t, struct process_cfg, shutdown_timeout_ms),
     .def = "25s",
     .min = 0,
     .max = 600000,
     .help = "How long requests and attempts under way may take to end after SIGTERM."},
};

static struct cfg_section sections[] = {
    {.name = "server", .offset = offsetof(struct config, server), .help = "Inbound HTTP."},
    {.name = "auth", .offset = offsetof(struct config, auth), .help = "Who may call the API."},
    {.name = "secrets",
     .offset = offsetof(struct config, secrets),
     .help = "Encryption of stored credentials."},
    {.name = "api", .offset = offsetof(struct config, api), .help = "The API."},
    {.name = "store", .offset = offsetof(struct config, store), .help = "Storage."},
    {.name = "delivery",
     .offset = offsetof(struct config, delivery),
     .help = "When deliveries are attempted."},
    {.name = "client",
     .offset = offsetof(struct config, client),
     .help = "Outbound HTTP connections."},
    {.name = "webhook",
     .offset = offsetof(struct config, webhook),
     .help = "Destinations of type webhook."},
    {.name = "egress",
     .offset = offsetof(struct config, egress),
     .help = "Where deliveries may go, names and TLS."},
    {.name = "log", .offset = offsetof(struct config, log), .help = "Logging."},
    {.name = "process", .offset = offsetof(struct config, process), .help = "The process."},
};

const struct cfg_schema app_schema = {.sections = sections,
                                      .n_sections = LL_COUNT(sections),
                                      .size = sizeof(struct config),
                                      .check = app_config_check};

struct key_table {
    const char *section;
    const struct cfg_key *keys;
    const size_t *n_keys;
    size_t n_own;
};

/* The number of keys is a variable of the module that owns the table, which a static initialiser
 * cannot read. */
void app_config_setup(void)
{
    const struct key_table tables[] = {
        {"server", http_server_cfg_keys, &http_server_cfg_n_keys, 0},
        {"auth", auth_keys, NULL, LL_COUNT(auth_keys)},
        {"secrets", secrets_keys, NULL, LL_COUNT(secrets_keys)},
        {"api", api_cfg_keys, &api_cfg_n_keys, 0},
        {"store", store_cfg_keys, &store_cfg_n_keys, 0},
        {"delivery", deliver_cfg_keys, &deliver_cfg_n_keys, 0},
        {"client", http_client_cfg_keys, &http_client_cfg_n_keys, 0},
        {"webhook", webhook_cfg_keys, &webhook_cfg_n_keys, 0},
        {"egress", egress_keys, NULL, LL_COUNT(egress_keys)},
        {"log", log_keys, NULL, LL_COUNT(log_keys)},
        {"process", process_keys, NULL, LL_COUNT(process_keys)},
    };
    for (size_t i = 0; i < LL_COUNT(sections); i++) {
        LL_ASSERT(str_eq(str_c(sections[i].name), str_c(tables[i].section)));
        sections[i].keys = tables[i].keys;
        sections[i].n_keys = tables[i].n_keys != NULL ? *tables[i].n_keys : tables[i].n_own;
    }
}

static int parse_cidrs(struct cidr **out, size_t *n, const struct cfg_list *list, const char *key,
                       struct err_detail *err)
{
    *n = 0;
    *out = list->n != 0 ? mem_array(list->n, sizeof(**out)) : NULL;
    for (size_t i = 0; i < list->n; i++) {
        if (cidr_parse(&(*out)[i], str_c(list->v[i])) != 0) {
            mem_free(*out);
            *out = NULL;
            return err_set(err, ERR_INVALID, 0, "%s: \"%s\" is not a network such as 10.0.0.0/8",
                           key, list->v[i]);
        }
    }
    *n = list->n;
    return 0;
}

int egress_policy_init(struct egress_policy *out, const struct egress_cfg *cfg,
                       const union addr *own, size_t n_own, struct err_detail *err)
{
    *out = (struct egress_policy){.allow_loopback = cfg->allow_loopback,
                                  .allow_private = cfg->allow_private,
                                  .allow_http = cfg->allow_http};
    int rc = parse_cidrs(&out->allow, &out->n_allow, &cfg->allow, "egress.allow", err);
    if (rc == 0) {
        rc = parse_cidrs(&out->deny, &out->n_deny, &cfg->deny, "egress.deny", err);
    }
    if (rc != 0) {
        egress_policy_fini(out);
        return rc;
    }
    if (n_own != 0) {
        out->own = mem_array(n_own, sizeof(*own));
        memcpy(out->own, own, n_own * sizeof(*own));
        out->n_own = n_own;
    }
    return 0;
}

void egress_policy_fini(struct egress_policy *p)
{
    mem_free(p->allow);
    mem_free(p->deny);
    mem_free(p->own);
    *p = (struct egress_policy){0};
}

static int add_name_server(struct str text, struct buf *out, struct err_detail *err)
{
    union addr a;
    char plain[ADDR_TEXT_MAX];
    const bool has_port = addr_parse(&a, text) == 0 && addr_port(&a) != 0;
    if (!has_port && addr_parse_ip(&a, text, 53) != 0) {
        return err_set(err, ERR_INVALID, 0,
                       "egress.dns_servers: \"%.*s\" is not an IP address, or ip:port",
                       (int)(text.n < 60 ? text.n : 60), text.n != 0 ? text.p : "");
    }
    const size_t n = addr_format(plain, &a);
    if (out->n != 0) {
        (void)buf_add_c(out, ',');
    }
    if (buf_add(out, plain, n) != 0) {
        return err_set(err, ERR_LIMIT, 0, "egress.dns_servers: too many");
    }
    return 0;
}

int egress_name_servers(const struct egress_cfg *cfg, struct buf *out, struct err_detail *err)
{
    struct str rest = str_c(cfg->dns_servers);
    struct str item;
    int rc = 0;
    while (rc == 0 && cfg->dns_servers[0] != '\0' && str_split(&rest, ',', &item)) {
        rc = add_name_server(str_trim(item), out, err);
    }
    return rc != 0 ? rc : buf_add_c(out, '\0');
}
