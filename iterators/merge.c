/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs and merges; see merge.h.
 *
 * A merge has one context: sources and tree in one chunk, then a buffer per run; closing it gives
 * all of it back. One buffer per run is enough: the system reads ahead, and what is merged is
 * copied once, to the run or the batch it goes to.
 *
 * Narrowing merges the smallest runs first, as Huffman's code is built: no order of merges of the
 * same fan-in rewrites less. The first merge is cut so that all that follow it are full.
 *
 * Invariants
 *   1. Between two settles a merge of runs copies at most SETTLE_BYTES and one row.
 *   2. The runs that are being merged stay in `runs` until the merged run is complete, and runs are
 *      only ever added behind them, by a spill while narrowing settles: so positions stay, and a
 *      failure leaves every run where rn_runs_close finds it.
 *   3. A bound repeats on paper what a merge then allocates, in the same order: it is exact. */
#include "iterators/minimum.h"
#include "iterators/tournament.h"

#define SETTLE_BYTES (256 * 1024)
#define PREFETCH_BYTES 256 /* ahead of the row in hand, in its buffer */
#define RUNS_ROOM (RN_RUNS_MAX + RN_RUNS_SPARE)
#define FRAME_BYTES (sizeof(struct rn_merge_source) + sizeof(struct rn_merge_node))

/* A run, or rows in memory. Its leaf is its index; memory is the last. */
struct rn_merge_source {
    rn_row_run_reader reader;
    rn_merge_memory memory; /* next NULL = a run */
    void *buffer;           /* for the run that memory is written to; NULL = it will not be */
    uint32_t kept;          /* the run's position in runs */
};

/* Runs to be merged: positions in `runs`. */
typedef struct run_choice {
    uint32_t count;
    uint32_t at[RUNS_ROOM];
} run_choice;

/* --------------------------------------------------------------------------------------- bounds */

/* The frame of a merge, on paper. */
static void draft_frame(rn_draft *draft, uint32_t sources)
{
    rn_context_draft_open(draft);
    rn_minimum_array(draft, sources, FRAME_BYTES);
}

/* To read back rows of `widest_bytes`. */
static size_t buffer_bytes(int64_t widest_bytes)
{
    int64_t wide = widest_bytes + (int64_t)(sizeof(uint64_t) + RN_RUN_HEAD_BYTES);
    return (size_t)RN_MAX(wide, (int64_t)RN_RUN_BLOCK_BYTES);
}

/* Of the first `count` chosen, and one more buffer for rows of `widest_bytes` (-1 = none). */
static int64_t choice_bound(const rn_runs *runs, const run_choice *choice, uint32_t count,
                            int64_t widest_bytes)
{
    rn_draft draft;
    draft_frame(&draft, count + 1);
    for (uint32_t i = 0; i < count; i++) {
        rn_minimum_array(&draft, 1, runs->runs[choice->at[i]].run.largest_bytes);
    }
    if (widest_bytes >= 0) {
        rn_minimum_array(&draft, 1, buffer_bytes(widest_bytes));
    }
    return draft.bytes;
}

static int64_t widest_of(const rn_merge_memory *memory)
{
    return memory == NULL || memory->widest_bytes == 0 ? -1 : memory->widest_bytes;
}

int64_t rn_merge_minimum(const rn_sizes *sizes, uint32_t sources)
{
    rn_draft draft;
    draft_frame(&draft, sources + 1);
    int64_t buffer = rn_minimum_buffer((int64_t)buffer_bytes(sizes->max_row_bytes));
    return rn_add(draft.bytes, rn_multiply(sources, buffer));
}

int64_t rn_runs_minimum(const rn_sizes *sizes)
{
    return rn_merge_minimum(sizes, 3);
}

/* ----------------------------------------------------------------------------------------- runs */

ration_status rn_runs_open_in(rn_operator *op, ration_context *context, rn_row_order order,
                              rn_runs *out_runs)
{
    rn_runs runs = {.op = op, .order = order};
    runs.runs = ration_context_allocate(context, RN_RUNS_OPEN_BYTES);
    if (runs.runs == NULL) {
        return ration_context_status(context);
    }
    *out_runs = runs;
    return RATION_OK;
}

ration_status rn_runs_open(rn_operator *op, rn_row_order order, rn_runs *out_runs)
{
    return rn_runs_open_in(op, op->context, order, out_runs);
}

static rn_spill_file *file_of(const rn_runs *runs)
{
    return runs->op->worker->spill_file;
}

void rn_runs_close(rn_runs *runs)
{
    for (uint32_t i = 0; i < runs->count; i++) {
        rn_run_release(file_of(runs), &runs->runs[i].run);
    }
    memset(runs, 0, sizeof *runs);
}

