/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Secrets at rest: XChaCha20-Poly1305 (libsodium) under a 32-byte key that lies beside the data
 * (mode 0600) or comes from the configuration. The sealed text is bound to its place by `context`
 * (tenant and destination), so that it cannot be moved to another record.
 *
 *   sealed = base64( version 1 | key id 4 | nonce 24 | ciphertext | tag 16 )
 */
#ifndef LL_VAULT_H
#define LL_VAULT_H

#include "longline/buf.h"
#include "longline/err.h"
#include "longline/str.h"

struct vault;

/* key_text: 64 hex digits or 44 base64 characters. */
int vault_new(struct vault **out, struct str key_text, struct err_detail *err) LL_MUST_USE;
/* An older key that may still open (rotation); at most eight. */
int vault_add_old(struct vault *v, struct str key_text, struct err_detail *err) LL_MUST_USE;
void vault_free(struct vault *v);

int vault_seal(const struct vault *v, struct str context, struct str plain,
               struct buf *out) LL_MUST_USE;
/* ERR_CORRUPT when it was changed or moved, ERR_NOT_FOUND when the key is unknown, ERR_VERSION when
 * a later version wrote it. The plain text is appended to out; wipe it after use. */
int vault_open(const struct vault *v, struct str context, struct str sealed,
               struct buf *out) LL_MUST_USE;

#endif
