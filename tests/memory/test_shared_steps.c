/* SPDX-License-Identifier: Apache-2.0
 *
 * Death at every instant. A process acts on a shared ledger one machine instruction after the other
 * (ptrace). After each that changed the region, the region is copied as it would be had the process
 * died there: with the lock marked as its holder's death marks it, when the process has it. Whoever
 * joins the copy must find what is told in repair.c: books that add up, nothing above the limit,
 * all of the living untouched, and after burying nothing of the dead left, to the byte.
 *
 * Skipped where a process may not be traced, under valgrind and sanitizers, and with a C library
 * whose mutex is not known here. */
#include <sched.h>
#include <sys/ptrace.h>

#include "memory/pages.h"
#include "tests/memory/processes.h"

#define OWNER_DIED 0x40000000 /* FUTEX_OWNER_DIED */
#define HELD (3 * MIB)        /* by the one who lives */
#define WANTED (6 * MIB)      /* by its ticket */

#define CANNOT_TRACE 77

static const rn_share_sizes sizes = {.processes = 4, .pools = 12, .slots = 8};

/* The process that dies. */
typedef struct victim {
    stage *here;
    member at;
    rn_slot *slot, *other;
} victim;

/* The one that lives, and the copies it looks at. */
typedef struct survivor {
    stage *here;
    member at;
    rn_slot *slot;    /* holds HELD, and credit */
    rn_slot *waiting; /* holds nothing; may have a ticket */
    rn_share *last;   /* the region when it was last copied */
    int copy;         /* file of the copy */
    rn_share *copied;
    int64_t process; /* of the victim */
    int64_t copies, held_copies;
} survivor;

typedef struct scenario {
    const char *name;
    void (*prepare)(victim *self); /* before the steps, by the one who dies */
    void (*await)(survivor *self); /* then, by the one who lives; may be NULL */
    void (*act)(victim *self);     /* step by step */
    bool above; /* a pool may be above its limit: bytes were unchecked, or it was cut */
} scenario;

/* ------------------------------------------------------------------------------ one who lives on
 */

static void *at_copy(const survivor *self, const rn_share *share, const void *place)
{
    return (char *)share + ((const char *)place - (const char *)rn_share_of(self->at.ledger));
}

/* The copy as the kernel leaves it when the victim dies now. */
static void write_copy(survivor *self)
{
    int64_t bytes = self->last->bytes;
    memcpy(self->copied, self->last, (size_t)bytes);
    pthread_mutex_t *lock = &self->copied->ledger.lock;
    self->copies += 1;
    if (lock->__data.__lock != 0) {
        lock->__data.__lock = OWNER_DIED;
        self->held_copies += 1;
    }
}

static void expect_nothing_of(rn_share *share, int64_t process)
{
    int64_t places = share->sizes.processes + share->sizes.pools + share->sizes.slots;
    for (int64_t i = 0; i < places; i++) {
        ck_assert_int_ne(share->holders[i], process);
    }
}

/* What the one who lives finds after the death. */
static void look_after(survivor *self, const scenario *acted, rn_ledger *ledger)
{
    rn_share *share = rn_share_of(ledger);
    member at = {.ledger = ledger, .root = rn_pool_find(ledger, NULL, "root")};
    ck_assert_ptr_nonnull(at.root);
    check_tree(&at);
    rn_slot *slot = at_copy(self, share, self->slot);
    rn_slot *waiting = at_copy(self, share, self->waiting);
    ck_assert_int_eq(rn_slot_used(slot), HELD);
    ck_assert_int_ge(slot->granted_bytes, HELD);
    for (ration_pool *pool = at.root; pool != NULL; pool = rn_pool_next(pool, at.root)) {
        ck_assert(acted->above || rn_pool_room(pool) >= 0);
    }
    rn_ledger_lock(ledger);
    (void)rn_ledger_bury_process(ledger, self->process);
    rn_ledger_unlock(ledger);
    expect_nothing_of(share, self->process);
    check_tree(&at);
    rn_pool_set_limit(at.root, PROCESSES_LIMIT);
    bool waits = rn_ticket_read(self->waiting) != RN_TICKET_NONE;
    int64_t charged = HELD + (waits ? WANTED : 0);
    int woken = 0;
    ck_assert_int_eq(sem_getvalue(&waiting->ticket.wake, &woken), 0);
    ck_assert_int_eq(rn_ticket_read(waiting), waits ? RN_TICKET_GRANTED : RN_TICKET_NONE);
    ck_assert_int_ge(woken, waits);
    ck_assert_int_eq(rn_load(&at.root->waiting), 0);
    ck_assert_int_eq(rn_load(&at.root->givers), 0);
    ck_assert_int_eq(read_pool(at.root).charged_bytes, charged);
    ck_assert_int_eq(charge(slot, PROCESSES_LIMIT - charged + 1), RATION_GLOBAL_LIMIT);
    ck_assert_int_eq(charge(slot, PROCESSES_LIMIT - charged), RATION_OK);
    ck_assert_int_eq(charge(slot, 1), RATION_GLOBAL_LIMIT);
    release(slot, PROCESSES_LIMIT - charged);
    check_tree(&at);
}

