/* SPDX-License-Identifier: Apache-2.0 */
/* "Did you mean": edit distance between a name that is unknown and those that are known. */
#include "config_internal.h"

#define NAME_MAX_LEN 96 /* longer names get no suggestion */

/* Insertions, deletions, replacements and swaps of neighbours that turn a into b. */
static size_t edit_distance(struct str a, struct str b)
{
    size_t rows[3][NAME_MAX_LEN + 1];
    size_t *before = rows[0]; /* two rows up, for swaps */
    size_t *last = rows[1];
    size_t *now = rows[2];

    for (size_t j = 0; j <= b.n; j++) {
        last[j] = j;
        before[j] = 0;
    }
    for (size_t i = 1; i <= a.n; i++) {
        size_t *spare = before;
        now[0] = i;
        for (size_t j = 1; j <= b.n; j++) {
            size_t best = last[j - 1] + (a.p[i - 1] != b.p[j - 1] ? 1 : 0);
            best = last[j] + 1 < best ? last[j] + 1 : best;
            best = now[j - 1] + 1 < best ? now[j - 1] + 1 : best;
            if (i > 1 && j > 1 && a.p[i - 1] == b.p[j - 2] && a.p[i - 2] == b.p[j - 1] &&
                before[j - 2] + 1 < best) {
                best = before[j - 2] + 1;
            }
            now[j] = best;
        }
        before = last;
        last = now;
        now = spare;
    }
    return last[b.n];
}

void nearest_init(struct nearest *n, struct str wanted)
{
    /* A third of the name may be wrong, at least two characters: more makes suggestions noise. */
    const size_t allowed = wanted.n / 3 > 2 ? wanted.n / 3 : 2;
    *n = (struct nearest){.wanted = wanted, .best = STR_NULL, .distance = allowed + 1};
}

void nearest_offer(struct nearest *n, struct str name)
{
    size_t d;
    if (n->wanted.n > NAME_MAX_LEN || name.n > NAME_MAX_LEN) {
        return;
    }
    d = edit_distance(n->wanted, name);
    if (d < n->distance && d < name.n) {
        n->distance = d;
        n->best = name;
    }
}
