/* SPDX-License-Identifier: Apache-2.0
 *
 * Under a filter that refuses the barrier (containers have them): from the start, which is seen at
 * open; later, when slots rely on it already; and together with the second barrier, when nothing
 * may be concluded any more. A filter stays with its process, so each test, being one, is its own.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/membarrier.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "memory/pool.h"
#include "tests/memory/fixture.h"
#include "tests/memory/resident.h"

#define LIMIT (64 * (int64_t)1024)
#define OWNERS 3
#define CHARGES 500000

#define EVERY (-1)

/* From now on `call` with this first argument fails with EPERM in this thread, in those it starts,
 * and what they exec. False where filters are not to be had. */
static bool deny(long call, int argument)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)call, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
        BPF_JUMP(BPF_JMP | (argument == EVERY ? BPF_JGE : BPF_JEQ) | BPF_K,
                 argument == EVERY ? 0 : (uint32_t)argument, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = RN_COUNT(code), .filter = code};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static bool denied(long call, int argument)
{
    if (!deny(call, argument)) {
        printf("skipped: no system call filters here\n");
        return false;
    }
    return true;
}

/* A ledger whose slots rely on the barrier. */
static bool open_with_membarrier(fixture *world)
{
    *world = fixture_open(LIMIT, INT64_MAX, 16384, false);
    if (!rn_ledger_uses_membarrier(world->ledger)) {
        fixture_close(world);
        printf("skipped: no membarrier here\n");
        return false;
    }
    return true;
}

/* Runs a program with what it prints thrown away; its exit code, or -1. */
static int run(char *const *arguments)
{
    (void)fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        int nowhere = open("/dev/null", O_WRONLY | O_CLOEXEC);
        (void)dup2(nowhere, STDOUT_FILENO);
        (void)execv(arguments[0], arguments);
        _exit(127);
    }
    int status = -1;
    return waitpid(child, &status, 0) == child && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* -------------------------------------------------------------------------------- from the start
 */

/* Also when only the registration is refused, or the one command, which a filter may not know. */
START_TEST(test_seccomp__refused_at_open_is_seq_cst)
{
    static const int commands[] = {EVERY, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED,
                                   MEMBARRIER_CMD_PRIVATE_EXPEDITED};
    if (!denied(SYS_membarrier, commands[_i])) {
        return;
    }
    fixture world = fixture_open(LIMIT, INT64_MAX, 4096, false);
    ck_assert(!rn_ledger_uses_membarrier(world.ledger));
    rn_slot *slot = open_slot(world.first);
    rn_slot *idle = open_slot(world.second);
    ck_assert_int_eq(slot->hot.ordering, 1);
    ck_assert_int_eq(charge(idle, 100), RATION_OK);
    ck_assert_int_eq(charge(slot, LIMIT - 99), RATION_GLOBAL_LIMIT);
    ck_assert_int_eq(charge(slot, LIMIT - 100), RATION_OK);
    release(slot, LIMIT - 100);
    release(idle, 100);
    rn_slot_close(slot);
    rn_slot_close(idle);
    fixture_close(&world);
}
END_TEST

/* The other test programs of this folder, under the filter. */
START_TEST(test_seccomp__refused_at_open_everything_holds)
{
    static const char *const programs[] = {"test_slot", "test_stress", "test_matrix"};
    char path[512];
    ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 64);
    ck_assert_int_gt(length, 0);
    path[length] = '\0';
    if (!denied(SYS_membarrier, EVERY)) {
        return;
    }
    strcpy(strrchr(path, '/') + 1, programs[_i]);
    if (access(path, X_OK) != 0) {
        printf("skipped: %s is not built\n", programs[_i]);
        return;
    }
    char *arguments[] = {path, NULL};
    ck_assert_msg(run(arguments) == 0, "%s fails without membarrier", programs[_i]);
}
END_TEST

START_TEST(test_seccomp__refused_at_open_is_shown)
{
    const char *program = getenv("RATION");
    if (program == NULL || access(program, X_OK) != 0) {
        printf("skipped: RATION names no program\n");
        return;
    }
    if (!denied(SYS_membarrier, EVERY)) {
        return;
    }
    char command[600];
    snprintf(command, sizeof(command), "'%s' limits --explain | grep -q '^ordering *seq_cst'",
             program);
    char shell[] = "/bin/sh";
    char option[] = "-c";
    char *arguments[] = {shell, option, command, NULL};
    ck_assert_int_eq(run(arguments), 0);
}
END_TEST

/* ------------------------------------------------------------------------------ after it was open
 */

typedef struct owner {
    rn_slot *slot;
    uint64_t seed;
    int64_t *running; /* owners not yet done */
    int64_t grants, broken;
} owner;

