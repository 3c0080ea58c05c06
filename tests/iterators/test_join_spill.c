/* SPDX-License-Identifier: Apache-2.0
 *
 * join under pressure: each type gives the rows of the unlimited run at any limit; one key with
 * everything, words that collide, null keys, wide strings, sides that are empty; written out while
 * probing, because somebody else wants memory; every write, read and open failing. */
#include "tests/iterators/spill_faults.h"

static const char *const types[] = {"inner", "left", "semi", "anti"};

/* Under the limit the rows of the unlimited run; were any written out? */
static void expect_same(rn_test_world *world, const char *plan, int64_t limit_kib, bool spills)
{
    if (spills) {
        SPILLING_SAME(world, plan, false, limit_kib);
        return;
    }
    rn_test_result whole = rn_test_run(world, plan, 0);
    rn_test_result part = rn_test_run(world, plan, limit_kib * SPILLING_KIB);
    ck_assert_msg(part.status == RATION_OK, "%s", part.message);
    rn_test_sort_lines(whole.text, whole.length);
    rn_test_sort_lines(part.text, part.length);
    ck_assert_int_eq(part.rows, whole.rows);
    ck_assert_int_eq(strcmp(part.text, whole.text), 0);
    rn_test_result_free(&whole);
    rn_test_result_free(&part);
}

/* Duplicates on both sides, null keys, payload, a computed key, batches of several sizes. */
START_TEST(test_join_spill__every_type_at_many_limits)
{
    static const int64_t batches[] = {1024, 100};
    for (size_t b = 0; b < RN_COUNT(batches); b++) {
        rn_test_world world;
        rn_test_open_rows(&world, batches[b], NULL);
        for (size_t i = 0; i < RN_COUNT(types); i++) {
            char plan[900];
            snprintf(
                plan, sizeof plan,
                "- range: { rows: 20000, columns: { i: sequence, k: { random: int64, min: 0, "
                "max: 20000, nulls: 0.05, seed: 3 }, t: { random: string, width: 20, seed: 4 "
                "} } }\n"
                "- join: { type: %s, on: { 'k + 1': j }, with: [ { range: { rows: %d, columns: "
                "{\n"
                "    j: { random: int64, min: 0, max: %d, nulls: 0.05, seed: 1 }, s: { "
                "random: string, width: 30, seed: 2 }, n: sequence } } } ] }\n",
                types[i], i < 2 ? 16000 : 60000, i < 2 ? 16000 : 60000);
            SPILLING_SAME(&world, plan, false, 5120, 3072, 2048, 1600);
        }
        rn_test_close(&world);
    }
}
END_TEST

/* As int64 and as double, zeros of both signs among them. */
START_TEST(test_join_spill__all_keys_different)
{
    static const char *const sides[][2] = {{"(i * 7919) % 50021", "j"},
                                           {"double((i * 7919) % 50021)", "0.0 - double(0 - j)"}};
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
    for (size_t i = 0; i < 2 * RN_COUNT(types); i++) {
        char plan[600];
        snprintf(plan, sizeof plan,
                 "- range: { rows: 50000, columns: { i: sequence } }\n"
                 "- project: { k: '%s' }\n"
                 "- join: { type: %s, on: { k: j }, with: [ { range: { rows: 45000, columns: { j: "
                 "sequence, n: { random: int64, min: 0, max: 9 } } } }, { project: { j: '%s', n: n "
                 "} } ] }\n",
                 sides[i / RN_COUNT(types)][0], types[i % RN_COUNT(types)],
                 sides[i / RN_COUNT(types)][1]);
        SPILLING_SAME(&world, plan, false, 2048, 1600);
    }
    rn_test_close(&world);
}
END_TEST

/* One key: the build rows are more than are kept in memory of one word, so they are read again for
 * every so many probe rows; sums tell whether each pair came once. */
START_TEST(test_join_spill__one_key_has_everything)
{
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
    for (size_t i = 0; i < RN_COUNT(types); i++) {
        bool pairs = i < 2;
        char plan[900];
        snprintf(plan, sizeof plan,
                 "- range: { rows: %d, columns: { i: sequence, t: { random: string, width: 90, "
                 "seed: 1 } } }\n"
                 "- project: { i: i, t: t, k: 'i / 100000000' }\n"
                 "- join: { type: %s, on: { k: l }, with: [ { range: { rows: 6000, columns: { j: "
                 "sequence, s: { random: string, width: 400, seed: 2 } } } },\n"
                 "    { project: { j: j, s: s, l: 'j / 100000000' } } ] }\n"
                 "- aggregate: { compute: { n: count(), i: sum(i)%s } }\n",
                 pairs ? 1500 : 15000, types[i],
                 pairs ? ", j: sum(j), both: sum(i * j), t: max(t), s: min(s)" : "");
        expect_same(&world, plan, 2560, pairs);
    }
    rn_test_close(&world);
}
END_TEST

