/* SPDX-License-Identifier: Apache-2.0 */
/* A registry over a real store in a temporary directory. */
#ifndef LL_TEST_REGISTRY_FIXTURE_H
#define LL_TEST_REGISTRY_FIXTURE_H

#include "fixture.h"

#include "longline/check.h"
#include "longline/registry.h"

#define KEY_A "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define KEY_B "ff112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

struct rx {
    struct fixture *fx;
    struct vault *vault;
    const char *key;
    const char *old_key; /* NULL: none */
    size_t max_dests;
    size_t max_filters;
    size_t max_tombstones;
    struct registry *registry;
    uint32_t changed[64]; /* numbers the hook was called with */
    size_t n_changed;
};

int rx_setup(void **state); /* *state is a struct rx, opened */
int rx_teardown(void **state);
void rx_open(struct rx *r);
int rx_try_open(struct rx *r, struct err_detail *err);
void rx_close(struct rx *r);
void rx_reopen(struct rx *r); /* commits, closes, opens */

/* Puts a tenant; created tells whether it was new. */
bool rx_tenant(struct rx *r, const char *id, int64_t created_ms);
/* Adds a destination with one topic and a filter ("" for none); returns its number. */
uint32_t rx_dest(struct rx *r, const char *tenant, const char *id, const char *topic,
                 const char *filter);
/* The same without adding: for a test to change first. Valid until the next call. */
struct destination *rx_draft(const char *tenant, const char *id, const char *topic,
                             const char *filter);

#endif
