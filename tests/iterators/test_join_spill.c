/* SPDX-License-Identifier: Apache-2.0
 *
 * join under pressure: each type gives the rows of the unlimited run at any limit; one key with
 * everything, words that collide, null keys, wide strings, sides that are empty; written out while
 * probing, because somebody else wants memory; every write, read and open failing. */
#include <errno.h>

#include "storage/disk.h"
#include "tests/world.h"

#define KIB INT64_C(1024)
#define MIB (KIB * KIB)

static const char *const types[] = {"inner", "left", "semi", "anti"};

static int64_t written_bytes(rn_test_world *world)
{
    return rn_load(&rn_spill_volume_quota(world->governor->volume)->total_bytes);
}

/* The rows of the plan without a limit, sorted. */
static rn_test_result run_free(rn_test_world *world, const char *plan)
{
    rn_test_result result = rn_test_run(world, plan, 0);
    ck_assert_msg(result.status == RATION_OK, "%s", result.message);
    rn_test_sort_lines(result.text, result.length);
    return result;
}

/* Runs under the limit: the same rows. Returns the bytes written out. */
static int64_t expect_rows(rn_test_world *world, const char *plan, int64_t limit_bytes,
                           const rn_test_result *wanted)
{
    int64_t before = written_bytes(world);
    rn_test_result result = rn_test_run(world, plan, limit_bytes);
    ck_assert_msg(result.status == RATION_OK, "%lld bytes: %s: %s", (long long)limit_bytes,
                  ration_status_name(result.status), result.message);
    rn_test_sort_lines(result.text, result.length);
    ck_assert_int_eq(result.rows, wanted->rows);
    ck_assert_msg(strcmp(result.text, wanted->text) == 0, "%lld bytes: other rows",
                  (long long)limit_bytes);
    rn_test_result_free(&result);
    return written_bytes(world) - before;
}

/* Under each of the limits the same rows; under the first, something is written out. */
static void expect_spilled(rn_test_world *world, const char *plan, const int64_t *limits,
                           size_t count)
{
    rn_test_result wanted = run_free(world, plan);
    for (size_t i = 0; i < count; i++) {
        int64_t written = expect_rows(world, plan, limits[i], &wanted);
        ck_assert_msg(i > 0 || written > 0, "%lld bytes: nothing was written out",
                      (long long)limits[i]);
    }
    rn_test_result_free(&wanted);
}

static const int64_t small_limits[] = {3 * MIB, 4 * MIB, 5 * MIB, 6 * MIB, 8 * MIB, 12 * MIB};

/* Duplicates on both sides, null keys, payload, a computed key, batches of several sizes. */
START_TEST(test_join_spill__every_type_at_many_limits)
{
    static const int64_t batches[] = {1024, 100};
    for (size_t b = 0; b < RN_COUNT(batches); b++) {
        rn_test_world world;
        rn_test_open_rows(&world, batches[b], NULL);
        for (size_t i = 0; i < RN_COUNT(types); i++) {
            char plan[900];
            snprintf(plan, sizeof plan,
                     "- range: { rows: 60000, columns: { i: sequence, k: { random: int64, min: 0, "
                     "max: 60000, nulls: 0.05, seed: 3 }, t: { random: string, width: 20, seed: 4 "
                     "} } }\n"
                     "- join: { type: %s, on: { 'k + 1': j }, with: [ { range: { rows: %d, columns: "
                     "{\n"
                     "    j: { random: int64, min: 0, max: %d, nulls: 0.05, seed: 1 }, s: { "
                     "random: string, width: 30, seed: 2 }, n: sequence } } } ] }\n",
                     types[i], i < 2 ? 50000 : 200000, i < 2 ? 50000 : 200000);
            expect_spilled(&world, plan, small_limits, RN_COUNT(small_limits));
        }
        rn_test_close(&world);
    }
}
END_TEST

START_TEST(test_join_spill__all_keys_different)
{
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
    for (size_t i = 0; i < RN_COUNT(types); i++) {
        char plan[600];
        snprintf(plan, sizeof plan,
                 "- range: { rows: 100000, columns: { i: sequence } }\n"
                 "- project: { k: '(i * 7919) %% 100003' }\n"
                 "- join: { type: %s, on: { k: j }, with: [ { range: { rows: 90000, columns: { j: "
                 "sequence, n: { random: int64, min: 0, max: 9 } } } } ] }\n",
                 types[i]);
        expect_spilled(&world, plan, small_limits, 2);
    }
    rn_test_close(&world);
}
END_TEST

/* One key: 20,000 build rows are more than are kept in memory of one word, so they are read again
 * for every so many of 9,000 probe rows; sums tell whether each pair came once. */
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
                 "- join: { type: %s, on: { k: l }, with: [ { range: { rows: 20000, columns: { j: "
                 "sequence, s: { random: string, width: 200, seed: 2 } } } },\n"
                 "    { project: { j: j, s: s, l: 'j / 100000000' } } ] }\n"
                 "- aggregate: { compute: { n: count(), i: sum(i)%s } }\n",
                 pairs ? 9000 : 90000, types[i],
                 pairs ? ", j: sum(j), both: sum(i * j), t: max(t), s: min(s)" : "");
        rn_test_result wanted = run_free(&world, plan);
        int64_t written = expect_rows(&world, plan, 4 * MIB, &wanted);
        ck_assert_msg(!pairs || written > 0, "nothing was written out");
        rn_test_result_free(&wanted);
    }
    rn_test_close(&world);
}
END_TEST

