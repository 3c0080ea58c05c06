/* SPDX-License-Identifier: Apache-2.0
 *
 * Real processes that divide a machine on paper: its headroom is a number less what they hold, and
 * what they hold is real memory, taken and given back as their limits say. A process that watches
 * adds up what is promised, again and again. */
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "executor/limit.h"
#include "executor/registry_file.h"
#include "tests/support.h"

#define MIB (INT64_C(1) << 20)
#define STEP (MIB / 4)
#define PROCESSES_MAX 64

/* Shared by all of a test. */
typedef struct world {
    int64_t size_bytes; /* of the machine */
    int64_t stop;
    struct {
        int64_t granted, limit, turns, failed;
    } process[PROCESSES_MAX];
} world;

static world *shared;
static char folder[256];
static pid_t children[PROCESSES_MAX];
static int64_t count;

static int64_t sum_granted(void)
{
    int64_t sum = 0;
    for (int64_t i = 0; i < PROCESSES_MAX; i++) {
        sum += rn_load(&shared->process[i].granted);
    }
    return sum;
}

/* Takes up to its limit, step by step, or gives back down to it. */
static void follow(char *memory, int64_t own, int64_t limit)
{
    int64_t *granted = &shared->process[own].granted, held = rn_load(granted);
    for (; held + STEP <= limit; held += STEP) {
        (void)rn_fetch_add(granted, STEP); /* gone from the headroom before it is in memory */
        memset(memory + held, 1, STEP);
    }
    if (held > limit) {
        int64_t rest = limit / STEP * STEP;
        if (madvise(memory + rest, (size_t)(held - rest), MADV_DONTNEED) != 0) {
            rn_store(&shared->process[own].failed, 1);
        }
        rn_store(granted, rest);
    }
}

static int live(int64_t own)
{
    static rn_probe probe;
    ration_limits limits;
    ration_error error;
    rn_registry *registry;
    ration_limits_default(&limits);
    limits.untracked_reserved_bytes = 0;
    limits.limit_floor_bytes = 0;
    char *memory = mmap(NULL, (size_t)shared->size_bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED || madvise(memory, (size_t)shared->size_bytes, MADV_NOHUGEPAGE) != 0) {
        return 1;
    }
    ration_status status;
    do { /* again while the lock is busy for half a second: who watches waits for all of them */
        status = rn_registry_open(folder, &registry, &error);
    } while (status == RATION_ENVIRONMENT && rn_load(&shared->stop) == 0);
    if (status != RATION_OK) {
        return 1;
    }
    probe.count = 1;
    probe.sources[0].limit_bytes = shared->size_bytes;
    for (int64_t limit = 0; rn_load(&shared->stop) == 0;) {
        rn_registry_division division;
        rn_registry_own turn = {.granted_bytes = rn_load(&shared->process[own].granted),
                                .limit_bytes = limit,
                                .ceiling_bytes = INT64_MAX,
                                .demand_bytes = INT64_MAX,
                                .limits = &limits,
                                .probe = &probe,
                                .now_ns = rn_clock_ns()};
        turn.resident_bytes = turn.granted_bytes;
        probe.sources[0].headroom_bytes = RN_MAX(0, shared->size_bytes - sum_granted());
        if (rn_registry_divide(registry, &turn, &division, &error) != RATION_OK) {
            continue; /* the first one: the lock was busy for half a second */
        }
        limit = division.limit_bytes;
        rn_store(&shared->process[own].limit, limit);
        follow(memory, own, limit);
        (void)rn_fetch_add(&shared->process[own].turns, 1);
        (void)usleep(10000);
    }
    rn_registry_close(registry);
    return 0;
}

static void start_one(void)
{
    int64_t own = count++;
    children[own] = fork();
    ck_assert_int_ge(children[own], 0);
    if (children[own] == 0) {
        _exit(live(own));
    }
}

