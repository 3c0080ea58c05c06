/* SPDX-License-Identifier: Apache-2.0
 *
 * The least bytes join works with. It repeats what join_open and what comes later allocate, in the
 * same order.
 *
 * Filling: the build side open, and one part of a batch or one row to take in, or runs to narrow.
 * Emitting: the same for the probe side, once a shard was written out, with the build side still
 * open; then merging, with both sides empty. */
#include "iterators/join.h"

/* What join_open allocates of the operator's context. */
static void draft_open(const rn_plan_node *node, const rn_layout *build, const rn_sizes *sizes,
                       rn_draft *draft)
{
    const rn_join_args *args = node->args;
    uint32_t input = node->inputs[0]->output.count, rows = sizes->batch_rows;
    rn_minimum_open(node, draft);
    for (int i = 0; i < 4; i++) {
        rn_minimum_array(draft, rows, sizeof(uint16_t));
    }
    rn_minimum_array(draft, rows, sizeof(rn_row *));
    rn_minimum_array(draft, args->key_count, sizeof(rn_evaluator *));
    for (uint32_t i = 0; i < args->key_count; i++) {
        if (args->expressions[i] != NULL) {
            rn_minimum_evaluator(draft, args->expressions[i], rows);
        }
    }
    rn_minimum_picker(draft, input, rows);
    rn_join_side_draft(draft, input + args->expression_count, args->probe_held_count, true, sizes);
    rn_join_side_draft(draft, node->inputs[1]->output.count, args->build_held_count,
                       rn_join_gives_columns(args), sizes);
    rn_join_side_open_draft(draft, sizes);
    rn_minimum_reader(draft, build, args->key_count, args->build_held_count - args->key_count,
                      sizes);
}

static void set_build_layout(const rn_plan_node *node, rn_layout *layout)
{
    const rn_join_args *args = node->args;
    const rn_schema *other = &node->inputs[1]->output;
    rn_type types[RN_COLUMNS_MAX];
    for (uint32_t i = 0; i < args->build_held_count; i++) {
        types[i] = other->fields[args->build_held[i]].type;
    }
    types[args->build_held_count] = rn_type_of(RN_EDGE);
    rn_layout_set(layout, types, args->build_held_count + rn_join_gives_columns(args));
}

static void set_probe_layout(const rn_plan_node *node, rn_layout *layout)
{
    const rn_join_args *args = node->args;
    const rn_schema *input = &node->inputs[0]->output, *other = &node->inputs[1]->output;
    rn_type types[RN_COLUMNS_MAX];
    for (uint32_t i = 0; i < args->probe_held_count; i++) {
        types[i] = i < args->key_count ? other->fields[args->build_keys[i]].type
                                       : input->fields[args->probe_held[i]].type;
    }
    types[args->probe_held_count] = rn_type_of(RN_EDGE);
    rn_layout_set(layout, types, args->probe_held_count + 1);
}

int64_t rn_join_probe_bound(const rn_plan_node *node, const rn_sizes *sizes)
{
    rn_layout layout;
    rn_draft draft;
    set_build_layout(node, &layout);
    draft_open(node, &layout, sizes, &draft);
    int64_t before = draft.bytes;
    rn_join_side_open_draft(&draft, sizes);
    return draft.bytes - before + rn_groups_shards_bytes();
}

/* Taking in a part of a batch, or a row of up to `row_bytes`, or narrowing runs of such. */
static int64_t taking_bytes(int64_t row_bytes, const rn_sizes *sizes)
{
    rn_sizes widest = {sizes->batch_rows, row_bytes};
    return RN_MAX(RN_MAX(RN_JOIN_PART_BYTES, rn_groups_step_bytes(row_bytes)),
                  rn_runs_minimum(&widest));
}

rn_minimum rn_join_minimum(const rn_plan_node *node, const rn_sizes *sizes)
{
    const rn_join_args *args = node->args;
    uint32_t payload = args->build_held_count - args->key_count;
    rn_layout build, probe;
    rn_draft draft;
    set_build_layout(node, &build);
    set_probe_layout(node, &probe);
    draft_open(node, &build, sizes, &draft);
    int64_t lists = rn_minimum_lists(&build, args->key_count, payload, RN_BATCH_BYTES_MAX);
    int64_t opened = draft.bytes + rn_groups_shards_bytes() +
                     rn_minimum_lists(&build, args->key_count, payload, 0);
    int64_t build_bytes = rn_minimum_row_bytes(&build, sizes);
    int64_t probe_bytes = rn_minimum_row_bytes(&probe, sizes);
    int64_t widest = RN_MAX(build_bytes, probe_bytes);
    int64_t both = opened + rn_join_probe_bound(node, sizes);
    int64_t probe_lists = rn_minimum_lists(&probe, 0, args->probe_held_count, RN_BATCH_BYTES_MAX);
    int64_t probing = RN_MAX(taking_bytes(probe_bytes, sizes), taking_bytes(build_bytes, sizes));
    int64_t merging = rn_join_merge_minimum(&probe, widest, sizes) + probe_lists;
    return (rn_minimum){opened + taking_bytes(build_bytes, sizes),
                        both + lists + RN_MAX(probing, merging)};
}
