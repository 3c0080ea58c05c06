/* SPDX-License-Identifier: Apache-2.0
 *
 * One seed: a governor with a small limit, or some that divide a small machine, a disk, queries
 * that come at their times, and what happens to them meanwhile. What and when is decided before the
 * first step. */
#include "tests/sim/disk.h"
#include "tests/sim/sim.h"
#include "tests/support.h"

#define KIB INT64_C(1024)
#define EVENTS_MAX 24

sim_world sim_the;

typedef enum event_kind {
    SET_LIMIT,
    TAKE_MEMORY,
    RELOAD,
    SET_DISK,
    BREAK_DISK,
    MEND_DISK,
    CANCEL,
    FAIL_ALLOCATION,
    FAIL_BLOCK,
} event_kind;

typedef struct event {
    int64_t at_ns;
    event_kind kind;
    int64_t value;
    uint32_t index; /* of a query, or a home */
} event;

static event events[EVENTS_MAX];
static uint32_t event_count;
static sim_totals *totals;

static int64_t between(int64_t low, int64_t high)
{
    return low + (int64_t)sim_below((uint64_t)(high - low + 1));
}

/* Small ones as often as large ones. */
static int64_t between_octaves(int64_t low, uint64_t octaves)
{
    int64_t step = low << sim_below(octaves);
    return step + between(0, step);
}

/* --------------------------------------------------------------------------------------- events */

static void add_event(int64_t at_ns, event_kind kind, int64_t value, uint32_t index)
{
    if (event_count < EVENTS_MAX) {
        uint32_t at = event_count++;
        for (; at > 0 && events[at - 1].at_ns > at_ns; at--) {
            events[at] = events[at - 1];
        }
        events[at] = (event){.at_ns = at_ns, .kind = kind, .value = value, .index = index};
    }
}

static void set_limit(sim_home *home, int64_t limit_bytes)
{
    home->least_limit_bytes = RN_MIN(home->least_limit_bytes, limit_bytes);
    ration_status status = ration_governor_set_limit(home->governor, limit_bytes);
    sim_must(status == RATION_OK, "the limit %lld was not taken", (long long)limit_bytes);
}

static void happen(const event *it)
{
    static const char *const names[] = {"limit",      "strangers",       "reload",
                                        "disk speed", "disk breaks",     "disk mends",
                                        "cancel",     "fail allocation", "fail block"};
    sim_note(names[it->kind], it->value);
    switch (it->kind) {
    case SET_LIMIT:
        set_limit(&sim_the.homes[it->index], it->value);
        break;
    case TAKE_MEMORY:
        sim_machine_take(it->value);
        break;
    case RELOAD:
        sim_home_reload(&sim_the.homes[it->index], totals);
        break;
    case SET_DISK:
        sim_disk_set(it->value, INT64_C(1) << 40);
        break;
    case BREAK_DISK:
        sim_disk_break((sim_breakage)it->value);
        break;
    case MEND_DISK:
        sim_disk_break(SIM_DISK_SOUND);
        break;
    case CANCEL:
        if (sim_the.queries[it->index].query != NULL) {
            sim_the.queries[it->index].cancelled = true;
            ration_query_cancel(sim_the.queries[it->index].query);
        }
        break;
    case FAIL_ALLOCATION:
        rn_heap_fail_after(it->value, false);
        break;
    case FAIL_BLOCK:
        rn_blocks_fail_after(it->value, false);
        break;
    }
}

static void attend_events(void *argument)
{
    (void)argument;
    for (uint32_t i = 0; i < event_count && !sim_is_over(); i++) {
        sim_sleep_until(events[i].at_ns);
        bool of_home = events[i].kind == SET_LIMIT || events[i].kind == RELOAD;
        if (!of_home || sim_home_enter(&sim_the.homes[events[i].index])) {
            happen(&events[i]);
        }
        if (of_home) {
            sim_home_leave(&sim_the.homes[events[i].index]);
        }
    }
}

/* -------------------------------------------------------------------------------------- queries */

static ration_status point_next(rn_operator *op, const rn_batch **out_batch)
{
    sim_point(op->class_->name, 0);
    return op->class_->next(op, out_batch);
}

static ration_status pull(sim_query *self)
{
    RN_TRY(rn_execution_open(self->query, self->plan->plan, false, &self->execution));
    for (uint32_t i = 0; i < self->plan->plan->node_count; i++) {
        self->execution->operators[i].next = point_next;
    }
    const rn_batch *batch;
    int64_t batches = 0;
    do {
        RN_TRY(rn_execution_next(self->execution, &batch));
        sim_answer_add(self->plan, &self->answer, batch);
        batches += 1;
        self->left = batches > self->leaves_after;
        if (self->idle_ns > 0) {
            sim_sleep_until(sim_now_ns() + self->idle_ns);
        }
    } while (batch->rows > 0 && !self->left);
    return RATION_OK;
}

