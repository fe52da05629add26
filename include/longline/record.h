/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The durable records: plain structs and their encoding. Every record starts with a version byte
 * and a CRC-32C; numbers are big-endian; text is length-prefixed. The checksum of an attempt covers
 * all that follows and its seq, though that is not in the encoding. An event has a head and the
 * publisher's bytes: the first checksum covers the head, its seq, and with the head the length and
 * the checksum of the bytes, so a head can be read and trusted without them. How to change a
 * format: add a version, keep the old decoder, add a golden file to test/data/records/.
 *
 * Decoded strings point into the encoded bytes.
 */
#ifndef LL_RECORD_H
#define LL_RECORD_H

#include <stdbool.h>
#include <stdint.h>

#include "longline/arena.h"
#include "longline/blob.h"
#include "longline/buf.h"
#include "longline/err.h"
#include "longline/str.h"

#define RECORD_MAX_DESTS 4096

struct record_dest {
    uint32_t num;  /* destination number: unique in the data directory, never reused */
    struct str id; /* public id */
};

struct event_record {
    uint64_t seq; /* the key: not in the encoding, but its checksum covers it */
    struct str id;
    struct str tenant_id;
    struct str topic; /* "" when published without */
    int64_t time_ms;  /* event time, wall; the publisher's or the time of acceptance */
    bool custom_id;   /* the id came from the publisher */
    bool eligible_for_retry;
    struct str metadata; /* JSON object text, "" when absent */
    struct str data;     /* the publisher's bytes */
    size_t n_dests;      /* matched destinations */
    const struct record_dest *dests;
};

enum attempt_status { ATTEMPT_FAILED = 0, ATTEMPT_SUCCESS = 1 };

struct attempt_record {
    uint64_t seq; /* the key */
    uint64_t event_seq;
    uint32_t dest_num;
    struct str event_id;
    struct str tenant_id;
    struct str dest_id;
    struct str dest_type;
    struct str topic;
    uint32_t number; /* 1-based */
    bool manual;
    bool final; /* nothing more follows for this event and destination by itself */
    enum attempt_status status;
    int64_t time_ms;    /* when the attempt ended, wall */
    int64_t next_at_ms; /* wall; 0: no further attempt is planned */
    int32_t duration_us;
    int32_t http_status; /* 0: none */
    struct str code;     /* "200", "timeout", "connection_refused" … */
    struct str error;    /* sentence, "" on success */
    struct str response; /* first bytes of the response body */
    bool response_truncated;
};

#define RETRY_NO_AGE INT64_MAX

/* State of unfinished work that outlives the moment; key = event seq and destination number. */
struct retry_record {
    uint64_t event_seq; /* key */
    uint32_t dest_num;  /* key */
    uint32_t number;    /* of the next attempt */
    int64_t next_at_ms; /* wall; 0: as soon as possible */
    int64_t due_age_ms; /* the same on the age clock of the store; RETRY_NO_AGE: not known */
    bool manual;        /* the next attempt was asked for by hand */
};

#define RECORD_MAX_BYTES ((size_t)256 * 1024 * 1024) /* of one encoded record */

/* New blob with one reference, valid under e->seq only; NULL when it is larger than max (or
 * RECORD_MAX_BYTES), when a text other than metadata and data is longer than 65535 bytes, or for
 * more than RECORD_MAX_DESTS. */
struct blob *event_encode(const struct event_record *e, size_t max);
/* ERR_CORRUPT, ERR_VERSION, ERR_TOO_BIG (arena, which holds the destination array). */
int event_decode(struct event_record *out, uint64_t seq, struct str bytes,
                 struct arena *a) LL_MUST_USE;
/* The same for bytes of which only the head is read: data is left empty. With no arena, dests is
 * left NULL (n_dests is set). */
int event_decode_head(struct event_record *out, uint64_t seq, struct str bytes,
                      struct arena *a) LL_MUST_USE;
/* Appends. ERR_TOO_BIG, ERR_NOMEM; then out is as it was. */
int attempt_encode(struct buf *out, const struct attempt_record *at);
int attempt_decode(struct attempt_record *out, uint64_t seq, struct str bytes) LL_MUST_USE;

#endif
