/* SPDX-License-Identifier: Apache-2.0
 *
 * One merge of runs and of rows in memory; see merge.h. Runs and narrowing: runs.c.
 *
 * A merge has one context: sources and tree in one chunk, then a buffer per run; closing it gives
 * all of it back. One buffer per run is enough: the system reads ahead, and what is merged is
 * copied once, to the run or the batch it goes to.
 *
 * Invariants
 *   1. Every source has its reader at the row that is in the tree, the winner's too: so where it is
 *      can be noted and taken up again, by a merge of other runs too.
 *   2. A bound repeats on paper what a merge then allocates, in the same order: it is exact. */
#include "iterators/merge_inside.h"

#define PREFETCH_BYTES 256 /* ahead of the row in hand, in its buffer */

/* --------------------------------------------------------------------------------------- bounds */

/* The frame of a merge, on paper. */
static void draft_frame(rn_draft *draft, uint32_t sources)
{
    rn_context_draft_open(draft);
    rn_minimum_array(draft, sources, RN_MERGE_FRAME_BYTES);
}

static size_t memory_buffer_bytes(int64_t widest_bytes)
{
    int64_t wide = widest_bytes + (int64_t)(sizeof(uint64_t) + RN_RUN_HEAD_BYTES);
    return (size_t)RN_MAX(wide, (int64_t)RN_RUN_BLOCK_BYTES);
}

int64_t rn_choice_bound(const rn_runs *runs, const rn_run_choice *choice, uint32_t count,
                        int64_t widest_bytes)
{
    rn_draft draft;
    draft_frame(&draft, count + 1);
    for (uint32_t i = 0; i < count; i++) {
        rn_minimum_array(&draft, 1, runs->runs[choice->at[i]].run.largest_bytes);
    }
    if (widest_bytes >= 0) {
        rn_minimum_array(&draft, 1, memory_buffer_bytes(widest_bytes));
    }
    return draft.bytes;
}

int64_t rn_memory_widest(const rn_merge_memory *memory)
{
    return memory == NULL || memory->widest_bytes == 0 ? -1 : memory->widest_bytes;
}

int64_t rn_merge_minimum(const rn_sizes *sizes, uint32_t sources)
{
    rn_draft draft;
    draft_frame(&draft, sources + 1);
    int64_t buffer = rn_minimum_buffer((int64_t)memory_buffer_bytes(sizes->max_row_bytes));
    return rn_add(draft.bytes, rn_multiply(sources, buffer));
}

int64_t rn_runs_minimum(const rn_sizes *sizes)
{
    return rn_merge_minimum(sizes, 3);
}

/* ------------------------------------------------------------------------------------ one merge */

/* Takes the next row from memory. */
static struct rn_merge_node advance_memory(struct rn_merge_source *source, uint64_t leaf)
{
    struct rn_merge_node node = {UINT64_MAX, NULL, leaf};
    if (!source->memory.next(source->memory.state, &node.key, &node.row)) {
        node.key = UINT64_MAX;
        node.row = NULL;
    }
    return node;
}

/* The row that the run's reader has in hand. */
static inline struct rn_merge_node head_of(const struct rn_merge_source *source, uint64_t leaf)
{
    const rn_row *row = source->reader.row;
    return (struct rn_merge_node){row == NULL ? UINT64_MAX : source->reader.key, row, leaf};
}

/* Takes the source's next row. */
static inline ration_status advance(struct rn_merge_source *source, uint64_t leaf,
                                    struct rn_merge_node *out_node)
{
    if (RN_UNLIKELY(source->memory.next != NULL)) {
        *out_node = advance_memory(source, leaf);
        return RATION_OK;
    }
    RN_TRY(rn_row_run_step(&source->reader));
    __builtin_prefetch(source->reader.at + PREFETCH_BYTES);
    *out_node = head_of(source, leaf);
    return RATION_OK;
}

static void take_winner(rn_merge *merge)
{
    merge->key = merge->tree[0].key;
    merge->row = merge->tree[0].row;
}

ration_status rn_merge_step(rn_merge *merge)
{
    struct rn_merge_node next;
    uint64_t leaf = merge->tree[0].leaf;
    RN_TRY(advance(&merge->sources[leaf], leaf, &next));
    rn_tournament_replace(merge->tree, merge->count, &merge->order, next);
    take_winner(merge);
    return RATION_OK;
}

