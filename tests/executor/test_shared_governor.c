/* SPDX-License-Identifier: Apache-2.0
 *
 * One governor of several processes, through the public interface: one limit for all, idle credit
 * of others for an exact ask, refusals that name the other's query, deaths, and files that are not
 * one. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "executor/governor.h"
#include "tests/support.h"

#define MIB ((int64_t)1024 * 1024)
#define LIMIT (64 * MIB)
#define CHILDREN 4

/* On a page that parent and children see. */
typedef struct stage {
    sem_t ready, go[CHILDREN];
    char folder[256], path[300];
} stage;

/* For children, who may not report to check. */
#define need(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: process %d: not so: %s\n", __FILE__, __LINE__, (int)getpid(),  \
                    #condition);                                                                   \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

static stage *stage_open(void)
{
    stage *here =
        mmap(NULL, sizeof(*here), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    ck_assert(here != MAP_FAILED);
    ck_assert_int_eq(sem_init(&here->ready, 1, 0), 0);
    for (int i = 0; i < CHILDREN; i++) {
        ck_assert_int_eq(sem_init(&here->go[i], 1, 0), 0);
    }
    snprintf(here->folder, sizeof(here->folder), "%s", support_folder());
    snprintf(here->path, sizeof(here->path), "%s/governor", here->folder);
    return here;
}

static void stage_close(stage *here)
{
    support_remove(here->folder);
    (void)munmap(here, sizeof(*here));
    ck_assert_int_eq(rn_heap_bytes(), 0);
    ck_assert_int_eq(rn_faults(), 0);
}

static int count_files(const stage *here)
{
    int count = 0;
    DIR *folder = opendir(here->folder);
    ck_assert_ptr_nonnull(folder);
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        count += entry->d_name[0] != '.';
    }
    (void)closedir(folder);
    return count;
}

static ration_governor *open_at(const stage *here, int64_t limit_bytes)
{
    ration_limits limits;
    ration_limits_default(&limits);
    limits.enable_system_monitor = false;
    limits.limit_bytes = limit_bytes;
    ration_governor *governor = NULL;
    ration_error error;
    if (ration_governor_open_shared(&limits, here->path, &governor, &error) != RATION_OK) {
        fprintf(stderr, "%s\n", support_error(&error));
        need(false);
    }
    return governor;
}

static ration_query *open_query(ration_governor *governor, const char *name, ration_slot **out_slot)
{
    ration_query_options options = {.size = sizeof(options), .name = name};
    ration_query *query;
    need(ration_query_open(governor, &options, &query, NULL) == RATION_OK);
    need(ration_query_slot(query, out_slot) == RATION_OK);
    return query;
}

static ration_pool_figures read_root(ration_governor *governor)
{
    char text[512];
    ration_pool_figures figures;
    if (!ration_pool_check(ration_governor_root(governor), text, sizeof(text))) {
        fprintf(stderr, "%s\n", text);
        need(false);
    }
    ration_pool_read(ration_governor_root(governor), &figures);
    return figures;
}

static pid_t start_process(void (*run)(stage *here, int index), stage *here, int index)
{
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        int64_t inherited = rn_heap_bytes();
        run(here, index);
        need(rn_faults() == 0);
        need(rn_heap_bytes() == inherited);
        _exit(0);
    }
    return child;
}

static void await_process(pid_t child)
{
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "process ended with %d", status);
}

static void await(sem_t *semaphore)
{
    while (sem_wait(semaphore) != 0) {
        need(errno == EINTR);
    }
}

/* A query that holds 1 MiB, and credit. */
static void hold_a_little(stage *here, int index)
{
    ration_governor *governor = open_at(here, LIMIT);
    ration_slot *slot;
    char name[32];
    snprintf(name, sizeof(name), "little%d", index);
    ration_query *query = open_query(governor, name, &slot);
    need(ration_slot_try_charge(slot, 3 * MIB) == RATION_OK);
    ration_slot_release(slot, 2 * MIB);
    need(sem_post(&here->ready) == 0);
    await(&here->go[index]);
    ration_slot_release(slot, MIB);
    ration_query_close(query);
    ration_governor_close(governor);
}

