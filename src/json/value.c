/* SPDX-License-Identifier: Apache-2.0 */
#include "json_internal.h"
#include "longline/check.h"

static void write_val(struct buf *b, yyjson_val *v, unsigned depth);

static void write_arr(struct buf *b, yyjson_val *v, unsigned depth)
{
    yyjson_arr_iter it = yyjson_arr_iter_with(v);
    yyjson_val *item;
    bool first = true;

    (void)buf_add_c(b, '[');
    while ((item = yyjson_arr_iter_next(&it)) != NULL) {
        if (!first) {
            (void)buf_add_c(b, ',');
        }
        first = false;
        write_val(b, item, depth);
    }
    (void)buf_add_c(b, ']');
}

static void write_obj(struct buf *b, yyjson_val *v, unsigned depth)
{
    yyjson_obj_iter it = yyjson_obj_iter_with(v);
    yyjson_val *key;
    bool first = true;

    (void)buf_add_c(b, '{');
    while ((key = yyjson_obj_iter_next(&it)) != NULL) {
        if (!first) {
            (void)buf_add_c(b, ',');
        }
        first = false;
        json_put_string(b, json_str(key));
        (void)buf_add_c(b, ':');
        write_val(b, yyjson_obj_iter_get_val(key), depth);
    }
    (void)buf_add_c(b, '}');
}

static void write_num(struct buf *b, yyjson_val *v)
{
    if (yyjson_is_uint(v)) {
        (void)buf_add_u64(b, yyjson_get_uint(v));
    } else if (yyjson_is_sint(v)) {
        (void)buf_add_i64(b, yyjson_get_sint(v));
    } else {
        json_put_double(b, yyjson_get_real(v));
    }
}

/* Recursion is bounded: json_parse refuses documents that are deeper. */
static void write_val(struct buf *b, yyjson_val *v, unsigned depth)
{
    LL_ASSERT(depth <= JSON_MAX_DEPTH);
    switch (yyjson_get_type(v)) {
    case YYJSON_TYPE_STR:
        json_put_string(b, json_str(v));
        break;
    case YYJSON_TYPE_NUM:
        write_num(b, v);
        break;
    case YYJSON_TYPE_BOOL:
        (void)buf_add_str(b, yyjson_get_bool(v) ? STR("true") : STR("false"));
        break;
    case YYJSON_TYPE_ARR:
        write_arr(b, v, depth + 1);
        break;
    case YYJSON_TYPE_OBJ:
        write_obj(b, v, depth + 1);
        break;
    default: /* null, and no value at all */
        (void)buf_add_lit(b, "null");
        break;
    }
}

int json_write_val(struct buf *b, yyjson_val *v)
{
    write_val(b, v, 0);
    return b->failed ? ERR_TOO_BIG : 0;
}

void json_set_empty_object(yyjson_val *v)
{
    unsafe_yyjson_set_obj(v, 0);
    v->uni.ofs = sizeof(*v); /* where the next value would lie: right behind */
}