static void look_at_copy(survivor *self, const scenario *acted)
{
    rn_ledger *ledger;
    bool alone;
    ration_error error;
    write_copy(self);
    ration_status status =
        rn_ledger_join_shared(self->copy, PROCESSES_CHUNK, &ledger, &alone, &error);
    ck_assert_msg(status == RATION_OK, "%s", error.message);
    look_after(self, acted, ledger);
    rn_pages_unmap_shared(rn_share_of(ledger), self->last->bytes, (int64_t)sizeof(rn_share_own));
}

/* One instruction; false when the victim has stopped itself. */
static bool step(pid_t child)
{
    int status;
    ck_assert_int_eq(ptrace(PTRACE_SINGLESTEP, child, NULL, NULL), 0);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(WIFSTOPPED(status), "process ended with %d", status);
    ck_assert(WSTOPSIG(status) == SIGTRAP || WSTOPSIG(status) == SIGSTOP);
    return WSTOPSIG(status) == SIGTRAP;
}

/* Until it stops itself, past other signals, or ends; its status. */
static int await_stop(pid_t child)
{
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    while (WIFSTOPPED(status) && WSTOPSIG(status) != SIGSTOP) {
        ck_assert_int_eq(ptrace(PTRACE_CONT, child, NULL, NULL), 0);
        ck_assert_int_eq(waitpid(child, &status, 0), child);
    }
    return status;
}

static int64_t walk(survivor *self, const scenario *acted, pid_t child)
{
    const rn_share *share = rn_share_of(self->at.ledger);
    int64_t steps = 0;
    memcpy(self->last, share, (size_t)share->bytes);
    while (step(child)) {
        steps += 1;
        if (memcmp(self->last, share, (size_t)share->bytes) != 0) {
            memcpy(self->last, share, (size_t)share->bytes);
            look_at_copy(self, acted);
        }
    }
    return steps;
}

/* --------------------------------------------------------------------------------- one who dies */

static void run_victim(stage *here, const scenario *acted)
{
    victim self = {.here = here};
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0) {
        _exit(CANNOT_TRACE);
    }
    self.at = join_region(here);
    self.slot = take_slot(&self.at);
    self.other = take_slot(&self.at);
    acted->prepare(&self);
    need(raise(SIGSTOP) == 0);
    acted->act(&self);
    need(raise(SIGSTOP) == 0);
    _exit(0);
}

static void charge_all(victim *self)
{
    ration_pool_figures seen = read_pool(self->at.root);
    need(charge(self->slot, seen.limit_bytes - seen.charged_bytes) == RATION_OK);
}

static void charge_little(victim *self)
{
    need(charge(self->slot, 2 * MIB) == RATION_OK);
    need(charge(self->other, MIB) == RATION_OK);
    need(rn_pool_try_charge(self->at.pool, MIB));
}

/* Refills, recalls the credit of the living, is refused; gives back with and without the lock. */
static void charge_and_release(victim *self)
{
    need(charge(self->slot, 3 * MIB) == RATION_OK);
    need(charge(self->slot, PROCESSES_LIMIT - HELD - 7 * MIB) == RATION_OK);
    need(charge(self->other, MIB) == RATION_GLOBAL_LIMIT);
    release(self->slot, 100);
    release(self->slot, 40 * MIB);
    int64_t most;
    need(ration_slot_try_charge_between(&self->other->hot, 1, PROCESSES_LIMIT, &most) == RATION_OK);
    release(self->other, most);
}