/* Two keys with one hash, one beside many others: rows of one word that do not all match. In every
 * second case the word's rows do not fit in memory. */
START_TEST(test_join_spill__keys_with_one_hash)
{
    static const int64_t a = INT64_C(5819557871974658854), b = INT64_C(5173694063571428092);
    static const int repeats[] = {3, 6000};
    uint64_t hash_a = rn_value_hash_word(RN_HASH_SEED, (uint64_t)a);
    ck_assert_uint_eq(hash_a, rn_value_hash_word(RN_HASH_SEED, (uint64_t)b));
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
    for (size_t i = 0; i < 2 * RN_COUNT(types); i++) {
        int repeat = repeats[i / RN_COUNT(types)];
        char plan[1200];
        /* Probe: now and then one of the two keys; build: both among the first rows. */
        snprintf(plan, sizeof plan,
                 "- range: { rows: 20000, columns: { i: sequence, t: { random: string, width: 40, "
                 "seed: 1 } } }\n"
                 "- project: { i: i, t: t, m: 'i %% 5000', few: '1 - (i %% 5000 + 4998) / 5000' }\n"
                 "- project: { i: i, t: t, k: 'few * (%lld - m %% 2 * %lld) + (1 - few) * (m + "
                 "5000)' }\n"
                 "- join: { type: %s, on: { k: l }, with: [ { range: { rows: 20000, columns: { j: "
                 "sequence, s: { random: string, width: 40, seed: 2 } } } },\n"
                 "    { project: { j: j, s: s, few: '1 - (j + 20000 - %d) / 20000' } },\n"
                 "    { project: { j: j, s: s, l: 'few * (%lld - j %% 3 %% 2 * %lld) + (1 - few) * "
                 "j' } } ] }\n",
                 (long long)a, (long long)(a - b), types[i % RN_COUNT(types)], repeat, (long long)a,
                 (long long)(a - b));
        SPILLING_SAME(&world, plan, false, 1600);
    }
    rn_test_close(&world);
}
END_TEST

/* Rows of up to 60 KB; then strings as keys, inline and longer. */
START_TEST(test_join_spill__wide_rows)
{
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
    for (size_t i = 0; i < RN_COUNT(types); i++) {
        char plan[1200];
        snprintf(plan, sizeof plan,
                 "- range: { rows: 400, columns: { i: sequence, k: { random: string, width: 2, "
                 "seed: 3 }, t: { random: string, width: 30000, seed: 1 } } }\n"
                 "- join: { type: %s, on: { k: l }, with: [ { range: { rows: 300, columns: { l: { "
                 "random: string, width: 2, seed: 4 }, s: { random: string, width: 60000, seed: 2 "
                 "} } } } ] }\n",
                 types[i]);
        expect_same(&world, plan, 7168, i < 2);
        expect_same(&world, plan, 5120, i < 2);
        snprintf(plan, sizeof plan,
                 "- range: { rows: 20000, columns: { i: sequence, k: { random: string, width: 25, "
                 "seed: 3 } } }\n"
                 "- join: { type: %s, on: { k: l }, with: [ { range: { rows: 16000, columns: { l: "
                 "{ random: string, width: 25, seed: 3 }, j: sequence } } } ] }\n",
                 types[i]);
        SPILLING_SAME(&world, plan, false, 1600);
    }
    rn_test_close(&world);
}
END_TEST

START_TEST(test_join_spill__lists)
{
    support_skip_hard("lists are compared as text, and spilling decides their order");
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
    for (size_t i = 0; i < RN_COUNT(types); i++) {
        char plan[1200];
        snprintf(plan, sizeof plan,
                 "- range: { rows: 10000, columns: { i: sequence, w: { random: string, width: 20, "
                 "seed: 1 } } }\n"
                 "- project: { k: 'i / 3', w: w }\n"
                 "- aggregate: { by: [k], compute: { ws: collect(w) } }\n"
                 "- join: { type: %s, on: { k: l }, with: [ { range: { rows: 40000, columns: { j: "
                 "sequence, s: { random: string, width: 20, seed: 2 } } } },\n"
                 "    { project: { l: 'j / 4', s: s, j: j } }, { aggregate: { by: [l], compute: { "
                 "all: collect(s), js: collect(j) } } } ] }\n",
                 types[i]);
        SPILLING_SAME(&world, plan, false, 4096);
    }
    rn_test_close(&world);
}
END_TEST

