/* SPDX-License-Identifier: Apache-2.0
 *
 * Held results outside of plans, as hosts have them: written out while they are read, under limits,
 * while nobody is inside, on a disk that fails; and as a source of plans. */
#include "iterators/held.h"
#include "iterators/registry.h"
#include "tests/iterators/spill_faults.h"

START_TEST(test_held__can_be_read_again_and_by_several)
{
    rn_test_world world;
    rn_test_open(&world, NULL, NULL);
    rn_field field = {"i", {RN_INT64, 0, RN_LABEL_ANY}};
    rn_schema schema = {1, &field};
    static int64_t values[700];
    for (int64_t i = 0; i < 700; i++) {
        values[i] = i;
    }
    rn_column column = {field.type, values, NULL, NULL};
    rn_batch batch = {700, 1, &column};
    ration_context *context;
    rn_held held;
    ck_assert_int_eq(
        ration_context_create(NULL, &world.slot->hot, RATION_CONTEXT_BUMP, "test", &context),
        RATION_OK);
    ck_assert_int_eq(rn_held_open(&schema, context, &world.slot->hot, 65536, NULL, &held),
                     RATION_OK);
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(rn_held_add(&held, &batch), RATION_OK);
    }
    rn_held_scan scans[2];
    for (int s = 0; s < 2; s++) {
        ck_assert_int_eq(rn_held_scan_open(&held, context, &world.slot->hot, 100, false, &scans[s]),
                         RATION_OK);
    }
    for (int round = 0; round < 3; round++) {
        const rn_batch *out;
        int64_t rows = 0, sum = 0;
        do {
            ck_assert_int_eq(rn_held_scan_next(&scans[round % 2], &out), RATION_OK);
            for (uint32_t row = 0; row < out->rows; row++) {
                sum += *(const int64_t *)rn_column_at(&out->columns[0], row);
            }
            rows += out->rows;
        } while (out->rows > 0);
        ck_assert_int_eq(rows, 3500);
        ck_assert_int_eq(sum, 5 * 700 * 699 / 2);
        ck_assert_int_eq(rn_held_scan_next(&scans[round % 2], &out), RATION_OK);
        ck_assert_uint_eq(out->rows, 0);
        rn_held_scan_restart(&scans[round % 2]);
    }
    rn_held_scan_close(&scans[0]);
    rn_held_scan_close(&scans[1]);
    rn_held_close(&held);
    ration_context_delete(context);
    rn_test_close(&world);
}
END_TEST

/* Every value of a held row is made from its number, so that any row can be verified: a long string
 * now and then, a row wider than a block rarely, a list of strings. */
#define STRING_BYTES 70000
#define LIST_LENGTH 5

typedef struct made_rows {
    rn_field fields[3];
    rn_schema schema;
    int64_t numbers[64];
    rn_string strings[64];
    rn_list lists[64];
    struct {
        rn_list_segment head;
        rn_string values[LIST_LENGTH];
    } segments[64];
    rn_column columns[3];
    rn_batch batch;
} made_rows;

static char letters[STRING_BYTES + 64];

static uint32_t width_of(int64_t number)
{
    return number % 997 == 5 ? STRING_BYTES : (uint32_t)(number * 7 % 300);
}

static rn_string string_of(int64_t number, uint32_t width)
{
    return rn_string_over(letters + number % 26, width);
}

static void make_schema(made_rows *made)
{
    memset(made, 0, sizeof *made);
    for (size_t i = 0; i < sizeof letters; i++) {
        letters[i] = (char)('a' + i % 26);
    }
    made->fields[0] = (rn_field){"n", {RN_INT64, 0, RN_LABEL_ANY}};
    made->fields[1] = (rn_field){"s", {RN_STRING, 0, RN_LABEL_ANY}};
    made->fields[2] = (rn_field){"l", {RN_LIST, RN_STRING, RN_LABEL_ANY}};
    made->schema = (rn_schema){3, made->fields};
    made->columns[0] = (rn_column){.type = made->fields[0].type, .data = made->numbers};
    made->columns[1] = (rn_column){.type = made->fields[1].type, .data = made->strings};
    made->columns[2] = (rn_column){.type = made->fields[2].type, .data = made->lists};
    made->batch = (rn_batch){0, 3, made->columns};
}