static void open_and_close(victim *self)
{
    ration_pool *pool;
    rn_slot *slot;
    rn_no no;
    need(rn_pool_open(self->at.ledger, self->at.pool, "inner", 6 * MIB, RATION_QUERY_LIMIT, NULL,
                      &pool) == RATION_OK);
    need(rn_pool_try_claim(pool, 4 * MIB, &no));
    need(rn_slot_open(pool, NULL, &slot) == RATION_OK);
    need(charge(slot, 5 * MIB) == RATION_OK);
    need(rn_pool_try_charge(pool,
                            MIB)); /* full, so that nothing may be counted twice; and the root: */
    ration_pool_figures seen = read_pool(self->at.root);
    int64_t rest = seen.limit_bytes - seen.charged_bytes;
    need(charge(self->other, rest) == RATION_OK);
    rn_ledger_lock(self->at.ledger);
    need(rn_slot_hand_over(slot, self->at.pool, 2 * MIB));
    need(rn_slot_take_over(slot, self->at.pool, MIB));
    rn_ledger_unlock(self->at.ledger);
    rn_slot_close(slot);
    need(rn_pool_try_claim(pool, 0, &no));
    rn_pool_release(pool, 5 * MIB);
    rn_pool_release(self->at.pool, MIB);
    release(self->other, rest);
    rn_pool_close(pool);
}

static void change_limits(victim *self)
{
    rn_no no;
    ration_pool *group;
    rn_pool_set_limit(self->at.root, 10 * MIB);
    rn_pool_set_limit(self->at.root, PROCESSES_LIMIT);
    need(rn_pool_open(self->at.ledger, self->at.queries, "group", INT64_MAX, RATION_GROUP_LIMIT,
                      NULL, &group) == RATION_OK);
    rn_ledger_lock(self->at.ledger);
    rn_pool_count_givers(self->at.pool, 1);
    rn_ledger_unlock(self->at.ledger);
    need(rn_pool_set_parent(self->at.pool, group, &no));
    rn_ledger_lock(self->at.ledger);
    rn_pool_count_givers(self->at.pool, -1);
    rn_ledger_unlock(self->at.ledger);
    need(rn_pool_set_parent(self->at.pool, self->at.queries, &no));
    rn_pool_close(group);
    need(rn_pool_recall(self->at.root) >= 0);
}

/* The ticket of the living is granted by what the victim gives back. */
static void wait_for_victim(survivor *self)
{
    rn_no no;
    rn_ledger_lock(self->at.ledger);
    ck_assert_int_eq(rn_slot_charge_locked(self->waiting, WANTED, &no), RATION_GLOBAL_LIMIT);
    rn_ticket_enter(self->waiting, &no);
    rn_ledger_unlock(self->at.ledger);
}

static void make_giver(victim *self)
{
    charge_all(self);
    rn_ledger_lock(self->at.ledger);
    rn_pool_count_givers(self->at.pool, 1);
    rn_ledger_unlock(self->at.ledger);
}

static void give(victim *self)
{
    rn_ledger_lock(self->at.ledger);
    rn_pool_count_givers(self->at.pool, -1); /* the ticket is asked to ask again */
    rn_ledger_unlock(self->at.ledger);
    release(self->slot, WANTED - MIB);
    release(self->slot, 2 * MIB);
}

/* The limit is cut below what the ticket asks for: it waits while there is room. */
static void cut_below_ticket(victim *self)
{
    rn_pool_set_limit(self->at.root, WANTED - MIB);
    release(self->slot, rn_slot_used(self->slot));
    rn_pool_set_limit(self->at.root, PROCESSES_LIMIT);
}

