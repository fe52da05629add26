# SPDX-License-Identifier: Apache-2.0
set(HTTP_CLIENT_SOURCES
    client/cfg.c
    client/client.c
    client/conn.c
    client/exchange.c
    client/pool.c
    client/request.c
    client/response.c)
