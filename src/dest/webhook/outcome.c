/* SPDX-License-Identifier: Apache-2.0 */
/* What a response or a failure means: the attempt's code and what the scheduler should know. */
#include <stdio.h>

#include "longline/check.h"
#include "longline/log.h"

#include "webhook.h"

struct failure {
    struct str code; /* Outpost's error classes, and blocked_address; a connection that was
                      * closed without an answer is among network_error */
    int err;
    bool answered; /* the endpoint is there, though what it says cannot be used */
};

static const struct failure failures[] = {
    {{"dns_error", 9}, ERR_DNS, false},
    {{"connection_refused", 18}, ERR_REFUSED, false},
    {{"connection_reset", 16}, ERR_RESET, false},
    {{"network_unreachable", 19}, ERR_UNREACHABLE, false},
    {{"timeout", 7}, ERR_TIMEOUT, false},
    {{"tls_error", 9}, ERR_TLS, false},
    {{"protocol_error", 14}, ERR_PROTO, true},
    {{"protocol_error", 14}, ERR_TOO_BIG, true},
    {{"blocked_address", 15}, ERR_BLOCKED, false},
};

static const struct failure *failure_of(int err)
{
    static const struct failure other = {{"network_error", 13}, 0, false};
    for (size_t i = 0; i < LL_COUNT(failures); i++) {
        if (failures[i].err == err) {
            return &failures[i];
        }
    }
    return &other;
}

static void judge_failure(const struct http_client_result *r, struct dest_outcome *out)
{
    const struct failure *f = failure_of(r->err.code);
    /* Without a connection, lookup or handshake of ours to spare nothing is known about the
     * endpoint. That has taken the whole time of its phase, so trying again at once is no rush. */
    out->canceled = r->err.code == ERR_CANCELED || r->err.code == ERR_BUSY;
    out->code = f->code;
    out->error = str_c(r->err.msg[0] != '\0' ? r->err.msg : err_text(r->err.code));
    if (r->err.code == ERR_BLOCKED) {
        /* Which kind of address a name stands for in here is not for the tenant to know. */
        log_debug("webhook.blocked", LOG_CSTR("why", r->err.msg));
        out->error = STR("the address is not allowed");
    }
    out->overload = r->err.code == ERR_TIMEOUT;
    out->unreachable = !f->answered;
    out->blocked = r->err.code == ERR_BLOCKED;
}

static void judge_status(const struct webhook_cfg *cfg, const struct http_client_result *r,
                         struct dest_outcome *out)
{
    const int s = r->status;
    out->success = s >= 200 && s < (cfg->success_below_400 ? 400 : 300);
    out->overload = s == 429 || s == 502 || s == 503 || s == 504;
    out->gone = s == 410;
    if (!out->success) {
        out->error = s >= 300 && s < 400 ? STR("the endpoint redirects; redirects are not followed")
                                         : str_c(http_status_text(s));
    }
}

void webhook_outcome(const struct webhook_cfg *cfg, const struct http_client_result *r,
                     int64_t now_wall_ms, char code_buf[16], struct dest_outcome *out)
{
    *out = (struct dest_outcome){.http_status = r->status,
                                 .response = r->body,
                                 .response_truncated = r->body_truncated,
                                 .retry_after_ms = -1,
                                 .duration_us = r->total_us};
    if (r->err.code != 0) {
        judge_failure(r, out);
        return;
    }
    const int n = snprintf(code_buf, 16, "%d", r->status);
    out->code = str_of(code_buf, (size_t)n);
    judge_status(cfg, r, out);
    if (!out->success) {
        const struct str v = http_find(r->headers, r->n_headers, STR("retry-after"));
        int64_t delay = 0;
        if (v.p != NULL && http_parse_retry_after(v, now_wall_ms, &delay) == 0) {
            out->retry_after_ms = delay;
        }
    }
}
