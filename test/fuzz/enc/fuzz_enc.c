/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes survive encoding and decoding; and because the decoders are strict, text that they accept
 * is exactly what the encoder gives for the bytes (but for the case of hex digits).
 */
#include <stdint.h>
#include <string.h>

#include "longline/check.h"
#include "longline/enc.h"
#include "longline/mem.h"

typedef size_t (*encode_fn)(char *out, const void *p, size_t n);
typedef int (*decode_fn)(void *out, size_t cap, size_t *n, struct str s);

static size_t encode_hex(char *out, const void *p, size_t n)
{
    enc_hex(out, p, n);
    return 2 * n;
}

static const struct coding {
    encode_fn encode;
    decode_fn decode;
    bool ignores_case;
} codings[] = {
    {enc_base64, dec_base64, false},
    {enc_base64url, dec_base64url, false},
    {encode_hex, dec_hex, true},
};

static void check_coding(const struct coding *c, const uint8_t *data, size_t size)
{
    const size_t cap = 2 * size + 4;
    char *text = mem_alloc(cap);
    unsigned char *bytes = mem_alloc(cap);
    size_t n = 0;
    size_t len = c->encode(text, data, size);

    LL_ASSERT(len <= cap);
    LL_ASSERT(c->decode(bytes, size, &n, str_of(text, len)) == 0);
    LL_ASSERT(n == size && (size == 0 || memcmp(bytes, data, size) == 0));

    if (c->decode(bytes, cap, &n, str_of((const char *)data, size)) == 0) {
        struct str again;
        const struct str input = str_of((const char *)data, size);
        LL_ASSERT(n <= size);
        again = str_of(text, c->encode(text, bytes, n));
        LL_ASSERT(c->ignores_case ? str_eq_ci(again, input) : str_eq(again, input));
        LL_ASSERT(n == 0 || c->decode(bytes, n - 1, &n, input) == ERR_TOO_BIG);
    }
    mem_free(text);
    mem_free(bytes);
}

static void check_percent(struct str data)
{
    struct buf text;
    struct buf back;

    /* Every byte as an escape comes back the same; a NUL is refused. */
    buf_init(&text, 3 * data.n + 1);
    buf_init(&back, 3 * data.n + 1);
    for (size_t i = 0; i < data.n; i++) {
        LL_ASSERT(buf_printf(&text, "%%%02X", (unsigned)(unsigned char)data.p[i]) == 0);
    }
    const int rc = dec_percent(&back, buf_str(&text), 0);
    if (data.n != 0 && memchr(data.p, '\0', data.n) != NULL) {
        LL_ASSERT(rc == ERR_SYNTAX);
    } else {
        LL_ASSERT(rc == 0 && str_eq(buf_str(&back), data));
    }
    buf_reset(&back);
    if (dec_percent(&back, data, 1) == 0) {
        LL_ASSERT(back.n <= data.n);
        LL_ASSERT(back.n == 0 || memchr(back.p, '\0', back.n) == NULL);
    }
    buf_fini(&text);
    buf_fini(&back);
}

/* The check of a whole text agrees with going through it character by character. */
static void check_utf8(struct str s)
{
    size_t i = 0;
    while (i < s.n) {
        const size_t len = utf8_sequence(s.p + i, s.n - i);
        if (len == 0) {
            break;
        }
        i += len;
    }
    LL_ASSERT((utf8_valid(s) != 0) == (i == s.n));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    for (size_t i = 0; i < LL_COUNT(codings); i++) {
        check_coding(&codings[i], data, size);
    }
    check_percent(str_of((const char *)data, size));
    check_utf8(str_of((const char *)data, size));
    return 0;
}
