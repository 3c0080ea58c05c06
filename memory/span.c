/* SPDX-License-Identifier: Apache-2.0
 *
 * Spans of address space, cut into granules of 8 KiB.
 *
 * A block of 2^k granules lies at a multiple of its size: with a byte per unit of 64 KiB its place
 * is an aligned run of 1, 2, 4 or 8 bits in one byte. Neighbours coalesce by themselves, because a
 * vacant granule is a bit and nothing else. What a span has room for is one byte, fit:
 *
 *     bit 0, 1, 2   a unit that is partly used has an aligned run of 1, 2, 4 vacant granules
 *     bit 3         a unit is vacant, in a span that is partly used
 *     bit 4         the whole span is vacant, and of full size
 *
 * A block goes where most is in use already, in the order of these bits, at the lowest address: so
 * units and spans that empty stay empty, and whole spans go back to the system. One vacant span is
 * kept, because who gives back the last block of one often wants the next.
 *
 * Granules are committed from the base upwards in steps, with one mprotect for many blocks, which
 * also keeps a span to two mappings. Committing is done without the lock, twice if two threads
 * want the same step; it only ever adds.
 *
 * Invariants
 * 1. used = granules - bits set in vacant; bits beyond granules are 0. fit follows from these.
 * 2. Granules below `committed` may be touched. It never falls.
 * 3. The table is sorted by falling address, and no two spans overlap.
 * 4. No span below hint[i] has bit i of its fit.
 *
 * Cost: a binary search, and from the hint on the spans passed over, 32 bytes each; beside it the
 * first touch of the block's pages takes a hundred times as long. Rejected: a list per fit, which
 * finds a span at once but not the lowest; a hash table from address to span, which is one thing
 * more to keep where the sorted table answers too.
 */
#include "memory/span.h"

#include "base/heap.h"

#define STEP_GRANULES 32 /* 256 KiB */
#define FULL_GRANULES (RN_SPAN_UNITS * RN_UNIT_GRANULES)
#define UNIT_FREE 0xffu
#define FIT_UNIT 3
#define FIT_SPAN 4
#define TABLE_CAPACITY_MIN 64

_Static_assert(sizeof(rn_span) == 32, "two to a cache line");

/* ------------------------------------------------------------------------------------------ fit */

/* One bit for each aligned run of `1 << k` vacant granules, at its first granule. */
static unsigned find_runs(unsigned vacant, int k)
{
    static const unsigned starts[] = {0xff, 0x55, 0x11, 0x01};
    for (int width = 1, i = 0; i < k; i++, width *= 2) {
        vacant &= vacant >> width;
    }
    return vacant & starts[k];
}

static uint8_t compute_fit(const rn_span *span)
{
    if (span->leaving) {
        return 0;
    }
    if (span->used == 0 && span->granules == FULL_GRANULES) {
        return 1u << FIT_SPAN;
    }
    unsigned fit = 0;
    for (int i = 0; i < RN_SPAN_UNITS; i++) {
        unsigned vacant = span->vacant[i];
        if (vacant == UNIT_FREE) {
            fit |= 1u << FIT_UNIT;
            continue;
        }
        for (int k = 0; k < FIT_UNIT; k++) {
            fit |= find_runs(vacant, k) != 0 ? 1u << k : 0;
        }
    }
    return (uint8_t)fit;
}

static void renew_fit(rn_spans *spans, rn_span *span)
{
    span->fit = compute_fit(span);
    for (int i = 0; i < RN_SPAN_FITS; i++) {
        if ((span->fit >> i & 1) != 0 && (uintptr_t)span->base < spans->hint[i]) {
            spans->hint[i] = (uintptr_t)span->base;
        }
    }
}

/* ---------------------------------------------------------------------------------------- table */

/* Index of the first span, in order of the table, with base <= address; count when there is none.
 */
