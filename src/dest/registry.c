/* SPDX-License-Identifier: Apache-2.0 */
/* The list of destination types. Adding one is adding a row. */
#include "longline/dest.h"

#include "longline/check.h"

#include "webhook/webhook.h"

static const struct dest_driver *const drivers[] = {
    &webhook_driver,
};

const struct dest_driver *dest_find(struct str type)
{
    for (size_t i = 0; i < LL_COUNT(drivers); i++) {
        if (str_eq(type, str_c(drivers[i]->type))) {
            return drivers[i];
        }
    }
    return NULL;
}

const struct dest_driver *const *dest_all(size_t *n)
{
    *n = LL_COUNT(drivers);
    return drivers;
}
