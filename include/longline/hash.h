/* SPDX-License-Identifier: Apache-2.0 */
/* Non-cryptographic checksums and hashes. */
#ifndef LL_HASH_H
#define LL_HASH_H

#include "longline/str.h"

/* CRC-32C (Castagnoli, RFC 3720 B.4); start with 0, feed the result back to continue. Uses the
 * processor's instruction when it has one. */
uint32_t crc32c(uint32_t crc, const void *p, size_t n);

/* SipHash-2-4 under the given 16-byte key. */
uint64_t siphash(const unsigned char key[16], const void *p, size_t n);
/* Under a key that is random per process (hash tables). */
uint64_t hash_random(struct str s);
/* Under a fixed key: the same in every process and version, for keys on disk. */
uint64_t hash_stable(struct str s);

#endif