static int64_t search(const rn_spans *spans, uintptr_t address)
{
    int64_t low = 0, high = spans->count;
    while (low < high) {
        int64_t middle = low + (high - low) / 2;
        if ((uintptr_t)spans->table[middle].base <= address) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return low;
}

static rn_span *find(const rn_spans *spans, const void *address)
{
    int64_t at = search(spans, (uintptr_t)address);
    rn_span *span = at < spans->count ? &spans->table[at] : NULL;
    bool inside = span != NULL && (const char *)address < span->base + rn_span_bytes(span);
    return inside ? span : NULL;
}

bool rn_spans_enlarge(rn_spans *out_larger, int64_t capacity)
{
    size_t bytes;
    out_larger->capacity = RN_MAX(capacity * 2, TABLE_CAPACITY_MIN);
    out_larger->table = rn_array_bytes((size_t)out_larger->capacity, sizeof(rn_span), &bytes)
                            ? (rn_span *)rn_heap_allocate(bytes)
                            : NULL;
    return out_larger->table != NULL;
}

bool rn_spans_open(rn_spans *out_spans)
{
    *out_spans = (rn_spans){0};
    for (int i = 0; i < RN_SPAN_FITS; i++) {
        out_spans->hint[i] = UINTPTR_MAX;
    }
    return rn_spans_enlarge(out_spans, 0);
}

void rn_spans_free_table(rn_spans *spans)
{
    rn_heap_free(spans->table, (size_t)spans->capacity * sizeof(rn_span));
    spans->table = NULL;
    spans->capacity = 0;
}

bool rn_spans_add(rn_spans *spans, const rn_span *span, rn_spans *larger)
{
    if (spans->count == spans->capacity) {
        if (larger->capacity <= spans->capacity) {
            return false;
        }
        rn_span *table = larger->table;
        int64_t capacity = larger->capacity;
        memcpy(table, spans->table, (size_t)spans->count * sizeof(*table));
        larger->table = spans->table;
        larger->capacity = spans->capacity;
        spans->table = table;
        spans->capacity = capacity;
    }
    int64_t at = search(spans, (uintptr_t)span->base);
    rn_span *place = &spans->table[at];
    memmove(place + 1, place, (size_t)(spans->count - at) * sizeof(*place));
    *place = *span;
    spans->count += 1;
    spans->idle += span->granules == FULL_GRANULES;
    renew_fit(spans, place);
    return true;
}

/* Full size first, so that the table is short; then what the system still has (RLIMIT_AS). */
bool rn_span_open(int64_t bytes, rn_span *out_span)
{
    int64_t page = rn_page_features_get()->page_bytes;
    for (int64_t size = RN_SPAN_BYTES; size >= RN_MAX(bytes, page); size /= 2) {
        char *base = (char *)rn_pages_reserve(size, size);
        if (base == NULL) {
            continue;
        }
        rn_pages_name(base, size, "ration blocks");
        *out_span = (rn_span){.base = base, .granules = (uint8_t)(size / RN_GRANULE_BYTES)};
        for (int i = 0; i < out_span->granules; i++) {
            out_span->vacant[i / RN_UNIT_GRANULES] |= (uint8_t)(1u << i % RN_UNIT_GRANULES);
        }
        return true;
    }
    return false;
}

void rn_spans_drop(rn_spans *spans, const rn_span *leaving, bool gone)
{
    rn_span *span = find(spans, leaving->base);
    if (!gone) {
        span->leaving = false;
        spans->idle += span->granules == FULL_GRANULES;
        renew_fit(spans, span);
        return;
    }
    int64_t behind = spans->table + spans->count - (span + 1);
    memmove(span, span + 1, (size_t)behind * sizeof(*span));
    spans->count -= 1;
}

/* --------------------------------------------------------------------------------------- blocks */

/* The lowest span with this fit; what was passed over in vain is not looked at again. */
static rn_span *find_fit(rn_spans *spans, int fit)
{
    if (spans->hint[fit] == UINTPTR_MAX) {
        return NULL;
    }
    int64_t at = search(spans, spans->hint[fit]);
    if (at == spans->count || (uintptr_t)spans->table[at].base < spans->hint[fit]) {
        at -= 1; /* the span of the hint has gone: the next higher one */
    }
    while (at >= 0 && (spans->table[at].fit >> fit & 1) == 0) {
        at -= 1;
    }
    spans->hint[fit] = at < 0 ? UINTPTR_MAX : (uintptr_t)spans->table[at].base;
    return at < 0 ? NULL : &spans->table[at];
}

/* Marks the lowest place for `1 << k` granules in a unit of that fit; its first granule. */
static int take_run(rn_span *span, int k, int fit)
{
    int unit = 0;
    unsigned runs = 0;
    for (;; unit++) {
        unsigned vacant = span->vacant[unit];
        bool suits = fit >= FIT_UNIT ? vacant == UNIT_FREE : vacant != UNIT_FREE;
        runs = suits ? find_runs(vacant, k) : 0;
        if (runs != 0) {
            break;
        }
    }
    int first = __builtin_ctz(runs);
    span->vacant[unit] &= (uint8_t) ~(((1u << (1 << k)) - 1) << first);
    span->used = (uint8_t)(span->used + (1 << k));
    return unit * RN_UNIT_GRANULES + first;
}

static rn_span_room make_room(const rn_span *span, int first, int count)
{
    rn_span_room room = {.block = span->base + first * RN_GRANULE_BYTES};
    int end = first + count;
    if (end > span->committed) {
        int step = (end + STEP_GRANULES - 1) / STEP_GRANULES * STEP_GRANULES;
        room.commit = span->base + span->committed * RN_GRANULE_BYTES;
        room.commit_bytes = (RN_MIN(step, span->granules) - span->committed) * RN_GRANULE_BYTES;
        room.least_bytes = (end - span->committed) * RN_GRANULE_BYTES;
    }
    return room;
}

rn_span_room rn_spans_take(rn_spans *spans, int64_t bytes)
{
    int k = __builtin_ctzll((unsigned long long)(bytes / RN_GRANULE_BYTES));
    rn_span *span = k < FIT_UNIT ? find_fit(spans, k) : NULL;
    int fit = k;
    for (int larger = FIT_UNIT; span == NULL && larger <= FIT_SPAN; larger++) {
        span = find_fit(spans, larger);
        fit = larger;
    }
    if (span == NULL) {
        return (rn_span_room){.full = spans->count == spans->capacity, .capacity = spans->capacity};
    }
    spans->idle -= fit == FIT_SPAN;
    int first = take_run(span, k, fit);
    renew_fit(spans, span);
    return make_room(span, first, 1 << k);
}

bool rn_spans_commit(rn_span_room *room)
{
    if (rn_pages_commit(room->commit, room->commit_bytes)) {
        return true;
    }
    room->commit_bytes = room->least_bytes; /* RLIMIT_DATA, or strict overcommit */
    return rn_pages_commit(room->commit, room->commit_bytes);
}

void rn_spans_note(rn_spans *spans, const rn_span_room *room)
{
    rn_span *span = find(spans, room->commit);
    int64_t end = (room->commit + room->commit_bytes - span->base) / RN_GRANULE_BYTES;
    span->committed = (uint8_t)RN_MAX(span->committed, end);
}

static uint8_t block_bits(const rn_span *span, const void *block, int64_t bytes, int *out_unit)
{
    int64_t first = ((const char *)block - span->base) / RN_GRANULE_BYTES;
    *out_unit = (int)(first / RN_UNIT_GRANULES);
    return (uint8_t)(((1u << (bytes / RN_GRANULE_BYTES)) - 1) << first % RN_UNIT_GRANULES);
}

bool rn_spans_give(rn_spans *spans, void *block, int64_t bytes, rn_span *out_leaving)
{
    rn_span *span = find(spans, block);
    if (rn_never(span == NULL)) {
        return false;
    }
    int unit;
    uint8_t bits = block_bits(span, block, bytes, &unit);
    if (rn_never((span->vacant[unit] & bits) != 0)) {
        return false;
    }
    span->vacant[unit] |= bits;
    span->used = (uint8_t)(span->used - bytes / RN_GRANULE_BYTES);
    bool full_size = span->granules == FULL_GRANULES;
    bool leaves = span->used == 0 && (spans->idle > 0 || !full_size);
    if (leaves) {
        span->leaving = true;
        *out_leaving = *span;
    } else {
        spans->idle += span->used == 0;
    }
    renew_fit(spans, span);
    return leaves;
}

bool rn_spans_holds(const rn_spans *spans, const void *block, int64_t bytes)
{
    const rn_span *span = find(spans, block);
    int unit = 0;
    uint8_t bits = span == NULL ? 0 : block_bits(span, block, bytes, &unit);
    return bits != 0 && (uintptr_t)block % (uintptr_t)bytes == 0 &&
           (span->vacant[unit] & bits) == 0;
}

/* ---------------------------------------------------------------------------------------- audit */

static bool check_span(const rn_spans *spans, const rn_span *span)
{
    int vacant = 0;
    for (int i = 0; i < RN_SPAN_UNITS; i++) {
        int exist = RN_MIN(RN_MAX(span->granules - i * RN_UNIT_GRANULES, 0), RN_UNIT_GRANULES);
        if (span->vacant[i] >> exist != 0) {
            return false;
        }
        vacant += __builtin_popcount(span->vacant[i]);
    }
    bool hinted = true;
    for (int i = 0; i < RN_SPAN_FITS; i++) {
        hinted = hinted && ((span->fit >> i & 1) == 0 || spans->hint[i] <= (uintptr_t)span->base);
    }
    return hinted && span->used == span->granules - vacant && span->fit == compute_fit(span) &&
           span->committed <= span->granules && (!span->leaving || span->used == 0) &&
           (uintptr_t)span->base % (uintptr_t)rn_span_bytes(span) == 0;
}

bool rn_spans_check(const rn_spans *spans, int64_t *out_used_bytes)
{
    int64_t used = 0, idle = 0;
    bool holds = spans->count <= spans->capacity;
    for (int64_t i = 0; i < spans->count && holds; i++) {
        const rn_span *span = &spans->table[i];
        const rn_span *lower = i + 1 < spans->count ? span + 1 : NULL;
        holds = check_span(spans, span) &&
                (lower == NULL || lower->base + rn_span_bytes(lower) <= span->base);
        used += span->used * RN_GRANULE_BYTES;
        idle += span->used == 0 && !span->leaving && span->granules == FULL_GRANULES;
    }
    *out_used_bytes = used;
    return holds && idle == spans->idle;
}
