/* SPDX-License-Identifier: Apache-2.0
 *
 * Sorting in chunks: rows gather in runs of one block of entries, a run is sorted when it is full,
 * and the sorted runs are merged as rows are taken out.
 *
 *     add -> add -> (run full: sort it) -> add ... finish: sort the last -> next: pop the heap
 *
 * So no step takes longer than sorting one run, nothing is copied twice, and nothing contiguous is
 * larger than a block but the heap (24 bytes per run: 1 MiB from 170 million rows on). A run is
 * sorted by merging from the bottom up with one run's scratch: n log n whatever the input, no
 * recursion.
 *
 * Invariants
 *   1. Every run but the newest is full and sorted; in all runs together are the rows of `rows`.
 *   2. Before finish the heap is empty and has room for every run; after it holds the next row of
 *      each run that has one, none before its parent.
 *
 * Rejected: one array of all rows, doubled and sorted at the end: it needs old and new at once and
 * stops the query for as long as the sort takes. */
#include "iterators/sorter.h"

#define RUN_BYTES                                                                                  \
    ((size_t)RN_BLOCK_BYTES - 64) /* with what a context wants of a block, one block */
#define RUN_ENTRIES ((uint32_t)((RUN_BYTES - sizeof(struct rn_sort_run)) / sizeof(sort_entry)))
#define INSERTION_ENTRIES 16u
#define HEAP_FIRST 64u

/* A row, and its key beside it so that most comparisons do not look at the row. */
typedef struct sort_entry {
    uint64_t key;
    const rn_row *row;
} sort_entry;

struct rn_sort_run {
    struct rn_sort_run *next;
    uint32_t count, at; /* entries; the next to come out */
    sort_entry entries[];
};

struct rn_sort_head {
    sort_entry entry;
    struct rn_sort_run *run;
};

static bool comes_before(const rn_sorter *sorter, const sort_entry *a, const sort_entry *b)
{
    if (a->key != b->key) {
        return a->key < b->key;
    }
    return rn_sort_compare(&sorter->layout, sorter->order, sorter->order_count, a->row, b->row) < 0;
}

ration_status rn_sorter_open(const rn_schema *schema, const rn_order *order, uint32_t order_count,
                             ration_context *parent, ration_slot *slot, int64_t max_row_bytes,
                             rn_sorter *out_sorter)
{
    rn_type types[RN_COLUMNS_MAX];
    for (uint32_t c = 0; c < schema->count; c++) {
        types[c] = schema->fields[c].type;
    }
    memset(out_sorter, 0, sizeof *out_sorter);
    out_sorter->order = order;
    out_sorter->order_count = order_count;
    rn_layout_set(&out_sorter->layout, types, schema->count);
    RN_TRY(
        ration_context_create(parent, slot, RATION_CONTEXT_BUMP, "sorter", &out_sorter->context));
    return rn_rows_open(&out_sorter->layout, out_sorter->context, slot, "rows to sort",
                        max_row_bytes, &out_sorter->rows);
}

void rn_sorter_close(rn_sorter *sorter)
{
    ration_context_delete(sorter->context);
    memset(sorter, 0, sizeof *sorter);
}

void rn_sorter_keys(const rn_sorter *sorter, const rn_batch *batch, uint64_t *keys)
{
    const rn_order *first = &sorter->order[0];
    rn_sort_keys(&batch->columns[first->column], batch->rows, first->descending, keys);
}

/* ------------------------------------------------------------------------------ sorting one run */

static void sort_by_insertion(const rn_sorter *sorter, sort_entry *entries, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        sort_entry entry = entries[i];
        uint32_t at = i;
        for (; at > 0 && comes_before(sorter, &entry, &entries[at - 1]); at--) {
            entries[at] = entries[at - 1];
        }
        entries[at] = entry;
    }
}

static void merge_halves(const rn_sorter *sorter, const sort_entry *from, uint32_t middle,
                         uint32_t count, sort_entry *to)
{
    uint32_t left = 0, right = middle;
    for (uint32_t i = 0; i < count; i++) {
        bool take_right =
            left == middle || (right < count && comes_before(sorter, &from[right], &from[left]));
        to[i] = take_right ? from[right++] : from[left++];
    }
}

static void sort_run(rn_sorter *sorter, struct rn_sort_run *run)
{
    for (uint32_t at = 0; at < run->count; at += INSERTION_ENTRIES) {
        sort_by_insertion(sorter, run->entries + at, RN_MIN(INSERTION_ENTRIES, run->count - at));
    }
    sort_entry *from = run->entries, *to = sorter->spare->entries;
    for (uint32_t width = INSERTION_ENTRIES; width < run->count; width *= 2) {
        for (uint32_t at = 0; at < run->count; at += 2 * width) {
            uint32_t count = RN_MIN(2 * width, run->count - at);
            merge_halves(sorter, from + at, RN_MIN(width, count), count, to + at);
        }
        sort_entry *merged = to;
        to = from;
        from = merged;
    }
    if (from != run->entries) {
        memcpy(run->entries, from, run->count * sizeof *from);
    }
}

/* --------------------------------------------------------------------------------------- adding */

