/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/iterators/people.h"
#include "tests/world.h"

START_TEST(test_scan__gives_every_node_of_a_label_in_order)
{
    rn_test_world world;
    rn_test_open(&world, NULL, PEOPLE);
    rn_test_rows_ordered(&world, "- scan: { label: Person, as: p }\n",
                         "Person/1\nPerson/2\nPerson/3\nPerson/4\n");
    rn_test_rows_ordered(&world, "- scan: { label: Post, as: p }\n", "Post/x\nPost/y\n");
    rn_test_rows_ordered(&world, "- scan: { label: Empty, as: p }\n", "");
    rn_test_close(&world);
}
END_TEST

START_TEST(test_scan__finds_nodes_by_external_id)
{
    rn_test_world world;
    rn_test_open(&world, NULL, PEOPLE);
    rn_test_rows(&world, "- scan: { label: Person, as: p, id: 3 }\n", "Person/3\n");
    rn_test_rows(&world, "- scan: { label: Person, as: p, id: 99 }\n", "");
    rn_test_rows(&world, "- scan: { label: Person, as: p, id: [4, 99, 1, 4] }\n",
                 "Person/1\nPerson/4\n");
    rn_test_rows(&world, "- scan: { label: Person, as: p, id: [] }\n", "");
    rn_test_rows(&world, "- scan: { label: Post, as: p, id: 'y' }\n", "Post/y\n");
    rn_test_rows(&world, "- scan: { label: Empty, as: p, id: 1 }\n", "");
    rn_test_rows(&world,
                 "parameters: { who: 2 }\npipeline:\n- scan: { label: Person, as: p, id: $who }\n",
                 "Person/2\n");
    rn_test_close(&world);
}
END_TEST

START_TEST(test_scan__fills_batches_of_any_size)
{
    static const int64_t counts[] = {1023, 1024, 1025, 3000};
    for (size_t c = 0; c < RN_COUNT(counts); c++) {
        for (int64_t batch = 1024; batch > 0; batch /= 90) {
            char *graph = malloc(100000), *expected = malloc(100000);
            ck_assert(graph != NULL && expected != NULL);
            rn_text graph_text = rn_text_over(graph, 100000), rows = rn_text_over(expected, 100000);
            rn_text_put(
                &graph_text,
                "--- g.yaml\nnodes: { N: { file: n.csv, columns: { id: int64 } } }\n--- n.csv\n");
            for (int64_t i = 0; i < counts[c]; i++) {
                rn_text_format(&graph_text, "%lld\n", (long long)i);
                rn_text_format(&rows, "N/%lld\n", (long long)i);
            }
            rn_test_world world;
            rn_test_open_rows(&world, batch, graph);
            rn_test_rows_ordered(&world, "- scan: { label: N, as: n }\n", expected);
            rn_test_close(&world);
            free(graph);
            free(expected);
        }
    }
}
END_TEST

START_TEST(test_scan__explains_bad_plans)
{
    rn_test_world world;
    rn_test_open(&world, NULL, PEOPLE);
    rn_test_plan_error(&world, "- scan: { as: p }\n",
                       "plan.yaml:2:9: error: scan: label is missing");
    rn_test_plan_error(&world, "- scan: { label: Person }\n",
                       "plan.yaml:2:9: error: scan: as is missing");
    rn_test_plan_error(&world, "- scan: { label: Persn, as: p }\n",
                       "plan.yaml:2:18: error: scan: no label Persn (did you mean Person?)");
    rn_test_plan_error(&world, "- scan: { label: Person, as: p, ids: 1 }\n",
                       "plan.yaml:2:33: error: scan: unknown key ids (did you mean id?)");
    rn_test_plan_error(&world, "- scan: { label: Person, as: p, id: x }\n",
                       "plan.yaml:2:37: error: scan: id needs a literal or a $parameter, found x "
                       "(text stands in quotes)");
    rn_test_plan_error(&world, "- scan: { label: Person, as: p, id: [1, 'x'] }\n",
                       "plan.yaml:2:41: error: scan: ids of Person are int64, not string");
    rn_test_plan_error(&world, "- scan: { label: Person, as: p, id: $nobody }\n",
                       "plan.yaml:2:37: error: scan: no parameter $nobody");
    rn_test_plan_error(&world, "- scan: Person\n",
                       "plan.yaml:2:9: error: scan: expected arguments as { key: value }");
    rn_test_plan_error(&world,
                       "- scan: { label: Person, as: p }\n- scan: { label: Person, as: q }\n",
                       "plan.yaml:3:3: error: scan: can only be the first step (join or union it "
                       "with the steps before)");
    rn_test_explains(&world, "- scan: { label: Person, as: p }\n", "Person as p");
    rn_test_explains(&world, "- scan: { label: Person, as: p, id: [1, 9] }\n",
                     "Person as p, 1 found by id");
    rn_test_close(&world);
    rn_test_open(&world, NULL, NULL);
    rn_test_plan_error(
        &world, "- scan: { label: Person, as: p }\n",
        "plan.yaml:2:18: error: scan: needs a graph (name one with graph: or --graph)");
    rn_test_close(&world);
}
END_TEST

START_TEST(test_scan__comes_through_every_limit_and_fault)
{
    rn_test_world world;
    rn_test_open(&world, NULL, PEOPLE);
    rn_test_sweep(&world, "- scan: { label: Person, as: p }\n", 512, true);
    rn_test_faults(&world, "- scan: { label: Person, as: p, id: [1, 2] }\n");
    rn_test_close(&world);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_scan__gives_every_node_of_a_label_in_order,
        test_scan__finds_nodes_by_external_id,
        test_scan__fills_batches_of_any_size,
        test_scan__explains_bad_plans,
        test_scan__comes_through_every_limit_and_fault,
    };
    return support_run("scan", tests, RN_COUNT(tests));
}
