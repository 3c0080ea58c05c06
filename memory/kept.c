/* SPDX-License-Identifier: Apache-2.0
 *
 * Kept blocks, by age: rn_kept_put, rn_kept_take (the newest, whose bytes are still in a cache),
 * rn_kept_take_oldest.
 *
 * A block has room for one word that says so, its link, and a chain of any number is kept with two
 * stores: no block has its own time. They lie in generations instead, each with the time of its
 * first block, and a new one is begun when an eighth of the time to stay has passed. A generation
 * that has stayed long enough goes as a whole, so a block stays for 7/8 of that time at least and
 * never longer, to the moment that somebody looks.
 *
 * Rejected: a time and two links in every block. Exact, but giving back a chain then touches each
 * of its blocks.
 */
#include "memory/kept.h"

static void append(rn_kept_generation *to, const rn_kept_generation *older)
{
    if (older->first == NULL) {
        return;
    }
    if (to->first == NULL) {
        *to = *older;
        return;
    }
    to->last->next = older->first;
    to->last = older->last;
    to->since_ns = older->since_ns;
}

/* The two oldest become one: there are as many generations as the time has parts, so when there are
 * more the oldest has had its time. */
static void begin_generation(rn_kept *kept)
{
    rn_kept_generation *all = kept->generations;
    append(&all[RN_KEPT_GENERATIONS - 2], &all[RN_KEPT_GENERATIONS - 1]);
    memmove(all + 1, all, (RN_KEPT_GENERATIONS - 1) * sizeof(*all));
    all[0] = (rn_kept_generation){0};
}

void rn_kept_put(rn_kept *kept, void *first, void *last, int64_t count, int64_t now_ns,
                 int64_t stay_ns)
{
    rn_kept_generation *newest = kept->generations;
    if (newest->first != NULL && now_ns - newest->since_ns >= stay_ns / RN_KEPT_GENERATIONS) {
        begin_generation(kept);
    }
    if (newest->first == NULL) {
        newest->since_ns = now_ns;
        newest->last = (rn_kept_block *)last;
    }
    ((rn_kept_block *)last)->next = newest->first;
    newest->first = (rn_kept_block *)first;
    kept->count += count;
}

static void *pop(rn_kept *kept, rn_kept_generation *generation)
{
    rn_kept_block *block = generation->first;
    generation->first = block->next;
    kept->count -= 1;
    return block;
}

void *rn_kept_take(rn_kept *kept)
{
    for (int i = 0; kept->count > 0 && i < RN_KEPT_GENERATIONS; i++) {
        if (kept->generations[i].first != NULL) {
            return pop(kept, &kept->generations[i]);
        }
    }
    return NULL;
}

static rn_kept_generation *find_oldest(const rn_kept *kept)
{
    const rn_kept_generation *oldest = NULL;
    for (int i = 0; kept->count > 0 && i < RN_KEPT_GENERATIONS; i++) {
        oldest = kept->generations[i].first != NULL ? &kept->generations[i] : oldest;
    }
    return (rn_kept_generation *)oldest;
}

void *rn_kept_take_oldest(rn_kept *kept, int64_t until_ns)
{
    rn_kept_generation *oldest = find_oldest(kept);
    return oldest != NULL && oldest->since_ns <= until_ns ? pop(kept, oldest) : NULL;
}

int64_t rn_kept_since(const rn_kept *kept)
{
    const rn_kept_generation *oldest = find_oldest(kept);
    return oldest == NULL ? INT64_MAX : oldest->since_ns;
}