void rn_runs_begin(rn_runs *runs, void *buffer)
{
    rn_assert(rn_runs_room(runs));
    rn_run_begin(&runs->writer, file_of(runs), runs->op->node->number, buffer, RN_RUN_BLOCK_BYTES);
}

/* Keeps the run, or gives it back when nothing is in it. */
static void keep_run(rn_runs *runs, rn_run *run, uint64_t mask)
{
    rn_assert(rn_runs_room(runs));
    if (run->bytes == 0) {
        rn_run_release(file_of(runs), run);
        return;
    }
    runs->runs[runs->count++] = (rn_kept_run){.run = *run, .mask = mask};
}

ration_status rn_runs_end(rn_runs *runs, uint64_t mask)
{
    rn_run run;
    RN_TRY(rn_run_end(&runs->writer, &run));
    runs->spilled_bytes += run.bytes;
    keep_run(runs, &run, mask);
    return RATION_OK;
}

void rn_runs_abandon(rn_runs *runs)
{
    rn_run_abandon(&runs->writer);
}

/* Releases the runs chosen and closes the gaps; the masks of all of them. */
static uint64_t drop(rn_runs *runs, const run_choice *choice)
{
    uint64_t mask = 0;
    for (uint32_t i = 0; i < choice->count; i++) {
        rn_kept_run *kept = &runs->runs[choice->at[i]];
        mask |= kept->mask;
        kept->mask = 0;
        rn_run_release(file_of(runs), &kept->run);
    }
    uint32_t left = 0;
    for (uint32_t i = 0; i < runs->count; i++) {
        if (runs->runs[i].run.number != 0) {
            runs->runs[left++] = runs->runs[i];
        }
    }
    runs->count = left;
    return mask;
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
    RN_TRY(kept->place == 0 ? rn_row_run_start(&source->reader, file_of(runs), &kept->run, buffer)
                            : resume_reader(&source->reader, file_of(runs), kept, buffer));
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
            ration_context_allocate(merge->context, buffer_bytes(memory->widest_bytes));
        if (source->buffer == NULL) {
            return ration_context_status(merge->context);
        }
    }
    rn_tournament_enter(merge->tree, merge->count, &merge->order, advance_memory(source, leaf));
    return RATION_OK;
}

static ration_status open_sources(rn_merge *merge, const rn_runs *runs, const run_choice *choice,
                                  const rn_merge_memory *memory)
{
    struct rn_merge_source *sources =
        ration_context_allocate(merge->context, (choice->count + 1) * FRAME_BYTES);
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

static ration_status open_choice(rn_merge *out_merge, const rn_runs *runs, const run_choice *choice,
                                 const rn_merge_memory *memory)
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

/* The runs with a bit of `mask`, smallest first. */
static void choose(const rn_runs *runs, uint64_t mask, run_choice *choice)
{
    choice->count = 0;
    for (uint32_t i = 0; i < runs->count; i++) {
        if ((runs->runs[i].mask & mask) == 0) {
            continue;
        }
        uint32_t place = choice->count++;
        int64_t bytes = runs->runs[i].run.bytes;
        for (; place > 0 && runs->runs[choice->at[place - 1]].run.bytes > bytes; place--) {
            choice->at[place] = choice->at[place - 1];
        }
        choice->at[place] = i;
    }
}

int64_t rn_merge_bound(const rn_runs *runs, uint64_t mask, const rn_merge_memory *memory)
{
    run_choice choice;
    choose(runs, mask, &choice);
    return choice_bound(runs, &choice, choice.count, widest_of(memory));
}

ration_status rn_merge_open(rn_merge *merge, const rn_runs *runs, uint64_t mask,
                            const rn_merge_memory *memory)
{
    run_choice choice;
    choose(runs, mask, &choice);
    return open_choice(merge, runs, &choice, memory);
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
    rn_assert(run->largest_bytes <= buffer_bytes(source->memory.widest_bytes));
    RN_TRY(rn_row_run_start(&source->reader, file_of(runs), run, source->buffer));
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

ration_status rn_merge_suspend(rn_merge *merge, rn_runs *runs)
{
    run_choice ended = {.count = 0};
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
    (void)drop(runs, &ended);
    rn_merge_close(merge);
    return RATION_OK;
}

/* ------------------------------------------------------------------------------------ narrowing */

static ration_status write_all(rn_operator *op, rn_merge *merge, rn_run_writer *writer)
{
    size_t copied = 0;
    while (merge->row != NULL) {
        size_t bytes = rn_row_bytes(merge->row);
        if (copied + bytes > SETTLE_BYTES) {
            copied = 0;
            RN_TRY(rn_settle(op, 0, 0));
        }
        copied += bytes;
        RN_TRY(rn_row_run_put(writer, merge->key, merge->row));
        RN_TRY(rn_merge_step(merge));
    }
    return RATION_OK;
}

static ration_status write_merged(rn_runs *runs, rn_merge *merge, rn_run *out_run)
{
    rn_run_writer writer;
    void *buffer = ration_context_allocate(merge->context, RN_RUN_BLOCK_BYTES);
    if (buffer == NULL) {
        return ration_context_status(merge->context);
    }
    rn_run_begin(&writer, file_of(runs), runs->op->node->number, buffer, RN_RUN_BLOCK_BYTES);
    ration_status status = write_all(runs->op, merge, &writer);
    if (status != RATION_OK) {
        rn_run_abandon(&writer);
        return status;
    }
    return rn_run_end(&writer, out_run);
}

static ration_status merge_choice(rn_runs *runs, const run_choice *choice)
{
    rn_merge merge;
    rn_run run;
    RN_TRY(open_choice(&merge, runs, choice, NULL));
    ration_status status = write_merged(runs, &merge, &run);
    rn_merge_close(&merge);
    RN_TRY(status);
    uint64_t mask = drop(runs, choice);
    keep_run(runs, &run, mask);
    return RATION_OK;
}

/* How many to merge first, so that with `fan_in` at a time `excess` runs fewer are left and all
 * merges that follow are full. */
static uint32_t first_merge(uint32_t excess, uint32_t fan_in)
{
    uint32_t rest = excess % (fan_in - 1);
    return excess < fan_in ? excess + 1 : rest == 0 ? fan_in : rest + 1;
}

/* One merge on the way to `excess` fewer runs of these parts. */
static ration_status narrow_once(rn_runs *runs, uint64_t mask, uint32_t excess)
{
    run_choice choice;
    int64_t granted;
    choose(runs, mask, &choice);
    rn_assert(choice.count >= 2 && excess >= 1);
    uint32_t fan_in = RN_MIN(excess + 1, choice.count);
    RN_TRY(rn_settle_between(runs->op, choice_bound(runs, &choice, 2, 0),
                             choice_bound(runs, &choice, fan_in, 0), &granted));
    while (fan_in > 2 && choice_bound(runs, &choice, fan_in, 0) > granted) {
        fan_in--;
    }
    choice.count = first_merge(RN_MIN(excess, choice.count - 1), fan_in);
    return merge_choice(runs, &choice);
}

static uint32_t count_runs(const rn_runs *runs, uint64_t mask)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < runs->count; i++) {
        count += (runs->runs[i].mask & mask) != 0;
    }
    return count;
}

