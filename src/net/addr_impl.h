/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses as 16 bytes, IPv4 in its v4-mapped form: what the policy's table works on. */
#ifndef LL_NET_ADDR_IMPL_H
#define LL_NET_ADDR_IMPL_H

#include "longline/addr.h"

bool addr_ip16(const union addr *a, unsigned char out[16]); /* false: not an IP address */
bool ip16_in(const unsigned char ip[16], const unsigned char net[16], unsigned bits);
bool cidr_has_ip16(const struct cidr *c, const unsigned char ip[16]);

#endif
