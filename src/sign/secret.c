/* SPDX-License-Identifier: Apache-2.0 */
/* Secrets as text: making them, and the key a text stands for. */
#include "longline/sign.h"

#include "longline/enc.h"
#include "longline/mem.h"

#define PREFIX   "whsec_"
#define N_RANDOM 32

/* The bytes that "whsec_" and base64 stand for; 0 when the text is something else. */
static size_t decode_standard(unsigned char out[SIGN_SECRET_MAX], struct str secret)
{
    const struct str prefix = STR(PREFIX);
    size_t n = 0;

    if (secret.n > SIGN_SECRET_MAX || !str_starts(secret, prefix)) {
        return 0;
    }
    const struct str text = str_of(secret.p + prefix.n, secret.n - prefix.n);
    return dec_base64(out, SIGN_SECRET_MAX, &n, text) == 0 ? n : 0;
}

bool sign_secret_is_standard(struct str secret)
{
    unsigned char bytes[SIGN_SECRET_MAX];
    const size_t n = decode_standard(bytes, secret);

    mem_wipe(bytes, sizeof(bytes));
    return n != 0;
}

int sign_key_from_secret(struct sign_key *k, enum sign_mode mode, struct str secret)
{
    unsigned char bytes[SIGN_SECRET_MAX];

    if (secret.n > SIGN_SECRET_MAX) {
        return ERR_TOO_BIG;
    }
    const size_t n = mode == SIGN_MODE_STANDARD ? decode_standard(bytes, secret) : 0;
    if (n != 0) {
        sign_key_init(k, bytes, n);
    } else {
        sign_key_init(k, secret.p, secret.n);
    }
    mem_wipe(bytes, sizeof(bytes));
    return 0;
}

size_t sign_secret_new(char out[SIGN_NEW_SECRET_MAX], enum sign_mode mode, const struct rng *rng)
{
    unsigned char bytes[N_RANDOM];
    const struct str prefix = STR(PREFIX);
    size_t n = prefix.n;

    rng_fill(rng, bytes, sizeof(bytes));
    memcpy(out, prefix.p, prefix.n);
    if (mode == SIGN_MODE_STANDARD) {
        n += enc_base64(out + n, bytes, sizeof(bytes));
    } else {
        enc_hex(out + n, bytes, sizeof(bytes));
        n += 2 * sizeof(bytes);
    }
    out[n] = '\0';
    mem_wipe(bytes, sizeof(bytes));
    return n;
}
