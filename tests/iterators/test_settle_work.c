/* SPDX-License-Identifier: Apache-2.0
 *
 * How long operators work without looking up. A query is cancelled by the disk, at its nth read or
 * write; from then on the bytes are counted that are still read and written until it has ended. So
 * what is counted is work units, not time.
 *
 * The bound: a megabyte, and what one spill writes, which is a quarter of what is held here. */
#include "iterators/registry.h"
#include "storage/disk.h"
#include "tests/iterators/spilling.h"

#define LIMIT_BYTES (3 * 1024 * 1024)
#define WORK_BYTES_MAX (1024 * 1024 + LIMIT_BYTES / 2)

/* The real disk, which cancels a query. */
typedef struct cancelling_disk {
    rn_disk real;
    ration_query *query;
    int64_t calls, cancel_at; /* reads and writes */
    int64_t bytes_after;
} cancelling_disk;

static cancelling_disk disk;

static void note_work(ssize_t bytes)
{
    disk.calls += 1;
    if (disk.calls == disk.cancel_at) {
        ration_query_cancel(disk.query);
    } else if (disk.calls > disk.cancel_at) {
        disk.bytes_after += bytes;
    }
}

static ssize_t write_and_note(void *state, int descriptor, const struct iovec *parts, int count,
                              int64_t offset)
{
    ssize_t bytes = rn_disk_system.write_at(state, descriptor, parts, count, offset);
    note_work(bytes);
    return bytes;
}

static ssize_t read_and_note(void *state, int descriptor, void *to, size_t wanted, int64_t offset)
{
    ssize_t bytes = rn_disk_system.read_at(state, descriptor, to, wanted, offset);
    note_work(bytes);
    return bytes;
}

static ration_status pull_all(ration_query *query, const rn_plan *plan)
{
    rn_execution *execution;
    const rn_batch *batch;
    RN_TRY(rn_execution_open(query, plan, false, &execution));
    ration_status status;
    do {
        status = rn_execution_next(execution, &batch);
    } while (status == RATION_OK && batch->rows > 0);
    rn_execution_close(execution);
    return status;
}

/* Runs the plan, to be cancelled at that read or write; false when there are not so many. */
static bool cancel_at(rn_test_world *world, const rn_plan *plan, int64_t call)
{
    ration_error error;
    ration_query_options options = {.size = sizeof options, .limit_bytes = LIMIT_BYTES};
    support_ok(ration_query_open(world->governor, &options, &disk.query, &error), &error);
    disk.calls = disk.bytes_after = 0;
    disk.cancel_at = call;
    ration_status status = pull_all(disk.query, plan);
    bool met = disk.calls >= call;
    ck_assert_int_eq(status, met ? RATION_CANCELLED : RATION_OK);
    ck_assert_msg(disk.bytes_after <= WORK_BYTES_MAX,
                  "%lld bytes read and written after a cancel at call %lld",
                  (long long)disk.bytes_after, (long long)call);
    ration_query_close(disk.query);
    spilling_nothing_left(world);
    return met;
}

static void expect_short_work(const char *steps)
{
    static const rn_parameters none = {0, NULL};
    rn_test_world world;
    ration_limits limits;
    rn_plan_file file;
    rn_plan *plan;
    ration_error error;
    char text[600];
    int64_t call = 1;
    ration_limits_default(&limits);
    limits.enable_system_monitor = false;
    limits.limit_bytes = (int64_t)64 << 20;
    rn_test_open(&world, &limits, NULL);
    disk.real = rn_disk_system;
    disk.real.write_at = write_and_note;
    disk.real.read_at = read_and_note;
    rn_spill_volume_replace(world.governor->volume, &disk.real);
    snprintf(text, sizeof text,
             "pipeline:\n- range: { rows: 150000, columns: { k: { random: int64, min: 0, max: "
             "100000000 }, s: { random: string, width: 30 } } }\n%s",
             steps);
    support_ok(rn_plan_file_parse("plan.yaml", text, strlen(text), &file, &error), &error);
    support_ok(rn_plan_build(&file, NULL, &none, world.graph, rn_operator_classes(), &plan, &error),
               &error);
    while (cancel_at(&world, plan, call)) {
        call += 1 + call / 2;
    }
    ck_assert_int_gt(disk.calls, 50);
    rn_plan_close(plan);
    rn_plan_file_close(&file);
    rn_test_close(&world);
}

START_TEST(test_settle_work__sort)
{
    expect_short_work("- sort: [k]\n");
    expect_short_work("- topk: { by: [s], rows: 120000 }\n");
}
END_TEST

START_TEST(test_settle_work__by_hash)
{
    expect_short_work("- distinct: [k]\n");
    expect_short_work("- aggregate: { by: [k], compute: { n: count(), g: max(s) } }\n");
    expect_short_work("- aggregate: { compute: { d: count(distinct k) } }\n");
}
END_TEST

START_TEST(test_settle_work__join)
{
    expect_short_work("- join: { on: { k: j }, type: left, with: [ { range: { rows: 150000, "
                      "columns: { j: { random: int64, min: 0, max: 100000000, seed: 5 }, "
                      "t: { random: string, width: 30, seed: 6 } } } } ] }\n");
}
END_TEST

START_TEST(test_settle_work__collect)
{
    expect_short_work("- collect: all\n");
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_settle_work__sort, test_settle_work__by_hash,
                                  test_settle_work__join, test_settle_work__collect};
    return support_run("settle_work", tests, RN_COUNT(tests));
}
