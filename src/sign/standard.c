/* SPDX-License-Identifier: Apache-2.0 */
/* Standard Webhooks: v1,<base64> items separated by one space, HMAC over id.timestamp.body. */
#include "longline/sign.h"

#include <stdio.h>

#include "longline/enc.h"

#include "verify.h"

#define TIMESTAMP_MAX 24

static void make_parts(struct str parts[5], struct str id, struct str timestamp, struct str body)
{
    parts[0] = id;
    parts[1] = STR(".");
    parts[2] = timestamp;
    parts[3] = STR(".");
    parts[4] = body;
}

int sign_standard(struct buf *out, const struct sign_key *keys, size_t n_keys,
                  const struct sign_message *m)
{
    char timestamp[TIMESTAMP_MAX];
    unsigned char mac[SIGN_MAC_LEN];
    char text[ENC_BASE64_LEN(SIGN_MAC_LEN)];
    struct str parts[5];
    int rc = 0;

    if (m->id.n == 0 || str_find(m->id, '.') != m->id.n) {
        return ERR_INVALID;
    }
    const int n = snprintf(timestamp, sizeof(timestamp), "%lld", (long long)m->timestamp_s);
    make_parts(parts, m->id, str_of(timestamp, (size_t)n), m->body);
    for (size_t i = 0; i < n_keys && rc == 0; i++) {
        rc = i == 0 ? buf_add_lit(out, "v1,") : buf_add_lit(out, " v1,");
        sign_hmac_sha256(&keys[i], parts, 5, mac);
        const size_t len = enc_base64(text, mac, sizeof(mac));
        if (rc == 0) {
            rc = buf_add(out, text, len);
        }
    }
    return rc;
}

/* Items of other versions (v1a) and items that make no sense are passed over, as the official
 * libraries do with the former. */
static void verify_items(struct verify *v, struct str header)
{
    struct str item;

    while (str_split(&header, ' ', &item)) {
        unsigned char mac[SIGN_MAC_LEN];
        size_t n = 0;
        if (str_starts(item, STR("v1,")) &&
            dec_base64(mac, sizeof(mac), &n, str_of(item.p + 3, item.n - 3)) == 0 &&
            n == sizeof(mac)) {
            verify_mac(v, mac);
        }
    }
}

int sign_standard_verify(const struct sign_key *keys, size_t n_keys,
                         const struct sign_standard_headers *h, struct str body, int64_t now_s)
{
    struct verify v;
    struct str parts[5];
    int64_t timestamp = 0;

    if (h->id.n == 0 || str_to_i64(h->timestamp, &timestamp) != 0 || timestamp < 0) {
        return ERR_SYNTAX;
    }
    make_parts(parts, h->id, h->timestamp, body);
    verify_init(&v, keys, n_keys, parts, 5);
    verify_items(&v, h->signature);
    const int rc = verify_result(&v);
    if (rc != 0) {
        return rc;
    }
    if (timestamp > now_s + SIGN_TOLERANCE_S || timestamp < now_s - SIGN_TOLERANCE_S) {
        return ERR_RANGE;
    }
    return 0;
}
