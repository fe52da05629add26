# SPDX-License-Identifier: Apache-2.0
ll_test(NAME http_client_response SOURCES test_client_response.c DEPS http LIBS LL::llhttp)
ll_test(NAME http_client SOURCES test_client.c client_peer.c DEPS http test_support)
ll_test(NAME http_client_faults SOURCES test_client_faults.c client_peer.c DEPS http test_support)
ll_test(NAME http_client_pool SOURCES test_client_pool.c client_peer.c DEPS http test_support)
ll_test(NAME http_client_tls SOURCES test_client_tls.c DEPS http test_support)
ll_test(NAME http_client_body SOURCES test_client_body.c client_peer.c DEPS http test_support
    LIBS LL::llhttp)
