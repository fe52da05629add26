/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Errors. Every fallible function returns 0 or one of these negative numbers (the shape of libuv).
 * Foreign error codes are translated in one place per library; the original travels in an
 * optional struct err_detail where a person will read it.
 */
#ifndef LL_ERR_H
#define LL_ERR_H

#define LL_MUST_USE           __attribute__((warn_unused_result))
#define LL_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))

/* X(symbol, number, text). Numbers are stable: attempts store them. */
#define LL_ERR_MAP(X)                                                                              \
    X(NOMEM, 1, "out of memory")                                                                   \
    X(TOO_BIG, 2, "a size limit was exceeded")                                                     \
    X(INVALID, 3, "invalid argument")                                                              \
    X(SYNTAX, 4, "syntax error")                                                                   \
    X(RANGE, 5, "value out of range")                                                              \
    X(NOT_FOUND, 6, "not found")                                                                   \
    X(EXISTS, 7, "already exists")                                                                 \
    X(LIMIT, 8, "a count limit was reached")                                                       \
    X(FULL, 9, "the store is full")                                                                \
    X(BUSY, 10, "busy, try again")                                                                 \
    X(TIMEOUT, 11, "timed out")                                                                    \
    X(CLOSED, 12, "closed by the peer")                                                            \
    X(CANCELED, 13, "canceled")                                                                    \
    X(IO, 14, "input/output error")                                                                \
    X(CORRUPT, 15, "data is corrupt")                                                              \
    X(VERSION, 16, "unknown format version")                                                       \
    X(PROTO, 17, "protocol violation by the peer")                                                 \
    X(REFUSED, 18, "connection refused")                                                           \
    X(RESET, 19, "connection reset")                                                               \
    X(UNREACHABLE, 20, "network unreachable")                                                      \
    X(DNS, 21, "name resolution failed")                                                           \
    X(TLS, 22, "TLS failure")                                                                      \
    X(BLOCKED, 23, "address not allowed by policy")                                                \
    X(DENIED, 24, "permission denied")                                                             \
    X(NO_FILES, 25, "too many open files")                                                         \
    X(UNSUPPORTED, 26, "not supported")                                                            \
    X(UNKNOWN, 28, "unknown error")

enum ll_err {
    ERR_OK = 0,
#define LL_ERR_ENUM(sym, num, text) ERR_##sym = -(num),
    LL_ERR_MAP(LL_ERR_ENUM)
#undef LL_ERR_ENUM
};

/* What a person needs to know about a failure. msg is always terminated and safe to show. */
struct err_detail {
    int code;    /* enum ll_err */
    int foreign; /* the library's own code, 0 when there is none */
    char msg[160];
};

/* Symbolic name ("TIMEOUT") and sentence; never NULL, unknown codes give UNKNOWN. */
const char *err_name(int code);
const char *err_text(int code);

/* The errno value `e` (positive) as enum ll_err. */
int err_from_errno(int e);

/* Fills d (may be NULL) and returns code, so that `return err_set(d, ERR_X, 0, "…")` works. */
int err_set(struct err_detail *d, int code, int foreign, const char *fmt, ...) LL_PRINTF(4, 5);

/* Puts "text: " in front of d->msg (d may be NULL). */
void err_prefix(struct err_detail *d, const char *fmt, ...) LL_PRINTF(2, 3);

#endif
