/* SPDX-License-Identifier: Apache-2.0 */
#include "schema.h"

#include "longline/check.h"

static const struct cfg_key server_keys[] = {
    {.name = "listen",
     .kind = CFG_STRING,
     .offset = CFG_AT(char *, struct server_cfg, listen),
     .def = "127.0.0.1",
     .help = "Address to listen on"},
    {.name = "port",
     .kind = CFG_INT,
     .offset = CFG_AT(int64_t, struct server_cfg, port),
     .def = "8080",
     .min = 1,
     .max = 65535,
     .help = "Port to listen on"},
    {.name = "max_body",
     .kind = CFG_SIZE,
     .flags = CFG_RELOAD,
     .offset = CFG_AT(int64_t, struct server_cfg, max_body),
     .def = "1MiB",
     .min = 1024,
     .max = INT64_C(64) << 20,
     .help = "Largest request body; a longer sentence is here to see the line broken at a space "
             "before the hundredth column"},
    {.name = "timeout",
     .kind = CFG_DURATION,
     .flags = CFG_RELOAD,
     .offset = CFG_AT(int64_t, struct server_cfg, timeout),
     .def = "30s",
     .min = 0,
     .max = INT64_MAX,
     .help = "Longest wait."},
    {.name = "compress",
     .kind = CFG_BOOL,
     .offset = CFG_AT(bool, struct server_cfg, compress),
     .def = "no",
     .help = "Whether to compress"},
    {.name = "name",
     .kind = CFG_STRING,
     .flags = CFG_NONE,
     .offset = CFG_AT(char *, struct server_cfg, name),
     .def = "",
     .help = "Name to show"},
    {.name = "mode",
     .kind = CFG_ENUM,
     .offset = CFG_AT(int, struct server_cfg, mode),
     .def = "safe",
     .choices = "fast safe slow",
     .help = "How to go about it"},
};

static const struct cfg_key auth_keys[] = {
    {.name = "root_key",
     .kind = CFG_STRING,
     .flags = CFG_SECRET,
     .offset = CFG_AT(char *, struct auth_cfg, root_key),
     .def = "",
     .help = "Key of the administrator"},
    {.name = "keys",
     .kind = CFG_LIST,
     .flags = CFG_SECRET,
     .offset = CFG_AT(struct cfg_list, struct auth_cfg, keys),
     .def = "",
     .help = "Further keys"},
    {.name = "allow",
     .kind = CFG_LIST,
     .flags = CFG_RELOAD,
     .offset = CFG_AT(struct cfg_list, struct auth_cfg, allow),
     .def = "10.0.0.0/8, ::1",
     .help = "Networks"},
};

static const struct cfg_section sections[] = {
    {.name = "server",
     .keys = server_keys,
     .n_keys = LL_COUNT(server_keys),
     .offset = offsetof(struct test_cfg, server),
     .help = "The HTTP server."},
    {.name = "auth",
     .keys = auth_keys,
     .n_keys = LL_COUNT(auth_keys),
     .offset = offsetof(struct test_cfg, auth),
     .help = "Who may call."},
};

static int check(const void *p, struct err_detail *err)
{
    const struct test_cfg *cfg = p;
    if (cfg->server.port == 666 && !cfg->server.compress) {
        return err_set(err, ERR_INVALID, 0, "server.port 666 needs server.compress");
    }
    return 0;
}

const struct cfg_schema test_schema = {
    .sections = sections,
    .n_sections = LL_COUNT(sections),
    .size = sizeof(struct test_cfg),
    .check = check,
};