START_TEST(test_shared__one_limit_holds_for_all)
{
    support_skip_hard("slots take exact bytes, there is no credit");
    stage *here = stage_open();
    ration_governor *governor = open_at(here, LIMIT);
    struct stat file;
    ck_assert_int_eq(stat(here->path, &file), 0);
    ck_assert_int_eq(file.st_mode & 07777, 0600);
    ck_assert_str_eq(ration_governor_ordering(governor), "seq_cst");
    pid_t children[CHILDREN];
    for (int i = 0; i < CHILDREN; i++) {
        children[i] = start_process(hold_a_little, here, i);
        await(&here->ready);
    }
    ration_pool_figures seen = read_root(governor);
    ck_assert_int_eq(seen.limit_bytes, LIMIT);
    ck_assert_int_eq(seen.charged_bytes, CHILDREN * MIB);
    ck_assert_int_gt(seen.credit_bytes, 0);
    ration_slot *slot;
    ration_query *query = open_query(governor, NULL, &slot);
    char path[96], expected[96];
    ration_pool_path(ration_query_pool(query), path, sizeof(path));
    snprintf(expected, sizeof(expected), "root/queries/%d.q1", (int)getpid());
    ck_assert_str_eq(path, expected);
    ck_assert_int_eq(ration_slot_try_charge(slot, LIMIT - CHILDREN * MIB), RATION_OK);
    ck_assert_int_eq(ration_slot_try_charge(slot, 1), RATION_GLOBAL_LIMIT);
    ration_slot_release(slot, LIMIT - CHILDREN * MIB);
    for (int i = 0; i < CHILDREN; i++) {
        ck_assert_int_eq(sem_post(&here->go[i]), 0);
        await_process(children[i]);
    }
    ck_assert_int_eq(read_root(governor).charged_bytes, 0);
    ration_query_close(query);
    ck_assert_int_eq(read_root(governor).granted_bytes, 0);
    ration_governor_close(governor);
    ck_assert_int_eq(count_files(here), 1);
    stage_close(here);
}
END_TEST

START_TEST(test_shared__limits_are_of_who_is_alone)
{
    stage *here = stage_open();
    ration_governor *first = open_at(here, LIMIT);
    ration_governor *second = open_at(here, 2 * LIMIT);
    ck_assert_int_eq(read_root(second).limit_bytes, LIMIT);
    ck_assert_int_eq(ration_governor_set_limit(second, 3 * LIMIT), RATION_OK);
    ck_assert_int_eq(read_root(first).limit_bytes, 3 * LIMIT);
    ration_governor_close(first);
    ck_assert_int_eq(read_root(second).limit_bytes, 3 * LIMIT);
    ration_governor_close(second);
    ration_governor *again = open_at(here, 4 * LIMIT);
    ck_assert_int_eq(read_root(again).limit_bytes, 4 * LIMIT);
    ration_governor_close(again);
    stage_close(here);
}
END_TEST

START_TEST(test_shared__a_refusal_names_the_query_of_another_process)
{
    stage *here = stage_open();
    ration_governor *governor = open_at(here, LIMIT);
    ration_slot *slot;
    ration_query *query = open_query(governor, "mine", &slot);
    pid_t child = start_process(hold_a_little, here, 0);
    await(&here->ready);
    ck_assert_int_eq(ration_governor_set_limit(governor, 4 * MIB), RATION_OK);
    RATION_GUARD(guard, slot, "test.rows");
    ck_assert_int_eq(ration_guard_row(&guard, 1000), RATION_OK);
    ck_assert_int_eq(ration_guard_row(&guard, 3 * MIB), RATION_GLOBAL_LIMIT);
    ration_refusal refusal;
    ck_assert(ration_query_refusal(query, &refusal));
    ck_assert_str_eq(refusal.holder, "little0");
    ck_assert_str_eq(refusal.holder_site, "");
    ck_assert_int_eq(refusal.holder_bytes, MIB);
    ck_assert_int_eq(refusal.charged_bytes, MIB + 1000);
    ck_assert_int_eq(sem_post(&here->go[0]), 0);
    await_process(child);
    ration_guard_end(&guard);
    ration_query_close(query);
    ration_governor_close(governor);
    stage_close(here);
}
END_TEST

static void die_holding(stage *here, int index)
{
    ration_governor *governor = open_at(here, LIMIT);
    ration_slot *slot;
    (void)open_query(governor, "dying", &slot);
    need(ration_slot_try_charge(slot, LIMIT - MIB) == RATION_OK);
    RATION_GUARD(guard, slot, "test.rows");
    need(ration_guard_row(&guard, 1000) == RATION_OK);
    need(ration_guard_hand_to_pool(&guard, 1000, ration_governor_data(governor)) == RATION_OK);
    need(sem_post(&here->ready) == 0);
    await(&here->go[index]);
    (void)raise(SIGKILL);
}

