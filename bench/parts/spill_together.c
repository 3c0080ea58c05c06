/* SPDX-License-Identifier: Apache-2.0
 *
 * Equal aggregations at the same time, a thread each, under one limit that is far below what they
 * would take together: how many complete with the right rows, how long all of them take, and how
 * evenly the time falls (Jain's index of their walls, from the common start: 1 = all alike). One
 * after another is the same with one thread. */
#include "bench/spill.h"

#include <pthread.h>

#define QUERIES_MAX 64

typedef struct together {
    spill_world *world;
    int64_t start_ns;
    int64_t next; /* query to take; atomic */
    int64_t count;
    int64_t wall_ns[QUERIES_MAX]; /* of each, from the start of all */
    spill_fold folds[QUERIES_MAX];
    ration_status status[QUERIES_MAX];
} together;

static ration_status run_query(together *all, int64_t number)
{
    ration_query *query = spill_query_open(all->world);
    ration_status status = spill_execute(query, all->world->plan, false, &all->folds[number]);
    if (status != RATION_OK) {
        spill_explain(query);
    }
    ration_query_close(query);
    return status;
}

static void *work(void *argument)
{
    together *all = argument;
    for (int64_t i = rn_fetch_add(&all->next, 1); i < all->count; i = rn_fetch_add(&all->next, 1)) {
        spill_fold_begin(&all->folds[i], 0);
        all->status[i] = run_query(all, i);
        all->wall_ns[i] = rn_clock_ns() - all->start_ns;
    }
    return NULL;
}

static void put_result(const together *all)
{
    double sum = 0, squares = 0;
    int64_t complete = 0, last_ns = 0, now_bytes, peak_bytes;
    rn_probe_self("", &now_bytes, &peak_bytes);
    for (int64_t i = 0; i < all->count; i++) {
        double wall = (double)all->wall_ns[i];
        sum += wall;
        squares += wall * wall;
        last_ns = RN_MAX(last_ns, all->wall_ns[i]);
        complete += all->status[i] == RATION_OK && all->folds[i].rows > 0 &&
                    all->folds[i].hash == all->folds[0].hash;
    }
    printf("complete=%lld of=%lld wall_ns=%lld jain=%.4f rows=%lld hash=%016llx over_bytes=%lld\n",
           (long long)complete, (long long)all->count, (long long)last_ns,
           sum * sum / (squares * (double)all->count), (long long)all->folds[0].rows,
           (unsigned long long)all->folds[0].hash,
           (long long)(peak_bytes - all->world->start_bytes));
}

int spill_together(const spill_crowd *crowd)
{
    static together all;
    pthread_t threads[QUERIES_MAX];
    spill_task task = {spill_shape_find("aggregate"), crowd->limit_bytes, 1, crowd->directory,
                       NULL};
    int64_t thread_count = crowd->in_turn ? 1 : crowd->count;
    if (crowd->count < 1 || crowd->count > QUERIES_MAX) {
        fprintf(stderr, "spill: 1 to %d queries\n", QUERIES_MAX);
        return 2;
    }
    all.world = spill_world_open(&task, crowd->groups * 2, crowd->groups);
    all.count = crowd->count;
    all.start_ns = rn_clock_ns();
    for (int64_t i = 0; i < thread_count; i++) {
        if (pthread_create(&threads[i], NULL, work, &all) != 0) {
            perror("spill: thread");
            return 2;
        }
    }
    for (int64_t i = 0; i < thread_count; i++) {
        (void)pthread_join(threads[i], NULL);
    }
    put_result(&all);
    spill_world_close(all.world);
    return 0;
}