static const rn_batch *make_rows(made_rows *made, int64_t first, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        int64_t number = first + i;
        made->numbers[i] = number;
        made->strings[i] = string_of(number, width_of(number));
        made->segments[i].head = (rn_list_segment){NULL, LIST_LENGTH, LIST_LENGTH};
        for (uint32_t k = 0; k < LIST_LENGTH; k++) {
            made->segments[i].values[k] = string_of(number + k, 10 + k);
        }
        made->lists[i] = (rn_list){LIST_LENGTH, &made->segments[i].head};
    }
    made->batch.rows = count;
    return &made->batch;
}

static void expect_row(const rn_batch *batch, uint32_t row, int64_t number)
{
    const rn_string *string = rn_column_at(&batch->columns[1], row);
    const rn_list *list = rn_column_at(&batch->columns[2], row);
    rn_string wanted = string_of(number, width_of(number));
    ck_assert_int_eq(*(const int64_t *)rn_column_at(&batch->columns[0], row), number);
    ck_assert(rn_string_equal(string, &wanted));
    ck_assert_uint_eq(list->length, LIST_LENGTH);
    const rn_string *values = rn_list_values(list->first);
    for (uint32_t k = 0; k < LIST_LENGTH; k++) {
        wanted = string_of(number + k, 10 + k);
        ck_assert(rn_string_equal(&values[k], &wanted));
    }
}

/* A held set outside of plans, as a host has it. */
typedef struct held_host {
    rn_test_world world;
    ration_query *query;
    ration_slot *slot;
    rn_spill_file *file;
    ration_context *context;
    rn_held held;
    made_rows made;
} held_host;

static ration_status open_held(held_host *host, int64_t limit_bytes)
{
    ration_query_options options = {.size = sizeof options, .limit_bytes = limit_bytes};
    make_schema(&host->made);
    host->context = NULL;
    host->file = NULL;
    memset(&host->held, 0, sizeof host->held);
    ck_assert_int_eq(ration_query_open(host->world.governor, &options, &host->query, NULL),
                     RATION_OK);
    RN_TRY(ration_query_slot(host->query, &host->slot));
    RN_TRY(rn_spill_file_open(host->world.governor->volume, NULL, 1, &host->file));
    RN_TRY(ration_context_create(NULL, host->slot, RATION_CONTEXT_BUMP, "host", &host->context));
    return rn_held_open(&host->made.schema, host->context, host->slot, 2 * STRING_BYTES, host->file,
                        &host->held);
}

static void close_held(held_host *host)
{
    ration_pool_figures figures;
    if (host->held.context != NULL) {
        rn_held_close(&host->held);
    }
    ration_context_delete(host->context);
    if (host->file != NULL) {
        ck_assert_int_eq(rn_spill_file_bytes(host->file), 0);
    }
    rn_spill_file_close(host->file);
    if (host->slot != NULL) {
        ck_assert_int_eq(rn_slot_prepay(rn_slot_of(host->slot), 0), RATION_OK);
    }
    ration_pool_read(ration_query_pool(host->query), &figures);
    ck_assert_int_eq(figures.charged_bytes, 0);
    ration_query_close(host->query);
}

static ration_status fill_held(held_host *host, int64_t rows)
{
    for (int64_t first = 0; first < rows; first += 64) {
        RN_TRY(rn_held_add(&host->held, make_rows(&host->made, first, 64)));
    }
    return RATION_OK;
}

/* Reads all and verifies it. `spill_in` = one in how many batches is followed by a spill; 0 = none.
 */
static ration_status read_all(held_host *host, rn_held_scan *scan, int64_t rows, uint64_t spill_in,
                              uint64_t *random)
{
    const rn_batch *batch;
    int64_t number = 0;
    do {
        RN_TRY(rn_held_scan_next(scan, &batch));
        ck_assert(scan->buffer == NULL || scan->pin.block == NULL); /* one block, never two */
        if (spill_in > 0 && rn_random_below(random, spill_in) == 0) {
            RN_TRY(rn_held_spill(&host->held, (int64_t)rn_random_below(random, 1000000)));
        }
        for (uint32_t row = 0; row < batch->rows; row++) {
            expect_row(batch, row, number++);
        }
    } while (batch->rows > 0);
    ck_assert_int_eq(number, rows);
    rn_held_scan_restart(scan);
    return RATION_OK;
}