/* The victim waits itself, asks again, leaves. */
static void wait_and_leave(victim *self)
{
    rn_no no;
    rn_ledger_lock(self->at.ledger);
    need(rn_slot_charge_locked(self->other, 2 * MIB, &no) != RATION_OK);
    rn_pool_count_givers(self->at.pool, 1);
    rn_ticket_enter(self->other, &no);
    rn_ledger_unlock(self->at.ledger);
    rn_ledger_lock(self->at.ledger);
    rn_ticket_ask_again(self->other);
    rn_ticket_enter(self->other, &no);
    rn_ledger_unlock(self->at.ledger);
    rn_ledger_lock(self->at.ledger);
    rn_pool_count_givers(self->at.pool, -1);
    rn_ticket_leave(self->other);
    rn_ledger_unlock(self->at.ledger);
}

/* It waits, gives to itself, and takes. */
static void wait_and_take(victim *self)
{
    rn_no no;
    rn_ledger_lock(self->at.ledger);
    need(rn_slot_charge_locked(self->other, 2 * MIB, &no) != RATION_OK);
    rn_pool_count_givers(self->at.pool, 1);
    rn_ticket_enter(self->other, &no);
    rn_ledger_unlock(self->at.ledger);
    release(self->slot, 3 * MIB);
    rn_ledger_lock(self->at.ledger);
    need(rn_ticket_read(self->other) == RN_TICKET_GRANTED);
    rn_ticket_take(self->other);
    rn_pool_count_givers(self->at.pool, -1);
    rn_ledger_unlock(self->at.ledger);
    release(self->other, MIB);
}

static void charge_unchecked(victim *self)
{
    ration_slot_charge(&self->slot->hot, 9 * MIB);
    release(self->slot, 4 * MIB);
    release(self->slot, 6 * MIB);
}

/* Another process has died; with and without the lock. */
static void let_another_die(victim *self, bool locked)
{
    pid_t child = fork();
    need(child >= 0);
    if (child == 0) {
        member at = join_region(self->here);
        rn_slot *slot = take_slot(&at);
        need(charge(slot, 5 * MIB) == RATION_OK);
        need(rn_pool_try_charge(at.pool, MIB));
        if (locked) { /* in the middle of a recall of everybody, and of a change of the tree */
            rn_ledger_lock(at.ledger);
            rn_share *share = rn_share_of(at.ledger);
            for (int64_t i = 0; i < sizes.slots; i++) {
                if (rn_share_has_slot(share, i)) {
                    rn_store(&rn_share_slot(share, i)->hot.limit, RN_SLOT_CLOSED);
                    rn_store(&rn_share_slot(share, i)->hot.floor, INT64_MAX);
                }
            }
            rn_link_set(&at.queries->child, at.pool);
            rn_link_set(&at.ledger->root, NULL);
            rn_store(&at.root->granted, 1);
        }
        (void)kill(getpid(), SIGKILL);
    }
    int status;
    need(waitpid(child, &status, 0) == child);
    need(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void lose_another(victim *self)
{
    charge_little(self);
    let_another_die(self, false);
}

static void lose_another_with_the_lock(victim *self)
{
    charge_little(self);
    let_another_die(self, true);
}

static void bury(victim *self)
{
    need(rn_ledger_bury(self->at.ledger) == 1);
}

static void repair(victim *self)
{
    rn_ledger_lock(self->at.ledger);
    rn_ledger_unlock(self->at.ledger);
    need(rn_ledger_repairs(self->at.ledger) == 1);
    bury(self);
}

static void join_and_leave(victim *self)
{
    member again = join_bare(self->here);
    rn_ledger_close(again.ledger);
    rn_slot_close(self->other);
    release(self->slot, 2 * MIB);
    rn_slot_close(self->slot);
    rn_pool_release(self->at.pool, 2 * MIB);
    leave_region(&self->at);
}

static const scenario scenarios[] = {
    {"charge and release", charge_little, NULL, charge_and_release, false},
    {"open and close", charge_little, NULL, open_and_close, false},
    {"change limits", charge_little, NULL, change_limits, true},
    {"give", make_giver, wait_for_victim, give, false},
    {"cut below a ticket", make_giver, wait_for_victim, cut_below_ticket, true},
    {"wait and leave", charge_all, NULL, wait_and_leave, false},
    {"wait and take", charge_all, NULL, wait_and_take, false},
    {"charge unchecked", charge_all, NULL, charge_unchecked, true},
    {"bury", lose_another, NULL, bury, false},
    {"repair", lose_another_with_the_lock, NULL, repair, false},
    {"join and leave", charge_little, NULL, join_and_leave, false},
};

/* ---------------------------------------------------------------------------------------- the test
 */

/* Sanitizers make ten instructions of one, and store in the same order. */
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__) || !defined(__GLIBC__)
#define STEPPED false
#elif defined(__has_feature)
#define STEPPED (!(__has_feature(thread_sanitizer) || __has_feature(address_sanitizer)))
#else
#define STEPPED true
#endif

/* Two processes that take turns do so faster where they are. */
static void stay_on_one_processor(void)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET((size_t)sched_getcpu(), &one);
    (void)sched_setaffinity(0, sizeof(one), &one);
}