START_TEST(test_join_spill__empty_sides)
{
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
    for (size_t i = 0; i < RN_COUNT(types); i++) {
        char plan[600];
        snprintf(plan, sizeof plan,
                 "- range: { rows: 10, columns: { i: sequence } }\n- filter: 'i > 10'\n"
                 "- join: { type: %s, on: { i: j }, with: [ { range: { rows: 40000, columns: { j: "
                 "sequence, s: { random: string, width: 30 } } } } ] }\n",
                 types[i]);
        expect_same(&world, plan, 1600, true);
        snprintf(plan, sizeof plan,
                 "- range: { rows: 20000, columns: { i: sequence, s: { random: string, width: 30 } "
                 "} }\n"
                 "- join: { type: %s, on: { i: j }, with: [ { range: { rows: 9, columns: { j: "
                 "sequence } } }, { filter: 'j > 9' } ] }\n",
                 types[i]);
        expect_same(&world, plan, 1600, false);
    }
    rn_test_close(&world);
}
END_TEST

/* The build side fits; then a sort above wants memory, in the middle of pairs. Chains of many rows,
 * so that rows are in hand when it asks; strings, so that batches refer to them. */
START_TEST(test_join_spill__written_out_while_probing)
{
    static const char *const payloads[] = {"s: { random: string, width: 60, seed: 2 }",
                                           "s: { random: int64, min: 0, max: 9, seed: 2 }"};
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
    for (size_t i = 0; i < 2 * RN_COUNT(types); i++) {
        char plan[900];
        snprintf(plan, sizeof plan,
                 "- range: { rows: 20000, columns: { i: sequence, t: { random: string, width: %d, "
                 "seed: 1 } } }\n"
                 "- project: { i: i, t: t, k: 'i / 3' }\n"
                 "- join: { type: %s, on: { k: l }, with: [ { range: { rows: 20000, columns: { j: "
                 "sequence, %s } } },\n"
                 "    { project: { j: j, s: s, l: 'j / 4' } } ] }\n"
                 "- sort: [i]\n",
                 i % RN_COUNT(types) < 2 ? 60 : 300, types[i % RN_COUNT(types)],
                 payloads[i / RN_COUNT(types)]);
        SPILLING_SAME(&world, plan, false, 4096, 2560);
    }
    rn_test_close(&world);
}
END_TEST

/* 500 matches to a row, so that nearly every batch ends in the middle of one: they stay. */
START_TEST(test_join_spill__matches_in_hand_stay)
{
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
    for (size_t i = 0; i < 2; i++) {
        char plan[900];
        snprintf(plan, sizeof plan,
                 "- range: { rows: 120, columns: { i: sequence } }\n- project: { i: i, k: 'i %% "
                 "50' }\n"
                 "- join: { type: %s, on: { k: l }, with: [ { range: { rows: 20000, columns: { j: "
                 "sequence } } }, { project: { j: j, l: 'j %% 40' } } ] }\n"
                 "- sort: [i, j]\n",
                 types[i]);
        SPILLING_SAME(&world, plan, true, 4096, 3072, 2560, 2304, 2048);
    }
    rn_test_close(&world);
}
END_TEST

START_TEST(test_join_spill__comes_through_every_limit_and_fault)
{
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
    for (size_t i = 0; i < RN_COUNT(types); i++) {
        char plan[600];
        snprintf(plan, sizeof plan,
                 "- range: { rows: 10000, columns: { i: sequence } }\n"
                 "- join: { type: %s, on: { i: k }, with: [ { range: { rows: 15000, columns: {\n"
                 "    k: { random: int64, min: 0, max: 12000, nulls: 0.1 }, s: { random: string, "
                 "width: 30 } } } } ] }\n",
                 types[i]);
        rn_test_sweep(&world, plan, 128 * SPILLING_KIB, false);
    }
    rn_test_close(&world);
}
END_TEST

/* One word is joined by nested loops, so that its run is written and read as well. */
START_TEST(test_join_spill__says_what_the_disk_refused)
{
    spill_faults("- range: { rows: 6000, columns: { i: sequence, t: { random: string, width: 90, "
                 "seed: 1 } } }\n"
                 "- project: { t: t, k: 'i * (1 - (i + 10) / 6000)' }\n"
                 "- join: { type: left, on: { k: l }, with: [ { range: { rows: 9000, columns: { j: "
                 "sequence, s: { random: string, width: 90, seed: 2 } } } },\n"
                 "    { project: { j: j, s: s, l: 'j * (1 - (j + 2000) / 9000)' } } ] }\n"
                 "- aggregate: { compute: { n: count(), j: sum(j), t: max(t), s: min(s) } }\n",
                 2560 * SPILLING_KIB, 7);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_join_spill__every_type_at_many_limits,
        test_join_spill__all_keys_different,
        test_join_spill__one_key_has_everything,
        test_join_spill__keys_with_one_hash,
        test_join_spill__wide_rows,
        test_join_spill__lists,
        test_join_spill__empty_sides,
        test_join_spill__written_out_while_probing,
        test_join_spill__matches_in_hand_stay,
        test_join_spill__comes_through_every_limit_and_fault,
        test_join_spill__says_what_the_disk_refused,
    };
    return support_run("join_spill", tests, RN_COUNT(tests));
}