/* Fills, reads twice with one scan, and then with two at different speeds. */
static ration_status hold_and_read(held_host *host, int64_t rows, uint64_t spill_in,
                                   uint64_t *random)
{
    rn_held_scan one = {.held = NULL}, two = {.held = NULL};
    const rn_batch *batch;
    ration_status status = fill_held(host, rows);
    if (status == RATION_OK) {
        status = rn_held_scan_open(&host->held, host->context, host->slot, 100, false, &one);
    }
    for (int round = 0; round < 2 && status == RATION_OK; round++) {
        status = read_all(host, &one, rows, spill_in, random);
    }
    if (status == RATION_OK) {
        status = rn_held_scan_open(&host->held, host->context, host->slot, 33, false, &two);
    }
    int64_t number = 0;
    for (int step = 0; step < 20 && status == RATION_OK; step++) {
        status = rn_held_scan_next(&two, &batch);
        for (uint32_t row = 0; status == RATION_OK && row < batch->rows; row++) {
            expect_row(batch, row, number++);
        }
        if (step % 10 == 3 && status == RATION_OK) {
            status = read_all(host, &one, rows, spill_in, random);
        }
    }
    rn_held_scan_close(&one);
    rn_held_scan_close(&two);
    return status;
}

START_TEST(test_held__is_written_out_under_those_who_read_it)
{
    static held_host host;
    rn_test_open(&host.world, NULL, NULL);
    for (uint64_t seed = 1; seed <= 12; seed++) {
        uint64_t random = seed;
        printf("seed=%llu\n", (unsigned long long)seed);
        ck_assert_int_eq(open_held(&host, 0), RATION_OK);
        ck_assert_int_eq(hold_and_read(&host, 3008, 1 + seed % 4 * 10, &random), RATION_OK);
        ck_assert_int_gt(rn_spill_file_written(host.file), 500000);
        close_held(&host);
    }
    rn_test_close(&host.world);
}
END_TEST

/* Held under limits, for a host that does no more than add and read. */
START_TEST(test_held__bends_by_itself)
{
    static held_host host;
    ration_status status = RATION_QUERY_LIMIT;
    int64_t limit = 1;
    rn_test_open(&host.world, NULL, NULL);
    for (; status != RATION_OK; limit += 12 * 1024) {
        uint64_t random = 1;
        status = open_held(&host, limit);
        if (status == RATION_OK) {
            status = hold_and_read(&host, 3008, 0, &random);
        }
        ck_assert_msg(status == RATION_OK || status == RATION_QUERY_LIMIT, "%s",
                      ration_status_name(status));
        close_held(&host);
    }
#ifndef RATION_UNGOVERNED
    ck_assert_int_gt(limit, 100 * 1024);
    ck_assert_int_lt(limit, 600 * 1024);
#endif
    rn_test_close(&host.world);
}
END_TEST

START_TEST(test_held__knows_what_it_could_write_out)
{
    static held_host host;
    const rn_batch *batch;
    rn_held_scan scan;
    rn_test_open(&host.world, NULL, NULL);
    ck_assert_int_eq(open_held(&host, 0), RATION_OK);
    ck_assert_int_eq(rn_held_spillable(&host.held).now_bytes, 0);
    ck_assert_int_eq(fill_held(&host, 3008), RATION_OK);
    int64_t all = rn_held_spillable(&host.held).now_bytes;
    ck_assert_int_gt(all, 500000);
    ck_assert_int_eq(rn_held_scan_open(&host.held, host.context, host.slot, 100, false, &scan),
                     RATION_OK);
    do { /* into the second block: the first lies beside the context */
        ck_assert_int_eq(rn_held_scan_next(&scan, &batch), RATION_OK);
    } while (rn_held_spillable(&host.held).later_bytes == 0);
    rn_spillable could = rn_held_spillable(&host.held);
    ck_assert_int_eq(could.now_bytes + could.later_bytes, all);
    ck_assert_int_eq(rn_held_spill(&host.held, 1), RATION_OK);
    rn_spillable left = rn_held_spillable(&host.held);
    ck_assert_int_le(left.now_bytes, could.now_bytes - 4 * 64 * 1024); /* some at a time */
    ck_assert_int_gt(left.now_bytes, 0);
    ck_assert_int_eq(rn_held_spill(&host.held, INT64_MAX), RATION_OK);
    left = rn_held_spillable(&host.held);
    ck_assert_int_eq(left.now_bytes, 0);
    ck_assert_int_eq(left.later_bytes, could.later_bytes);
    rn_held_scan_close(&scan);
    ck_assert_int_eq(rn_held_spillable(&host.held).later_bytes, 0);
    close_held(&host);
    rn_test_close(&host.world);
}
END_TEST

