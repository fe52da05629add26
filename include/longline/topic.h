/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Topics and topic patterns ("*" for any characters). Pure; here rather than in match.h because
 * the rules for writing a destination need them too.
 */
#ifndef LL_TOPIC_H
#define LL_TOPIC_H

#include <stdbool.h>

#include "longline/str.h"

/* '*' stands for any run of characters, dots included. Linear time. */
bool topic_glob(struct str pattern, struct str topic);
/* Does a destination with these topics want the topic? "" and "*" as topic match every one. */
bool topics_match(const struct str *topics, size_t n, struct str topic);
/* Removes duplicates and entries that a sibling covers, keeps the order; returns the new n. */
size_t topics_normalise(struct str *topics, size_t n);

#endif
