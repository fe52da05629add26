/* SPDX-License-Identifier: Apache-2.0 */
/* GET /topics, /destination-types, /destination-types/:type. */
#include "native.h"

void topics_get(struct call *c)
{
    const struct topic_rules *topics = &c->api->topics;
    struct jw w;

    reply_begin(c, &w);
    jw_arr(&w);
    for (size_t i = 0; i < topics->n_topics; i++) {
        jw_str(&w, topics->topics[i]);
    }
    jw_arr_end(&w);
    reply_send(c, 200);
}

void destination_types_list(struct call *c)
{
    size_t n;
    const struct dest_driver *const *drivers = dest_all(&n);
    struct jw w;

    reply_begin(c, &w);
    jw_arr(&w);
    for (size_t i = 0; i < n; i++) {
        jw_raw(&w, str_c(drivers[i]->describe_json));
    }
    jw_arr_end(&w);
    reply_send(c, 200);
}

void destination_types_get(struct call *c)
{
    const struct dest_driver *driver = dest_find(c->params[0]);
    struct jw w;

    if (driver == NULL) {
        reply_error(c, 404, "destination type not found");
        return;
    }
    reply_begin(c, &w);
    jw_raw(&w, str_c(driver->describe_json));
    reply_send(c, 200);
}
