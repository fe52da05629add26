/* SPDX-License-Identifier: Apache-2.0 */
/* Default mode: v0=<hex>[,<hex>], HMAC over the body. */
#include "longline/sign.h"

#include "longline/enc.h"

#include "verify.h"

#define HEX_LEN (2 * SIGN_MAC_LEN)

int sign_default(struct buf *out, const struct sign_key *keys, size_t n_keys, struct str body)
{
    unsigned char mac[SIGN_MAC_LEN];
    char hex[HEX_LEN];
    int rc = buf_add_lit(out, "v0=");

    for (size_t i = 0; i < n_keys && rc == 0; i++) {
        if (i != 0) {
            rc = buf_add_c(out, ',');
        }
        sign_hmac_sha256(&keys[i], &body, 1, mac);
        enc_hex(hex, mac, sizeof(mac));
        if (rc == 0) {
            rc = buf_add(out, hex, sizeof(hex));
        }
    }
    return rc;
}

int sign_default_verify(const struct sign_key *keys, size_t n_keys, struct str body,
                        struct str header)
{
    struct verify v;
    struct str item;

    if (!str_starts(header, STR("v0="))) {
        return ERR_SYNTAX;
    }
    struct str rest = str_of(header.p + 3, header.n - 3);
    verify_init(&v, keys, n_keys, &body, 1);
    while (str_split(&rest, ',', &item)) {
        unsigned char mac[SIGN_MAC_LEN];
        size_t n = 0;
        if (dec_hex(mac, sizeof(mac), &n, item) != 0 || n != sizeof(mac)) {
            return ERR_SYNTAX;
        }
        verify_mac(&v, mac);
    }
    return verify_result(&v);
}