bool rn_merge_turns(const rn_merge *merge)
{
    const struct rn_merge_source *source = &merge->sources[merge->tree[0].leaf];
    return source->memory.next == NULL && rn_row_run_turns(&source->reader);
}

ration_status rn_merge_rows(rn_merge *merge, const rn_row **out_rows, uint32_t capacity,
                            uint32_t *out_count)
{
    uint32_t count = 0;
    if (merge->given && merge->row != NULL) {
        RN_TRY(rn_merge_step(merge));
    }
    merge->given = true;
    while (merge->row != NULL) {
        out_rows[count++] = merge->row;
        if (count == capacity || rn_merge_turns(merge)) {
            break;
        }
        RN_TRY(rn_merge_step(merge));
    }
    *out_count = count;
    return RATION_OK;
}

/* Starts where a suspended merge left off. */
static ration_status resume_reader(rn_row_run_reader *reader, rn_spill_file *file,
                                   const rn_kept_run *kept, void *buffer)
{
    const char *bytes;
    size_t length;
    *reader = (rn_row_run_reader){.row = NULL};
    rn_run_start(&reader->blocks, file, &kept->run, buffer);
    rn_run_seek(&reader->blocks, kept->place);
    RN_TRY(rn_run_next(&reader->blocks, &bytes, &length));
    reader->blocks.hash = kept->hash;
    reader->blocks.whole = kept->whole;
    reader->at = bytes + kept->skip;
    reader->end = bytes + length;
    return rn_row_run_step(reader);
}

/* Opens source `leaf` on run number `at` and enters its first row. */
static ration_status open_run(rn_merge *merge, uint32_t leaf, const rn_runs *runs, uint32_t at)
{
    struct rn_merge_source *source = &merge->sources[leaf];
    const rn_kept_run *kept = &runs->runs[at];
    void *buffer = ration_context_allocate(merge->context, kept->run.largest_bytes);
    if (buffer == NULL) {
        return ration_context_status(merge->context);
    }
    memset(source, 0, sizeof *source);
    source->kept = at;
    RN_TRY(kept->place == 0
               ? rn_row_run_start(&source->reader, rn_runs_file(runs), &kept->run, buffer)
               : resume_reader(&source->reader, rn_runs_file(runs), kept, buffer));
    rn_tournament_enter(merge->tree, merge->count, &merge->order, head_of(source, leaf));
    return RATION_OK;
}

/* The same on rows in memory. */
static ration_status open_memory(rn_merge *merge, uint32_t leaf, const rn_merge_memory *memory)
{
    struct rn_merge_source *source = &merge->sources[leaf];
    memset(source, 0, sizeof *source);
    source->memory = *memory;
    if (memory->widest_bytes > 0) {
        source->buffer =
            ration_context_allocate(merge->context, memory_buffer_bytes(memory->widest_bytes));
        if (source->buffer == NULL) {
            return ration_context_status(merge->context);
        }
    }
    rn_tournament_enter(merge->tree, merge->count, &merge->order, advance_memory(source, leaf));
    return RATION_OK;
}

static ration_status open_sources(rn_merge *merge, const rn_runs *runs, const rn_run_choice *choice,
                                  const rn_merge_memory *memory)
{
    struct rn_merge_source *sources =
        ration_context_allocate(merge->context, (choice->count + 1) * RN_MERGE_FRAME_BYTES);
    if (sources == NULL) {
        return ration_context_status(merge->context);
    }
    merge->sources = sources;
    merge->tree = (struct rn_merge_node *)(void *)(sources + choice->count + 1);
    merge->count = choice->count + (memory != NULL || choice->count == 0);
    rn_tournament_open(merge->tree, merge->count);
    merge->tree[0].row = NULL;
    for (uint32_t i = 0; i < choice->count; i++) {
        RN_TRY(open_run(merge, i, runs, choice->at[i]));
    }
    if (memory != NULL) {
        RN_TRY(open_memory(merge, choice->count, memory));
    }
    take_winner(merge);
    return RATION_OK;
}

ration_status rn_merge_open_choice(rn_merge *out_merge, const rn_runs *runs,
                                   const rn_run_choice *choice, const rn_merge_memory *memory)
{
    rn_merge merge = {.order = runs->order};
    RN_TRY(ration_context_create(runs->op->context, runs->op->worker->slot, RATION_CONTEXT_BUMP,
                                 "merge", &merge.context));
    ration_status status = open_sources(&merge, runs, choice, memory);
    if (status != RATION_OK) {
        rn_merge_close(&merge);
        return status;
    }
    *out_merge = merge;
    return RATION_OK;
}

