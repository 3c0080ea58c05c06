/* SPDX-License-Identifier: Apache-2.0
 *
 * The program written against PostgreSQL's interface: the right answers, refused at every block
 * by a limit and by the system, in threads, and over again after each ERROR. */
#include <pthread.h>

#include "memory/blocks.h"
#include "tests/adapters/story.h"
#include "tests/adapters/world.h"

#define RESULT_BYTES (2 * MIB)

static uint64_t find_seed(void)
{
    const char *given = getenv("RATION_SEED");
    uint64_t seed = given != NULL ? strtoull(given, NULL, 0) : 20;
    printf("seed=%llu\n", (unsigned long long)seed);
    return seed;
}

static ProgramResult make_result(void)
{
    ProgramResult result = {.text = (char *)malloc(RESULT_BYTES), .capacity = RESULT_BYTES};
    ck_assert_ptr_nonnull(result.text);
    return result;
}

/* What is charged is TopMemoryContext and ErrorContext, its only child. */
static void check_nothing_left(const world *here)
{
    ck_assert_int_eq(charged(here), (int64_t)MemoryContextMemAllocated(TopMemoryContext, true));
    ck_assert_ptr_eq(ration_context_child(TopMemoryContext, NULL), ErrorContext);
    ck_assert_ptr_null(ration_context_child(TopMemoryContext, ErrorContext));
    ck_assert_int_eq((int64_t)MemoryContextMemAllocated(ErrorContext, true), 8 * KIB);
}

static void check_answers(const story *told, ProgramResult *result)
{
    bool done = RunProgram(&told->input, result);
    ck_assert_msg(done, "%s: %s", result->message, result->detail);
    ck_assert_str_eq(result->text, told->expected);
}

START_TEST(test_program__answers_what_plain_c_answers)
{
    uint64_t seed = find_seed();
    ProgramResult result = make_result();
    const int sizes[] = {0, 1, 7, 60, 600};
    for (size_t i = 0; i < RN_COUNT(sizes); i++) {
        world here = begin(INT64_C(64) * MIB);
        story *told = story_make(seed + i, sizes[i]);
        check_answers(told, &result);
        check_nothing_left(&here);
        check_answers(told, &result);
        check_nothing_left(&here);
        story_free(told);
        end(&here);
    }
    free(result.text);
}
END_TEST

/* The governor's limit a block above what is charged, two blocks, .. : each asked for block is once
 * the one that is refused. After each ERROR nothing is left and, with the limit away, all works. */
START_TEST(test_program__is_refused_at_every_block)
{
    ProgramResult result = make_result();
    world here = begin(INT64_C(64) * MIB);
    story *told = story_make(find_seed(), 60);
    int64_t before = charged(&here);
    ration_pool_figures figures = {.granted_bytes = 0};
    int refusals = 0;
    for (int64_t room = 0;; room += 8 * KIB) {
        ck_assert_int_eq(ration_governor_set_limit(here.governor, before + room), RATION_OK);
        if (RunProgram(&told->input, &result)) {
            ck_assert_str_eq(result.text, told->expected);
            break;
        }
        refusals += 1;
        ck_assert_int_eq(result.sqlerrcode, ERRCODE_OUT_OF_MEMORY);
        ck_assert_str_eq(result.message, "out of memory");
        ck_assert_msg(strstr(result.detail, "the limit of all queries together") != NULL, "%s",
                      result.detail);
        check_nothing_left(&here);
        ration_pool_read(ration_governor_root(here.governor), &figures);
        ck_assert_int_le(figures.granted_bytes, before + room);
        ck_assert_int_eq(figures.unchecked_bytes, 0);
        if (room % (64 * KIB) == 0) {
            ck_assert_int_eq(ration_governor_set_limit(here.governor, 64 * MIB), RATION_OK);
            check_answers(told, &result);
        }
    }
    ck_assert_int_ge(refusals, 5);
    story_free(told);
    end(&here);
    free(result.text);
}
END_TEST

/* The nth block fails, once or for ever. True when the program came through at the first attempt;
 * if not, it comes through at the second. */
static bool run_with_failure(const story *told, ProgramResult *result, int64_t n, bool forever)
{
    world here = open_world(INT64_C(64) * MIB);
    rn_blocks_fail_after(n, forever);
    ration_status status = ration_palloc_begin(here.slot);
    bool passed = status == RATION_OK && RunProgram(&told->input, result);
    rn_blocks_fail_after(0, false);
    if (status != RATION_OK) {
        ck_assert_int_eq(status, RATION_NO_MEMORY);
        ck_assert_int_eq(ration_palloc_begin(here.slot), RATION_OK);
        check_answers(told, result);
    } else if (passed) {
        ck_assert_str_eq(result->text, told->expected);
    } else {
        ck_assert_int_eq(result->sqlerrcode, ERRCODE_OUT_OF_MEMORY);
        ck_assert_msg(strstr(result->detail, "operating system") != NULL, "%s", result->detail);
        ck_assert_str_eq(result->detail_log, "");
        check_nothing_left(&here);
        check_answers(told, result);
    }
    end(&here);
    return passed;
}

START_TEST(test_program__survives_every_failed_block)
{
    ProgramResult result = make_result();
    story *told = story_make(find_seed(), 60);
    int64_t blocks = 1;
    while (!run_with_failure(told, &result, blocks, true)) {
        blocks += 1;
    }
    ck_assert_int_gt(blocks, 5);
    for (int64_t n = 1; n < blocks; n++) {
        (void)run_with_failure(told, &result, n, false);
    }
    story_free(told);
    free(result.text);
}
END_TEST

