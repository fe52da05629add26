# SPDX-License-Identifier: Apache-2.0

set(HTTP_SERVER_SOURCES
    server/config.c
    server/conn.c
    server/cors.c
    server/head_rules.c
    server/parser.c
    server/peer_table.c
    server/reply.c
    server/server.c
    server/timeouts.c)
