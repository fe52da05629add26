/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text encodings. Decoders are strict: no white space, no stray bits, no missing or extra padding
 * (RFC 4648), and report ERR_SYNTAX; ERR_TOO_BIG when the output does not fit.
 */
#ifndef LL_ENC_H
#define LL_ENC_H

#include "longline/buf.h"
#include "longline/err.h"
#include "longline/str.h"

/* Lower-case hex; out gets 2 * n characters, not terminated. */
void enc_hex(char *out, const void *p, size_t n);
int dec_hex(void *out, size_t cap, size_t *n, struct str s) LL_MUST_USE;

#define ENC_BASE64_LEN(n) (((n) + 2) / 3 * 4)
size_t enc_base64(char *out, const void *p, size_t n); /* padded; returns the length written */
int dec_base64(void *out, size_t cap, size_t *n, struct str s) LL_MUST_USE;
size_t enc_base64url(char *out, const void *p, size_t n); /* no padding */
int dec_base64url(void *out, size_t cap, size_t *n, struct str s) LL_MUST_USE;

/* Percent-decoding of a URL path segment or query part (plus_is_space for the latter), appended to
 * out. A decoded NUL is ERR_SYNTAX. */
int dec_percent(struct buf *out, struct str s, int plus_is_space) LL_MUST_USE;

/* True when s is well-formed UTF-8 (RFC 3629). */
int utf8_valid(struct str s);
/* Length (1-4) of the well-formed character at p, where n > 0 bytes are; 0 if it is none. */
size_t utf8_sequence(const void *p, size_t n);

/* Big-endian numbers, the order LMDB sorts by. */
void put_be16(void *p, uint16_t v);
void put_be32(void *p, uint32_t v);
void put_be64(void *p, uint64_t v);
uint16_t get_be16(const void *p);
uint32_t get_be32(const void *p);
uint64_t get_be64(const void *p);

#endif
