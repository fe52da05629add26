/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Structured log lines on stderr: time, level, event name, then fields, as key=value or JSON.
 *
 *   log_info("http.listen", LOG_STR("addr", s), LOG_INT("port", p));
 *
 * The level is tested before the arguments are evaluated. Thread-safe: one write(2) per line. The
 * same event name at warn or error is limited to LOG_BURST lines per second; the next line that
 * passes carries suppressed=N. The last records are kept in memory and dumped by check_failed.
 * Secrets have no field type: they cannot be logged.
 */
#ifndef LL_LOG_H
#define LL_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include "longline/err.h"
#include "longline/str.h"

#define LOG_BURST 20

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

enum log_kind { LOG_KIND_END, LOG_KIND_STR, LOG_KIND_INT, LOG_KIND_BOOL };

struct log_field {
    enum log_kind kind;
    const char *key;
    struct str s;
    int64_t i;
};

#define LOG_STR(k, v)  ((struct log_field){.kind = LOG_KIND_STR, .key = (k), .s = (v)})
#define LOG_CSTR(k, v) ((struct log_field){.kind = LOG_KIND_STR, .key = (k), .s = str_c(v)})
#define LOG_INT(k, v)  ((struct log_field){.kind = LOG_KIND_INT, .key = (k), .i = (int64_t)(v)})
#define LOG_BOOL(k, v) ((struct log_field){.kind = LOG_KIND_BOOL, .key = (k), .i = (v) ? 1 : 0})
#define LOG_ERR(code)  LOG_CSTR("error", err_text(code))
#define LOG_NONE       ((struct log_field){.kind = LOG_KIND_END})

void log_setup(enum log_level level, bool json); /* before threads start, and on reload */
bool log_enabled(enum log_level level);
/* fields end with LOG_KIND_END. */
void log_emit(enum log_level level, const char *event, const struct log_field *fields);
/* Writes the ring of recent records to fd; async-signal-safe enough for a crash. */
void log_dump_ring(int fd);

#define LOG_AT(level, event, ...)                                                                  \
    do {                                                                                           \
        if (log_enabled(level)) {                                                                  \
            log_emit((level), (event), (const struct log_field[]){__VA_ARGS__, LOG_NONE});         \
        }                                                                                          \
    } while (0)

#define log_error(event, ...) LOG_AT(LOG_ERROR, event, __VA_ARGS__)
#define log_warn(event, ...)  LOG_AT(LOG_WARN, event, __VA_ARGS__)
#define log_info(event, ...)  LOG_AT(LOG_INFO, event, __VA_ARGS__)
#define log_debug(event, ...) LOG_AT(LOG_DEBUG, event, __VA_ARGS__)

#endif
