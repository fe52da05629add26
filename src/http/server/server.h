/* SPDX-License-Identifier: Apache-2.0 */
/* The server's own data, shared by the files of this folder. */
#ifndef LL_HTTP_SERVER_SERVER_H
#define LL_HTTP_SERVER_SERVER_H

#include "conn.h"
#include "longline/date.h"
#include "longline/map.h"
#include "longline/tls.h"

#define SERVER_MAGIC    0x48535256U /* "HSRV" */

/* Connections above max_connections that are told so; further ones wait in the kernel's queue. */
#define SERVER_OVERFLOW ((size_t)32)
/* Memory of all connections together: heads, bodies, what is parsed of them, and replies that are
 * not taken yet. */
#define SERVER_MAX_HELD ((size_t)256 << 20)

/* What the handler may take of a turn for reads, and again for writes, before those that wait are
 * put off to the next turn: a row of long lists holds neither the loop nor the publishes. */
#define SERVER_TURN_US  5000

enum server_share_kind { SERVER_READS, SERVER_WRITES, SERVER_N_SHARES };

struct server_share {
    struct list waiting; /* connections in order of arrival, by ready_node */
    int64_t spent_us;    /* in this turn */
};

enum listener_state { LISTENER_NONE, LISTENER_OPEN, LISTENER_CLOSING };

/* Open connections of one client. */
struct peer_count {
    unsigned char key[ADDR_PEER_KEY];
    size_t n;
};

struct http_server {
    unsigned magic;
    struct loop *loop;
    struct http_server_cfg cfg; /* its strings: only cors_origins is kept */
    struct http_handler handler;
    struct http_server_metrics metrics;

    struct listener *listener;
    enum listener_state listener_state;
    struct tls_server *tls;

    struct list by_state[CONN_N_STATES]; /* each connection is in one, oldest change first */
    struct list body_checks;             /* body rates, by next check */
    struct list body_grace;              /* the same before the first check */
    struct list writing;                 /* pending output, by last progress */
    struct list ready;                   /* input waits and no request is under way */
    struct server_share shares[SERVER_N_SHARES];
    size_t n_conns;
    size_t n_active; /* requests admitted and not answered */
    size_t held;     /* bytes that are allocated for connections ... */
    size_t handled;  /* ... and of them for those whose request the handler has */
    size_t max_held;
    struct map peers;

    struct timer sweep;
    int64_t sweep_due_ms; /* TIME_NEVER: not armed */
    struct timer reap;
    struct timer cut_off; /* after http_server_close: for clients that do not end */
    struct loop_hook hook;

    struct buf out; /* head of the reply being built */
    int64_t date_s; /* the second that date_line is for */
    char date_line[DATE_MAX + 8];
    size_t date_n;

    bool is_draining;
    bool is_closing;
    void (*done)(void *ctx);
    void *done_ctx;
};

/* server.c. server_new makes one without a listener, for tests that bring their own streams. */
struct http_server *server_new(struct loop *l, const struct http_server_cfg *cfg,
                               const struct http_handler *h);
/* Takes over a stream whose reading has not been started. */
void server_adopt(struct http_server *s, struct stream *st);
/* Whether there is memory for one more request to be handled; makes room where it can. */
bool server_has_room(struct http_server *s);
/* Whether the handler may be given a further request of this kind in this turn. */
bool server_may_run(const struct http_server *s, const struct server_share *share);
/* When everything is gone after http_server_close: reports on the next turn. */
void server_check_done(struct http_server *s);

/* timeouts.c */
#define SERVER_BODY_GRACE_MS INT64_C(5000)
/* How long a connection may be in the state; TIME_NEVER where something else limits it. */
int64_t server_state_timeout(const struct http_server *s, enum conn_state state);
/* Makes sure that the sweep runs at due_ms or earlier. */
void server_arm_sweep(struct http_server *s, int64_t due_ms);
void server_on_sweep(void *ctx);

/* peer_table.c. *out is for peer_table_leave, NULL after PEER_CUT. */
enum peer_verdict {
    PEER_WELCOME,
    PEER_TOLD, /* it has its share already, and is told so */
    PEER_CUT   /* and it does not listen */
};
enum peer_verdict peer_table_enter(struct http_server *s, const union addr *peer,
                                   struct peer_count **out);
void peer_table_leave(struct http_server *s, struct peer_count *pc);
void peer_table_init(struct http_server *s);
void peer_table_fini(struct http_server *s);

/* cors.c. Deep copy of the origins, and its end. */
void cors_copy(struct cfg_list *to, const struct cfg_list *from);
void cors_free(struct cfg_list *l);
/* True when rq is a preflight that the server answers itself. */
bool cors_is_preflight(const struct http_server *s, const struct http_request *rq);
/* Adds the Access-Control-* lines that rq is due. */
void cors_add_headers(const struct http_server *s, const struct http_request *rq, bool preflight,
                      struct buf *out);

#endif
