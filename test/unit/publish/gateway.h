/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A gateway without its API, over a store in a temporary directory, delivering to a receiver on the
 * same loop. One tenant, "acme", is there from the start.
 */
#ifndef LL_TEST_GATEWAY_H
#define LL_TEST_GATEWAY_H

#include "fixture.h"
#include "outbound.h"

#include "longline/publish.h"

#define GW_MAX_RESULTS 64

struct gw_result { /* what `done` told */
    bool is_done;
    bool duplicate;
    char id[64];
    char dests[128]; /* ids, separated by spaces */
    int rc;
    struct problem problem;
    struct arena arena;
    int order; /* 1 for the first that was done */
};

struct gateway {
    struct fixture *fx; /* loop, store, directory */
    struct outbound out;
    struct vault *vault;
    struct registry *registry;
    struct deliver_cfg cfg;
    struct deliver *deliver;
    struct topic_rules topics;
    struct publish_options options; /* what the next gw_open gives to publish_open */
    struct publish *publish;
    bool is_open;
    int n_done;
};

int gw_setup(void **state); /* *state is a struct gateway, open */
int gw_teardown(void **state);
void gw_open(struct gateway *g);
/* As a crash would leave it: what was put is committed, attempts in flight end without a trace. */
void gw_close(struct gateway *g);
void gw_reopen(struct gateway *g);

/* A destination of "acme" at the receiver; "" for no filter. Its number. */
uint32_t gw_dest(struct gateway *g, const char *id, const char *topic, const char *filter);
void gw_set_url(struct gateway *g, const char *id, const char *url);
void gw_set_disabled(struct gateway *g, const char *id, bool disabled);

/* Starts a publish; r lives until gw_forget. */
void gw_publish(struct gateway *g, struct gw_result *r, const char *body);
void gw_forget(struct gw_result *r);
/* Publishes, waits until it is durable, demands 202; the event's seq. */
uint64_t gw_event(struct gateway *g, const char *id);
void gw_wait_done(struct gateway *g, const struct gw_result *r);

int64_t gw_pending(struct gateway *g);
void gw_wait_pending(struct gateway *g, int64_t n);
void gw_wait(struct gateway *g, bool (*cond)(void *ctx), void *ctx, const char *what);

/* The attempts of an event, in order, as they stand in the journal (committed first). */
#define GW_MAX_ATTEMPTS 16
struct gw_attempt {
    uint64_t seq;
    uint32_t number;
    bool manual, final, success;
    int32_t http_status;
    char code[32], error[128], dest_id[64], response[64];
    int64_t time_ms, next_at_ms;
};
size_t gw_attempts(struct gateway *g, uint64_t event_seq, struct gw_attempt out[GW_MAX_ATTEMPTS]);
/* Number of retry records. */
size_t gw_retries(struct gateway *g);

#endif
