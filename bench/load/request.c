/* SPDX-License-Identifier: Apache-2.0 */

#include "load.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TENANT_DIGITS 6u

/* An order as a shop would send it: nesting, numbers, text; then text up to the wanted size. */
static const char ORDER[] =
    "\"type\":\"order.created\",\"version\":3,\"live\":true,\"order\":{\"number\":\"SO-2024-"
    "118342\","
    "\"currency\":\"EUR\",\"subtotal\":184.50,\"tax\":35.06,\"total\":219.56,\"paid\":false},"
    "\"customer\":{\"id\":\"cus_5f2b9c71\",\"name\":\"Maria Jos\\u00e9 Carre\\u00f1o\",\"email\":"
    "\"maria@example.com\",\"tags\":[\"returning\",\"newsletter\"],\"address\":{\"line1\":\"Calle "
    "de "
    "Alcal\\u00e1 42\",\"city\":\"Madrid\",\"postcode\":\"28014\",\"country\":\"ES\"}},\"lines\":[{"
    "\"sku\":\"A-1001\",\"quantity\":2,\"price\":49.75},{\"sku\":\"B-2207\",\"quantity\":1,"
    "\"price\":"
    "85.00}],\"shipping\":{\"method\":\"courier\",\"promised\":\"2024-11-08\",\"weight_kg\":2.4},"
    "\"notes\":\"";
static const char TAIL[] = "\"}}";
static const char WORDS[] = "leave the parcel with the neighbour if nobody opens the door; ";

/* Writes the body, with its filler; 0 fillers gives the smallest one. Returns its length. */
static size_t write_body(char *out, size_t cap, const struct load_options *o, size_t n_filler)
{
    int n = 0;
    if (o->id_prefix != NULL) {
        n = snprintf(out, cap, "{\"id\":\"%s%016d\",", o->id_prefix, 0);
    } else {
        n = snprintf(out, cap, "{");
    }
    size_t len = (size_t)n;
    n = snprintf(out + len, cap - len,
                 "\"tenant_id\":\"%s%06d\",\"topic\":\"%s\",\"data\":{" MARK_KEY "%0*d\",%s",
                 o->tenant_prefix, 0, o->topic, (int)MARK_LEN, 0, ORDER);
    len += (size_t)n;
    if (len + n_filler + sizeof TAIL > cap) {
        bench_die("request", "does not fit");
    }
    for (size_t i = 0; i < n_filler; i++) {
        out[len + i] = WORDS[i % (sizeof WORDS - 1)];
    }
    memcpy(out + len + n_filler, TAIL, sizeof TAIL);
    return len + n_filler + sizeof TAIL - 1;
}

static char *after(char *text, const char *key)
{
    char *at = strstr(text, key);
    if (at == NULL) {
        bench_die("request", "template without its fields");
    }
    return at + strlen(key);
}

void request_init(struct request *r, const struct load_options *o)
{
    const size_t cap = (size_t)o->body_size + 8192;
    char *body = bench_alloc(cap);
    size_t len = write_body(body, cap, o, 0);
    if (len < o->body_size) {
        len = write_body(body, cap, o, o->body_size - len);
    }
    r->bytes = bench_alloc(cap + 4096);
    const int head =
        snprintf(r->bytes, 4096,
                 "POST %s HTTP/1.1\r\nHost: %s:%d\r\n%s%s%s"
                 "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n",
                 o->path, o->host, o->port, o->key != NULL ? "Authorization: Bearer " : "",
                 o->key != NULL ? o->key : "", o->key != NULL ? "\r\n" : "", len);
    if (head < 0 || head >= 4096) {
        bench_die("request", "path or key too long");
    }
    char *copy = r->bytes + head;
    memcpy(copy, body, len + 1);
    free(body);
    r->len = (size_t)head + len;
    r->tenants = o->tenants;
    r->id = o->id_prefix != NULL ? after(copy, "{\"id\":\"") + strlen(o->id_prefix) : NULL;
    r->tenant = after(copy, "\"tenant_id\":\"") + strlen(o->tenant_prefix);
    r->mark = after(copy, MARK_KEY);
}

void request_patch(struct request *r, const struct mark *mark)
{
    mark_put(r->mark, mark);
    if (r->id != NULL) {
        memcpy(r->id, r->mark + 1, MARK_DIGITS);
    }
    uint32_t tenant = (uint32_t)(mark->seq % r->tenants);
    for (size_t i = TENANT_DIGITS; i-- > 0;) {
        r->tenant[i] = (char)('0' + tenant % 10);
        tenant /= 10;
    }
}

void request_fini(struct request *r)
{
    free(r->bytes);
    r->bytes = NULL;
}
