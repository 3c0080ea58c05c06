/* SPDX-License-Identifier: Apache-2.0
 *
 * Processes on one shared ledger, for tests: a region in a file of memory, children that join it
 * for themselves, and a page on which they meet. */
#ifndef RATION_TESTS_MEMORY_PROCESSES_H
#define RATION_TESTS_MEMORY_PROCESSES_H

#include <errno.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "memory/shared.h"
#include "tests/memory/fixture.h"

/* check's own assertions report through the runner's pipe, which is not a child's to write to. */
#define need(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: process %d: not so: %s\n", __FILE__, __LINE__, (int)getpid(),  \
                    #condition);                                                                   \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

/* Seen by all processes of one test. */
typedef struct stage {
    int descriptor; /* of the region */
    sem_t ready, done;
    sem_t go[8]; /* one per child */
    int64_t stop;
    int64_t words[16];
} stage;

/* One process's view of the region. */
typedef struct member {
    rn_ledger *ledger;
    ration_pool *root, *queries;
    ration_pool *pool; /* its own, below queries */
} member;

#define PROCESSES_LIMIT (64 * MIB)
#define PROCESSES_CHUNK MIB

static inline int64_t other_mappings(void)
{
    return 1 + (int64_t)(getpid() % 7);
}

/* A region with root and queries, which nobody has joined. */
static inline stage *stage_open(const rn_share_sizes *sizes, int64_t limit_bytes)
{
    stage *here = (stage *)mmap(NULL, sizeof(*here), PROT_READ | PROT_WRITE,
                                MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert(here != MAP_FAILED);
    here->descriptor = memfd_create("ration-test", MFD_CLOEXEC);
    ck_assert_int_ge(here->descriptor, 0);
    ck_assert_int_eq(sem_init(&here->ready, 1, 0), 0);
    for (size_t i = 0; i < RN_COUNT(here->go); i++) {
        ck_assert_int_eq(sem_init(&here->go[i], 1, 0), 0);
    }
    ck_assert_int_eq(sem_init(&here->done, 1, 0), 0);
    ration_error error;
    rn_ledger *ledger;
    ration_pool *root, *queries;
    ration_status status =
        rn_ledger_create_shared(here->descriptor, sizes, PROCESSES_CHUNK, &ledger, &error);
    ck_assert_msg(status == RATION_OK, "%s", error.message);
    ck_assert_int_eq(
        rn_pool_open(ledger, NULL, "root", limit_bytes, RATION_GLOBAL_LIMIT, NULL, &root),
        RATION_OK);
    ck_assert_int_eq(
        rn_pool_open(ledger, root, "queries", INT64_MAX, RATION_GROUP_LIMIT, NULL, &queries),
        RATION_OK);
    rn_pool_keep(root);
    rn_pool_keep(queries);
    rn_ledger_close(ledger);
    return here;
}

static inline void stage_close(stage *here)
{
    (void)close(here->descriptor);
    ck_assert_int_eq(munmap(here, sizeof(*here)), 0);
    ck_assert_int_eq(rn_heap_bytes(), 0);
    ck_assert_int_eq(rn_faults(), 0);
}

/* Joins at an address of its own, without a pool. */
static inline member join_bare(const stage *here)
{
    member self = {0};
    bool alone;
    ration_error error;
    void *elsewhere =
        mmap(NULL, (size_t)other_mappings() << 20, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    need(elsewhere != MAP_FAILED);
    if (rn_ledger_join_shared(here->descriptor, PROCESSES_CHUNK, &self.ledger, &alone, &error) !=
        RATION_OK) {
        fprintf(stderr, "%s\n", error.message);
        need(false);
    }
    self.root = rn_pool_find(self.ledger, NULL, "root");
    self.queries = rn_pool_find(self.ledger, self.root, "queries");
    need(self.root != NULL && self.queries != NULL);
    return self;
}

static inline member join_region(const stage *here)
{
    member self = join_bare(here);
    char name[RN_POOL_NAME_BYTES];
    snprintf(name, sizeof(name), "p%d", (int)getpid());
    need(rn_pool_open(self.ledger, self.queries, name, INT64_MAX, RATION_QUERY_LIMIT, self.ledger,
                      &self.pool) == RATION_OK);
    return self;
}

static inline rn_slot *take_slot(const member *self)
{
    rn_slot *slot = NULL;
    need(rn_slot_open(self->pool, NULL, &slot) == RATION_OK);
    return slot;
}

static inline void leave_region(member *self)
{
    if (self->pool != NULL) {
        rn_pool_close(self->pool);
    }
    rn_ledger_close(self->ledger);
}

static inline void check_tree(const member *self)
{
    char text[512];
    if (!ration_pool_check(self->root, text, sizeof(text))) {
        fprintf(stderr, "%s\n", text);
        need(false);
    }
}

static inline pid_t start_process(void (*run)(stage *here, int index), stage *here, int index)
{
    (void)fflush(NULL); /* what is in a buffer would be written twice */
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        run(here, index);
        need(rn_faults() == 0);
        _exit(0);
    }
    return child;
}

static inline void await_process(pid_t child)
{
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "process ended with %d", status);
}

static inline void kill_process(pid_t child)
{
    int status;
    ck_assert_int_eq(kill(child, SIGKILL), 0);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL, "process ended with %d",
                  status);
}

static inline void await(sem_t *semaphore)
{
    while (sem_wait(semaphore) != 0) {
        need(errno == EINTR);
    }
}

#endif