/* An idle cursor: nobody is inside, and the bytes are wanted elsewhere. */
START_TEST(test_held__gives_way_while_nobody_is_inside)
{
    static held_host host;
    ration_limits limits;
    ration_query_options options = {.size = sizeof options};
    ration_query *other;
    ration_slot *slot;
    rn_held_scan scan;
    uint64_t random = 1;
    ration_limits_default(&limits);
    limits.enable_system_monitor = false;
    limits.limit_bytes = 8 << 20;
    rn_test_open(&host.world, &limits, NULL);
    ck_assert_int_eq(open_held(&host, 0), RATION_OK);
    ration_spiller spiller = rn_held_spiller(&host.held);
    ration_slot_register_spill(host.slot, &spiller);
    ck_assert_int_eq(fill_held(&host, 16000), RATION_OK);
    ck_assert_int_gt(rn_held_spillable(&host.held).now_bytes, 11 << 19);
    ration_slot_leave(host.slot);

    ck_assert_int_eq(ration_query_open(host.world.governor, &options, &other, NULL), RATION_OK);
    ck_assert_int_eq(ration_query_slot(other, &slot), RATION_OK);
    ck_assert_int_eq(ration_slot_obtain(slot, 3 << 20, "test.rows"), RATION_OK);
#ifndef RATION_UNGOVERNED
    ck_assert_int_gt(rn_spill_file_written(host.file), 1 << 19);
#endif
    ration_slot_enter(host.slot);
    ck_assert_int_eq(rn_held_scan_open(&host.held, host.context, host.slot, 100, false, &scan),
                     RATION_OK);
    ck_assert_int_eq(read_all(&host, &scan, 16000, 0, &random), RATION_OK);
    rn_held_scan_close(&scan);
    ration_slot_release(slot, 3 << 20);
    ration_query_close(other);
    ration_slot_register_spill(host.slot, NULL);
    close_held(&host);
    rn_test_close(&host.world);
}
END_TEST

/* ----------------------------------------------------------- a held result as a source of plans */

static rn_held *source_held;

typedef struct source_state {
    rn_held_scan scan;
} source_state;

static ration_status source_plan(rn_planner *planner, rn_plan_node *node, const rn_yaml *yaml)
{
    (void)yaml;
    return rn_planner_output(planner, node, &source_held->schema, 0);
}

static ration_status source_open(rn_operator *op)
{
    source_state *state = op->state;
    return rn_held_scan_open(source_held, op->context, op->worker->slot, op->worker->batch_rows,
                             false, &state->scan);
}

static ration_status source_next(rn_operator *op, const rn_batch **out_batch)
{
    source_state *state = op->state;
    return rn_held_scan_read(op, &state->scan, out_batch);
}

static rn_spillable source_spillable(const rn_operator *op)
{
    (void)op;
    return rn_held_spillable(source_held);
}

static ration_status source_spill(rn_operator *op, int64_t want_bytes)
{
    (void)op;
    return rn_held_spill(source_held, want_bytes);
}

static void source_close(rn_operator *op)
{
    source_state *state = op->state;
    rn_held_scan_close(&state->scan);
}

static void source_explain(const rn_plan_node *node, rn_text *text)
{
    (void)node;
    rn_text_put(text, "all");
}

static const rn_operator_class source_class = {
    .name = "held",
    .sentence = "reads a held result",
    .state_bytes = sizeof(source_state),
    .plan = source_plan,
    .explain = source_explain,
    .open = source_open,
    .next = source_next,
    .spillable = source_spillable,
    .spill = source_spill,
    .close = source_close,
};

/* Runs the plan over the held set: every row twice, in the order of the number. */
static ration_status order_held(held_host *host, const rn_plan *plan, int64_t rows)
{
    rn_execution *execution;
    const rn_batch *batch;
    int64_t count = 0;
    RN_TRY(rn_execution_open(host->query, plan, false, &execution));
    ration_status status;
    while ((status = rn_execution_next(execution, &batch)) == RATION_OK && batch->rows > 0) {
        for (uint32_t row = 0; row < batch->rows; row++, count++) {
            expect_row(batch, row, count / 2);
        }
    }
    ck_assert(status != RATION_OK || count == rows);
    rn_execution_close(execution);
    return status;
}

