/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/iterators/people.h"
#include "tests/world.h"

#define PERSONS "- scan: { label: Person, as: p }\n"
#define BOUND                                                                                      \
    PERSONS "- expand: { from: p, edge: [knows, likes], direction: both, to: q }\n- distinct: "    \
            "[p, q]\n"

START_TEST(test_exists__keeps_rows_with_an_edge)
{
    rn_test_world world;
    rn_test_open(&world, NULL, PEOPLE);
    rn_test_rows_ordered(&world, PERSONS "- exists: { from: p, edge: knows }\n",
                         "Person/1\nPerson/2\nPerson/3\n");
    rn_test_rows_ordered(&world, PERSONS "- exists: { from: p, edge: likes }\n",
                         "Person/1\nPerson/3\n");
    rn_test_rows_ordered(&world, PERSONS "- exists: { from: p, edge: likes, direction: in }\n", "");
    rn_test_rows_ordered(&world,
                         PERSONS "- exists: { from: p, edge: [shuns, likes], direction: both }\n",
                         "Person/1\nPerson/3\n");
    rn_test_rows_ordered(&world, PERSONS "- exists: { from: p, edge: shuns, direction: both }\n",
                         "");
    rn_test_rows_ordered(
        &world,
        "- scan: { label: Post, as: p }\n- exists: { from: p, edge: likes, direction: in }\n",
        "Post/x\nPost/y\n");
    rn_test_rows_ordered(
        &world, "- scan: { label: Empty, as: p }\n- exists: { from: p, edge: knows }\n", "");
    rn_test_close(&world);
}
END_TEST

START_TEST(test_not_exists__keeps_rows_without)
{
    rn_test_world world;
    rn_test_open(&world, NULL, PEOPLE);
    rn_test_rows_ordered(
        &world, PERSONS "- not_exists: { from: p, edge: knows, direction: both }\n", "Person/4\n");
    rn_test_rows_ordered(&world, PERSONS "- not_exists: { from: p, edge: likes }\n",
                         "Person/2\nPerson/4\n");
    rn_test_rows_ordered(&world, PERSONS "- not_exists: { from: p, edge: shuns }\n",
                         "Person/1\nPerson/2\nPerson/3\nPerson/4\n");
    rn_test_close(&world);
}
END_TEST

START_TEST(test_exists__looks_between_two_bound_nodes)
{
    rn_test_world world;
    rn_test_open(&world, NULL, PEOPLE);
    rn_test_rows(&world, BOUND "- exists: { from: p, edge: knows, to: q }\n",
                 "Person/1|Person/2\nPerson/2|Person/3\nPerson/3|Person/3\nPerson/3|Person/1\n");
    rn_test_rows(&world, BOUND "- exists: { from: p, edge: knows, direction: in, to: q }\n",
                 "Person/2|Person/1\nPerson/3|Person/2\nPerson/3|Person/3\nPerson/1|Person/3\n");
    rn_test_rows(&world, BOUND "- exists: { from: p, edge: likes, to: q }\n",
                 "Person/1|Post/x\nPerson/3|Post/x\nPerson/3|Post/y\n");
    rn_test_rows(&world,
                 BOUND "- not_exists: { from: p, edge: [knows, likes], direction: both, to: q }\n",
                 "");
    rn_test_rows(
        &world,
        PERSONS
        "- project: { p: p, q: p }\n- exists: { from: p, edge: knows, direction: both, to: q }\n",
        "Person/3|Person/3\n");
    rn_test_close(&world);
}
END_TEST

/* Person 4 has nobody: q is null there. A null has no edge. */
START_TEST(test_exists__finds_nothing_at_a_null)
{
#define NULLS                                                                                      \
    PERSONS "- expand: { from: p, edge: likes, to: q, optional: true }\n- filter: q is null\n"
    rn_test_world world;
    rn_test_open(&world, NULL, PEOPLE);
    rn_test_rows(&world, NULLS "- exists: { from: q, edge: likes, direction: in }\n", "");
    rn_test_rows(&world, NULLS "- not_exists: { from: q, edge: likes, direction: in }\n",
                 "Person/2|null\nPerson/4|null\n");
    rn_test_rows(&world, NULLS "- exists: { from: p, edge: likes, to: q }\n", "");
    rn_test_rows(&world, NULLS "- not_exists: { from: p, edge: likes, to: q }\n",
                 "Person/2|null\nPerson/4|null\n");
    rn_test_rows(&world,
                 PERSONS "- expand: { from: p, edge: shuns, to: q, optional: true }\n"
                         "- exists: { from: p, edge: knows, direction: both, to: q }\n",
                 "");
    rn_test_close(&world);
}
END_TEST

START_TEST(test_exists__explains_bad_plans)
{
    rn_test_world world;
    rn_test_open(&world, NULL, PEOPLE);
    rn_test_plan_error(&world, PERSONS "- exists: { edge: knows }\n",
                       "plan.yaml:3:11: error: exists: from is missing");
    rn_test_plan_error(&world, PERSONS "- exists: { from: p }\n",
                       "plan.yaml:3:11: error: exists: edge is missing");
    rn_test_plan_error(&world, PERSONS "- exists: { from: q, edge: knows }\n",
                       "plan.yaml:3:19: error: exists: no column q (did you mean p?)");
    rn_test_plan_error(&world, PERSONS "- exists: { from: p, edge: know }\n",
                       "plan.yaml:3:28: error: exists: no edge type know (did you mean knows?)");
    rn_test_plan_error(&world, PERSONS "- exists: { from: p, edge: knows, direction: up }\n",
                       "plan.yaml:3:46: error: exists: direction is out, in or both, found up");
    rn_test_plan_error(&world, PERSONS "- exists: { from: p, edge: knows, to: q }\n",
                       "plan.yaml:3:39: error: exists: no column q (did you mean p?)");
    rn_test_plan_error(&world, PERSONS "- exists: { from: p, edge: knows, as: e }\n",
                       "plan.yaml:3:35: error: exists: unknown key as");
    rn_test_plan_error(
        &world,
        PERSONS "- project: { p: p, a: p.age }\n- not_exists: { from: p, edge: knows, to: a }\n",
        "plan.yaml:4:43: error: not_exists: to needs a column of type node, a is int64");
    rn_test_explains(&world, PERSONS "- exists: { from: p, edge: [knows, likes], direction: in }\n",
                     "p <-[knows|likes]-");
    rn_test_explains(&world,
                     PERSONS
                     "- project: { p: p, q: p }\n- not_exists: { from: p, edge: knows, to: q }\n",
                     "p -[knows]-> q");
    rn_test_close(&world);
}
END_TEST

START_TEST(test_exists__comes_through_every_limit_and_fault)
{
    static const char plan[] =
        PERSONS "- exists: { from: p, edge: likes }\n- not_exists: { from: p, edge: shuns }\n";
    rn_test_world world;
    rn_test_open(&world, NULL, PEOPLE);
    rn_test_sweep(&world, plan, 512, true);
    rn_test_faults(&world, plan);
    rn_test_close(&world);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_exists__keeps_rows_with_an_edge,
        test_not_exists__keeps_rows_without,
        test_exists__looks_between_two_bound_nodes,
        test_exists__finds_nothing_at_a_null,
        test_exists__explains_bad_plans,
        test_exists__comes_through_every_limit_and_fault,
    };
    return support_run("exists", tests, RN_COUNT(tests));
}