/* The part of which most runs have rows. */
static uint64_t busiest_part(const rn_runs *runs, uint32_t *out_count)
{
    uint64_t busiest = 1;
    *out_count = 0;
    for (uint32_t bit = 0; bit < 64; bit++) {
        uint32_t count = count_runs(runs, UINT64_C(1) << bit);
        if (count > *out_count) {
            busiest = UINT64_C(1) << bit;
            *out_count = count;
        }
    }
    return busiest;
}

ration_status rn_runs_narrow(rn_runs *runs, uint32_t keep)
{
    rn_assert(keep >= 1);
    for (;;) {
        uint32_t count;
        uint64_t part = busiest_part(runs, &count);
        if (count > keep) {
            RN_TRY(narrow_once(runs, part, count - keep));
        } else if (rn_runs_full(runs)) {
            RN_TRY(narrow_once(runs, count >= 2 ? part : UINT64_MAX, RN_MAX(count / 2, 1)));
        } else {
            return RATION_OK;
        }
    }
}

/* How many of the runs chosen there are buffers for: all, or the smallest ones. */
static uint32_t count_fitting(const rn_runs *runs, const run_choice *choice, int64_t widest_bytes,
                              int64_t granted)
{
    uint32_t count = choice->count;
    while (count > 1 && choice_bound(runs, choice, count, widest_bytes) > granted) {
        count--;
    }
    return count;
}

ration_status rn_merge_start(rn_merge *merge, rn_runs *runs, uint64_t mask,
                             const rn_merge_memory *memory)
{
    int64_t widest_bytes = widest_of(memory);
    for (;;) {
        run_choice choice;
        int64_t granted;
        choose(runs, mask, &choice);
        RN_TRY(rn_settle_between(
            runs->op, choice_bound(runs, &choice, RN_MIN(choice.count, 2), widest_bytes),
            choice_bound(runs, &choice, choice.count, widest_bytes), &granted));
        choose(runs, mask, &choice); /* a spill may have added some */
        if (choice_bound(runs, &choice, choice.count, widest_bytes) <= granted) {
            return open_choice(merge, runs, &choice, memory);
        }
        if (choice.count >= 2) {
            uint32_t fitting = count_fitting(runs, &choice, widest_bytes, granted);
            RN_TRY(narrow_once(runs, mask, choice.count - fitting));
        }
    }
}
