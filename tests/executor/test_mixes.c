/* SPDX-License-Identifier: Apache-2.0
 *
 * A thousand mixes of queries with one hog, each from its seed, in one thread through the calls of
 * a host. Innocent are those that claim a minimum and spill, and those that cannot spill and stay
 * within a share of the limit: none of them is refused, made a victim or left waiting for ever, and
 * nothing is ever granted above the limit. The hog takes all it can get; it spills, or cannot, or
 * says it could and frees nothing, or leaves and is idle. */
#include "executor/ask.h"
#include "tests/executor/governor_world.h"

#define KIB ((int64_t)1024)
#define QUERIES_MAX 8
#define MIXES 1000
#define STEPS_MAX 200000

typedef enum habit { SPILLS, SMALL, HOG_SPILLS, HOG_CANNOT, HOG_LIES, HOG_IDLES, HABITS } habit;

typedef struct player {
    habit does;
    ration_query *query; /* NULL = ended */
    ration_slot *slot;
    ration_spiller spiller;
    int64_t minimum, step, work; /* work: bytes that it still has to take */
    int64_t held, most;
    bool admitted, away;
    int killed;
} player;

typedef struct mix {
    ration_governor *governor;
    player players[QUERIES_MAX];
    int count, left; /* innocent ones that have not ended */
    int64_t limit;
    uint64_t seed;
} mix;

static int64_t roll(mix *it, int64_t bound)
{
    return (int64_t)rn_random_below(&it->seed, (uint64_t)bound);
}

static bool is_innocent(const player *self)
{
    return self->does == SPILLS || self->does == SMALL;
}

static int64_t tell_spillable(void *state)
{
    const player *self = state;
    return self->does == SMALL || self->does == HOG_CANNOT ? 0 : self->held;
}

static ration_status spill(void *state, int64_t want_bytes)
{
    player *self = state;
    int64_t bytes = self->does == HOG_LIES ? 0 : RN_MIN(want_bytes, self->held);
    self->held -= bytes;
    ration_slot_release(self->slot, bytes);
    return RATION_OK;
}

static void open_player(mix *it, int i)
{
    player *self = &it->players[i];
    habit does = i == 0 ? HOG_SPILLS + (habit)roll(it, HABITS - HOG_SPILLS) : (habit)roll(it, 2);
    int64_t share = it->limit / QUERIES_MAX;
    ration_query_options options = {.size = sizeof options};
    *self = (player){.does = does, .spiller = {self, tell_spillable, spill}};
    self->query = open_query(it->governor, &options, &self->slot);
    self->minimum = does == SMALL ? 0 : 4 * KIB + roll(it, share / 4);
    self->step = RN_MAX(self->minimum, 4 * KIB) / 2;
    self->step += roll(it, self->step); /* a minimum is what a step needs at most */
    self->work = does == SMALL ? share / 2 : is_innocent(self) ? 2 * it->limit : INT64_MAX;
    self->most = does == SMALL ? share / 2 : it->limit;
    if (does == HOG_CANNOT || does == HOG_LIES) {
        self->minimum = 0; /* a claim would protect it for a while */
    }
    ration_slot_register_spill(self->slot, &self->spiller);
}

static void end_player(mix *it, player *self)
{
    it->left -= is_innocent(self) ? 1 : 0;
    ration_query_close(self->query);
    self->query = NULL;
}

static void expect_not_refused(const mix *it, const player *self, ration_reply reply)
{
    ck_assert_msg(reply.answer != RATION_REFUSED || !is_innocent(self), "player %d: %s",
                  (int)(self - it->players), ration_status_name(reply.status));
}

static void take_step(mix *it, player *self)
{
    if (self->away) {
        return;
    }
    ration_reply reply = {.answer = RATION_GRANTED};
    int64_t bytes = RN_MIN(RN_MIN(self->step, self->work), self->most);
    if (!self->admitted) {
        reply = ration_query_try_claim(self->query, self->minimum, "plan");
        self->admitted = reply.answer == RATION_GRANTED;
    } else {
        reply = ration_slot_settle(self->slot, bytes, "step");
        self->held += reply.answer == RATION_GRANTED ? bytes : 0;
        self->work -= reply.answer == RATION_GRANTED ? bytes : 0;
    }
    expect_not_refused(it, self, reply);
    if (reply.answer == RATION_SPILL) {
        ck_assert_int_eq(spill(self, reply.want_bytes), RATION_OK);
        ration_slot_gave(self->slot);
    } else if (reply.answer == RATION_WAIT && self->admitted) {
        (void)ration_slot_wait(self->slot, 0); /* writes out for who is away */
    } else if (reply.answer == RATION_REFUSED) {
        end_player(it, self); /* a hog */
    } else if (self->work == 0) {
        end_player(it, self);
    } else if (self->does == HOG_IDLES && self->held > it->limit / 2) {
        self->away = true;
        ration_slot_leave(self->slot);
    }
}

static void play(uint64_t seed)
{
    static mix it;
    memset(&it, 0, sizeof it);
    it.seed = seed;
    it.limit = 512 * KIB + roll(&it, 4096) * KIB;
    ration_limits limits;
    ration_limits_default(&limits);
    limits.enable_system_monitor = false;
    limits.limit_bytes = it.limit;
    limits.chunk_bytes_max = 4 * KIB << roll(&it, 5);
    it.governor = open_governor_with(&limits);
    it.count = 2 + (int)roll(&it, QUERIES_MAX - 1);
    for (int i = 0; i < it.count; i++) {
        open_player(&it, i);
        it.left += is_innocent(&it.players[i]);
    }
    ration_pool_figures root;
    int steps = 0;
    for (; it.left > 0 && steps < STEPS_MAX; steps++) {
        player *self = &it.players[roll(&it, it.count)];
        if (self->query != NULL) {
            take_step(&it, self);
        }
        ration_pool_read(ration_governor_root(it.governor), &root);
        ck_assert_int_le(root.granted_bytes, root.limit_bytes);
    }
    ck_assert_msg(it.left == 0, "%d of %d do not end", it.left, it.count);
    for (int i = 0; i < it.count; i++) {
        if (it.players[i].query != NULL) {
            end_player(&it, &it.players[i]);
        }
    }
    close_and_check(it.governor);
}

START_TEST(test_mixes__no_innocent_refusals)
{
    const char *given = getenv("RATION_SEED");
    int mixes = given != NULL ? 1 : getenv("CK_TIMEOUT_MULTIPLIER") != NULL ? MIXES / 20 : MIXES;
    uint64_t first = given != NULL ? strtoull(given, NULL, 0) : 1;
    for (int i = 0; i < mixes; i++) {
        static char seed[40];
        snprintf(seed, sizeof seed, "%llu", (unsigned long long)first + (unsigned)i);
        printf("\rseed=%s", seed);
        fflush(stdout);
        play(first + (unsigned)i);
    }
    printf("\n");
}
END_TEST

int main(void)
{
#ifdef RATION_UNGOVERNED
    return 77; /* nothing is counted in this build */
#endif
    const TTest *const tests[] = {test_mixes__no_innocent_refusals};
    return support_run("mixes", tests, RN_COUNT(tests));
}