START_TEST(test_program__says_which_limit_refused)
{
    ProgramResult result = make_result();
    story *told = story_make(find_seed(), 60);
    world here = begin(64 * KIB);
    ck_assert(!RunProgram(&told->input, &result));
    ck_assert_int_eq(result.sqlerrcode, ERRCODE_OUT_OF_MEMORY);
    ck_assert_msg(strstr(result.detail, ration_status_sentence(RATION_QUERY_LIMIT)) != NULL, "%s",
                  result.detail);
    ck_assert_msg(strncmp(result.detail_log, "memory limit exceeded: ", 23) == 0, "%s",
                  result.detail_log);
    ck_assert_ptr_nonnull(strstr(result.detail_log, "port"));
    /* what the system refuses is not explained with what a limit refused before */
    rn_blocks_fail_after(1, true);
    PG_TRY();
    {
        (void)palloc(30000);
        ck_abort_msg("granted");
    }
    PG_CATCH();
    {
        MemoryContextSwitchTo(TopMemoryContext);
        ErrorData *error = CopyErrorData();
        FlushErrorState();
        ck_assert_msg(strstr(error->detail, "operating system") != NULL, "%s", error->detail);
        ck_assert_ptr_null(error->detail_log);
        FreeErrorData(error);
    }
    PG_END_TRY();
    rn_blocks_fail_after(0, false);
    ration_palloc_bind(NULL);
    ck_assert(!RunProgram(&told->input, &result));
    ck_assert_str_eq(result.detail_log, "");
    end(&here);
    story_free(told);
    free(result.text);
}
END_TEST

static uint64_t sum_plainly(int count)
{
    uint64_t sum = 0;
    for (int i = 0; i < count; i++) {
        char text[64];
        snprintf(text, sizeof(text), "string number %d", i);
        for (const char *at = text; *at != '\0'; at++) {
            sum = sum * 31 + (unsigned char)*at;
        }
    }
    return sum;
}

START_TEST(test_program__goes_on_with_less_when_refused)
{
    world here = begin(MIB);
    const int counts[] = {1000, 64000, 256000}; /* the first fits */
    for (size_t i = 0; i < RN_COUNT(counts); i++) {
        int count = counts[i];
        uint64_t sum = 0;
        int refusals = -1;
        int fitted = CollectWhatFits(count, &sum, &refusals);
        ck_assert_int_eq(fitted, count >> refusals);
        ck_assert_uint_eq(sum, sum_plainly(fitted));
        ck_assert_int_eq(refusals > 0, i > 0);
        check_nothing_left(&here);
    }
    end(&here);
}
END_TEST

/* -------------------------------------------------------------------------------------- threads */

typedef struct worker {
    pthread_t thread;
    ration_slot *slot;
    const story *told;
    ProgramResult result;
    bool passed;
} worker;

static void *work(void *argument)
{
    worker *self = (worker *)argument;
    if (ration_palloc_begin(self->slot) == RATION_OK) {
        self->passed = RunProgram(&self->told->input, &self->result);
        ration_palloc_end();
    }
    return NULL;
}

START_TEST(test_program__runs_in_threads)
{
    world here = open_world(INT64_C(64) * MIB);
    worker workers[4];
    for (size_t i = 0; i < RN_COUNT(workers); i++) {
        workers[i] = (worker){.told = story_make(find_seed() + i, 200), .result = make_result()};
        ck_assert_int_eq(ration_query_slot(here.query, &workers[i].slot), RATION_OK);
        ck_assert_int_eq(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (size_t i = 0; i < RN_COUNT(workers); i++) {
        ck_assert_int_eq(pthread_join(workers[i].thread, NULL), 0);
        ck_assert_msg(workers[i].passed, "%s", workers[i].result.detail);
        ck_assert_str_eq(workers[i].result.text, workers[i].told->expected);
        story_free((story *)(uintptr_t)workers[i].told);
        free(workers[i].result.text);
    }
    close_world(&here);
}
END_TEST

/* ---------------------------------------------------------------------------------------- stats */

START_TEST(test_program__shows_its_contexts)
{
    world here = begin(INT64_C(64) * MIB);
    FILE *shown = tmpfile();
    ck_assert_ptr_nonnull(shown);
    int before = dup(STDERR_FILENO);
    ck_assert_int_ge(dup2(fileno(shown), STDERR_FILENO), 0);
    ShowStats();
    fflush(stderr);
    ck_assert_int_ge(dup2(before, STDERR_FILENO), 0);
    close(before);
    rewind(shown);
    char text[4096];
    text[fread(text, 1, sizeof(text) - 1, shown)] = '\0';
    fclose(shown);
    int lines = 0;
    for (const char *at = text; *at != '\0'; at++) {
        lines += *at == '\n';
    }
    /* 1 + 6 and the sum; 1 + 2, the rest in one line, and the sum */
    ck_assert_msg(lines == 13, "%s", text);
    const char *second = strstr(text + 4, "tree");
    ck_assert_int_eq(strncmp(text, "tree", 4), 0);
    ck_assert_ptr_nonnull(second);
    ck_assert_ptr_nonnull(strstr(second, "  named: part 1"));
    ck_assert_ptr_nonnull(strstr(second, "  many"));
    ck_assert_ptr_nonnull(strstr(second, "4 more"));
    end(&here);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_program__answers_what_plain_c_answers,
        test_program__is_refused_at_every_block,
        test_program__survives_every_failed_block,
        test_program__says_which_limit_refused,
        test_program__goes_on_with_less_when_refused,
        test_program__runs_in_threads,
        test_program__shows_its_contexts,
    };
    return support_run("palloc_program", tests, RN_COUNT(tests));
}