/* Two keys with one hash, one beside many others: rows of one word that do not all match. In every
 * second case the word's rows do not fit in memory. */
START_TEST(test_join_spill__keys_with_one_hash)
{
    static const int64_t a = INT64_C(5819557871974658854), b = INT64_C(5173694063571428092);
    static const int repeats[] = {3, 9000};
    uint64_t hash_a = rn_value_hash_word(RN_HASH_SEED, (uint64_t)a);
    ck_assert_uint_eq(hash_a, rn_value_hash_word(RN_HASH_SEED, (uint64_t)b));
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
    for (size_t i = 0; i < 2 * RN_COUNT(types); i++) {
        int repeat = repeats[i / RN_COUNT(types)];
        char plan[1200];
        /* Probe: now and then one of the two keys; build: both among the first rows. */
        snprintf(plan, sizeof plan,
                 "- range: { rows: 60000, columns: { i: sequence, t: { random: string, width: 40, "
                 "seed: 1 } } }\n"
                 "- project: { i: i, t: t, m: 'i %% 20000', few: '1 - (i %% 20000 + 19998) / 20000' "
                 "}\n"
                 "- project: { i: i, t: t, k: 'few * (%lld - m %% 2 * %lld) + (1 - few) * (m + "
                 "5000)' }\n"
                 "- join: { type: %s, on: { k: l }, with: [ { range: { rows: 60000, columns: { j: "
                 "sequence, s: { random: string, width: 40, seed: 2 } } } },\n"
                 "    { project: { j: j, s: s, few: '1 - (j + 60000 - %d) / 60000' } },\n"
                 "    { project: { j: j, s: s, l: 'few * (%lld - j %% 3 %% 2 * %lld) + (1 - few) * "
                 "j' } } ] }\n",
                 (long long)a, (long long)(a - b), types[i % RN_COUNT(types)], repeat, (long long)a,
                 (long long)(a - b));
        expect_spilled(&world, plan, small_limits, 1);
    }
    rn_test_close(&world);
}
END_TEST

/* Rows of up to 60 KB; then strings as keys, inline and longer. */
START_TEST(test_join_spill__wide_rows)
{
    static const int64_t limits[] = {5 * MIB, 7 * MIB};
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
        rn_test_result wanted = run_free(&world, plan);
        for (size_t n = 0; n < RN_COUNT(limits); n++) {
            int64_t written = expect_rows(&world, plan, limits[n], &wanted);
            ck_assert(i >= 2 || written > 0);
        }
        rn_test_result_free(&wanted);
        snprintf(plan, sizeof plan,
                 "- range: { rows: 60000, columns: { i: sequence, k: { random: string, width: 25, "
                 "seed: 3 } } }\n"
                 "- join: { type: %s, on: { k: l }, with: [ { range: { rows: 50000, columns: { l: "
                 "{ random: string, width: 25, seed: 3 }, j: sequence } } } ] }\n",
                 types[i]);
        expect_spilled(&world, plan, small_limits, 1);
    }
    rn_test_close(&world);
}
END_TEST

START_TEST(test_join_spill__lists)
{
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
    for (size_t i = 0; i < RN_COUNT(types); i++) {
        char plan[1200];
        snprintf(plan, sizeof plan,
                 "- range: { rows: 30000, columns: { i: sequence, w: { random: string, width: 20, "
                 "seed: 1 } } }\n"
                 "- project: { k: 'i / 3', w: w }\n"
                 "- aggregate: { by: [k], compute: { ws: collect(w) } }\n"
                 "- join: { type: %s, on: { k: l }, with: [ { range: { rows: 60000, columns: { j: "
                 "sequence, s: { random: string, width: 20, seed: 2 } } } },\n"
                 "    { project: { l: 'j / 4', s: s, j: j } }, { aggregate: { by: [l], compute: { "
                 "all: collect(s), js: collect(j) } } } ] }\n",
                 types[i]);
        expect_spilled(&world, plan, (int64_t[]){8 * MIB}, 1);
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
                 "- join: { type: %s, on: { i: j }, with: [ { range: { rows: 90000, columns: { j: "
                 "sequence, s: { random: string, width: 30 } } } } ] }\n",
                 types[i]);
        rn_test_result wanted = run_free(&world, plan);
        ck_assert_int_eq(wanted.rows, 0);
        ck_assert_int_gt(expect_rows(&world, plan, 3 * MIB, &wanted), 0);
        rn_test_result_free(&wanted);
        snprintf(plan, sizeof plan,
                 "- range: { rows: 50000, columns: { i: sequence, s: { random: string, width: 30 } "
                 "} }\n"
                 "- join: { type: %s, on: { i: j }, with: [ { range: { rows: 9, columns: { j: "
                 "sequence } } }, { filter: 'j > 9' } ] }\n",
                 types[i]);
        wanted = run_free(&world, plan);
        ck_assert_int_eq(wanted.rows, i == 0 || i == 2 ? 0 : 50000);
        ck_assert_int_eq(expect_rows(&world, plan, 3 * MIB, &wanted), 0);
        rn_test_result_free(&wanted);
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
                 "- range: { rows: 60000, columns: { i: sequence, t: { random: string, width: %d, "
                 "seed: 1 } } }\n"
                 "- project: { i: i, t: t, k: 'i / 3 %% 15000' }\n"
                 "- join: { type: %s, on: { k: l }, with: [ { range: { rows: 20000, columns: { j: "
                 "sequence, %s } } },\n"
                 "    { project: { j: j, s: s, l: 'j / 2' } } ] }\n"
                 "- sort: [i]\n",
                 i % RN_COUNT(types) < 2 ? 60 : 300, types[i % RN_COUNT(types)],
                 payloads[i / RN_COUNT(types)]);
        expect_spilled(&world, plan, (int64_t[]){5 * MIB, 7 * MIB}, 2);
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
                 "- range: { rows: 20000, columns: { i: sequence } }\n"
                 "- join: { type: %s, on: { i: k }, with: [ { range: { rows: 30000, columns: {\n"
                 "    k: { random: int64, min: 0, max: 25000, nulls: 0.1 }, s: { random: string, "
                 "width: 30 } } } } ] }\n",
                 types[i]);
        rn_test_sweep(&world, plan, 128 * KIB, false);
    }
    rn_test_close(&world);
}
END_TEST

