/* SPDX-License-Identifier: Apache-2.0
 *
 * Runs of one operator, and narrowing: merging some of them into one; see merge.h.
 *
 * Narrowing merges the smallest runs first, as Huffman's code is built: no order of merges of the
 * same fan-in rewrites less. The first merge is cut so that all that follow it are full.
 *
 * Invariants
 *   1. Between two settles a merge of runs copies at most SETTLE_BYTES, or one row.
 *   2. The runs that are being merged stay in `runs` until the merged run is complete, and runs are
 *      only ever added behind them, by a spill while narrowing settles: so positions stay, and a
 *      failure leaves every run where rn_runs_close finds it. */
#include "iterators/merge_inside.h"

#define SETTLE_BYTES (256 * 1024)

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

void rn_runs_close(rn_runs *runs)
{
    for (uint32_t i = 0; i < runs->count; i++) {
        rn_run_release(rn_runs_file(runs), &runs->runs[i].run);
    }
    memset(runs, 0, sizeof *runs);
}

void rn_runs_begin(rn_runs *runs, void *buffer)
{
    rn_assert(rn_runs_room(runs));
    rn_run_begin(&runs->writer, rn_runs_file(runs), runs->op->node->number, buffer,
                 RN_RUN_BLOCK_BYTES);
}

void rn_runs_keep(rn_runs *runs, rn_run *run, uint64_t mask)
{
    rn_assert(rn_runs_room(runs));
    if (run->bytes == 0) {
        rn_run_release(rn_runs_file(runs), run);
        return;
    }
    runs->runs[runs->count++] = (rn_kept_run){.run = *run, .mask = mask};
}

ration_status rn_runs_end(rn_runs *runs, uint64_t mask)
{
    rn_run run;
    RN_TRY(rn_run_end(&runs->writer, &run));
    runs->spilled_bytes += run.bytes;
    rn_runs_keep(runs, &run, mask);
    return RATION_OK;
}

void rn_runs_abandon(rn_runs *runs)
{
    rn_run_abandon(&runs->writer);
}

uint64_t rn_runs_drop(rn_runs *runs, const rn_run_choice *choice)
{
    uint64_t mask = 0;
    for (uint32_t i = 0; i < choice->count; i++) {
        rn_kept_run *kept = &runs->runs[choice->at[i]];
        mask |= kept->mask;
        kept->mask = 0;
        rn_run_release(rn_runs_file(runs), &kept->run);
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

void rn_runs_choose(const rn_runs *runs, uint64_t mask, rn_run_choice *choice)
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
    rn_run_begin(&writer, rn_runs_file(runs), runs->op->node->number, buffer, RN_RUN_BLOCK_BYTES);
    ration_status status = write_all(runs->op, merge, &writer);
    if (status != RATION_OK) {
        rn_run_abandon(&writer);
        return status;
    }
    return rn_run_end(&writer, out_run);
}

static ration_status merge_choice(rn_runs *runs, const rn_run_choice *choice)
{
    rn_merge merge;
    rn_run run;
    RN_TRY(rn_merge_open_choice(&merge, runs, choice, NULL));
    ration_status status = write_merged(runs, &merge, &run);
    rn_merge_close(&merge);
    RN_TRY(status);
    uint64_t mask = rn_runs_drop(runs, choice);
    rn_runs_keep(runs, &run, mask);
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
    rn_run_choice choice;
    int64_t granted;
    rn_runs_choose(runs, mask, &choice);
    rn_assert(choice.count >= 2 && excess >= 1);
    uint32_t fan_in = RN_MIN(excess + 1, choice.count);
    RN_TRY(rn_settle_between(runs->op, rn_choice_bound(runs, &choice, 2, 0),
                             rn_choice_bound(runs, &choice, fan_in, 0), &granted));
    while (fan_in > 2 && rn_choice_bound(runs, &choice, fan_in, 0) > granted) {
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
static uint32_t count_fitting(const rn_runs *runs, const rn_run_choice *choice,
                              int64_t widest_bytes, int64_t granted)
{
    uint32_t count = choice->count;
    while (count > 1 && rn_choice_bound(runs, choice, count, widest_bytes) > granted) {
        count--;
    }
    return count;
}

ration_status rn_merge_start(rn_merge *merge, rn_runs *runs, uint64_t mask,
                             const rn_merge_memory *memory)
{
    int64_t widest_bytes = rn_memory_widest(memory);
    for (;;) {
        rn_run_choice choice;
        int64_t granted;
        rn_runs_choose(runs, mask, &choice);
        RN_TRY(rn_settle_between(
            runs->op, rn_choice_bound(runs, &choice, RN_MIN(choice.count, 2), widest_bytes),
            rn_choice_bound(runs, &choice, choice.count, widest_bytes), &granted));
        rn_runs_choose(runs, mask, &choice); /* a spill may have added some */
        if (rn_choice_bound(runs, &choice, choice.count, widest_bytes) <= granted) {
            return rn_merge_open_choice(merge, runs, &choice, memory);
        }
        if (choice.count >= 2) {
            uint32_t fitting = count_fitting(runs, &choice, widest_bytes, granted);
            RN_TRY(narrow_once(runs, mask, choice.count - fitting));
        }
    }
}
