/* SPDX-License-Identifier: Apache-2.0 */
#include "dns_server.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "longline/check.h"

#define HEADER    12
#define TYPE_A    1
#define TYPE_AAAA 28

/* The dotted name of the question; returns the offset behind the question's type and class. */
static size_t read_question(const unsigned char *p, size_t n, char *name, size_t max,
                            unsigned *type)
{
    size_t at = HEADER;
    size_t len = 0;
    while (at < n && p[at] != 0) {
        const size_t label = p[at];
        LL_ASSERT(at + 1 + label < n && len + label + 2 < max);
        if (len != 0) {
            name[len++] = '.';
        }
        memcpy(name + len, p + at + 1, label);
        len += label;
        at += 1 + label;
    }
    name[len] = '\0';
    LL_ASSERT(at + 5 <= n);
    *type = (unsigned)p[at + 1] << 8 | p[at + 2];
    return at + 5;
}

static const struct dns_row *find(const struct dns_server *s, const char *name)
{
    for (const struct dns_row *r = s->rows; r->name != NULL; r++) {
        if (strcmp(r->name, name) == 0) {
            return r;
        }
    }
    return NULL;
}

static size_t put_answer(unsigned char *p, const char *addr, unsigned type, uint32_t ttl)
{
    unsigned char ip[16];
    const bool v4 = strchr(addr, ':') == NULL;
    if (v4 != (type == TYPE_A)) {
        return 0;
    }
    LL_ASSERT(inet_pton(v4 ? AF_INET : AF_INET6, addr, ip) == 1);
    const unsigned char len = v4 ? 4 : 16;
    const unsigned char head[12] = {0xc0,
                                    HEADER,
                                    0,
                                    (unsigned char)type,
                                    0,
                                    1,
                                    (unsigned char)(ttl >> 24),
                                    (unsigned char)(ttl >> 16),
                                    (unsigned char)(ttl >> 8),
                                    (unsigned char)ttl,
                                    0,
                                    len};
    memcpy(p, head, sizeof(head));
    memcpy(p + sizeof(head), ip, len);
    return sizeof(head) + len;
}

static void reply(struct dns_server *s, const unsigned char *query, size_t n,
                  const struct sockaddr *to)
{
    char name[256];
    unsigned type = 0;
    const size_t question = read_question(query, n, name, sizeof(name), &type);
    s->n_queries++;
    const struct dns_row *row = find(s, name);
    if (row != NULL && row->silent) {
        return;
    }
    unsigned char out[1024];
    memcpy(out, query, question);
    memset(out + 6, 0, 6); /* no records but the question */
    const unsigned rcode = row == NULL ? 3 : row->rcode;
    out[2] = 0x81;
    out[3] = (unsigned char)(0x80 | rcode);
    size_t len = question;
    for (size_t i = 0; rcode == 0 && i < DNS_ROW_ADDRS && row->addrs[i] != NULL; i++) {
        const size_t added = put_answer(out + len, row->addrs[i], type, row->ttl);
        len += added;
        if (added != 0) {
            out[7]++;
        }
    }
    uv_buf_t b = uv_buf_init((char *)out, (unsigned)len);
    LL_ASSERT(uv_udp_try_send(&s->h, &b, 1, to) == (int)len);
}

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *b)
{
    (void)suggested;
    struct dns_server *s = h->data;
    *b = uv_buf_init(s->buf, sizeof(s->buf));
}

static void on_recv(uv_udp_t *h, ssize_t n, const uv_buf_t *b, const struct sockaddr *from,
                    unsigned flags)
{
    (void)flags;
    if (n > HEADER && from != NULL) {
        reply(h->data, (const unsigned char *)b->base, (size_t)n, from);
    }
}

void dns_server_open(struct dns_server *s, struct loop *l, const struct dns_row *rows)
{
    memset(s, 0, sizeof(*s));
    s->rows = rows;
    LL_ASSERT(uv_udp_init(&l->uv, &s->h) == 0);
    s->h.data = s;
    struct sockaddr_in a;
    LL_ASSERT(uv_ip4_addr("127.0.0.1", 0, &a) == 0);
    LL_ASSERT(uv_udp_bind(&s->h, (const struct sockaddr *)&a, 0) == 0);
    int len = sizeof(a);
    LL_ASSERT(uv_udp_getsockname(&s->h, (struct sockaddr *)&a, &len) == 0);
    (void)snprintf(s->addr, sizeof(s->addr), "127.0.0.1:%u", (unsigned)ntohs(a.sin_port));
    LL_ASSERT(uv_udp_recv_start(&s->h, on_alloc, on_recv) == 0);
}

static void on_closed(uv_handle_t *h)
{
    struct dns_server *s = h->data;
    s->closed = true;
}

void dns_server_close(struct dns_server *s)
{
    uv_close((uv_handle_t *)&s->h, on_closed);
}
