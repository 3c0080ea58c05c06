/* SPDX-License-Identifier: Apache-2.0
 *
 * A history of asks, releases and limits, judged afterwards: was each answer right? Every event
 * takes a stamp before and one after it from one counter. Then two bounds are known at each stamp,
 *
 *     least charged = grants that had ended - releases that had begun
 *     most charged  = grants that had begun - releases that had ended
 *
 * and each grant must have had room at one of its stamps by the first, under the highest limit
 * that may have been in force then; each refusal must have lacked it by the second, under the
 * lowest. So a grant that begins after a cut has returned shows that charged had been below the
 * new limit, and no refusal is false. Time decides nothing. Both orderings (_i). */
#include "tests/memory/threads.h"

#define FULL (128 * MIB)
#define CUT MIB
#define CREW 64
#define ASKS_BEFORE 60 /* of each thread; then it waits for the first cut */
#define ASKS_MOST 300
#define EVENTS (3 * ASKS_MOST)
#define LIMITS_MOST 512

typedef struct event {
    int64_t start, end; /* stamps */
    int64_t bytes;      /* > 0 asked for, < 0 released */
    bool refused;
} event;

typedef struct change {
    int64_t start, end;
    int64_t limit;
} change;

typedef struct history {
    fixture world;
    int64_t stamps;    /* given out */
    int64_t warm;      /* threads that have asked ASKS_BEFORE times */
    int64_t first_cut; /* has returned */
    int64_t done;      /* threads */
    int64_t asks;      /* of each thread */
    change changes[LIMITS_MOST];
    int changes_count;
} history;

typedef struct chronicler {
    history *common;
    rn_slot *slot;
    uint64_t seed;
    int64_t held;
    event events[EVENTS];
    int count;
} chronicler;

static void note_release(chronicler *self, int64_t bytes)
{
    event *at = &self->events[self->count++];
    *at = (event){.bytes = -bytes, .start = count_up(&self->common->stamps)};
    release(self->slot, bytes);
    at->end = count_up(&self->common->stamps);
    self->held -= bytes;
}

static bool note_ask(chronicler *self, int64_t bytes)
{
    event *at = &self->events[self->count++];
    *at = (event){.bytes = bytes, .start = count_up(&self->common->stamps)};
    at->refused = charge(self->slot, bytes) != RATION_OK;
    at->end = count_up(&self->common->stamps);
    self->held += at->refused ? 0 : bytes;
    return !at->refused;
}

static void *write_history(void *argument)
{
    chronicler *self = (chronicler *)argument;
    history *common = self->common;
    for (int64_t i = 0; i < common->asks; i++) {
        if (i == ASKS_BEFORE) {
            (void)count_up(&common->warm);
            await(&common->first_cut, 1);
        }
        if (!note_ask(self, 1 + pick(&self->seed, 24 * KIB)) || self->held > 400 * KIB) {
            int64_t part = self->held - pick(&self->seed, self->held / 2 + 1);
            note_release(self, part);
        }
        if (pick(&self->seed, 4) == 0) {
            (void)sched_yield();
        }
    }
    note_release(self, self->held);
    (void)count_up(&common->done);
    return NULL;
}

static void change_limit(history *common, int64_t limit)
{
    change *at = &common->changes[common->changes_count++];
    at->limit = limit;
    at->start = count_up(&common->stamps);
    rn_pool_set_limit(common->world.root, limit);
    at->end = count_up(&common->stamps);
}

/* The highest and the lowest limit that may have been in force between two stamps. */
static void find_limits(const history *common, int64_t start, int64_t end, int64_t *out_lowest,
                        int64_t *out_highest)
{
    *out_lowest = INT64_MAX;
    *out_highest = 0;
    for (int i = 0; i < common->changes_count; i++) {
        const change *at = &common->changes[i];
        bool replaced = i + 1 < common->changes_count && common->changes[i + 1].end < start;
        if (at->start <= end && !replaced) {
            *out_lowest = RN_MIN(*out_lowest, at->limit);
            *out_highest = RN_MAX(*out_highest, at->limit);
        }
    }
}

typedef struct verdict {
    int64_t grants, refusals, late_grants; /* late: begun after the first cut had returned */
    int64_t over, denied;                  /* grants without room, refusals with room */
} verdict;

/* Own bytes of a grant are in `least` from its end on, in `most` from its start on. */
static void judge_ask(const history *common, const event *ask, const int64_t *least,
                      const int64_t *most, verdict *sums)
{
    int64_t lowest, highest;
    find_limits(common, ask->start, ask->end, &lowest, &highest);
    int64_t least_charged = INT64_MAX, most_charged = 0;
    for (int64_t stamp = ask->start; stamp < ask->end; stamp++) {
        least_charged = RN_MIN(least_charged, least[stamp]);
        most_charged = RN_MAX(most_charged, most[stamp]);
    }
    sums->grants += !ask->refused;
    sums->refusals += ask->refused;
    sums->late_grants += !ask->refused && ask->start > common->changes[1].end;
    sums->over += !ask->refused && least_charged + ask->bytes > highest;
    sums->denied += ask->refused && most_charged + ask->bytes <= lowest;
}