static void begin(int64_t size_bytes, int64_t processes)
{
    rn_copy_text(folder, sizeof folder, support_folder());
    shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert_ptr_ne(shared, MAP_FAILED);
    shared->size_bytes = size_bytes;
    count = 0;
    for (int64_t i = 0; i < processes; i++) {
        start_one();
    }
}

/* Ends those that are left; nothing stays in the registry. */
static void finish(void)
{
    rn_registry *registry;
    ration_error error;
    static rn_registry_entry entries[RN_REGISTRY_PLACES];
    rn_store(&shared->stop, 1);
    for (int64_t i = 0; i < count; i++) {
        int status;
        if (children[i] != 0) {
            ck_assert_int_eq(waitpid(children[i], &status, 0), children[i]);
            ck_assert_int_eq(status, 0);
        }
        ck_assert_int_eq(shared->process[i].failed, 0);
    }
    support_ok(rn_registry_look(folder, &registry, &error), &error);
    ck_assert_int_eq(rn_registry_list(registry, entries), 0);
    rn_registry_close(registry);
    ck_assert_int_eq(munmap(shared, sizeof *shared), 0);
    support_remove(folder);
}

/* What may be promised too much: the sums are of one instant, what the machine has is seen a moment
 * before or after, and less than a MiB of each is not looked for. */
static int64_t slack(void)
{
    return count * (MIB + STEP);
}

/* One look at all: no more is promised, or held, than the ratio allows. Returns how many there are;
 * `out_least` and `out_most` of their limits. */
static int64_t look(rn_registry *registry, int64_t *out_least, int64_t *out_most)
{
    static rn_registry_entry entries[RN_REGISTRY_PLACES];
    int64_t there = rn_registry_list(registry, entries), sum = 0, most = 0, least = INT64_MAX;
    for (int64_t i = 0; i < there; i++) {
        sum += RN_MAX(entries[i].limit_bytes, entries[i].granted_bytes);
        most = RN_MAX(most, entries[i].limit_bytes);
        least = RN_MIN(least, entries[i].limit_bytes);
    }
    int64_t allowed = rn_share_of_ratio(shared->size_bytes, 800000) + slack();
    if (sum > allowed || sum_granted() > allowed) {
        ck_abort_msg("%lld promised, %lld held, of %lld", (long long)sum, (long long)sum_granted(),
                     (long long)allowed);
    }
    *out_least = least;
    *out_most = most;
    return there;
}

/* Watches until `processes` are there and each may grant an equal part of 0.8, but for a tenth. */
static void watch_until_even(int64_t processes)
{
    rn_registry *registry = NULL;
    ration_error error;
    while (registry == NULL) {
        support_ok(rn_registry_look(folder, &registry, &error), &error);
    }
    int64_t even = rn_share_of_ratio(shared->size_bytes, 800000) / processes, least, most, there;
    do {
        (void)usleep(2000);
        there = look(registry, &least, &most);
    } while (there != processes || least < even - even / 10 || most > even + even / 10);
    for (int i = 0; i < 50; i++) {
        (void)usleep(2000);
        (void)look(registry, &least, &most);
    }
    rn_registry_close(registry);
}

START_TEST(test_registry_processes__one_two_and_four_get_equal_parts)
{
    begin(200 * MIB, 1);
    watch_until_even(1);
    start_one();
    watch_until_even(2);
    start_one();
    start_one();
    watch_until_even(4);
    finish();
}
END_TEST

START_TEST(test_registry_processes__sixty_four_at_once)
{
    begin(512 * MIB, 64);
    watch_until_even(64);
    finish();
}
END_TEST

START_TEST(test_registry_processes__one_that_is_killed_is_forgotten_before_it_is_waited_for)
{
    begin(200 * MIB, 4);
    watch_until_even(4);
    siginfo_t information;
    ck_assert_int_eq(kill(children[2], SIGKILL), 0);
    ck_assert_int_eq(waitid(P_PID, (id_t)children[2], &information, WEXITED | WNOWAIT), 0);
    rn_store(&shared->process[2].granted, 0); /* it has no memory any more */
    watch_until_even(3);
    ck_assert_int_eq(waitpid(children[2], NULL, 0), children[2]);
    children[2] = 0;
    finish();
}
END_TEST