static void *run_owner(void *argument)
{
    owner *self = (owner *)argument;
    int64_t held = 0;
    for (int i = 0; i < CHARGES; i++) {
        int64_t bytes = (int64_t)rn_random_below(&self->seed, 256);
        if (charge(self->slot, bytes) == RATION_OK) {
            held += bytes;
            self->grants += 1;
        } else {
            release(self->slot, held);
            held = 0;
        }
        if (i % 64 == 0) {
            self->broken += !rn_slot_check(self->slot) || rn_slot_used(self->slot) != held;
        }
    }
    release(self->slot, held);
    (void)rn_fetch_add(self->running, -1);
    return NULL;
}

/* Owners race while their credit is recalled as fast as it can be; every recall has to visit the
 * processors. */
START_TEST(test_seccomp__refused_later_is_never_over)
{
    fixture world;
    if (!open_with_membarrier(&world) || !denied(SYS_membarrier, EVERY)) {
        return;
    }
    int64_t running = OWNERS;
    owner owners[OWNERS];
    pthread_t threads[OWNERS];
    for (int i = 0; i < OWNERS; i++) {
        owners[i] = (owner){.slot = open_slot(i == 0 ? world.second : world.first),
                            .seed = (uint64_t)i + 1,
                            .running = &running};
        ck_assert_int_eq(pthread_create(&threads[i], NULL, run_owner, &owners[i]), 0);
    }
    int64_t recalls = 0;
    for (; rn_load(&running) > 0; recalls++) {
        (void)rn_pool_recall(recalls % 2 == 0 ? world.root : world.first);
        ck_assert_int_le(rn_load(&world.root->granted), LIMIT);
        if (recalls % 64 == 0) {
            check_audit(&world);
        }
    }
    printf("%lld recalls\n", (long long)recalls);
    for (int i = 0; i < OWNERS; i++) {
        ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
        ck_assert_int_eq(owners[i].broken, 0);
        ck_assert_int_gt(owners[i].grants, 0);
        rn_slot_close(owners[i].slot);
    }
    fixture_close(&world); /* no fault was counted */
}
END_TEST

/* What the others provably do not hold is there, to the byte, and not one more. */
START_TEST(test_seccomp__refused_later_refusals_are_true)
{
    fixture world;
    if (!open_with_membarrier(&world)) {
        return;
    }
    rn_slot *idle[8];
    for (size_t i = 0; i < RN_COUNT(idle); i++) {
        idle[i] = open_slot(i % 2 == 0 ? world.first : world.second);
        ck_assert_int_eq(charge(idle[i], 1064), RATION_OK);
        release(idle[i], 1000);
    }
    if (!denied(SYS_membarrier, EVERY)) {
        return;
    }
    rn_slot *asker = open_slot(world.first);
    int64_t rest = LIMIT - 64 * (int64_t)RN_COUNT(idle);
    for (int round = 0; round < 50; round++) {
        ck_assert_int_eq(charge(asker, rest + 1), RATION_GLOBAL_LIMIT);
        ck_assert_int_eq(asker->no.charged_bytes, LIMIT - rest);
        ck_assert_int_eq(charge(asker, rest), RATION_OK);
        release(asker, rest);
        for (size_t i = 0; i < RN_COUNT(idle); i++) { /* to credit again */
            ck_assert_int_eq(charge(idle[i], 1000), RATION_OK);
            release(idle[i], 1000);
        }
    }
    for (size_t i = 0; i < RN_COUNT(idle); i++) {
        release(idle[i], 64);
        rn_slot_close(idle[i]);
    }
    rn_slot_close(asker);
    fixture_close(&world);
}
END_TEST

/* ------------------------------------------------------------------------------- both barriers */

/* Checked builds are expected to abort in the test that follows, also where it cannot run. */
static void end_early(void)
{
#ifdef RATION_CHECKED
    abort();
#endif
}

/* Slots stay closed until their owners come to the lock: never over, a no may be false by the
 * credit of who is idle, and it is counted. Checked builds abort at it. */
