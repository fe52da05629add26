/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Glob without backtracking: the pieces between stars are looked for from left to right, each at
 * its first place. Taking the first place is never worse than a later one, so nothing has to be
 * undone and the time is that of the searches, which is linear (memmem is the two-way algorithm).
 */
#define _GNU_SOURCE /* memmem */

#include "longline/topic.h"

static bool is_all(struct str s)
{
    return s.n == 1 && s.p[0] == '*';
}

static struct str skip(struct str s, size_t n)
{
    return n > 0 ? str_of(s.p + n, s.n - n) : s;
}

bool topic_glob(struct str pattern, struct str topic)
{
    size_t star = str_find(pattern, '*');
    if (star == pattern.n) {
        return str_eq(pattern, topic);
    }
    if (!str_starts(topic, str_of(pattern.p, star))) {
        return false;
    }
    topic = skip(topic, star);
    pattern = skip(pattern, star + 1);
    for (;;) {
        star = str_find(pattern, '*');
        if (star == pattern.n) {
            return str_ends(topic, pattern); /* the rest must be at the end */
        }
        if (star > 0) {
            const char *at = topic.n > 0 ? memmem(topic.p, topic.n, pattern.p, star) : NULL;
            if (at == NULL) {
                return false;
            }
            topic = skip(topic, (size_t)(at - topic.p) + star);
        }
        pattern = skip(pattern, star + 1);
    }
}

bool topics_match(const struct str *topics, size_t n, struct str topic)
{
    if (topic.n == 0 || is_all(topic)) {
        return true;
    }
    for (size_t i = 0; i < n; i++) {
        if (topic_glob(topics[i], topic)) {
            return true;
        }
    }
    return false;
}

/* Whatever `b` matches, `a` matches. A star of b can only be matched by a star of a, so comparing
 * them as a pattern and a plain topic is exact. */
static bool covers(struct str a, struct str b)
{
    return str_find(a, '*') < a.n ? topic_glob(a, b) : str_eq(a, b);
}

/* Is topics[i] needless? Of several that cover each other the first stays. */
static bool is_covered(const struct str *topics, size_t n, size_t i)
{
    for (size_t j = 0; j < n; j++) {
        if (j != i && covers(topics[j], topics[i]) && (j < i || !covers(topics[i], topics[j]))) {
            return true;
        }
    }
    return false;
}

size_t topics_normalise(struct str *topics, size_t n)
{
    /* Removing at once is safe: covering is transitive, so whatever the removed entry would have
     * covered is covered by the one that covers it. */
    for (size_t i = 0; i < n;) {
        if (!is_covered(topics, n, i)) {
            i++;
            continue;
        }
        memmove(topics + i, topics + i + 1, (n - i - 1) * sizeof(*topics));
        n--;
    }
    return n;
}
