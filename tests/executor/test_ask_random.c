/* SPDX-License-Identifier: Apache-2.0
 *
 * Six queries that ask, wait, spill, withdraw and close at random, in one thread. What must hold
 * however it goes: the invariants after every step; who stays within its share is never refused and
 * never a victim; nobody waits for ever, as long as whoever is asked answers or closes in the end.
 *
 * Of the six two can spill, two cannot, one can and frees nothing half of the time, and one holds
 * what could be spilled and never answers: it only closes, some day. */
#include "base/hash.h"
#include "tests/executor/ask_world.h"

#define QUERIES 6
#define STEPS 100000
#define PATIENCE 4000 /* steps that one may wait while others are told what to do */

typedef enum habit { SPILLS, CANNOT, SPILLS_HALF, SILENT } habit;
static const habit habits[QUERIES] = {SPILLS, SPILLS, CANNOT, CANNOT, SPILLS_HALF, SILENT};

typedef struct player {
    int64_t claim, weight;
    int64_t wanted;    /* of its unfinished ask; 0 = none */
    bool told;         /* to spill */
    int waiting_since; /* step */
    bool seen_victim;
} player;

typedef struct counts {
    int granted, waited, spills, refused, victims, withdrawn, closed;
} counts;

typedef struct play {
    stage made;
    player players[QUERIES];
    counts all;
    uint64_t seed;
    int step;
} play;

static int64_t roll(play *it, int64_t bound)
{
    return (int64_t)rn_random_below(&it->seed, (uint64_t)bound);
}

static int64_t share_of(const play *it, int i)
{
    int64_t claims = 0, weights = 0;
    for (int k = 0; k < QUERIES; k++) {
        claims += it->players[k].claim;
        weights += it->players[k].weight;
    }
    return it->players[i].claim + (LIMIT - claims) / weights * it->players[i].weight;
}

static void publish(const play *it, int i)
{
    const actor *self = &it->made.actors[i];
    int64_t used = rn_slot_used(self->slot);
    /* As operators do, which have some buffers from the start. */
    rn_ask_can_spill(self->slot, habits[i] == CANNOT ? 0 : used + 1);
}

static void open_player(play *it, int i)
{
    stage *made = &it->made;
    rn_no no;
    int count = made->count;
    made->count = i; /* in its old place, under its old name */
    actor *self = enter_query(made, 0);
    made->count = RN_MAX(count, i + 1);
    it->players[i] = (player){.weight = 1 + roll(it, 3)};
    pool_of(self)->weight = it->players[i].weight;
    int64_t claim = roll(it, 3) == 0 ? roll(it, LIMIT / 12) : 0;
    it->players[i].claim = rn_pool_try_claim(pool_of(self), claim, &no) ? claim : 0;
    publish(it, i);
}

static void close_player(play *it, int i)
{
    close_query(&it->made, &it->made.actors[i]);
    it->all.closed += 1;
    open_player(it, i);
    expect_asking(&it->made);
}

/* Victims that were not there before were above their share. */
static void look_for_victims(play *it)
{
    for (int i = 0; i < QUERIES; i++) {
        const actor *self = &it->made.actors[i];
        if (ration_query_status(self->query) == RATION_VICTIM && !it->players[i].seen_victim) {
            ck_assert_int_gt(held_by(self), share_of(it, i));
            ck_assert_int_ne(habits[i], SPILLS);
            it->players[i].seen_victim = true;
            it->all.victims += 1;
        }
    }
}

/* One ask, first or again. */
static void step_ask(play *it, int i)
{
    player *own = &it->players[i];
    const actor *self = &it->made.actors[i];
    bool within = rn_slot_used(self->slot) + own->wanted <= share_of(it, i);
    bool had_none = rn_ticket_read(self->slot) == RN_TICKET_NONE;
    publish(it, i);
    rn_reply asked = ask_for(&it->made, self, own->wanted);
    switch (asked.answer) {
    case RN_ASK_GRANTED:
        own->wanted = 0;
        it->all.granted += 1;
        break;
    case RN_ASK_SPILL:
        own->told = true;
        break;
    case RN_ASK_WAIT:
        own->waiting_since = had_none ? it->step : own->waiting_since;
        it->all.waited += had_none;
        break;
    case RN_ASK_REFUSED:
        if (rn_is_refusal(asked.status) && asked.status != RATION_VICTIM) {
            ck_assert(!within);
            it->all.refused += 1;
            ck_assert_int_gt(self->slot->no.charged_bytes + own->wanted, LIMIT);
        }
        own->wanted = 0;
        break;
    }
    look_for_victims(it);
}

static void step_give(play *it, int i)
{
    const actor *self = &it->made.actors[i];
    int64_t used = rn_slot_used(self->slot);
    bool frees = habits[i] == SPILLS || (habits[i] == SPILLS_HALF && roll(it, 2) == 0);
    release(self->slot, frees && used > 0 ? RN_MAX(1, roll(it, used + 1)) : 0);
    publish(it, i);
    rn_ask_gave(self->query);
    it->players[i].told = false;
    it->all.spills += 1;
}

