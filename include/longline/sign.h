/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Signatures over webhook requests: HMAC-SHA256 in two dressings.
 *
 *   default   v0=<hex>[,<hex>]     over the body; key: the bytes of the secret's text
 *   standard  v1,<base64> v1,...   over id.timestamp.body; key: the bytes that whsec_ stands for
 *                                  (Standard Webhooks 1.0.0)
 *
 * A header lists one signature per active secret, newest first, so that receivers can change over.
 * A key is prepared once per secret and used for any number of messages: a signature then costs the
 * hashing of the message and two blocks. Threads may share a prepared key.
 */
#ifndef LL_SIGN_H
#define LL_SIGN_H

#include <stdbool.h>
#include <stdint.h>

#include "longline/buf.h"
#include "longline/err.h"
#include "longline/rng.h"
#include "longline/str.h"

#define SIGN_MAC_LEN     32
#define SIGN_SECRET_MAX  1024 /* characters of a secret */
#define SIGN_TOLERANCE_S 300  /* age of a timestamp, both ways, when verifying */

enum sign_mode { SIGN_MODE_DEFAULT, SIGN_MODE_STANDARD };

/* SHA-256 after the inner and the outer padded key: as good as the key itself, wipe it. */
struct sign_key {
    uint32_t inner[8];
    uint32_t outer[8];
};

void sign_key_init(struct sign_key *k, const void *key, size_t n);
/* Is it "whsec_" and strict base64 of at least one byte, as Standard Webhooks has it? */
bool sign_secret_is_standard(struct str secret);
/* Standard mode: "whsec_" and strict base64 of at least one byte gives the decoded bytes; any other
 * text is taken as it is, for secrets imported from elsewhere. ERR_TOO_BIG: see SIGN_SECRET_MAX. */
int sign_key_from_secret(struct sign_key *k, enum sign_mode mode, struct str secret) LL_MUST_USE;
void sign_key_fini(struct sign_key *k); /* wipes */

/* The MAC of all parts in a row. */
void sign_hmac_sha256(const struct sign_key *k, const struct str *parts, size_t n_parts,
                      unsigned char out[SIGN_MAC_LEN]);

struct sign_message {
    struct str id;
    int64_t timestamp_s; /* of this attempt */
    struct str body;
};

/* Append the header's value to out. Errors: those of buf; sign_standard also ERR_INVALID when the
 * id is empty or holds a '.', which would move the boundary between the signed parts. */
int sign_default(struct buf *out, const struct sign_key *keys, size_t n_keys,
                 struct str body) LL_MUST_USE;
int sign_standard(struct buf *out, const struct sign_key *keys, size_t n_keys,
                  const struct sign_message *m) LL_MUST_USE;

/* The receiving side. 0 when one of the signatures belongs to one of the keys; ERR_SYNTAX for
 * headers of another shape, ERR_DENIED when nothing fits, ERR_RANGE for a timestamp out of
 * tolerance (reported only when the signature is right). Time does not depend on where a MAC
 * differs. */
int sign_default_verify(const struct sign_key *keys, size_t n_keys, struct str body,
                        struct str header) LL_MUST_USE;

struct sign_standard_headers {
    struct str id;
    struct str timestamp;
    struct str signature;
};
int sign_standard_verify(const struct sign_key *keys, size_t n_keys,
                         const struct sign_standard_headers *h, struct str body,
                         int64_t now_s) LL_MUST_USE;

/* A new secret as terminated text: "whsec_" and 64 hex digits, or the base64 of 32 bytes. */
#define SIGN_NEW_SECRET_MAX 80
size_t sign_secret_new(char out[SIGN_NEW_SECRET_MAX], enum sign_mode mode, const struct rng *rng);

#endif