static uint32_t grown_heap(uint32_t capacity)
{
    return capacity == 0 ? HEAP_FIRST : 2 * capacity;
}

int64_t rn_sorter_bound(const rn_sorter *sorter, const rn_batch *batch, const uint16_t *picks,
                        uint32_t count)
{
    int64_t bytes = rn_rows_bound(&sorter->rows, batch, NULL, picks, count);
    uint32_t room = sorter->runs == NULL ? 0 : RUN_ENTRIES - sorter->runs->count;
    if (count <= room) {
        return bytes;
    }
    int64_t runs = 1 + (sorter->spare == NULL);
    bytes += runs * rn_context_bound_one(sorter->context, RUN_BYTES);
    if (sorter->run_count == sorter->heap_capacity) {
        size_t heap = grown_heap(sorter->heap_capacity) * sizeof(struct rn_sort_head);
        bytes += rn_context_bound_one(sorter->context, heap);
    }
    return bytes;
}

static ration_status grow_heap(rn_sorter *sorter)
{
    uint32_t capacity = grown_heap(sorter->heap_capacity);
    struct rn_sort_head *heap = ration_context_allocate(sorter->context, capacity * sizeof *heap);
    if (heap == NULL) {
        return ration_context_status(sorter->context);
    }
    sorter->heap = heap; /* empty until finish: nothing to copy */
    sorter->heap_capacity = capacity;
    return RATION_OK;
}

/* An empty run, or NULL. */
static struct rn_sort_run *make_run(rn_sorter *sorter)
{
    struct rn_sort_run *run = ration_context_allocate(sorter->context, RUN_BYTES);
    if (run != NULL) {
        run->next = sorter->runs;
        run->count = run->at = 0;
    }
    return run;
}

static ration_status add_run(rn_sorter *sorter)
{
    if (sorter->run_count == sorter->heap_capacity) {
        RN_TRY(grow_heap(sorter));
    }
    if (sorter->spare == NULL) {
        sorter->spare = make_run(sorter);
    }
    struct rn_sort_run *run = sorter->spare == NULL ? NULL : make_run(sorter);
    if (run == NULL) {
        return ration_context_status(sorter->context);
    }
    sorter->runs = run;
    sorter->run_count += 1;
    return RATION_OK;
}

ration_status rn_sorter_add(rn_sorter *sorter, const rn_batch *batch, const uint64_t *keys,
                            const uint16_t *picks, uint32_t count)
{
    _Static_assert(RUN_ENTRIES >= RN_BATCH_ROWS_MAX, "a batch fills at most one run");
    const rn_row *placed[RN_BATCH_ROWS_MAX];
    rn_assert(sorter->heap_count == 0);
    RN_TRY(rn_rows_append(&sorter->rows, batch, NULL, picks, count, placed));
    for (uint32_t i = 0; i < count; i++) {
        if (sorter->runs == NULL || sorter->runs->count == RUN_ENTRIES) {
            RN_TRY(add_run(sorter));
        }
        struct rn_sort_run *run = sorter->runs;
        uint64_t key = keys[picks == NULL ? i : picks[i]];
        run->entries[run->count++] = (sort_entry){key, placed[i]};
        if (run->count == RUN_ENTRIES) {
            sort_run(sorter, run);
        }
    }
    return RATION_OK;
}

/* -------------------------------------------------------------------------------------- merging */

static bool head_before(const rn_sorter *sorter, uint32_t a, uint32_t b)
{
    return comes_before(sorter, &sorter->heap[a].entry, &sorter->heap[b].entry);
}

/* Restores the heap below `at`. */
static void sift_down(rn_sorter *sorter, uint32_t at)
{
    for (;;) {
        uint32_t least = at, left = 2 * at + 1;
        for (uint32_t child = left; child < sorter->heap_count && child <= left + 1; child++) {
            least = head_before(sorter, child, least) ? child : least;
        }
        if (least == at) {
            return;
        }
        struct rn_sort_head head = sorter->heap[at];
        sorter->heap[at] = sorter->heap[least];
        sorter->heap[least] = head;
        at = least;
    }
}

void rn_sorter_finish(rn_sorter *sorter)
{
    struct rn_sort_run *run = sorter->runs;
    if (run != NULL && run->count < RUN_ENTRIES) {
        sort_run(sorter, run);
    }
    for (; run != NULL; run = run->next) {
        sorter->heap[sorter->heap_count++] = (struct rn_sort_head){run->entries[0], run};
    }
    for (uint32_t at = sorter->heap_count / 2; at-- > 0;) {
        sift_down(sorter, at);
    }
}

uint32_t rn_sorter_next(rn_sorter *sorter, const rn_row **out_rows, uint32_t capacity,
                        uint64_t *out_last_key)
{
    uint32_t count = 0;
    while (count < capacity && sorter->heap_count > 0) {
        struct rn_sort_head *top = &sorter->heap[0];
        struct rn_sort_run *run = top->run;
        out_rows[count++] = top->entry.row;
        if (out_last_key != NULL) {
            *out_last_key = top->entry.key;
        }
        if (++run->at < run->count) {
            top->entry = run->entries[run->at];
        } else {
            *top = sorter->heap[--sorter->heap_count];
        }
        sift_down(sorter, 0);
    }
    return count;
}
