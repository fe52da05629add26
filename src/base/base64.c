/* SPDX-License-Identifier: Apache-2.0 */
/* Base64 and base64url (RFC 4648 sections 4 and 5), one coder with two alphabets. */
#include "longline/enc.h"

static const char standard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static size_t encode(char *out, const unsigned char *in, size_t n, const char *alphabet, bool pad)
{
    char *o = out;
    for (; n >= 3; n -= 3, in += 3) {
        const unsigned v = (unsigned)in[0] << 16 | (unsigned)in[1] << 8 | in[2];
        *o++ = alphabet[v >> 18];
        *o++ = alphabet[v >> 12 & 63];
        *o++ = alphabet[v >> 6 & 63];
        *o++ = alphabet[v & 63];
    }
    if (n != 0) {
        const unsigned v = (unsigned)in[0] << 16 | (n == 2 ? (unsigned)in[1] << 8 : 0);
        *o++ = alphabet[v >> 18];
        *o++ = alphabet[v >> 12 & 63];
        if (n == 2) {
            *o++ = alphabet[v >> 6 & 63];
        } else if (pad) {
            *o++ = '=';
        }
        if (pad) {
            *o++ = '=';
        }
    }
    return (size_t)(o - out);
}

size_t enc_base64(char *out, const void *p, size_t n)
{
    return encode(out, p, n, standard, true);
}

size_t enc_base64url(char *out, const void *p, size_t n)
{
    return encode(out, p, n, url_safe, false);
}

/* 0-63, or 64 for a character outside the alphabet, which differs in its last two. */
static unsigned value_of(char c, const char *alphabet)
{
    if (c >= 'A' && c <= 'Z') {
        return (unsigned)(c - 'A');
    }
    if (c >= 'a' && c <= 'z') {
        return (unsigned)(c - 'a') + 26;
    }
    if (char_is_digit(c)) {
        return (unsigned)(c - '0') + 52;
    }
    if (c == alphabet[62]) {
        return 62;
    }
    return c == alphabet[63] ? 63 : 64;
}

/* s without padding. */
static int decode(unsigned char *out, size_t cap, size_t *n, struct str s, const char *alphabet)
{
    const size_t tail = s.n % 4;
    const size_t len = s.n / 4 * 3 + (tail != 0 ? tail - 1 : 0);
    unsigned v = 0; /* the last bits, n_bits of them not written yet */
    unsigned n_bits = 0;
    size_t at = 0;

    if (tail == 1) {
        return ERR_SYNTAX;
    }
    if (len > cap) {
        return ERR_TOO_BIG;
    }
    for (size_t i = 0; i < s.n; i++) {
        const unsigned six = value_of(s.p[i], alphabet);
        if (six > 63) {
            return ERR_SYNTAX;
        }
        v = (v << 6 | six) & 0xffffU;
        n_bits += 6;
        if (n_bits >= 8) {
            n_bits -= 8;
            out[at++] = (unsigned char)(v >> n_bits);
        }
    }
    if ((v & ((1U << n_bits) - 1)) != 0) {
        return ERR_SYNTAX; /* stray bits: two texts would decode to the same bytes */
    }
    *n = at;
    return 0;
}

int dec_base64(void *out, size_t cap, size_t *n, struct str s)
{
    if (s.n % 4 != 0) {
        return ERR_SYNTAX;
    }
    if (s.n != 0 && s.p[s.n - 1] == '=') {
        s.n -= s.p[s.n - 2] == '=' ? 2 : 1;
    }
    return decode(out, cap, n, s, standard);
}

int dec_base64url(void *out, size_t cap, size_t *n, struct str s)
{
    return decode(out, cap, n, s, url_safe);
}
