/* SPDX-License-Identifier: Apache-2.0
 *
 * Engines of others: queries over the public interface alone, with one or two workers, that claim,
 * obtain, spill and rest; or hold and cannot spill. What they hold is a number. */
#include <stdio.h>

#include "tests/sim/sim.h"

#define KIB INT64_C(1024)
#define WORKERS_MAX 2

typedef struct worker {
    char name[20]; /* of a second one */
    sim_query *query;
    ration_slot *slot;
    int64_t held_bytes, written_bytes, obtained_bytes;
    bool busy; /* inside of `spill` */
} worker;

static int64_t count_spillable(void *state)
{
    const worker *self = state;
    return self->held_bytes;
}

static ration_status spill(void *state, int64_t want_bytes)
{
    worker *self = state;
    sim_must(!self->busy, "%s: spill is called while it runs", self->query->name);
    self->busy = true;
    int64_t bytes = RN_MIN(want_bytes, self->held_bytes);
    sim_sleep_until(sim_now_ns() + bytes * SIM_MICROSECOND_NS / KIB);
    self->held_bytes -= bytes;
    self->written_bytes += bytes;
    ration_slot_release(self->slot, bytes);
    self->busy = false;
    return RATION_OK;
}

static void rest(worker *self)
{
    ration_slot_leave(self->slot);
    sim_sleep_until(sim_now_ns() + (int64_t)sim_below(20 * SIM_MILLISECOND_NS));
    ration_slot_enter(self->slot);
    sim_must(!self->busy, "%s: came back while somebody spills for it", self->query->name);
}

static ration_status work(worker *self)
{
    const sim_host *plan = &self->query->host;
    for (int64_t step = 0; step < plan->steps; step++) {
        int64_t bytes = 1 + (int64_t)sim_below((uint64_t)plan->step_bytes);
        RN_TRY(ration_slot_obtain(self->slot, bytes, "host.rows"));
        self->held_bytes += bytes;
        self->obtained_bytes += bytes;
        if (sim_one_in(10)) {
            int64_t gone = (int64_t)sim_below((uint64_t)self->held_bytes + 1);
            self->held_bytes -= gone;
            self->written_bytes += gone;
            ration_slot_release(self->slot, gone);
        }
        if (plan->rests && sim_one_in(8)) {
            rest(self);
        }
        sim_point("host", step);
    }
    return RATION_OK;
}

static ration_status live_worker(worker *self)
{
    const ration_spiller spiller = {.state = self, .spillable = count_spillable, .spill = spill};
    RN_TRY(ration_query_slot(self->query->query, &self->slot));
    if (self->query->host.spills) {
        ration_slot_register_spill(self->slot, &spiller);
    }
    ration_status status = work(self);
    ration_slot_register_spill(self->slot, NULL);
    ration_slot_release(self->slot, self->held_bytes);
    self->written_bytes += self->held_bytes;
    sim_must(self->obtained_bytes == self->written_bytes, "%s: bytes are lost", self->query->name);
    return status;
}

static void live_peer(void *argument)
{
    worker *self = argument;
    sim_query *query = self->query;
    while (!query->opened && !query->ended) {
        (void)sim_wait("waits for its peer", query, INT64_MAX);
    }
    if (query->opened) {
        (void)live_worker(self); /* the first failure is the query's status */
        query->peers -= 1;
        sim_wake(&query->peers);
    }
}

ration_status sim_host_run(sim_query *query)
{
    static worker workers[SIM_QUERIES_MAX];
    worker *self = &workers[query - sim_the.queries];
    *self = (worker){.query = query};
    RN_TRY(ration_query_claim(query->query, query->host.claim_bytes, "host"));
    query->opened = true;
    sim_wake(query);
    ration_status status = live_worker(self);
    while (query->peers > 0) {
        (void)sim_wait("waits for peers", &query->peers, INT64_MAX);
    }
    ration_status sticky = ration_query_status(query->query);
    return sticky == RATION_OK ? status : sticky;
}

void sim_host_spawn_peer(sim_query *query)
{
    static worker peers[SIM_QUERIES_MAX];
    worker *self = &peers[query - sim_the.queries];
    *self = (worker){.query = query};
    query->peers += 1;
    snprintf(self->name, sizeof self->name, "%s'", query->name);
    sim_spawn(self->name, false, live_peer, self);
}