/* ---- faults of the disk */

typedef struct faulty_disk {
    rn_disk real;
    rn_failure failure;
} faulty_disk;

static bool is_due(void *state)
{
    faulty_disk *disk = state;
    if (rn_failure_due(&disk->failure)) {
        errno = EIO;
        return true;
    }
    return false;
}

static int open_or_fail(void *state, int directory, const char *name, int flags, unsigned mode)
{
    faulty_disk *disk = state;
    return is_due(disk) ? -1
                        : disk->real.open_at(disk->real.state, directory, name, flags, mode);
}

static ssize_t write_or_fail(void *state, int descriptor, const struct iovec *parts, int count,
                             int64_t offset)
{
    faulty_disk *disk = state;
    return is_due(disk) ? -1
                        : disk->real.write_at(disk->real.state, descriptor, parts, count, offset);
}

static ssize_t read_or_fail(void *state, int descriptor, void *to, size_t bytes, int64_t offset)
{
    faulty_disk *disk = state;
    return is_due(disk) ? -1 : disk->real.read_at(disk->real.state, descriptor, to, bytes, offset);
}

/* One word is joined by nested loops, so that its run is written and read as well. */
START_TEST(test_join_spill__says_what_the_disk_refused)
{
    faulty_disk disk;
    memset(&disk, 0, sizeof disk);
    disk.real = rn_disk_system;
    rn_disk faulty = rn_disk_system;
    faulty.state = &disk;
    faulty.open_at = open_or_fail;
    faulty.write_at = write_or_fail;
    faulty.read_at = read_or_fail;
    const char *plan =
        "- range: { rows: 30000, columns: { i: sequence, t: { random: string, width: 90, seed: 1 } "
        "} }\n"
        "- project: { t: t, k: 'i * (1 - (i + 10) / 30000)' }\n"
        "- join: { type: left, on: { k: l }, with: [ { range: { rows: 30000, columns: { j: "
        "sequence, s: { random: string, width: 90, seed: 2 } } } },\n"
        "    { project: { j: j, s: s, l: 'j * (1 - (j + 6000) / 30000)' } } ] }\n"
        "- aggregate: { compute: { n: count(), j: sum(j), t: max(t), s: min(s) } }\n";
    for (int forever = 0; forever < 2; forever++) {
        rn_test_world world;
        rn_test_open(&world, NULL, NULL);
        rn_spill_volume_replace(world.governor->volume, &faulty);
        rn_test_result wanted = run_free(&world, plan);
        int64_t n = 0;
        for (bool passed = false; !passed; n += 1 + n / 8) {
            rn_failure_arm(&disk.failure, n + 1, forever != 0);
            rn_test_result result = rn_test_run(&world, plan, 4 * MIB);
            rn_failure_arm(&disk.failure, 0, false);
            passed = result.status == RATION_OK;
            if (passed) {
                ck_assert_str_eq(result.text, wanted.text);
            } else {
                ck_assert_int_eq(result.status, RATION_SPILL_IO);
                ck_assert_ptr_nonnull(strstr(result.message, "spill"));
            }
            ck_assert_int_eq(rn_load(&rn_spill_volume_quota(world.governor->volume)->used_bytes),
                             0);
            rn_test_result_free(&result);
        }
        ck_assert_int_gt(n, 50);
        rn_test_result_free(&wanted);
        rn_test_close(&world);
    }
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
        test_join_spill__comes_through_every_limit_and_fault,
        test_join_spill__says_what_the_disk_refused,
    };
    return support_run("join_spill", tests, RN_COUNT(tests));
}