static void step_idle(play *it, int i)
{
    const actor *self = &it->made.actors[i];
    int64_t used = rn_slot_used(self->slot);
    int64_t kind = roll(it, 20);
    if (kind < 12) {
        it->players[i].wanted = 1 + roll(it, roll(it, 3) == 0 ? LIMIT / 2 : LIMIT / 12);
        step_ask(it, i);
    } else if (kind < 16) {
        release(self->slot, roll(it, used + 1));
        publish(it, i);
    } else if (kind == 16) {
        close_player(it, i);
    } else {
        publish(it, i);
    }
}

/* While it waits it may lose patience, or be cancelled. */
static void step_waiting(play *it, int i)
{
    const actor *self = &it->made.actors[i];
    int64_t kind = roll(it, 400);
    if (kind == 0 && rn_ask_withdraw(self->slot, RATION_QUEUE_TIMEOUT)) {
        it->players[i].wanted = 0;
        it->all.withdrawn += 1;
    } else if (kind == 1) {
        ration_query_cancel(self->query);
    }
    ck_assert_int_lt(it->step - it->players[i].waiting_since, PATIENCE);
}

/* False when it has nothing to do. `asks`: also what nobody has told it to. */
static bool take_step(play *it, int i, bool asks)
{
    player *own = &it->players[i];
    const actor *self = &it->made.actors[i];
    bool ended = ration_query_status(self->query) != RATION_OK || rn_load(&self->query->cancelled);
    bool sleeps = own->wanted > 0 && rn_ticket_read(self->slot) == RN_TICKET_WAITING;
    if (ended && !sleeps) {
        close_player(it, i);
    } else if (habits[i] == SILENT && (is_asked(self) || own->told)) {
        if (roll(it, 40) == 0) {
            close_player(it, i);
        }
    } else if (habits[i] == SPILLS && rn_ticket_read(self->slot) == RN_TICKET_GRANTED) {
        step_ask(it, i); /* takes what is promised first, as the dispatcher does */
    } else if (own->told || (is_asked(self) && !sleeps)) {
        step_give(it, i);
    } else if (sleeps) {
        if (asks) {
            step_waiting(it, i);
        }
        return false;
    } else if (own->wanted > 0) {
        own->wanted = asks && roll(it, 50) == 0 ? 1 + roll(it, LIMIT / 12) : own->wanted;
        step_ask(it, i);
    } else if (asks) {
        step_idle(it, i);
    } else {
        return false;
    }
    return true;
}

/* Nobody asks for anything new: all who wait get an answer. */
static void play_to_the_end(play *it)
{
    for (int rounds = 0;; rounds++) {
        bool busy = false;
        for (int i = 0; i < QUERIES; i++) {
            busy |= take_step(it, i, false);
            expect_asking(&it->made);
        }
        if (!busy) {
            break;
        }
        ck_assert_int_lt(rounds, 5000);
    }
    ck_assert_ptr_null(rn_queue_first(it->made.view.ledger));
    for (int i = 0; i < QUERIES; i++) {
        ck_assert_int_eq(it->players[i].wanted, 0);
    }
}

START_TEST(test_ask__always_ends)
{
    static play it;
    const char *given = getenv("RATION_SEED");
    uint64_t usual = 77 + (uint64_t)_i;
    memset(&it, 0, sizeof it);
    it.seed = given != NULL ? strtoull(given, NULL, 0) : usual;
    printf("seed=%llu\n", (unsigned long long)it.seed);
    set_stage(&it.made);
    for (int i = 0; i < QUERIES; i++) {
        open_player(&it, i);
    }
    int steps = getenv("CK_TIMEOUT_MULTIPLIER") != NULL ? STEPS / 10 : STEPS; /* under valgrind */
    for (it.step = 0; it.step < steps; it.step++) {
        (void)take_step(&it, (int)roll(&it, QUERIES), true);
        expect_asking(&it.made);
        if (it.step % 500 == 499) {
            play_to_the_end(&it);
        }
    }
    play_to_the_end(&it);
    printf("granted %d, waited %d, spilled %d, refused %d, victims %d, withdrew %d, closed %d\n",
           it.all.granted, it.all.waited, it.all.spills, it.all.refused, it.all.victims,
           it.all.withdrawn, it.all.closed);
    ck_assert_int_gt(it.all.granted, 0);
    ck_assert_int_gt(it.all.waited, 0);
    ck_assert_int_gt(it.all.spills, 0);
    ck_assert_int_gt(it.all.refused, 0);
    ck_assert_int_gt(it.all.victims, 0);
    clear_stage(&it.made);
}
END_TEST

int main(void)
{
#ifdef RATION_UNGOVERNED
    return 77; /* nothing is counted in this build */
#endif
    Suite *suite = suite_create("executor/ask random");
    TCase *plays = tcase_create("plays");
    tcase_add_loop_test(plays, test_ask__always_ends, 0, 4);
    tcase_set_timeout(plays, 120);
    suite_add_tcase(suite, plays);
    return run_suite(suite);
}