int64_t rn_merge_bound(const rn_runs *runs, uint64_t mask, const rn_merge_memory *memory)
{
    rn_run_choice choice;
    rn_runs_choose(runs, mask, &choice);
    return rn_choice_bound(runs, &choice, choice.count, rn_memory_widest(memory));
}

ration_status rn_merge_open(rn_merge *merge, const rn_runs *runs, uint64_t mask,
                            const rn_merge_memory *memory)
{
    rn_run_choice choice;
    rn_runs_choose(runs, mask, &choice);
    return rn_merge_open_choice(merge, runs, &choice, memory);
}

void rn_merge_close(rn_merge *merge)
{
    ration_context_delete(merge->context);
    memset(merge, 0, sizeof *merge);
}

/* The node of the rows from memory; NULL when there are none left. */
static struct rn_merge_node *find_memory(const rn_merge *merge)
{
    if (merge->count == 0 || merge->sources[merge->count - 1].memory.next == NULL) {
        return NULL;
    }
    struct rn_merge_node *node = merge->tree;
    while (node->leaf != merge->count - 1) {
        node++;
    }
    return node->row == NULL ? NULL : node;
}

bool rn_merge_has_memory(const rn_merge *merge)
{
    return find_memory(merge) != NULL;
}

/* Writes the row of the node and all that come after it. */
static ration_status write_memory(struct rn_merge_source *source, struct rn_merge_node node,
                                  rn_runs *runs)
{
    rn_runs_begin(runs, runs->op->worker->spill_buffer);
    for (; node.row != NULL; node = advance_memory(source, node.leaf)) {
        ration_status status = rn_row_run_put(&runs->writer, node.key, node.row);
        if (status != RATION_OK) {
            rn_runs_abandon(runs);
            return status;
        }
    }
    return rn_runs_end(runs, UINT64_MAX);
}

ration_status rn_merge_write_memory(rn_merge *merge, rn_runs *runs)
{
    struct rn_merge_node *node = find_memory(merge);
    if (node == NULL) {
        return RATION_OK;
    }
    struct rn_merge_source *source = &merge->sources[node->leaf];
    RN_TRY(write_memory(source, *node, runs));
    const rn_run *run = &runs->runs[runs->count - 1].run;
    rn_assert(run->largest_bytes <= memory_buffer_bytes(source->memory.widest_bytes));
    RN_TRY(rn_row_run_start(&source->reader, rn_runs_file(runs), run, source->buffer));
    source->memory.next = NULL;
    source->kept = runs->count - 1;
    *node = head_of(source, node->leaf);
    take_winner(merge);
    return RATION_OK;
}

/* Notes where the source's reader is: the row it has in hand comes next. */
static void note_place(const struct rn_merge_source *source, rn_kept_run *kept)
{
    const rn_row_run_reader *reader = &source->reader;
    const char *record = (const char *)reader->row - sizeof reader->key;
    kept->place = rn_run_place(&reader->blocks);
    kept->hash = reader->blocks.hash;
    kept->whole = reader->blocks.whole;
    kept->skip = (uint32_t)(record - (reader->blocks.buffer + RN_RUN_HEAD_BYTES));
}

int64_t rn_merge_bytes(const rn_merge *merge)
{
    return merge->context == NULL ? 0 : ration_context_bytes(merge->context, true);
}

ration_status rn_merge_suspend(rn_merge *merge, rn_runs *runs)
{
    rn_run_choice ended = {.count = 0};
    if (merge->given && merge->row != NULL) {
        RN_TRY(rn_merge_step(merge));
    }
    const struct rn_merge_node *node = find_memory(merge);
    if (node != NULL) {
        RN_TRY(write_memory(&merge->sources[node->leaf], *node, runs));
    }
    for (uint32_t i = 0; i < merge->count; i++) {
        const struct rn_merge_source *source = &merge->sources[i];
        if (source->memory.next != NULL || source->reader.blocks.file == NULL) {
            continue;
        }
        if (source->reader.row == NULL) {
            ended.at[ended.count++] = source->kept;
        } else {
            note_place(source, &runs->runs[source->kept]);
        }
    }
    (void)rn_runs_drop(runs, &ended);
    rn_merge_close(merge);
    return RATION_OK;
}
