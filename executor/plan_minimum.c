/* SPDX-License-Identifier: Apache-2.0
 *
 * The least a plan works with: the most that its operators need together at any one time.
 *
 * Every operator is open from the start until it has given its last row, then it holds nothing. One
 * that needs rows before it can give any (filling_bytes) pulls its inputs to their end first, the
 * last input before the one in front of it; so what its inputs hold and what it holds while it
 * emits are not needed together. One that needs none (union) pulls its inputs in their order. An
 * operator that waits for its turn is counted with what it needs while it fills, or emits,
 * whichever is less: that is as little as it may have drawn by opening.
 *
 *     peak(op)  = the larger of filling + peak(inputs)       while it fills
 *                            and emitting + peak(inputs not read yet)
 *     the plan  = peak(root) + what the worker holds itself */
#include "executor/plan.h"

static rn_minimum minimum_of(const rn_plan_node *node, const rn_sizes *sizes)
{
    static const rn_minimum nothing = {0, 0};
    return node->class_->minimum == NULL ? nothing : node->class_->minimum(node, sizes);
}

static int64_t waiting_bytes(const rn_minimum *minimum)
{
    return minimum->filling_bytes == 0 ? minimum->emitting_bytes
                                       : RN_MIN(minimum->filling_bytes, minimum->emitting_bytes);
}

/* Of a node and its inputs: together at any one time, and before anybody pulls. */
typedef struct needs {
    int64_t peak, waiting;
} needs;

static needs count_needs(const rn_plan_node *node, const rn_sizes *sizes, const needs *all)
{
    rn_minimum own = minimum_of(node, sizes);
    needs found = {own.emitting_bytes, 0};
    bool fills = own.filling_bytes > 0;
    for (uint32_t before = 0; before < node->input_count; before++) { /* what is read last first */
        uint32_t i = fills ? before : node->input_count - 1 - before;
        const needs *input = &all[node->inputs[i]->number];
        bool while_filling = fills && (i > 0 || node->input_count == 1);
        int64_t held = while_filling ? own.filling_bytes : own.emitting_bytes;
        int64_t together = rn_add(rn_add(held, found.waiting), input->peak);
        found.peak = RN_MAX(found.peak, together);
        found.waiting = rn_add(found.waiting, input->waiting);
    }
    found.waiting = rn_add(found.waiting, waiting_bytes(&own));
    return found;
}

int64_t rn_plan_minimum(const rn_plan *plan, const rn_sizes *sizes)
{
    needs all[RN_PLAN_NODES_MAX];
    for (uint32_t i = 0; i < plan->node_count; i++) { /* inputs before the node */
        all[i] = count_needs(plan->nodes[i], sizes, all);
    }
    return rn_add(rn_plan_worker_bytes(plan), all[plan->root->number].peak);
}

bool rn_plan_can_spill(const rn_plan *plan)
{
    for (uint32_t i = 0; i < plan->node_count; i++) {
        if (plan->nodes[i]->class_->spill != NULL) {
            return true;
        }
    }
    return false;
}

int64_t rn_plan_worker_bytes(const rn_plan *plan)
{
    rn_context_draft draft;
    rn_context_draft_open(&draft);
    if (rn_plan_can_spill(plan)) {
        rn_context_draft_add(&draft, RN_RUN_BLOCK_BYTES);
    }
    return draft.bytes;
}

static void put_size(rn_text *text, int64_t bytes)
{
    char size[32] = "-";
    rn_text cell = rn_text_over(size, sizeof size);
    if (bytes > 0) {
        rn_text_format(&cell, "%.0f KiB", (double)bytes / 1024);
    }
    rn_text_format(text, "%12s", size);
}

void rn_plan_put_minimum(const rn_plan *plan, const rn_sizes *sizes, rn_text *text)
{
    rn_text_format(text, "%-24s%12s%12s\n", "minimum", "filling", "emitting");
    for (uint32_t i = plan->node_count; i-- > 0;) {
        rn_minimum own = minimum_of(plan->nodes[i], sizes);
        rn_text_format(text, "  %-22s", plan->nodes[i]->site);
        put_size(text, own.filling_bytes);
        put_size(text, own.emitting_bytes);
        rn_text_put(text, "\n");
    }
    rn_text_format(text, "  %-22s%12s", "worker", "");
    put_size(text, rn_plan_worker_bytes(plan));
    rn_text_put(text, "\n  plan, together        ");
    put_size(text, rn_plan_minimum(plan, sizes));
    rn_text_format(text, " for rows up to %lld bytes, %u at a time\n",
                   (long long)sizes->max_row_bytes, sizes->batch_rows);
}
