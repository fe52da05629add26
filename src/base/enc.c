/* SPDX-License-Identifier: Apache-2.0 */
#include "longline/enc.h"

#include <string.h>

static const char hex_lower[] = "0123456789abcdef";

/* 0-15, or -1. */
static int hex_value(char c)
{
    if (char_is_digit(c)) {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    if (c >= 'A' && c <= 'F') {
        return c - 'A' + 10;
    }
    return -1;
}

void enc_hex(char *out, const void *p, size_t n)
{
    const unsigned char *in = p;
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = hex_lower[in[i] >> 4];
        out[2 * i + 1] = hex_lower[in[i] & 15];
    }
}

int dec_hex(void *out, size_t cap, size_t *n, struct str s)
{
    unsigned char *o = out;
    if (s.n % 2 != 0) {
        return ERR_SYNTAX;
    }
    if (s.n / 2 > cap) {
        return ERR_TOO_BIG;
    }
    for (size_t i = 0; i < s.n / 2; i++) {
        const int hi = hex_value(s.p[2 * i]);
        const int lo = hex_value(s.p[2 * i + 1]);
        if (hi < 0 || lo < 0) {
            return ERR_SYNTAX;
        }
        o[i] = (unsigned char)(hi << 4 | lo);
    }
    *n = s.n / 2;
    return 0;
}

int dec_percent(struct buf *out, struct str s, int plus_is_space)
{
    int rc = buf_reserve(out, s.n);
    if (rc != 0) {
        /* The decoded text may be shorter, but the cap is about what arrived. */
        return rc;
    }
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '%') {
            const int hi = s.n - i > 2 ? hex_value(s.p[i + 1]) : -1;
            const int lo = s.n - i > 2 ? hex_value(s.p[i + 2]) : -1;
            if (hi < 0 || lo < 0) {
                return ERR_SYNTAX;
            }
            c = (char)(unsigned char)(hi << 4 | lo);
            i += 2;
        } else if (c == '+' && plus_is_space != 0) {
            c = ' ';
        }
        if (c == '\0') {
            return ERR_SYNTAX;
        }
        rc = buf_add_c(out, c);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

static bool is_tail(unsigned char c)
{
    return (c & 0xc0) == 0x80;
}

/* Refuses overlong forms, surrogates and anything above U+10FFFF (RFC 3629 section 4). */
size_t utf8_sequence(const void *text, size_t n)
{
    const unsigned char *p = text;
    if (p[0] < 0x80) {
        return 1;
    }
    if (p[0] >= 0xc2 && p[0] <= 0xdf) {
        return n >= 2 && is_tail(p[1]) ? 2 : 0;
    }
    if ((p[0] & 0xf0) == 0xe0) {
        const unsigned char lo = p[0] == 0xe0 ? 0xa0 : 0x80;
        const unsigned char hi = p[0] == 0xed ? 0x9f : 0xbf;
        return n >= 3 && p[1] >= lo && p[1] <= hi && is_tail(p[2]) ? 3 : 0;
    }
    if (p[0] >= 0xf0 && p[0] <= 0xf4) {
        const unsigned char lo = p[0] == 0xf0 ? 0x90 : 0x80;
        const unsigned char hi = p[0] == 0xf4 ? 0x8f : 0xbf;
        return n >= 4 && p[1] >= lo && p[1] <= hi && is_tail(p[2]) && is_tail(p[3]) ? 4 : 0;
    }
    return 0;
}

int utf8_valid(struct str s)
{
    const unsigned char *p = (const unsigned char *)s.p;
    size_t i = 0;
    while (i < s.n) {
        uint64_t eight;
        size_t len;
        if (s.n - i >= sizeof(eight)) {
            memcpy(&eight, p + i, sizeof(eight));
            if ((eight & 0x8080808080808080U) == 0) {
                i += sizeof(eight);
                continue;
            }
        }
        len = utf8_sequence(p + i, s.n - i);
        if (len == 0) {
            return 0;
        }
        i += len;
    }
    return 1;
}

/* Shifts rather than byte swaps: right on every byte order, and compilers see through them. */
void put_be16(void *p, uint16_t v)
{
    unsigned char *o = p;
    o[0] = (unsigned char)(v >> 8);
    o[1] = (unsigned char)v;
}

void put_be32(void *p, uint32_t v)
{
    unsigned char *o = p;
    o[0] = (unsigned char)(v >> 24);
    o[1] = (unsigned char)(v >> 16);
    o[2] = (unsigned char)(v >> 8);
    o[3] = (unsigned char)v;
}

void put_be64(void *p, uint64_t v)
{
    put_be32(p, (uint32_t)(v >> 32));
    put_be32((unsigned char *)p + 4, (uint32_t)v);
}

uint16_t get_be16(const void *p)
{
    const unsigned char *in = p;
    return (uint16_t)(in[0] << 8 | in[1]);
}

uint32_t get_be32(const void *p)
{
    const unsigned char *in = p;
    return (uint32_t)in[0] << 24 | (uint32_t)in[1] << 16 | (uint32_t)in[2] << 8 | in[3];
}

uint64_t get_be64(const void *p)
{
    return (uint64_t)get_be32(p) << 32 | get_be32((const unsigned char *)p + 4);
}
