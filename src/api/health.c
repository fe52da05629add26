/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /healthz says that the process lives (a commit error ends it, so there is no half-dead state);
 * /readyz says whether it takes on events.
 */
#include "api_internal.h"

void health_get(struct call *c)
{
    static const char *const workers[] = {"http-server", "delivery", "store"};
    struct jw w;

    reply_begin(c, &w);
    jw_obj(&w);
    JW_STR(&w, "status", STR("healthy"));
    JW_TIME(&w, "timestamp", call_now_ms(c));
    jw_key(&w, STR("workers"));
    jw_obj(&w);
    for (size_t i = 0; i < LL_COUNT(workers); i++) {
        jw_key(&w, str_c(workers[i]));
        jw_obj(&w);
        JW_STR(&w, "status", STR("healthy"));
        jw_obj_end(&w);
    }
    jw_obj_end(&w);
    JW_STR(&w, "version", str_c(c->api->sv.version));
    jw_obj_end(&w);
    reply_send(c, 200);
}

void readiness_get(struct call *c)
{
    static const char *const levels[] = {[STORE_LEVEL_OK] = "ok",
                                         [STORE_LEVEL_HIGH] = "high",
                                         [STORE_LEVEL_FULL] = "full",
                                         [STORE_LEVEL_STOP] = "full"};
    const struct api *a = c->api;
    struct jw w;

    reply_begin(c, &w);
    jw_obj(&w);
    JW_STR(&w, "status", a->is_ready ? STR("ready") : STR("not ready"));
    JW_STR(&w, "store", str_c(levels[store_get_level(a->sv.store)]));
    JW_STR(&w, "index", store_index_ready(a->sv.store) ? STR("ready") : STR("rebuilding"));
    jw_obj_end(&w);
    reply_send(c, a->is_ready ? 200 : 503);
}
