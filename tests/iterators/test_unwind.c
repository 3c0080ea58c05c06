/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/iterators/people.h"
#include "tests/world.h"

/* Per person the ages of the people known; Dot knows nobody, Ben only Cid, whose age is null: both
 * lists are empty. */
#define LISTS                                                                                      \
    "- scan: { label: Person, as: p }\n"                                                           \
    "- expand: { from: p, edge: knows, to: q, optional: true }\n"                                  \
    "- aggregate: { by: [p], compute: { ages: collect(q.age), names: collect(q.name) } }\n"

START_TEST(test_unwind__gives_one_row_per_element)
{
    rn_test_world world;
    rn_test_open(&world, NULL, PEOPLE);
    rn_test_rows(&world, LISTS "- unwind: { list: ages, as: age }\n- project: { p: p, age: age }\n",
                 "Person/1|40\nPerson/1|40\nPerson/3|30\n");
    rn_test_rows(
        &world,
        LISTS
        "- unwind: { list: names, as: name }\n- project: { p: p, name: name, n: length(names) }\n",
        "Person/1|Ben|2\nPerson/1|Ben|2\nPerson/2|Cid|1\nPerson/3|Ann|2\nPerson/3|Cid|2\n");
    rn_test_rows(&world, LISTS "- filter: 'false'\n- unwind: { list: ages, as: age }\n", "");
    rn_test_close(&world);
}
END_TEST

START_TEST(test_unwind__keeps_rows_without_elements_when_optional)
{
    rn_test_world world;
    rn_test_open(&world, NULL, PEOPLE);
    rn_test_rows(
        &world,
        LISTS "- unwind: { list: ages, as: age, optional: true }\n- project: { p: p, age: age }\n",
        "Person/1|40\nPerson/1|40\nPerson/2|null\nPerson/3|30\nPerson/4|null\n");
    rn_test_rows(
        &world,
        "- scan: { label: Person, as: a }\n"
        "- join: { type: left, on: { a: p }, with: [ { scan: { label: Person, as: p, id: 1 } },\n"
        "    { expand: { from: p, edge: knows, to: q } }, { aggregate: { by: [p], compute: { l: "
        "collect(q.age) } } } ] }\n"
        "- unwind: { list: l, as: x, optional: true }\n"
        "- project: { a: a, x: x }\n",
        "Person/1|40\nPerson/1|40\nPerson/2|null\nPerson/3|null\nPerson/4|null\n");
    rn_test_close(&world);
}
END_TEST

/* Lists longer than a batch and longer than a segment come back as the rows they were made of. */
START_TEST(test_unwind__undoes_collect)
{
    static const int rows[] = {1, 1023, 1024, 1025, 30000};
    for (int64_t batch = 1024; batch > 0; batch /= 30) {
        rn_test_world world;
        rn_test_open_rows(&world, batch, NULL);
        for (size_t r = 0; r < RN_COUNT(rows); r++) {
            char plan[300], other[300];
            snprintf(plan, sizeof plan,
                     "- range: { rows: %d, columns: { i: sequence } }\n"
                     "- project: { i: i, odd: i %% 2 }\n"
                     "- aggregate: { by: [odd], compute: { l: collect(i) } }\n"
                     "- unwind: { list: l, as: x }\n"
                     "- project: { x: x, odd: odd }\n",
                     rows[r]);
            snprintf(other, sizeof other,
                     "- range: { rows: %d, columns: { i: sequence } }\n- project: { x: i, odd: i "
                     "%% 2 }\n",
                     rows[r]);
            rn_test_same_rows(&world, plan, other);
        }
        rn_test_close(&world);
    }
}
END_TEST

START_TEST(test_unwind__explains_bad_plans)
{
    rn_test_world world;
    rn_test_open(&world, NULL, PEOPLE);
    rn_test_plan_error(&world, LISTS "- unwind: { as: x }\n",
                       "plan.yaml:5:11: error: unwind: list is missing");
    rn_test_plan_error(&world, LISTS "- unwind: { list: ages }\n",
                       "plan.yaml:5:11: error: unwind: as is missing");
    rn_test_plan_error(&world, LISTS "- unwind: { list: age, as: x }\n",
                       "plan.yaml:5:19: error: unwind: no column age (did you mean ages?)");
    rn_test_plan_error(
        &world, LISTS "- unwind: { list: p, as: x }\n",
        "plan.yaml:5:19: error: unwind: list needs a column of type list, p is node");
    rn_test_plan_error(&world, LISTS "- unwind: { list: ages, as: p }\n",
                       "plan.yaml:5:29: error: unwind: column p is there already (give it another "
                       "name with project)");
    rn_test_plan_error(&world, LISTS "- unwind: { list: ages, as: x, optional: perhaps }\n",
                       "plan.yaml:5:42: error: unwind: optional needs a literal or a $parameter, "
                       "found perhaps (text stands in quotes)");
    rn_test_plan_error(&world, LISTS "- unwind: ages\n",
                       "plan.yaml:5:11: error: unwind: expected arguments as { key: value }");
    rn_test_explains(&world, LISTS "- unwind: { list: ages, as: x, optional: true }\n",
                     "ages as x, optional");
    rn_test_close(&world);
}
END_TEST

START_TEST(test_unwind__comes_through_every_limit_and_fault)
{
    static const char plan[] = LISTS "- unwind: { list: names, as: x, optional: true }\n";
    rn_test_world world;
    rn_test_open(&world, NULL, PEOPLE);
    rn_test_sweep(&world, plan, 4096, false);
    rn_test_faults(&world, plan);
    rn_test_close(&world);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_unwind__gives_one_row_per_element,
        test_unwind__keeps_rows_without_elements_when_optional,
        test_unwind__undoes_collect,
        test_unwind__explains_bad_plans,
        test_unwind__comes_through_every_limit_and_fault,
    };
    return support_run("unwind", tests, RN_COUNT(tests));
}