static void live(void *argument)
{
    sim_query *self = argument;
    sim_sleep_until(self->arrives_ns);
    while (self->home->governor == NULL) {
        (void)sim_wait("waits for its process", self->home, INT64_MAX);
    }
    self->status =
        ration_query_open(self->home->governor, &self->options, &self->query, &self->error);
    if (self->status == RATION_OK) {
        self->status = self->plan == NULL ? sim_host_run(self) : pull(self);
        rn_execution *execution = self->execution;
        self->execution = NULL;
        rn_execution_close(execution);
        self->refused = ration_query_refusal(self->query, &self->refusal);
        (void)rn_query_error(self->query, &self->error);
        ration_query *query = self->query;
        self->query = NULL;
        ration_query_close(query);
    }
    self->ended = true;
    sim_wake(self);
    oracle_query(self, totals);
    sim_answer_free(&self->answer);
    self->home->living -= 1;
}

/* Boxes of random plans come from the heap. */
static bool suits(const sim_query *made)
{
    return !(sim_the.out_of_memory && made->plan->model != NULL) &&
           !(sim_the.follows && oracle_minimum(made) > sim_the.need_bytes && !sim_one_in(20));
}

static void choose_work(sim_query *made)
{
    if (sim_one_in(5)) {
        made->host = (sim_host){.spills = !sim_one_in(3),
                                .rests = sim_one_in(3),
                                .steps = between(1, 60),
                                .step_bytes = between_octaves(KIB, 7)};
        made->host.two_workers = made->host.spills && sim_one_in(3);
        int64_t workers = made->host.two_workers ? 2 : 1;
        made->host.claim_bytes = (made->host.step_bytes + 8 * KIB) * workers;
        if (made->host.two_workers) {
            sim_host_spawn_peer(made);
        }
        return;
    }
    do {
        made->plan = sim_library_plan((uint32_t)sim_below(sim_library_count()));
    } while (!suits(made));
}

static void print_query(const sim_query *query)
{
    printf("%s comes after %lld us, group %s, rests %lld us, leaves after %lld\n%s\n", query->name,
           (long long)((query->arrives_ns - sim_now_ns()) / SIM_MICROSECOND_NS),
           query->options.group == NULL ? "-" : query->options.group,
           (long long)(query->idle_ns / SIM_MICROSECOND_NS), (long long)query->leaves_after,
           query->plan == NULL ? "host" : query->plan->yaml);
}

static void add_query(uint32_t number, int64_t now_ns, bool together)
{
    static const uint64_t idle_chances = 6;
    sim_query *made = &sim_the.queries[number];
    snprintf(made->name, sizeof made->name, "Q%u", number);
    made->home = &sim_the.homes[sim_below(sim_the.home_count)];
    made->home->living += 1;
    choose_work(made);
    made->options = (ration_query_options){.size = sizeof made->options, .name = made->name};
    made->arrives_ns = now_ns + (together ? 0 : between(0, 40 * SIM_MILLISECOND_NS));
    made->leaves_after = sim_one_in(15) ? between(0, 4) : INT64_MAX;
    made->idle_ns = sim_one_in(idle_chances) ? between(1, 30 * SIM_MILLISECOND_NS) : 0;
    int64_t groups = made->home->limits.group_count;
    if (groups > 0 && !sim_one_in(4)) {
        made->options.group = sim_group_names[sim_below((uint64_t)groups)];
    }
    if (sim_one_in(8)) { /* just enough, or whatever */
        made->options.limit_bytes =
            sim_one_in(2) ? oracle_minimum(made) : between_octaves(768 * KIB, 3);
    }
    if (sim_one_in(20)) {
        made->options.rows_max = between_octaves(10, 10);
    }
    if (sim_one_in(12)) {
        made->options.time_ms_max = between(1, 60);
    }
    if (sim_one_in(12)) {
        add_event(made->arrives_ns + between(0, 60 * SIM_MILLISECOND_NS), CANCEL, 0, number);
    }
    sim_spawn(made->name, false, live, made);
    if (getenv("SIM_TRACE") != NULL) {
        print_query(made);
    }
}

/* ---------------------------------------------------------------------------------------- world */

/* What all homes have alike. */
static void choose_limits(ration_limits *limits)
{
    static const int64_t intervals[] = {1, 2, 7, 64, 256, 1024, 1024};
    static const int64_t retains[] = {0, 20, 1000};
    ration_limits_default(limits);
    limits->enable_system_monitor = false;
    limits->limit_bytes = between_octaves(1536 * KIB, 4);
    limits->check_interval = intervals[sim_below(RN_COUNT(intervals))];
    limits->chunk_bytes_max = between_octaves(4 * KIB, 9);
    limits->retain_ms = retains[sim_below(RN_COUNT(retains))];
    limits->query_wait_ms_max = INT64_C(1000) * 1000 * 1000;
    limits->admission_wait_ms_max = limits->query_wait_ms_max;
    limits->spill_free_bytes_min = 0;
    sim_the.impatient = sim_one_in(15);
    if (sim_the.impatient) {
        limits->query_wait_ms_max = between(1, 50);
        limits->admission_wait_ms_max = between(1, 50);
    }
    sim_the.small_quota = sim_one_in(15);
    if (sim_the.small_quota) {
        limits->spill_bytes_max = sim_one_in(2) ? between_octaves(64 * KIB, 6) : 0;
        limits->spill_query_bytes_max = between_octaves(64 * KIB, 5);
    }
}

