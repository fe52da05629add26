/* SPDX-License-Identifier: Apache-2.0 */

#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char USAGE[] =
    "usage: bench_load --port N [--host 127.0.0.1] [--path /api/v1/publish] [--key KEY]\n"
    "  [--connections 256] [--rate EVENTS_PER_S] [--arrivals poisson|uniform]\n"
    "  [--warmup S] [--duration S] [--grace S] [--accepted N]\n"
    "  [--tenants 1] [--tenant-prefix t] [--topic order.created] [--id-prefix TEXT]\n"
    "  [--size 1024] [--first-seq 0] [--ledger FILE] [--unknown FILE]\n"
    "Rate 0 is closed loop. With --accepted the run ends after so many events; --duration is then\n"
    "the most it may take.\n";

static _Noreturn void usage(void)
{
    fputs(USAGE, stderr);
    exit(2);
}

/* Options whose value is kept as it stands. */
static bool set_text(struct load_options *o, const char *name, const char *value)
{
    const struct {
        const char *name;
        const char **field;
    } texts[] = {
        {"--path", &o->path},           {"--key", &o->key},
        {"--topic", &o->topic},         {"--tenant-prefix", &o->tenant_prefix},
        {"--id-prefix", &o->id_prefix}, {"--ledger", &o->ledger},
        {"--unknown", &o->unknown},
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (strcmp(name, texts[i].name) == 0) {
            *texts[i].field = value;
            return true;
        }
    }
    return false;
}

static bool set_seconds(struct load_options *o, const char *name, const char *value)
{
    const struct {
        const char *name;
        double *field;
        double max;
    } reals[] = {
        {"--rate", &o->rate, 1e6},
        {"--warmup", &o->warmup_s, 3600},
        {"--duration", &o->duration_s, 86400},
        {"--grace", &o->grace_s, 3600},
    };
    for (size_t i = 0; i < sizeof reals / sizeof reals[0]; i++) {
        if (strcmp(name, reals[i].name) == 0) {
            *reals[i].field = bench_real(name, value, reals[i].max);
            return true;
        }
    }
    return false;
}

static bool set_number(struct load_options *o, const char *name, const char *value)
{
    if (strcmp(name, "--port") == 0) {
        o->port = (int)bench_uint(name, value, 65535);
    } else if (strcmp(name, "--connections") == 0) {
        o->connections = (uint32_t)bench_uint(name, value, 60000);
    } else if (strcmp(name, "--tenants") == 0) {
        o->tenants = (uint32_t)bench_uint(name, value, 999999);
    } else if (strcmp(name, "--accepted") == 0) {
        o->accepted = bench_uint(name, value, BITMAP_MAX_BITS);
    } else if (strcmp(name, "--size") == 0) {
        o->body_size = (uint32_t)bench_uint(name, value, LOAD_MAX_REQUEST);
    } else if (strcmp(name, "--first-seq") == 0) {
        o->first_seq = bench_uint(name, value, BITMAP_MAX_BITS);
    } else {
        return false;
    }
    return true;
}

static bool set_other(struct load_options *o, const char *name, const char *value)
{
    if (strcmp(name, "--host") == 0) {
        if ((size_t)snprintf(o->host, sizeof o->host, "%s", value) >= sizeof o->host) {
            bench_die(name, "too long");
        }
        return true;
    }
    if (strcmp(name, "--arrivals") == 0) {
        o->is_poisson = strcmp(value, "poisson") == 0;
        if (!o->is_poisson && strcmp(value, "uniform") != 0) {
            bench_die(name, "poisson or uniform");
        }
        return true;
    }
    return false;
}

void load_options_parse(struct load_options *o, int argc, char **argv)
{
    *o = (struct load_options){
        .host = "127.0.0.1",
        .path = "/api/v1/publish",
        .topic = "order.created",
        .tenant_prefix = "t",
        .tenants = 1,
        .connections = 256,
        .is_poisson = true,
        .warmup_s = 2,
        .duration_s = 10,
        .grace_s = 10,
        .body_size = 1024,
    };
    for (int i = 1; i < argc; i += 2) {
        if (i + 1 >= argc) {
            usage();
        }
        const char *name = argv[i];
        const char *value = argv[i + 1];
        if (!set_text(o, name, value) && !set_seconds(o, name, value) &&
            !set_number(o, name, value) && !set_other(o, name, value)) {
            usage();
        }
    }
    if (o->port == 0 || o->connections == 0 || o->tenants == 0) {
        usage();
    }
}