START_TEST(test_registry_processes__one_that_is_stopped_keeps_what_it_has)
{
    begin(200 * MIB, 3);
    watch_until_even(3);
    rn_registry *registry;
    ration_error error;
    int64_t least, most, turns = 0;
    int status;
    ck_assert_int_eq(kill(children[0], SIGSTOP), 0);
    ck_assert_int_eq(waitpid(children[0], &status, WUNTRACED), children[0]);
    support_ok(rn_registry_look(folder, &registry, &error), &error);
    int64_t held = rn_load(&shared->process[0].granted);
    for (int64_t from = rn_load(&shared->process[1].turns); turns < 100;
         turns = rn_load(&shared->process[1].turns) - from) {
        (void)usleep(2000);
        ck_assert_int_eq(look(registry, &least, &most), 3);
    }
    ck_assert_int_eq(rn_load(&shared->process[0].granted), held);
    ck_assert_int_eq(kill(children[0], SIGCONT), 0);
    rn_registry_close(registry);
    watch_until_even(3);
    finish();
}
END_TEST

/* Turn after turn, without a pause. */
static void turn_for_ever(void)
{
    static rn_probe probe;
    rn_registry *registry;
    ration_limits limits;
    rn_registry_division division;
    ration_limits_default(&limits);
    while (rn_registry_open(folder, &registry, NULL) == RATION_OK) {
        const rn_registry_own own = {
            .ceiling_bytes = MIB, .limits = &limits, .probe = &probe, .now_ns = rn_clock_ns()};
        (void)!rn_registry_divide(registry, &own, &division, NULL);
        rn_registry_close(registry);
    }
}

START_TEST(test_registry_processes__kills_at_any_instant_leave_no_lock_and_no_place)
{
    begin(100 * MIB, 1);
    for (int round = 0; round < 100; round++) {
        pid_t child = fork();
        ck_assert_int_ge(child, 0);
        if (child == 0) {
            turn_for_ever();
            _exit(1);
        }
        (void)usleep(1000 + (useconds_t)round * 10);
        ck_assert_int_eq(kill(child, SIGKILL), 0);
        ck_assert_int_eq(waitpid(child, NULL, 0), child);
    }
    watch_until_even(1);
    finish();
}
END_TEST

static int64_t divide_once(rn_registry *registry, int64_t granted, int64_t headroom)
{
    static rn_probe probe;
    ration_limits limits;
    ration_error error;
    rn_registry_division division;
    ration_limits_default(&limits);
    probe.count = 1;
    probe.sources[0].limit_bytes = 4000 * MIB;
    probe.sources[0].headroom_bytes = headroom;
    const rn_registry_own own = {.granted_bytes = granted,
                                 .resident_bytes = granted,
                                 .limit_bytes = 100 * MIB,
                                 .ceiling_bytes = INT64_MAX,
                                 .demand_bytes = INT64_MAX,
                                 .limits = &limits,
                                 .probe = &probe,
                                 .now_ns = rn_clock_ns()};
    support_ok(rn_registry_divide(registry, &own, &division, &error), &error);
    return division.total_bytes;
}

/* Says that it is ready, and waits until it is to go on. */
static void take_steps(int from, int to)
{
    char byte = 0;
    if (write(to, &byte, 1) != 1 || read(from, &byte, 1) != 1) {
        _exit(2);
    }
}

/* What another takes and gives back between two of its turns has left, or is back in, the headroom:
 * it is seen in its memory at once. */
