/* SPDX-License-Identifier: Apache-2.0 */
/*
 * First line: a pattern; second: a topic; the others: a destination's topics. The glob must agree
 * with a slow one that nobody can get wrong, and normalising must not change what is matched.
 */
#include <stddef.h>
#include <stdint.h>

#include "longline/check.h"
#include "longline/topic.h"

#define MAX_LEN    128
#define MAX_TOPICS 16

/* row[j]: the pattern so far matches the first j bytes of the topic. */
static bool slow_glob(struct str pattern, struct str topic)
{
    bool row[MAX_LEN + 1] = {true};
    for (size_t i = 0; i < pattern.n; i++) {
        bool next[MAX_LEN + 1] = {false};
        for (size_t j = 0; j <= topic.n; j++) {
            if (pattern.p[i] == '*') {
                next[j] = row[j] || (j > 0 && next[j - 1]);
            } else {
                next[j] = j > 0 && row[j - 1] && topic.p[j - 1] == pattern.p[i];
            }
        }
        memcpy(row, next, sizeof(row));
    }
    return row[topic.n];
}

static struct str cut(struct str s)
{
    return str_of(s.p, s.n < MAX_LEN ? s.n : MAX_LEN);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = str_of((const char *)data, size);
    struct str pattern = STR("");
    struct str topic = STR("");
    if (!str_split(&rest, '\n', &pattern) || !str_split(&rest, '\n', &topic)) {
        return 0;
    }
    pattern = cut(pattern);
    topic = cut(topic);
    LL_ASSERT(topic_glob(pattern, topic) == slow_glob(pattern, topic));

    struct str topics[MAX_TOPICS];
    size_t n = 0;
    while (n < MAX_TOPICS && str_split(&rest, '\n', &topics[n])) {
        topics[n] = cut(topics[n]);
        n++;
    }
    const bool before = topics_match(topics, n, topic);
    const size_t left = topics_normalise(topics, n);
    LL_ASSERT(left <= n && (left > 0 || n == 0));
    LL_ASSERT(topics_match(topics, left, topic) == before);
    LL_ASSERT(topics_normalise(topics, left) == left);
    return 0;
}
