/* SPDX-License-Identifier: Apache-2.0 */
#include "longline/http_server.h"

#include "longline/check.h"

#define KIB ((int64_t)1024)
#define MIB (1024 * KIB)
#define SEC ((int64_t)1000)

#define SIZE_KEY(key, field, dflt, low, high, text)                                                \
    {                                                                                              \
        .name = (key), .kind = CFG_SIZE, .flags = CFG_RELOAD,                                      \
        .offset = CFG_AT(int64_t, struct http_server_cfg, field), .def = (dflt), .min = (low),     \
        .max = (high), .help = (text)                                                              \
    }
#define COUNT_KEY(key, field, reload, dflt, low, high, text)                                       \
    {                                                                                              \
        .name = (key), .kind = CFG_INT, .flags = (reload),                                         \
        .offset = CFG_AT(int64_t, struct http_server_cfg, field), .def = (dflt), .min = (low),     \
        .max = (high), .help = (text)                                                              \
    }
#define TIME_KEY(key, field, dflt, text)                                                           \
    {                                                                                              \
        .name = (key), .kind = CFG_DURATION, .flags = CFG_RELOAD,                                  \
        .offset = CFG_AT(int64_t, struct http_server_cfg, field), .def = (dflt), .min = 10,        \
        .max = 3600 * SEC, .help = (text)                                                          \
    }
#define TEXT_KEY(key, field, dflt, text)                                                           \
    {                                                                                              \
        .name = (key), .kind = CFG_STRING, .flags = 0,                                             \
        .offset = CFG_AT(char *, struct http_server_cfg, field), .def = (dflt), .help = (text)     \
    }

const struct cfg_key http_server_cfg_keys[] = {
    TEXT_KEY("listen", listen, "127.0.0.1:3333",
             "Address and port to listen on; port 0 lets the system choose"),
    SIZE_KEY("max_body", max_body, "1MiB", KIB, 4 * MIB,
             "Largest request body, except where another key says otherwise"),
    SIZE_KEY("max_publish_body", max_publish_body, "1MiB", KIB, 4 * MIB,
             "Largest body of a publish request"),
    SIZE_KEY("max_head", max_head, "16KiB", KIB, MIB, "Largest request line with headers"),
    COUNT_KEY("max_headers", max_headers, CFG_RELOAD, "64", 8, 1000, "Most headers in a request"),
    COUNT_KEY("max_connections", max_connections, 0, "10000", 1, 1000000,
              "Most client connections; further ones get 503 or wait"),
    COUNT_KEY(
        "max_connections_per_ip", max_connections_per_ip, CFG_RELOAD, "0", 0, 1000000,
        "Most connections from one address (IPv6: from one /64); further ones get 429. 0 means "
        "half of max_connections: enough for a proxy through which all clients come, and no "
        "single client can take all. No limit: the same as max_connections"),
    TIME_KEY("head_timeout", head_timeout_ms, "10s",
             "Time for a client to send the whole request line and headers"),
    TIME_KEY("body_timeout", body_timeout_ms, "30s",
             "Time for a client to send the whole body; after 5s at least 1 KiB/s are asked for"),
    TIME_KEY("idle_timeout", idle_timeout_ms, "60s",
             "Time that a connection may wait for its next request"),
    TIME_KEY("write_timeout", write_timeout_ms, "10s",
             "Time that a reply may wait without the client taking any of it"),
    {.name = "cors_origins",
     .kind = CFG_LIST,
     .flags = CFG_RELOAD,
     .offset = CFG_AT(struct cfg_list, struct http_server_cfg, cors_origins),
     .def = "",
     .help = "Origins whose scripts may call the API, comma separated, or *; empty: none"},
    TEXT_KEY("tls_cert", tls_cert, "", "PEM file with the certificate chain; with tls_key: HTTPS"),
    TEXT_KEY("tls_key", tls_key, "", "PEM file with the private key of tls_cert"),
    COUNT_KEY("tls_workers", tls_workers, 0, "1", 1, 4,
              "Number of threads for TLS handshakes with clients; each takes at most a fifth of a "
              "processor that others want"),
    COUNT_KEY("max_handshakes", max_handshakes, 0, "1000", 1, 100000,
              "Most TLS handshakes with clients under way, a quarter of them from one address; "
              "further connections are closed at once"),
};

const size_t http_server_cfg_n_keys = LL_COUNT(http_server_cfg_keys);