START_TEST(test_registry_processes__memory_of_others_is_seen_between_their_turns)
{
    rn_copy_text(folder, sizeof folder, support_folder());
    int there[2], back[2];
    char byte;
    ck_assert(pipe(there) == 0 && pipe(back) == 0);
    pid_t child = fork();
    if (child == 0) {
        rn_registry *registry;
        char *memory = mmap(NULL, (size_t)(80 * MIB), PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED || rn_registry_open(folder, &registry, NULL) != RATION_OK) {
            _exit(1);
        }
        (void)support_populate(memory, 40 * MIB);
        (void)divide_once(registry, 40 * MIB, 1000 * MIB);
        take_steps(there[0], back[1]);
        (void)support_populate(memory + 40 * MIB, 40 * MIB);
        take_steps(there[0], back[1]);
        (void)madvise(memory, (size_t)(80 * MIB), MADV_DONTNEED);
        take_steps(there[0], back[1]);
        _exit(0);
    }
    rn_registry *registry;
    ration_error error;
    ck_assert_int_eq(read(back[0], &byte, 1), 1);
    support_ok(rn_registry_open(folder, &registry, &error), &error);
    ck_assert_int_eq(divide_once(registry, 0, 1000 * MIB), 1040 * MIB);
    ck_assert(write(there[1], &byte, 1) == 1 && read(back[0], &byte, 1) == 1);
    int64_t total = divide_once(registry, 0, 960 * MIB);
    ck_assert_int_ge(total, 1038 * MIB);
    ck_assert_int_le(total, 1042 * MIB);
    ck_assert(write(there[1], &byte, 1) == 1 && read(back[0], &byte, 1) == 1);
    total = divide_once(registry, 0, 1040 * MIB);
    ck_assert_int_ge(total, 1038 * MIB);
    ck_assert_int_le(total, 1042 * MIB);
    /* Less than there was: what was seen of it above does not hide that. */
    total = divide_once(registry, 0, 900 * MIB);
    ck_assert_int_le(total, 902 * MIB);
    ck_assert_int_eq(write(there[1], &byte, 1), 1);
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
    rn_registry_close(registry);
    support_remove(folder);
}
END_TEST

/* Another process has the pid of one that died. */
START_TEST(test_registry_processes__a_recycled_pid_is_another_process)
{
    begin(100 * MIB, 2);
    watch_until_even(2);
    rn_failure none = {0};
    char path[RN_REGISTRY_PATH_BYTES];
    ration_error error;
    support_ok(rn_registry_file_name(folder, path, &error), &error);
    rn_registry_file file = {.path = path, .failure = &none, .descriptor = -1};
    rn_registry_entry entry = {.process = children[0],
                               .start_time = rn_probe_start_time(children[0]) - 1,
                               .number = 1,
                               .limit_bytes = 50 * MIB,
                               .ceiling_bytes = INT64_MAX,
                               .demand_bytes = INT64_MAX,
                               .bound_bytes = INT64_MAX,
                               .ratio_ppm = 800000,
                               .heard_ns = rn_clock_ns()};
    support_ok(rn_registry_file_open(&file, RN_REGISTRY_WRITES, &(bool){false}, &error), &error);
    support_ok(rn_registry_file_write(&file, 40, &entry, &error), &error);
    static rn_registry_contents contents;
    rn_registry_word word = RN_REGISTRY_ENTRY;
    while (word == RN_REGISTRY_ENTRY) {
        (void)usleep(2000);
        support_ok(rn_registry_file_read(&file, false, false, &contents, &error), &error);
        word = rn_registry_file_judge(&contents.records[40]);
    }
    ck_assert_int_eq(word, RN_REGISTRY_FREE);
    rn_registry_file_close(&file);
    watch_until_even(2);
    finish();
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_registry_processes__one_two_and_four_get_equal_parts,
        test_registry_processes__sixty_four_at_once,
        test_registry_processes__one_that_is_killed_is_forgotten_before_it_is_waited_for,
        test_registry_processes__one_that_is_stopped_keeps_what_it_has,
        test_registry_processes__kills_at_any_instant_leave_no_lock_and_no_place,
        test_registry_processes__memory_of_others_is_seen_between_their_turns,
        test_registry_processes__a_recycled_pid_is_another_process,
    };
    return support_run("registry_processes", tests, RN_COUNT(tests));
}
