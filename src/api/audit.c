/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One line per change of the configuration: what was changed, and on whose authority. Never what it
 * was changed to: URLs and credentials stay out of the log.
 *
 * Lines of level info are not limited by the log, and somebody who creates a hundred thousand
 * destinations should not wait for a terminal: beyond AUDIT_BURST in one second changes are
 * logged at level debug, and the next line says how many there were.
 */
#include "api_internal.h"
#include "longline/log.h"
#include "longline/loop.h"

#define AUDIT_BURST 50

static bool may_pass(struct audit *au, int64_t second)
{
    if (au->second != second) {
        au->second = second;
        au->n_passed = 0;
    }
    if (au->n_passed == AUDIT_BURST) {
        au->n_held++;
        return false;
    }
    au->n_passed++;
    return true;
}

void audit(struct call *c, const char *action, struct str dest_id)
{
    audit_change(c, action, dest_id, NULL);
}

void audit_change(struct call *c, const char *action, struct str dest_id, const char *detail)
{
    struct audit *au = &c->api->audit;
    struct log_field fields[7];
    enum log_level level = LOG_INFO;
    size_t n = 0;

    if (!may_pass(au, loop_mono_ms(c->api->sv.loop) / 1000)) {
        level = LOG_DEBUG;
    }
    if (!log_enabled(level)) {
        return;
    }
    fields[n++] = LOG_CSTR("action", action);
    fields[n++] = LOG_STR("tenant", c->params[0]);
    if (dest_id.p != NULL) {
        fields[n++] = LOG_STR("destination", dest_id);
    }
    if (detail != NULL) {
        fields[n++] = LOG_CSTR("detail", detail);
    }
    fields[n++] = LOG_CSTR("by", c->is_admin ? "admin" : "tenant token");
    if (level == LOG_INFO && au->n_held != 0) {
        fields[n++] = LOG_INT("held_back", au->n_held);
        au->n_held = 0;
    }
    fields[n] = LOG_NONE;
    log_emit(level, "audit", fields);
}
