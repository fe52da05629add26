/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The INI reader with a key of every kind. What is accepted must come out of cfg_write_values in
 * full; what is refused must say why.
 */
#include <stdint.h>
#include <stdio.h>

#include "config/config_internal.h"
#include "longline/check.h"

struct all {
    bool yes;
    int64_t count;
    int64_t size;
    int64_t wait;
    char *text;
    char *secret;
    int choice;
    struct cfg_list list;
};

static const struct cfg_key keys[] = {
    {.name = "yes", .kind = CFG_BOOL, .offset = CFG_AT(bool, struct all, yes), .def = "no"},
    {.name = "count",
     .kind = CFG_INT,
     .offset = CFG_AT(int64_t, struct all, count),
     .def = "1",
     .min = -10,
     .max = 1000},
    {.name = "size", .kind = CFG_SIZE, .offset = CFG_AT(int64_t, struct all, size), .def = "1KiB"},
    {.name = "wait", .kind = CFG_DURATION, .offset = CFG_AT(int64_t, struct all, wait), .def = "0"},
    {.name = "text", .kind = CFG_STRING, .offset = CFG_AT(char *, struct all, text), .def = "t"},
    {.name = "secret",
     .kind = CFG_STRING,
     .flags = CFG_SECRET,
     .offset = CFG_AT(char *, struct all, secret),
     .def = ""},
    {.name = "choice",
     .kind = CFG_ENUM,
     .offset = CFG_AT(int, struct all, choice),
     .def = "a",
     .choices = "a bb ccc"},
    {.name = "list",
     .kind = CFG_LIST,
     .offset = CFG_AT(struct cfg_list, struct all, list),
     .def = "x, y"},
};

static const struct cfg_section section = {
    .name = "main", .keys = keys, .n_keys = LL_COUNT(keys), .help = "Everything."};
static const struct cfg_schema schema = {
    .sections = &section, .n_sections = 1, .size = sizeof(struct all)};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct err_detail err = {0};
    void *cfg = NULL;
    struct buf out;
    FILE *f;
    int rc = cfg_load(&schema, &(struct cfg_source){0}, &cfg, &err);

    LL_ASSERT(rc == 0);
    f = tmpfile();
    LL_ASSERT(f != NULL);
    LL_ASSERT(fwrite(data, 1, size, f) == size);
    rewind(f);
    rc = cfg_read_stream(&schema, cfg, f, "f", &err);
    LL_ASSERT(rc <= 0);
    LL_ASSERT(rc == 0 || (err.code == rc && err.msg[0] != '\0'));
    (void)fclose(f);

    buf_init(&out, 4 << 20);
    LL_ASSERT(cfg_write_values(&schema, cfg, &out) == 0);
    LL_ASSERT(((const struct all *)cfg)->text != NULL);
    LL_ASSERT(((const struct all *)cfg)->choice >= 0 && ((const struct all *)cfg)->choice < 3);
    LL_ASSERT(((const struct all *)cfg)->count >= -10 && ((const struct all *)cfg)->count <= 1000);
    buf_fini(&out);
    cfg_free(&schema, cfg);
    return 0;
}
