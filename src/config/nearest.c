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

static bool has_word(struct str name, struct str word)
{
    struct str rest = name;
    struct str each;
    while (str_split(&rest, '_', &each)) {
        if (str_eq(each, word)) {
            return true;
        }
    }
    return false;
}

static size_t common_words(struct str a, struct str b)
{
    struct str rest = a;
    struct str word;
    size_t n = 0;
    while (str_split(&rest, '_', &word)) {
        n += word.n != 0 && has_word(b, word) ? 1 : 0;
    }
    return n;
}

void nearest_init(struct nearest *n, struct str wanted)
{
    *n = (struct nearest){.wanted = wanted, .best = STR_NULL};
}

/* A third of the name may be wrong, at least two characters: more is no slip. */
static bool is_slip(struct str wanted, struct str name, size_t distance)
{
    const size_t allowed = wanted.n / 3 > 2 ? wanted.n / 3 : 2;
    return distance <= allowed && distance < name.n;
}

/* A slip beats words in common, and those beat letters in common. */
static bool is_better(const struct nearest *a, const struct nearest *b)
{
    if (a->is_close != b->is_close) {
        return a->is_close;
    }
    if (!a->is_close && a->n_words != b->n_words) {
        return a->n_words > b->n_words;
    }
    return a->distance < b->distance;
}

bool nearest_offer(struct nearest *n, struct str name)
{
    if (n->wanted.n > NAME_MAX_LEN || name.n > NAME_MAX_LEN) {
        return false;
    }
    const size_t d = edit_distance(n->wanted, name);
    const struct nearest next = {.wanted = n->wanted,
                                 .best = name,
                                 .is_close = is_slip(n->wanted, name, d),
                                 .n_words = common_words(n->wanted, name),
                                 .distance = d};
    if (n->best.p != NULL && !is_better(&next, n)) {
        return false;
    }
    *n = next;
    return true;
}