START_TEST(test_shared__a_process_that_dies_is_forgotten)
{
    stage *here = stage_open();
    ration_governor *governor = open_at(here, LIMIT);
    ration_slot *slot;
    ration_query *query = open_query(governor, "living", &slot);
    for (int round = 0; round < 5; round++) {
        pid_t child = start_process(die_holding, here, 0);
        await(&here->ready);
        ck_assert_int_eq(ration_slot_try_charge(slot, 2 * MIB), RATION_GLOBAL_LIMIT);
        ck_assert_int_eq(read_root(governor).charged_bytes, LIMIT - MIB + 1000);
        ck_assert_int_eq(sem_post(&here->go[0]), 0);
        ck_assert_int_eq(waitpid(child, NULL, 0), child);
        ck_assert_int_eq(ration_slot_try_charge(slot, LIMIT), RATION_OK);
        ration_slot_release(slot, LIMIT);
    }
    ration_query_close(query);
    ck_assert_int_eq(read_root(governor).granted_bytes, 0);
    ration_governor_close(governor);
    stage_close(here);
}
END_TEST

/* A claim that a query of another process leaves no room for waits for that to end. */
START_TEST(test_shared__claim_waits_for_another_process)
{
    stage *here = stage_open();
    ration_governor *governor = open_at(here, LIMIT);
    ration_slot *slot;
    ration_query *query = open_query(governor, "living", &slot);
    pid_t child = start_process(die_holding, here, 0);
    await(&here->ready);
    ck_assert_int_eq(ration_query_try_claim(query, 2 * MIB, "plan").answer, RATION_WAIT);
    ck_assert_int_eq(sem_post(&here->go[0]), 0);
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
    ck_assert_int_eq(ration_query_claim(query, 2 * MIB, "plan"), RATION_OK);
    ration_query_close(query);
    ck_assert_int_eq(read_root(governor).granted_bytes, 0);
    ration_governor_close(governor);
    stage_close(here);
}
END_TEST

static void open_at_once(stage *here, int index)
{
    need(sem_post(&here->ready) == 0);
    await(&here->go[index]);
    ration_governor *governor = open_at(here, LIMIT);
    ration_slot *slot;
    ration_query *query = open_query(governor, NULL, &slot);
    need(ration_slot_try_charge(slot, (index + 1) * MIB) == RATION_OK);
    need(sem_post(&here->ready) == 0);
    await(&here->go[index]);
    need(read_root(governor).charged_bytes == 10 * MIB);
    need(sem_post(&here->ready) == 0);
    await(&here->go[index]);
    ration_slot_release(slot, (index + 1) * MIB);
    ration_query_close(query);
    ration_governor_close(governor);
}

/* Of several who come first one makes the file, and all find the same tree. */
START_TEST(test_shared__many_may_be_first)
{
    for (int round = 0; round < 20; round++) {
        stage *here = stage_open();
        pid_t children[CHILDREN];
        for (int i = 0; i < CHILDREN; i++) {
            children[i] = start_process(open_at_once, here, i);
        }
        for (int steps = 0; steps < 3; steps++) {
            for (int i = 0; i < CHILDREN; i++) {
                await(&here->ready);
            }
            for (int i = 0; i < CHILDREN; i++) {
                ck_assert_int_eq(sem_post(&here->go[i]), 0);
            }
        }
        for (int i = 0; i < CHILDREN; i++) {
            await_process(children[i]);
        }
        ck_assert_int_eq(count_files(here), 1);
        stage_close(here);
    }
}
END_TEST

START_TEST(test_shared__contexts_take_blocks_and_keep_none)
{
    stage *here = stage_open();
    ration_governor *governor = open_at(here, LIMIT);
    ration_slot *slot;
    ration_query *query = open_query(governor, "contexts", &slot);
    ration_context *context;
    ck_assert_int_eq(ration_context_create(NULL, slot, RATION_CONTEXT_SET, "test", &context),
                     RATION_OK);
    for (int i = 0; i < 1000; i++) {
        ck_assert_ptr_nonnull(ration_context_allocate(context, 1000));
    }
    ck_assert_int_ge(read_root(governor).charged_bytes, 1000000);
    ration_context_delete(context);
    ck_assert_int_eq(read_root(governor).charged_bytes, 0);
    ck_assert_int_eq(read_root(governor).retained_bytes, 0);
    ck_assert_int_eq(rn_blocks_mapped(governor->blocks), 0);
    ration_query_close(query);
    ration_governor_close(governor);
    stage_close(here);
}
END_TEST

