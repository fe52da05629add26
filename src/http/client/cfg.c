/* SPDX-License-Identifier: Apache-2.0 */
/* The keys of section [client]. */
#include "longline/http_client.h"

#include "longline/check.h"

#define AT(field) CFG_AT(int64_t, struct http_client_cfg, field)

#define MIB       (INT64_C(1024) * 1024)
#define SECOND    INT64_C(1000)
#define MINUTE    (60 * SECOND)
#define HOUR      (60 * MINUTE)

const struct cfg_key http_client_cfg_keys[] = {
    {"total_timeout", CFG_DURATION, CFG_RELOAD, AT(total_timeout_ms), "30s", 10, HOUR, NULL,
     "Time for one attempt, from waiting for a connection to the end of the response."},
    {"dns_timeout", CFG_DURATION, CFG_RELOAD, AT(dns_timeout_ms), "3s", 10, 5 * MINUTE, NULL,
     "Time for looking up the name of a destination; it may wait as long again while many "
     "lookups are under way."},
    {"connect_timeout", CFG_DURATION, CFG_RELOAD, AT(connect_timeout_ms), "5s", 10, 5 * MINUTE,
     NULL, "Time for connecting to a destination, all its addresses together."},
    {"tls_timeout", CFG_DURATION, CFG_RELOAD, AT(tls_timeout_ms), "5s", 10, 5 * MINUTE, NULL,
     "Time for the TLS handshake with a destination, without the wait for a handshake thread."},
    {"first_byte_timeout", CFG_DURATION, CFG_RELOAD, AT(first_byte_timeout_ms), "15s", 10, HOUR,
     NULL, "Time from the last byte of the request to the first byte of the response."},
    {"write_timeout", CFG_DURATION, CFG_RELOAD, AT(write_timeout_ms), "10s", 10, HOUR, NULL,
     "Time that sending the request may go without any progress."},
    {"max_response_head", CFG_SIZE, CFG_RELOAD, AT(max_response_head), "32KiB", 256, MIB, NULL,
     "Largest status line with headers of a response; a longer one fails the attempt."},
    {"max_response_body", CFG_SIZE, CFG_RELOAD, AT(max_response_body), "128KiB", 0, 64 * MIB, NULL,
     "Bytes of a response body that are read; with more, or when it is not complete 5 s after the "
     "head, the connection is closed and the status counts."},
    {"keep_response_body", CFG_SIZE, CFG_RELOAD, AT(keep_response_body), "4KiB", 0, MIB, NULL,
     "Bytes of a response body that are kept with the attempt, of those that are read."},
    {"max_connections", CFG_INT, CFG_RELOAD, AT(max_connections), "4000", 1, 1000000, NULL,
     "Most connections to all destinations, busy and idle."},
    {"max_connections_per_origin", CFG_INT, CFG_RELOAD, AT(max_connections_per_origin), "128", 1,
     1000000, NULL, "Most connections to one scheme, host and port."},
    {"max_idle", CFG_INT, CFG_RELOAD, AT(max_idle), "2000", 0, 1000000, NULL,
     "Most connections kept open without work, all destinations together."},
    {"idle_timeout", CFG_DURATION, CFG_RELOAD, AT(idle_timeout_ms), "25s", 10, HOUR, NULL,
     "How long a connection is kept open without work."},
    {"max_uses", CFG_INT, CFG_RELOAD, AT(max_uses), "10000", 1, INT32_MAX, NULL,
     "Most requests sent over one connection."},
    {"max_age", CFG_DURATION, CFG_RELOAD, AT(max_age_ms), "10m", 10, 24 * HOUR, NULL,
     "Age from which a connection is not used for a further request."},
};
const size_t http_client_cfg_n_keys = LL_COUNT(http_client_cfg_keys);