static bool can_trace(void)
{
    return STEPPED && getenv("CK_TIMEOUT_MULTIPLIER") == NULL; /* as `make memcheck` sets it */
}

static void set_up(survivor *self)
{
    self->here = stage_open(&sizes, PROCESSES_LIMIT);
    self->at = join_region(self->here);
    self->slot = take_slot(&self->at);
    self->waiting = take_slot(&self->at);
    ck_assert_int_eq(charge(self->slot, HELD), RATION_OK);
    size_t bytes = (size_t)rn_share_of(self->at.ledger)->bytes;
    self->last = rn_heap_allocate(bytes);
    self->copy = memfd_create("ration-copy", MFD_CLOEXEC);
    ck_assert_int_eq(ftruncate(self->copy, (off_t)bytes), 0);
    self->copied = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, self->copy, 0);
    ck_assert(self->copied != MAP_FAILED);
}

static void put_away(survivor *self)
{
    size_t bytes = (size_t)rn_share_of(self->at.ledger)->bytes;
    (void)rn_ledger_bury(self->at.ledger);
    check_tree(&self->at);
    release(self->slot, HELD);
    rn_slot_close(self->slot);
    rn_slot_close(self->waiting);
    ck_assert_int_eq(read_pool(self->at.root).granted_bytes, 0);
    leave_region(&self->at);
    ck_assert_int_eq(munmap(self->copied, bytes), 0);
    (void)close(self->copy);
    rn_heap_free(self->last, bytes);
    stage_close(self->here);
}

static int64_t find_process(const survivor *self, pid_t pid)
{
    const rn_share *share = rn_share_of(self->at.ledger);
    for (int64_t i = 0; i < sizes.processes; i++) {
        if ((share->holders[i] & ((1 << RN_SHARE_PID_BITS) - 1)) == pid) {
            return share->holders[i];
        }
    }
    ck_abort_msg("process %d has not joined", (int)pid);
}

static bool try_death(survivor *self, const scenario *acted)
{
    (void)fflush(NULL);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        run_victim(self->here, acted);
    }
    int status = await_stop(child);
    if (WIFEXITED(status) && WEXITSTATUS(status) == CANNOT_TRACE) {
        return false;
    }
    ck_assert(WIFSTOPPED(status) && WSTOPSIG(status) == SIGSTOP);
    self->process = find_process(self, child);
    if (acted->await != NULL) {
        acted->await(self);
    }
    int64_t steps = walk(self, acted, child);
    printf("%s: %lld instructions, %lld copies, %lld of them locked\n", acted->name,
           (long long)steps, (long long)self->copies, (long long)self->held_copies);
    ck_assert_int_gt(self->held_copies, 20);
    kill_process(child);
    return true;
}

START_TEST(test_steps__a_death_between_any_two_stores_is_made_right)
{
    const scenario *acted = &scenarios[_i];
    bool tried = false;
    if (can_trace()) {
        survivor self = {.copies = 0};
        set_up(&self);
        stay_on_one_processor();
        tried = try_death(&self, acted);
        put_away(&self);
    }
    if (!tried) {
        printf("skipped: %s: no process is traced here\n", acted->name);
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("shared_steps");
    TCase *tests = tcase_create("shared_steps");
    tcase_set_timeout(tests, 120);
    tcase_add_loop_test(tests, test_steps__a_death_between_any_two_stores_is_made_right, 0,
                        (int)RN_COUNT(scenarios));
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
