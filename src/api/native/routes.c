/* SPDX-License-Identifier: Apache-2.0 */
/* The table of routes. The one that is asked for most comes first. */
#include "native.h"

#include "longline/check.h"

#define V1     "/api/v1"
#define TENANT V1 "/tenants/:tenant_id"
#define DEST   TENANT "/destinations/:destination_id"
#define OWN    (ROUTE_OF_TENANT | ROUTE_NEEDS_TENANT)

/* clang-format off */
const struct route native_routes[] = {
    {HTTP_METHOD_POST, V1 "/publish", SCOPE_ADMIN, ROUTE_PUBLISHES | ROUTE_NEEDS_BODY,
     publish_post, "publish"},
    {HTTP_METHOD_POST, V1 "/retry", SCOPE_ANY, ROUTE_NEEDS_BODY, retry_post, "retry"},

    {HTTP_METHOD_GET, "/healthz", SCOPE_PUBLIC, 0, health_get, "healthz"},
    {HTTP_METHOD_GET, V1 "/healthz", SCOPE_PUBLIC, 0, health_get, "healthz_v1"},
    {HTTP_METHOD_GET, "/readyz", SCOPE_PUBLIC, 0, readiness_get, "readyz"},
    {HTTP_METHOD_GET, "/metrics", SCOPE_METRICS, 0, metrics_get, "metrics"},

    {HTTP_METHOD_GET, V1 "/topics", SCOPE_ANY, 0, topics_get, "topics_list"},
    {HTTP_METHOD_GET, V1 "/destination-types", SCOPE_ANY, 0, destination_types_list,
     "destination_types_list"},
    {HTTP_METHOD_GET, V1 "/destination-types/:type", SCOPE_ANY, 0, destination_types_get,
     "destination_types_get"},

    {HTTP_METHOD_GET, V1 "/tenants", SCOPE_ANY, 0, tenants_list, "tenants_list"},
    {HTTP_METHOD_PUT, TENANT, SCOPE_ANY, ROUTE_OF_TENANT, tenants_put, "tenants_put"},
    {HTTP_METHOD_GET, TENANT, SCOPE_ANY, OWN, tenants_get, "tenants_get"},
    {HTTP_METHOD_DELETE, TENANT, SCOPE_ANY, OWN, tenants_delete, "tenants_delete"},
    {HTTP_METHOD_GET, TENANT "/token", SCOPE_ADMIN, OWN, tenants_token, "tenants_token"},

    {HTTP_METHOD_GET, TENANT "/destinations", SCOPE_ANY, OWN, destinations_list,
     "destinations_list"},
    {HTTP_METHOD_POST, TENANT "/destinations", SCOPE_ANY, OWN | ROUTE_NEEDS_BODY,
     destinations_create, "destinations_create"},
    {HTTP_METHOD_GET, DEST, SCOPE_ANY, OWN, destinations_get, "destinations_get"},
    {HTTP_METHOD_PATCH, DEST, SCOPE_ANY, OWN | ROUTE_NEEDS_BODY, destinations_patch,
     "destinations_patch"},
    {HTTP_METHOD_DELETE, DEST, SCOPE_ANY, OWN, destinations_delete, "destinations_delete"},
    {HTTP_METHOD_PUT, DEST "/enable", SCOPE_ANY, OWN, destinations_enable, "destinations_enable"},
    {HTTP_METHOD_PUT, DEST "/disable", SCOPE_ANY, OWN, destinations_disable,
     "destinations_disable"},
    {HTTP_METHOD_GET, DEST "/attempts", SCOPE_ANY, OWN, destination_attempts_list,
     "destination_attempts_list"},
    {HTTP_METHOD_GET, DEST "/attempts/:attempt_id", SCOPE_ANY, OWN, destination_attempts_get,
     "destination_attempts_get"},

    {HTTP_METHOD_GET, V1 "/events", SCOPE_ANY, 0, events_list, "events_list"},
    {HTTP_METHOD_GET, V1 "/events/:event_id", SCOPE_ANY, 0, events_get, "events_get"},
    {HTTP_METHOD_GET, V1 "/attempts", SCOPE_ANY, 0, attempts_list, "attempts_list"},
    {HTTP_METHOD_GET, V1 "/attempts/:attempt_id", SCOPE_ANY, 0, attempts_get, "attempts_get"},
};
/* clang-format on */
const size_t native_n_routes = LL_COUNT(native_routes);