/* A held result read twice by one plan and ordered, under limits from tiny up: the right rows or
 * one refusal, and what is enough is far below what is held. */
START_TEST(test_held__rescanned_and_ordered_under_limits)
{
    static held_host host;
    static const char text[] = "pipeline:\n- held: all\n- union: { with: [ { held: all } ] }\n"
                               "- sort: [n]\n";
    static const rn_parameters none = {0, NULL};
    const rn_operator_class *classes[64];
    uint32_t count = 0;
    ration_error error;
    while (rn_operator_classes()[count] != NULL) {
        classes[count] = rn_operator_classes()[count];
        count++;
    }
    classes[count++] = &source_class;
    classes[count] = NULL;
    ration_limits limits;
    ration_limits_default(&limits);
    limits.enable_system_monitor = false;
    limits.limit_bytes = INT64_C(1) << 30;
    limits.max_row_bytes = 2 * STRING_BYTES;
    rn_test_open(&host.world, &limits, NULL);
    ration_status status = RATION_QUERY_LIMIT;
    int64_t limit = 1, refused = 0;
    for (; status != RATION_OK; limit += 32 * 1024, refused++) {
        rn_plan_file file;
        rn_plan *plan;
        status = open_held(&host, limit);
        source_held = &host.held;
        if (status == RATION_OK) {
            status = fill_held(&host, 3008);
        }
        if (status == RATION_OK) {
            support_ok(rn_plan_file_parse("plan.yaml", text, strlen(text), &file, &error), &error);
            support_ok(rn_plan_build(&file, NULL, &none, NULL, classes, &plan, &error), &error);
            status = order_held(&host, plan, 2 * 3008);
            rn_plan_close(plan);
            rn_plan_file_close(&file);
        }
        ck_assert_msg(status == RATION_OK || status == RATION_QUERY_LIMIT ||
                          status == RATION_MINIMUM_ABOVE_LIMIT,
                      "%s under %lld", ration_status_name(status), (long long)limit);
        close_held(&host);
    }
    ck_assert_int_gt(refused, 3);
    ck_assert_int_lt(limit, 1300 * 1024);
    rn_test_close(&host.world);
}
END_TEST

/* A scan that finds the disk failing says so, and goes on where nothing was lost. */
START_TEST(test_held__says_what_the_disk_says)
{
    static held_host host;
    static faulty_disk disk;
    rn_held_scan scan;
    uint64_t random = 1;
    rn_test_open(&host.world, NULL, NULL);
    faulty_disk_open(&disk);
    rn_spill_volume_replace(host.world.governor->volume, &disk.disk);
    for (int when = 0; when < 2; when++) { /* writing, reading */
        ck_assert_int_eq(open_held(&host, 0), RATION_OK);
        ck_assert_int_eq(fill_held(&host, 3008), RATION_OK);
        ck_assert_int_eq(rn_held_scan_open(&host.held, host.context, host.slot, 100, false, &scan),
                         RATION_OK);
        disk.fault = EIO;
        if (when == 0) {
            rn_failure_arm(&disk.due, 8, true);
            ck_assert_int_eq(rn_held_spill(&host.held, INT64_MAX), RATION_SPILL_IO);
            ck_assert_int_eq(rn_held_spill(&host.held, INT64_MAX), RATION_SPILL_IO);
        } else {
            ck_assert_int_eq(rn_held_spill(&host.held, INT64_MAX), RATION_OK);
            int64_t reads = disk.reads;
            ck_assert_int_eq(read_all(&host, &scan, 3008, 0, &random), RATION_OK);
            ck_assert_int_gt(disk.reads, reads);
            rn_failure_arm(&disk.due, 3, false);
            ck_assert_int_eq(read_all(&host, &scan, 3008, 0, &random), RATION_SPILL_IO);
        }
        rn_failure_arm(&disk.due, 0, false);
        ration_error error;
        ck_assert(rn_spill_file_error(host.file, &error));
        rn_held_scan_close(&scan);
        close_held(&host);
    }
    rn_test_close(&host.world);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_held__can_be_read_again_and_by_several,
        test_held__is_written_out_under_those_who_read_it,
        test_held__bends_by_itself,
        test_held__knows_what_it_could_write_out,
        test_held__gives_way_while_nobody_is_inside,
        test_held__rescanned_and_ordered_under_limits,
        test_held__says_what_the_disk_says,
    };
    return support_run("held", tests, RN_COUNT(tests));
}