START_TEST(test_seccomp__both_refused_later)
{
    static const long calls[] = {SYS_sched_setaffinity, SYS_sched_getaffinity};
    fixture world;
    if (!open_with_membarrier(&world)) {
        end_early();
        return;
    }
    rn_slot *slot = open_slot(world.first);
    rn_slot *asker = open_slot(world.second);
    ck_assert_int_eq(charge(slot, 1000), RATION_OK);
    ck_assert_int_gt(read_pool(world.root).credit_bytes, 500);
    bool filtered = denied(SYS_membarrier, EVERY) && deny(calls[_i], EVERY);
    ck_assert_int_eq(charge(asker, LIMIT - 1000), filtered ? RATION_GLOBAL_LIMIT : RATION_OK);
    if (!filtered) {
        end_early();
        return;
    }
    ck_assert_int_gt(rn_faults(), 0);
    check_audit(&world);
    ck_assert_int_eq(charge(slot, 10), RATION_OK); /* asks anew, and has credit again */
    ck_assert_int_eq(charge(asker, LIMIT - 1010), RATION_GLOBAL_LIMIT);
    release(slot, 10); /* brings all of it home */
    ck_assert_int_eq(read_pool(world.root).credit_bytes, 0);
    ck_assert_int_eq(charge(asker, LIMIT - 1000), RATION_OK);
    ck_assert_int_ne(charge(asker, 1), RATION_OK);
    ck_assert_int_ne(charge(slot, 1), RATION_OK);
    rn_pool_set_limit(world.root, LIMIT - 1); /* above a cut, and nobody knows what is credit */
    check_audit(&world);
    rn_pool_set_limit(world.root, LIMIT);
    rn_store(&world.root->waiting, 1);
    check_audit(&world);
    rn_store(&world.root->waiting, 0);
    char text[256];
    rn_store(&slot->hot.limit, 0); /* closed is allowed, wrong is not */
    ck_assert(!ration_pool_check(world.root, text, sizeof(text)));
    rn_store(&slot->hot.limit, RN_SLOT_CLOSED);
    ck_assert_int_eq(read_pool(world.root).granted_bytes, LIMIT);
    check_audit(&world);
    release(slot, 1000);
    release(asker, LIMIT - 1000);
    rn_slot_close(slot);
    rn_slot_close(asker);
    fixture_clear(&world);
}
END_TEST

/* ---------------------------------------------------------------------------------------- pages */

/* Nothing that is asked for pages is needed, but to map them. */
START_TEST(test_seccomp__pages_without_advice)
{
    if (!rss_is_ours() || !denied(SYS_madvise, EVERY) || !deny(SYS_mremap, EVERY) ||
        !deny(SYS_prctl, EVERY)) {
        return;
    }
    const rn_page_features *known = rn_page_features_get();
    ck_assert(!known->populate && !known->guards && !known->names && !known->huge_advice);
    fixture world = fixture_open(64 * MIB, INT64_MAX, MIB, false);
    rn_blocks_options options = {.retain_ms = 1000000, .prefault = true};
    fixture_set_blocks(&world, &options);
    rn_slot *slot = open_slot(world.first);
    static const int64_t sizes[] = {8192, RN_BLOCK_BYTES, MIB, 3 * MIB};
    void *blocks[RN_COUNT(sizes)];
    for (size_t i = 0; i < RN_COUNT(sizes); i++) {
        ck_assert_int_eq(rn_block_acquire(slot, sizes[i], &blocks[i]), RATION_OK);
        ck_assert_int_eq(resident_bytes_of(blocks[i], sizes[i]), sizes[i]);
    }
    ck_assert_ptr_null(rn_block_resize(slot, blocks[2], MIB, 2 * MIB));
    for (size_t i = 0; i < RN_COUNT(sizes); i++) {
        rn_block_release(slot, blocks[i], sizes[i]);
    }
    rn_blocks_purge(world.blocks);
    ck_assert(rn_blocks_check(world.blocks));
    ck_assert_int_eq(resident_bytes_of(blocks[0], 8192), 0); /* in the span that is spared */
    rn_slot_close(slot);
    fixture_close(&world);
}
END_TEST

int main(void)
{
#ifdef RATION_UNGOVERNED
    return 77; /* nothing is counted in this build */
#endif
    TCase *start = tcase_create("from the start");
    tcase_add_loop_test(start, test_seccomp__refused_at_open_is_seq_cst, 0, 3);
    tcase_add_loop_test(start, test_seccomp__refused_at_open_everything_holds, 0, 3);
    tcase_add_test(start, test_seccomp__refused_at_open_is_shown);
    tcase_add_test(start, test_seccomp__pages_without_advice);
    tcase_set_timeout(start, 300);
    TCase *later = tcase_create("later");
    tcase_add_test(later, test_seccomp__refused_later_is_never_over);
    tcase_add_test(later, test_seccomp__refused_later_refusals_are_true);
#ifdef RATION_CHECKED
    tcase_add_loop_test_raise_signal(later, test_seccomp__both_refused_later, SIGABRT, 0, 2);
#else
    tcase_add_loop_test(later, test_seccomp__both_refused_later, 0, 2);
#endif
    tcase_set_timeout(later, 120);
    Suite *suite = suite_create("memory/seccomp");
    suite_add_tcase(suite, start);
    suite_add_tcase(suite, later);
    return run_suite(suite);
}