/* The child may close what it inherited, and opens for itself. */
START_TEST(test_shared__the_child_of_a_fork_opens_its_own)
{
    stage *here = stage_open();
    ration_governor *governor = open_at(here, LIMIT);
    ration_slot *slot;
    ration_query *query = open_query(governor, "parent", &slot);
    ck_assert_int_eq(ration_slot_try_charge(slot, MIB), RATION_OK);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        ration_query_close(query);
        ration_governor_close(governor);
        need(rn_heap_bytes() == 0);
        governor = open_at(here, LIMIT);
        query = open_query(governor, "child", &slot);
        need(ration_slot_try_charge(slot, LIMIT - MIB) == RATION_OK);
        need(ration_slot_try_charge(slot, 1) == RATION_GLOBAL_LIMIT);
        ration_slot_release(slot, LIMIT - MIB);
        ration_query_close(query);
        ration_governor_close(governor);
        _exit(0);
    }
    await_process(child);
    ck_assert_int_eq(read_root(governor).charged_bytes, MIB);
    ration_slot_release(slot, MIB);
    ration_query_close(query);
    ration_governor_close(governor);
    stage_close(here);
}
END_TEST

static void refuse(const stage *here, const char *path, ration_status expected, const char *why)
{
    ration_limits limits;
    ration_limits_default(&limits);
    limits.enable_system_monitor = false;
    limits.limit_bytes = LIMIT;
    ration_governor *governor = NULL;
    ration_error error = {.message = ""};
    ck_assert_int_eq(ration_governor_open_shared(&limits, path, &governor, &error), expected);
    ck_assert_ptr_null(governor);
    ck_assert_msg(strstr(support_error(&error), why) != NULL, "%s: %s", why, support_error(&error));
    ck_assert_int_eq(rn_heap_bytes(), 0);
    (void)here;
}

START_TEST(test_shared__refuses_what_is_no_governors_file)
{
    stage *here = stage_open();
    char path[400];
    static const char text[] = "something that must stay\n";
    snprintf(path, sizeof(path), "%s", support_write(here->folder, "text", text, strlen(text)));
    refuse(here, path, RATION_FILE, "holds no shared ledger");
    refuse(here, support_write(here->folder, "empty", "", 0), RATION_FILE, "no shared ledger");
    char back[64] = "";
    FILE *file = fopen(path, "rb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fread(back, 1, sizeof(back), file), strlen(text));
    (void)fclose(file);
    ck_assert_str_eq(back, text);
    ration_governor_close(open_at(here, LIMIT));
    snprintf(path, sizeof(path), "%s/link", here->folder);
    ck_assert_int_eq(symlink(here->path, path), 0);
    refuse(here, path, RATION_FILE, "cannot open");
    refuse(here, here->folder, RATION_FILE, "cannot open");
    refuse(here, "/nowhere/at/all", RATION_FILE, "cannot make");
    refuse(here, "", RATION_INVALID_ARGUMENT, "path");
    refuse(here, NULL, RATION_INVALID_ARGUMENT, "path");
    memset(path, 'x', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    refuse(here, path, RATION_INVALID_ARGUMENT, "path");
    if (geteuid() == 0) { /* only then can a file be given away */
        ck_assert_int_eq(chown(here->path, 12345, 12345), 0);
        refuse(here, here->path, RATION_FILE, "another user");
        ck_assert_int_eq(chown(here->path, 0, 0), 0);
    }
    ck_assert_int_eq(truncate(here->path, 100000), 0);
    refuse(here, here->path, RATION_FILE, "is damaged");
    ck_assert_int_eq(count_files(here), 4);
    stage_close(here);
}
END_TEST

/* Nothing is left behind when an allocation fails. */
START_TEST(test_shared__comes_through_failing_allocations)
{
    stage *here = stage_open();
    ration_limits limits;
    ration_limits_default(&limits);
    limits.enable_system_monitor = false;
    limits.limit_bytes = LIMIT;
    ration_status status;
    int64_t n = 0;
    do {
        ration_governor *governor = NULL;
        ration_error error;
        n += 1;
        rn_heap_fail_after(n, false);
        status = ration_governor_open_shared(&limits, here->path, &governor, &error);
        rn_heap_fail_after(0, false);
        ck_assert(status == RATION_OK || status == RATION_NO_MEMORY);
        ration_governor_close(governor);
        ck_assert_int_eq(rn_heap_bytes(), 0);
    } while (status != RATION_OK);
    ck_assert_int_gt(n, 1);
    ck_assert_int_eq(count_files(here), 1);
    stage_close(here);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_shared__one_limit_holds_for_all,
        test_shared__limits_are_of_who_is_alone,
        test_shared__a_refusal_names_the_query_of_another_process,
        test_shared__a_process_that_dies_is_forgotten,
        test_shared__claim_waits_for_another_process,
        test_shared__many_may_be_first,
        test_shared__contexts_take_blocks_and_keep_none,
        test_shared__the_child_of_a_fork_opens_its_own,
        test_shared__refuses_what_is_no_governors_file,
        test_shared__comes_through_failing_allocations,
    };
    return support_run("shared_governor", tests, RN_COUNT(tests));
}