static void choose_disk(int64_t now_ns)
{
    sim_disk_options options = {
        .call_ns = between_octaves(SIM_MICROSECOND_NS, 9),
        .bytes_per_ms = between_octaves(20 * KIB, 8),
        .capacity_bytes = INT64_C(1) << 40,
        .short_one_in = sim_one_in(4) ? 3 : 0,
        .interrupted_one_in = sim_one_in(4) ? 3 : 0,
        .names_only = sim_one_in(4),
    };
    sim_the.faulty = sim_one_in(6);
    if (sim_the.faulty && sim_one_in(2)) {
        options.capacity_bytes = between_octaves(64 * KIB, 7);
    } else if (sim_the.faulty) {
        int64_t at_ns = now_ns + between(0, 60 * SIM_MILLISECOND_NS);
        add_event(at_ns, BREAK_DISK, between(SIM_DISK_WRITES_FAIL, SIM_DISK_READS_LIE), 0);
        if (sim_one_in(2)) {
            add_event(at_ns + between(0, 20 * SIM_MILLISECOND_NS), MEND_DISK, 0, 0);
        }
    } else if (sim_one_in(3)) {
        add_event(now_ns + between(0, 60 * SIM_MILLISECOND_NS), SET_DISK,
                  between_octaves(4 * KIB, 8), 0);
    }
    sim_disk_open(&options);
}

static void choose_failures(int64_t now_ns)
{
    sim_the.out_of_memory = sim_one_in(15);
    uint64_t failures = sim_the.out_of_memory ? 1 + sim_below(3) : 0;
    for (uint64_t i = 0; i < failures; i++) {
        add_event(now_ns + between(0, 40 * SIM_MILLISECOND_NS),
                  sim_one_in(2) ? FAIL_ALLOCATION : FAIL_BLOCK, between(1, 30), 0);
    }
}

static void choose_events(int64_t now_ns, const ration_limits *limits)
{
    int64_t at_ns = now_ns, limit = limits->limit_bytes;
    uint64_t changes = sim_the.follows ? sim_below(8) : sim_one_in(3) ? 1 + sim_below(4) : 0;
    for (uint64_t i = 0; i < changes; i++) {
        at_ns += between(0, 20 * SIM_MILLISECOND_NS);
        if (sim_the.follows) {
            add_event(at_ns, TAKE_MEMORY, between(0, sim_machine_total() / 10 * 9), 0);
        } else {
            add_event(at_ns, SET_LIMIT, between(limit / 4, limit * 2), 0);
        }
    }
    if (sim_the.follows) { /* what waits for it comes to its end */
        add_event(at_ns + 300 * SIM_MILLISECOND_NS, TAKE_MEMORY, 0, 0);
    }
    uint64_t reloads = sim_one_in(3) ? 1 + sim_below(6) : 0;
    at_ns = now_ns;
    for (uint64_t i = 0; i < reloads; i++) {
        at_ns += between(0, 40 * SIM_MILLISECOND_NS);
        add_event(at_ns, RELOAD, (int64_t)i, (uint32_t)sim_below(sim_the.home_count));
    }
    choose_failures(now_ns);
}

static void close_world(void)
{
    rn_heap_fail_after(0, false);
    rn_blocks_fail_after(0, false);
    oracle_end();
    oracle_count(totals);
    sim_disk_close();
}

uint64_t sim_play(uint64_t seed, sim_totals *all)
{
    static const uint32_t rarities[] = {0, 1, 2, 8, 32};
    int64_t heap_bytes = rn_heap_bytes();
    totals = all;
    memset(&sim_the, 0, sizeof sim_the);
    event_count = 0;
    sim_begin(seed);
    oracle_begin();
    sim_set_rarity(rarities[sim_below(RN_COUNT(rarities))]);
    int64_t now_ns = sim_now_ns();
    ration_limits limits;
    choose_limits(&limits);
    sim_homes_choose(&limits, now_ns);
    choose_disk(now_ns);
    choose_events(now_ns, &limits);
    bool together = sim_one_in(3);
    sim_the.query_count = 2 + (uint32_t)sim_below(sim_one_in(4) ? SIM_QUERIES_MAX - 2 : 5);
    for (uint32_t i = 0; i < sim_the.query_count; i++) {
        add_query(i, now_ns, together);
    }
    sim_spawn("events", true, attend_events, NULL);
    sim_homes_spawn();
    sim_run(oracle_step);
    sim_end();
    close_world();
    sim_must(rn_heap_bytes() == heap_bytes, "%lld bytes of the heap are left",
             (long long)(rn_heap_bytes() - heap_bytes));
    all->seeds += 1;
    all->steps += sim_steps();
    all->written_bytes += sim_disk_written();
    return sim_trace();
}
