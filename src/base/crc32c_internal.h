/* SPDX-License-Identifier: Apache-2.0 */
/* The portable path of crc32c, visible so that tests can compare it with the instruction. */
#ifndef LL_CRC32C_INTERNAL_H
#define LL_CRC32C_INTERNAL_H

#include <stddef.h>
#include <stdint.h>

uint32_t crc32c_portable(uint32_t crc, const void *p, size_t n);

#endif
