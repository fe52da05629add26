/* SPDX-License-Identifier: Apache-2.0 */
#include "list.h"

#include "cursor.h"
#include "longline/check.h"
#include "longline/date.h"

static int refuse(struct list_problem *p, int status, const char *message)
{
    *p = (struct list_problem){.status = status, .message = message};
    return ERR_INVALID;
}

static int refuse_field(struct list_problem *p, const char *field, const char *detail)
{
    *p = (struct list_problem){
        .status = 422, .message = "validation error", .field = field, .detail = detail};
    return ERR_INVALID;
}

/* Tenants have one order, and whatever order_by says of it is ignored, as Outpost does. */
static int parse_order(struct list_params *out, const struct query *q, bool is_tenants,
                       struct list_problem *problem)
{
    const struct str dir = query_get(q, STR("dir"));
    const struct str order_by = query_get(q, STR("order_by"));

    if (dir.n != 0 && !str_eq(dir, STR("asc")) && !str_eq(dir, STR("desc"))) {
        return refuse_field(problem, "query.dir", "must be 'asc' or 'desc'");
    }
    out->ascending = str_eq(dir, STR("asc"));
    if (!is_tenants && order_by.n != 0 && !str_eq(order_by, STR("time"))) {
        return refuse_field(problem, "query.order_by", "must be one of: [time]");
    }
    return 0;
}

static int parse_limit(struct list_params *out, const struct query *q, bool is_tenants,
                       struct list_problem *problem)
{
    const struct str text = query_get(q, STR("limit"));
    int64_t v;
    int rc;

    out->limit = is_tenants ? LIST_TENANTS_DEFAULT : LIST_LIMIT_DEFAULT;
    if (text.n == 0) {
        return 0;
    }
    rc = str_to_i64(text, &v);
    if (!is_tenants) {
        if (rc == 0 && v > 0) {
            out->limit = v < LIST_LIMIT_MAX ? (size_t)v : LIST_LIMIT_MAX;
        }
        return 0;
    }
    if (rc == ERR_SYNTAX) {
        return refuse(problem, 400, "invalid limit: must be an integer");
    }
    if (rc != 0 || v < 1 || v > LIST_TENANTS_MAX) {
        return refuse(problem, 400, "invalid limit: must be between 1 and 100");
    }
    out->limit = (size_t)v;
    return 0;
}

/* Rows have whole milliseconds, so every bound becomes an inclusive one in milliseconds. is_whole:
 * the time asked for is `bound` itself, and not a fraction later. */
static void add_bound(struct list_params *out, char op, bool or_equal, int64_t bound, bool is_whole)
{
    if (op == 'g') {
        bound += is_whole && or_equal ? 0 : 1;
        out->from_ms = bound > out->from_ms ? bound : out->from_ms;
    } else {
        bound -= is_whole && !or_equal ? 1 : 0;
        out->to_ms = bound < out->to_ms ? bound : out->to_ms;
    }
}

static int parse_time(struct list_params *out, const struct query *q, struct list_problem *problem)
{
    static const struct {
        const char *name;
        const char *field;
        char op;
        bool or_equal;
    } ops[] = {
        {"time[gte]", "query.time[gte]", 'g', true},
        {"time[lte]", "query.time[lte]", 'l', true},
        {"time[gt]", "query.time[gt]", 'g', false},
        {"time[lt]", "query.time[lt]", 'l', false},
    };

    out->from_ms = INT64_MIN;
    out->to_ms = INT64_MAX;
    if (query_get(q, STR("time[any]")).n != 0) {
        return refuse(problem, 400,
                      "operator 'any' is not supported, use 'gte', 'lte', 'gt', or 'lt'");
    }
    for (size_t i = 0; i < LL_COUNT(ops); i++) {
        const struct str text = query_get(q, str_c(ops[i].name));
        int64_t ms;
        bool is_whole;
        if (text.n == 0) {
            continue;
        }
        if (date_parse_filter(text, &ms, &is_whole) != 0) {
            return refuse_field(problem, ops[i].field,
                                "invalid format, expected RFC3339 (e.g. 2024-01-15T09:30:00Z or "
                                "2024-01-15T09:30:00.123Z) or YYYY-MM-DD");
        }
        add_bound(out, ops[i].op, ops[i].or_equal, ms, is_whole);
    }
    return 0;
}

static int parse_cursor(struct list_params *out, const struct query *q, struct str resource,
                        struct arena *a, struct list_problem *problem)
{
    const struct str next = query_get(q, STR("next"));
    const struct str prev = query_get(q, STR("prev"));
    int rc;

    if (next.n != 0 && prev.n != 0) {
        return refuse(problem, 400, "cannot specify both 'next' and 'prev' cursors");
    }
    out->backward = prev.n != 0;
    out->has_cursor = out->backward || next.n != 0;
    if (!out->has_cursor) {
        return 0;
    }
    rc = cursor_decode(a, resource, out->backward ? prev : next, &out->position);
    if (rc == ERR_VERSION) {
        return refuse(problem, 400, "cursor version mismatch: expected version " CURSOR_VERSION);
    }
    return rc == 0 ? 0 : refuse(problem, 400, "invalid cursor");
}

int list_parse(struct list_params *out, const struct query *q, struct str resource, struct arena *a,
               struct list_problem *problem)
{
    const bool is_tenants = str_eq(resource, STR("tnt"));
    int rc;

    *out = (struct list_params){.limit = 0};
    rc = parse_order(out, q, is_tenants, problem);
    if (rc == 0) {
        rc = parse_limit(out, q, is_tenants, problem);
    }
    if (rc == 0 && !is_tenants) {
        rc = parse_time(out, q, problem);
    }
    if (rc == 0) {
        rc = parse_cursor(out, q, resource, a, problem);
    }
    return rc;
}