static verdict judge(const history *common, const chronicler *chroniclers)
{
    verdict sums = {0};
    size_t bytes = ((size_t)common->stamps + 1) * sizeof(int64_t);
    int64_t *least = (int64_t *)calloc(1, bytes), *most = (int64_t *)calloc(1, bytes);
    ck_assert(least != NULL && most != NULL);
    for (int i = 0; i < CREW; i++) {
        for (int j = 0; j < chroniclers[i].count; j++) {
            const event *at = &chroniclers[i].events[j];
            if (!at->refused) {
                least[at->bytes > 0 ? at->end : at->start] += at->bytes;
                most[at->bytes > 0 ? at->start : at->end] += at->bytes;
            }
        }
    }
    for (int64_t stamp = 1; stamp < common->stamps; stamp++) {
        least[stamp] += least[stamp - 1];
        most[stamp] += most[stamp - 1];
    }
    ck_assert_int_eq(least[common->stamps - 1], 0);
    for (int i = 0; i < CREW; i++) {
        for (int j = 0; j < chroniclers[i].count; j++) {
            if (chroniclers[i].events[j].bytes > 0) {
                judge_ask(common, &chroniclers[i].events[j], least, most, &sums);
            }
        }
    }
    free(least);
    free(most);
    return sums;
}

/* After the first cut, storms of others until all threads are done. */
static void set_limits(history *common, bool storm)
{
    uint64_t seed = 7;
    await(&common->warm, CREW);
    change_limit(common, CUT);
    rn_store_release(&common->first_cut, 1);
    while (storm && rn_load_acquire(&common->done) < CREW && common->changes_count < LIMITS_MOST) {
        change_limit(common, CUT << pick(&seed, 6));
        check_audit(&common->world);
        (void)sched_yield();
    }
}

static verdict record(bool seq_cst, int64_t asks, bool storm)
{
    static history common; /* large */
    static chronicler chroniclers[CREW];
    pthread_t threads[CREW];
    uint64_t seed = choose_seed(2);
    common =
        (history){.world = fixture_open(FULL, INT64_MAX, 64 * KIB, seq_cst), .asks = ASKS_BEFORE};
    common.asks += asks;
    change_limit(&common, FULL);
    for (int i = 0; i < CREW; i++) {
        chroniclers[i].common = &common;
        chroniclers[i].held = chroniclers[i].count = 0;
        chroniclers[i].slot = open_slot(i % 2 == 0 ? common.world.first : common.world.second);
        chroniclers[i].seed = seed++;
    }
    start_threads(threads, CREW, write_history, chroniclers, sizeof chroniclers[0]);
    set_limits(&common, storm);
    join_threads(threads, CREW);
    verdict sums = judge(&common, chroniclers);
    printf("%d limits, %lld granted, %lld after the first cut, %lld refused\n",
           common.changes_count, (long long)sums.grants, (long long)sums.late_grants,
           (long long)sums.refusals);
    for (int i = 0; i < CREW; i++) {
        rn_slot_close(chroniclers[i].slot);
    }
    fixture_close(&common.world);
    return sums;
}

START_TEST(test_history__of_a_cut)
{
    verdict sums = record(_i != 0, takes_turns() ? 20 : ASKS_MOST - ASKS_BEFORE, false);
    ck_assert_int_eq(sums.over, 0);
    ck_assert_int_eq(sums.denied, 0);
    ck_assert_int_gt(sums.refusals, 0);
    ck_assert_int_gt(sums.late_grants, 0);
}
END_TEST

START_TEST(test_history__of_storms_of_cuts_and_raises)
{
    verdict sums = record(_i != 0, takes_turns() ? 20 : ASKS_MOST - ASKS_BEFORE, true);
    ck_assert_int_eq(sums.over, 0);
    ck_assert_int_eq(sums.denied, 0);
    ck_assert_int_gt(sums.refusals, 0);
    ck_assert_int_gt(sums.late_grants, 0);
}
END_TEST

int main(void)
{
#ifdef RATION_UNGOVERNED
    return 77; /* nothing is counted in this build */
#endif
    const TTest *const tests[] = {test_history__of_a_cut,
                                  test_history__of_storms_of_cuts_and_raises};
    return run_in_orderings("memory/history", tests, RN_COUNT(tests));
}
