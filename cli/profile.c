/* SPDX-License-Identifier: Apache-2.0
 *
 * An operator's own time is its time minus that of its inputs, which it called from inside its own.
 */
#include "cli/profile.h"

#include "cli/table.h"

typedef struct profile_table {
    const rn_execution *execution;
    rn_table table;
} profile_table;

static int64_t find_own_time(const rn_execution *execution, const rn_plan_node *node)
{
    int64_t own_ns = rn_execution_figures(execution, node->number).time_ns;
    for (uint32_t i = 0; i < node->input_count; i++) {
        own_ns -= rn_execution_figures(execution, node->inputs[i]->number).time_ns;
    }
    return RN_MAX(own_ns, (int64_t)0);
}

static ration_status put_node(profile_table *walk, const rn_plan_node *node, int depth)
{
    rn_operator_figures figures = rn_execution_figures(walk->execution, node->number);
    char site[RN_NAME_BYTES + 2 * RN_PLAN_NODES_MAX], rows[32], batches[32], settles[32];
    char own[32], all[32], peak[32];
    (void)snprintf(site, sizeof site, "%*s%s", 2 * depth, "", node->site);
    (void)snprintf(rows, sizeof rows, "%lld", (long long)figures.rows);
    (void)snprintf(batches, sizeof batches, "%lld", (long long)figures.batches);
    (void)snprintf(settles, sizeof settles, "%lld", (long long)figures.settles);
    const char *const cells[] = {site,
                                 rows,
                                 batches,
                                 settles,
                                 rn_cli_duration(find_own_time(walk->execution, node), own),
                                 rn_cli_duration(figures.time_ns, all),
                                 rn_cli_size(figures.peak_bytes, peak)};
    RN_TRY(rn_table_row(&walk->table, cells));
    for (uint32_t i = 0; i < node->input_count; i++) {
        RN_TRY(put_node(walk, node->inputs[i], depth + 1));
    }
    return RATION_OK;
}

ration_status rn_profile_print(const rn_execution *execution, FILE *stream)
{
    static const char *const headings[] = {"operator", "rows",        "batches", "settles",
                                           "own time", "with inputs", "peak"};
    static const bool right[] = {false, true, true, true, true, true, true};
    profile_table walk = {.execution = execution};
    rn_table_open(&walk.table, stream, RN_COUNT(right), right);
    ration_status status = rn_table_row(&walk.table, headings);
    if (status == RATION_OK) {
        status = put_node(&walk, execution->plan->root, 0);
    }
    rn_table_end(&walk.table);
    return status;
}

void rn_profile_put_json(const rn_execution *execution, FILE *stream)
{
    fputc('[', stream);
    for (uint32_t i = 0; i < execution->plan->node_count; i++) {
        const rn_plan_node *node = execution->plan->nodes[i];
        rn_operator_figures figures = rn_execution_figures(execution, i);
        fprintf(stream,
                "%s{\"operator\":\"%s\",\"rows\":%lld,\"batches\":%lld,\"settles\":%lld,\"own_ns\":"
                "%lld,"
                "\"time_ns\":%lld,\"peak_bytes\":%lld}",
                i > 0 ? "," : "", node->site, (long long)figures.rows, (long long)figures.batches,
                (long long)figures.settles, (long long)find_own_time(execution, node),
                (long long)figures.time_ns, (long long)figures.peak_bytes);
    }
    fputc(']', stream);
}
