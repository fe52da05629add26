/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The only file that uses libidn2. Non-transitional processing: "ß" stays what it is and does not
 * lead to another domain. What IDNA 2008 has no place for, such as emoji, is refused.
 */
#include "idn.h"

#include <idn2.h>

#include "authority.h"
#include "longline/url.h"

static int append(struct buf *out, struct str ascii, struct err_detail *err)
{
    /* Some characters become delimiters: U+2100 is "a/c". */
    if (!authority_is_plain_name(ascii)) {
        return err_set(err, ERR_SYNTAX, 0, "the host has a character that is not allowed");
    }
    return buf_add_str(out, ascii) == 0
               ? 0
               : err_set(err, ERR_TOO_BIG, 0, "the URL is longer than %d characters", URL_MAX);
}

int idn_to_ascii(struct buf *out, struct str host, struct err_detail *err)
{
    uint8_t text[URL_MAX + 1];
    uint8_t *ascii = NULL;

    if (host.n > URL_MAX) {
        return err_set(err, ERR_TOO_BIG, 0, "the URL is longer than %d characters", URL_MAX);
    }
    memcpy(text, host.p, host.n);
    text[host.n] = 0;
    const int failed = idn2_lookup_u8(text, &ascii, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL);
    if (failed != IDN2_OK) {
        return err_set(err, ERR_SYNTAX, failed, "the host is no international domain name: %s",
                       idn2_strerror(failed));
    }
    const int rc = append(out, str_c((const char *)ascii), err);
    idn2_free(ascii);
    return rc;
}
