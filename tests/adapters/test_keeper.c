/* SPDX-License-Identifier: Apache-2.0
 *
 * The keeper: ways in which a memory.yaml changes, what it makes of them, and how it starts and
 * ends. Nothing here waits for less than it takes; what must not happen is given some time to. */
#include <fcntl.h>
#include <sys/resource.h>
#include <sys/time.h>

#include "tests/executor/reload_world.h"

#define GOOD "limit_bytes: %dMiB\nenable_system_monitor: false\n"
#define PATIENCE_MS 60000
#define A_WHILE_US 150000

extern int64_t rn_keeper_look_ns;

/* A governor with a keeper, and a folder with its memory.yaml. */
typedef struct world {
    char folder[256], path[300];
    ration_governor *governor;
    ration_keeper *keeper;
    int64_t told, failed;   /* atomic */
    int64_t query_rows_max; /* adjust sets it */
    pthread_mutex_t lock;
    ration_error error; /* last; under the lock */
} world;

static void hear(void *argument, const ration_error *error)
{
    world *self = argument;
    if (error != NULL) {
        pthread_mutex_lock(&self->lock);
        self->error = *error;
        pthread_mutex_unlock(&self->lock);
        (void)rn_fetch_add(&self->failed, 1);
    }
    (void)rn_fetch_add(&self->told, 1);
}

static void adjust(void *argument, ration_limits *limits)
{
    limits->query_rows_max = ((world *)argument)->query_rows_max;
}

static void nap(useconds_t us)
{
    (void)usleep(us); /* a signal may end it */
}

static void await(const int64_t *word, int64_t least)
{
    for (int ms = 0; rn_load(word) < least; ms++) {
        ck_assert_int_lt(ms, PATIENCE_MS);
        nap(1000);
    }
}

static void await_limit(const world *self, int mib)
{
    for (int ms = 0; rn_pool_limit(self->governor->root) != mib * MIB; ms++) {
        ck_assert_msg(ms < PATIENCE_MS, "%lld, not %d MiB",
                      (long long)rn_pool_limit(self->governor->root), mib);
        nap(1000);
    }
}

static void put(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    ck_assert_ptr_nonnull(file);
    ck_assert_int_ge(fputs(text, file), 0);
    ck_assert_int_eq(fclose(file), 0);
}

static void put_limit(const char *path, int mib)
{
    char text[100];
    (void)snprintf(text, sizeof text, GOOD, mib);
    put(path, text);
}

static void start_keeper(world *self, bool environment)
{
    ration_error error;
    const ration_keeper_options options = {.size = sizeof options,
                                           .path = self->path,
                                           .environment = environment,
                                           .watch = true,
                                           .adjust = adjust,
                                           .told = hear,
                                           .argument = self};
    support_ok(ration_keeper_start(self->governor, &options, &self->keeper, &error), &error);
}

/* A folder with a governor of 64 MiB, and no keeper yet. */
static void prepare(world *self)
{
    *self = (world){.keeper = NULL};
    pthread_mutex_init(&self->lock, NULL);
    (void)snprintf(self->folder, sizeof self->folder, "%s", support_folder());
    (void)snprintf(self->path, sizeof self->path, "%.250s/memory.yaml", self->folder);
    ration_limits limits = usual();
    self->governor = open_governor_with(&limits);
}

static void open_world(world *self)
{
    prepare(self);
    put_limit(self->path, 64);
    start_keeper(self, false);
}

static void close_world(world *self)
{
    ration_keeper_stop(self->keeper);
    close_and_check(self->governor);
    support_remove(self->folder);
    pthread_mutex_destroy(&self->lock);
    ck_assert_int_eq(rn_faults(), 0);
}

/* From here on only events make a keeper look. */
static void rely_on_events(void)
{
    rn_keeper_look_ns = INT64_MAX;
}

/* "folder/name"; valid until the fourth next call. */
static const char *at(const world *self, const char *name)
{
    static char paths[4][600];
    static int next;
    char *path = paths[next++ % 4];
    (void)snprintf(path, sizeof paths[0], "%s/%s", self->folder, name);
    return path;
}

/* ------------------------------------------------------------------------------- ways to change */

START_TEST(test_keeper__written_in_place)
{
    world self;
    rely_on_events();
    open_world(&self);
    for (int mib = 10; mib < 15; mib++) {
        put_limit(self.path, mib);
        await_limit(&self, mib);
    }
    await(&self.told, 1);
    ck_assert_int_eq(rn_load(&self.failed), 0);
    close_world(&self);
}
END_TEST

START_TEST(test_keeper__renamed_over)
{
    world self;
    rely_on_events();
    open_world(&self);
    for (int mib = 20; mib < 25; mib++) {
        put_limit(at(&self, "memory.yaml.swp"), mib);
        ck_assert_int_eq(rename(at(&self, "memory.yaml.swp"), self.path), 0);
        await_limit(&self, mib);
    }
    close_world(&self);
}
END_TEST

START_TEST(test_keeper__removed_and_made_anew)
{
    world self;
    rely_on_events();
    open_world(&self);
    for (int mib = 30; mib < 33; mib++) {
        ck_assert_int_eq(unlink(self.path), 0);
        nap(mib == 30 ? A_WHILE_US : 0);
        put_limit(self.path, mib);
        await_limit(&self, mib);
    }
    ck_assert_int_eq(rn_load(&self.failed), 0); /* its absence is no error */
    close_world(&self);
}
END_TEST

/* A new folder with the files, whose name replaces that of the old one in a link. */
static void publish(const world *self, int mib)
{
    char version[32], path[64];
    (void)snprintf(version, sizeof version, "..version_%d", mib);
    (void)snprintf(path, sizeof path, "%s/memory.yaml", version);
    ck_assert_int_eq(mkdir(at(self, version), 0700), 0);
    put_limit(at(self, path), mib);
    ck_assert_int_eq(symlink(version, at(self, "..data_tmp")), 0);
    ck_assert_int_eq(rename(at(self, "..data_tmp"), at(self, "..data")), 0);
}

START_TEST(test_keeper__config_map_is_swapped)
{
    world self;
    rely_on_events();
    prepare(&self);
    publish(&self, 64);
    ck_assert_int_eq(symlink("..data/memory.yaml", self.path), 0);
    start_keeper(&self, false);
    for (int mib = 40; mib < 44; mib++) {
        publish(&self, mib);
        if (mib == 41) { /* the old one goes, as it does there */
            support_remove(at(&self, "..version_40"));
        }
        await_limit(&self, mib);
    }
    ck_assert_int_eq(rn_load(&self.failed), 0);
    close_world(&self);
}
END_TEST

START_TEST(test_keeper__behind_links)
{
    world self;
    rely_on_events();
    prepare(&self);
    ck_assert_int_eq(mkdir(at(&self, "real"), 0700), 0);
    ck_assert_int_eq(mkdir(at(&self, "other"), 0700), 0);
    put_limit(at(&self, "real/limits.yaml"), 64);
    put_limit(at(&self, "other/limits.yaml"), 50);
    ck_assert_int_eq(symlink("real", at(&self, "way")), 0);
    ck_assert_int_eq(symlink("way/limits.yaml", self.path), 0);
    start_keeper(&self, false);
    for (int mib = 47; mib < 50; mib++) { /* its folder is another one */
        put_limit(at(&self, "real/limits.yaml"), mib);
        await_limit(&self, mib);
    }
    ck_assert_int_eq(unlink(at(&self, "way")), 0);
    ck_assert_int_eq(symlink("other", at(&self, "way")), 0); /* a new link gives an event */
    await_limit(&self, 50);
    close_world(&self);
}
END_TEST

START_TEST(test_keeper__folder_is_removed_and_made_again)
{
    world self;
    open_world(&self);
    ration_keeper_stop(self.keeper);
    ck_assert_int_eq(mkdir(at(&self, "conf"), 0700), 0);
    (void)snprintf(self.path, sizeof self.path, "%.250s/conf/memory.yaml", self.folder);
    put_limit(self.path, 64);
    start_keeper(&self, false);
    support_remove(at(&self, "conf"));
    nap(A_WHILE_US);
    ck_assert_int_eq(mkdir(at(&self, "conf"), 0700), 0);
    put_limit(self.path, 52);
    await_limit(&self, 52);
    ck_assert_int_eq(rename(at(&self, "conf"), at(&self, "old")), 0); /* and moved away */
    ck_assert_int_eq(mkdir(at(&self, "conf"), 0700), 0);
    put_limit(self.path, 53);
    await_limit(&self, 53);
    put_limit(at(&self, "old/memory.yaml"), 54);
    put_limit(self.path, 55);
    await_limit(&self, 55);
    ck_assert_int_eq(rn_load(&self.failed), 0);
    close_world(&self);
}
END_TEST

/* -------------------------------------------------------------------------- what it makes of it */

static void expect_error(world *self, int64_t failures, const char *words)
{
    await(&self->failed, failures);
    pthread_mutex_lock(&self->lock);
    ration_error error = self->error;
    pthread_mutex_unlock(&self->lock);
    ck_assert_msg(strstr(support_error(&error), words) != NULL, "%s", support_error(&error));
    ck_assert_msg(strstr(support_error(&error), self->path) != NULL, "%s", support_error(&error));
}

START_TEST(test_keeper__bad_files_keep_the_last_good_one)
{
    world self;
    open_world(&self);
    put(self.path, "limit_bytes: 10MiB\nlimit_bites: 5\n");
    expect_error(&self, 1, ":2:1: error: ");
    put_limit(self.path, 64); /* what holds already: told all the same, after an error */
    await(&self.told, 2);
    put(self.path, "limit_bytes: 10MiB\nspill_directory: /elsewhere\n");
    expect_error(&self, 2, "spill_directory cannot change while running");
    ck_assert_int_eq(rn_pool_limit(self.governor->root), 64 * MIB);
    ck_assert_int_eq(rn_load(&self.told), 3);
    put_limit(self.path, 61);
    await_limit(&self, 61);
    close_world(&self);
}
END_TEST

START_TEST(test_keeper__nothing_new_changes_nothing)
{
    world self;
    open_world(&self);
    ck_assert_int_eq(ration_governor_set_limit(self.governor, 7 * MIB), RATION_OK);
    ck_assert_int_eq(utimes(self.path, NULL), 0); /* touched */
    nap(A_WHILE_US);
    put(self.path, "# a remark\nlimit_bytes: 64MiB\nenable_system_monitor: false\n");
    nap(A_WHILE_US);
    put(self.path, ""); /* about to be written */
    nap(A_WHILE_US);
    put_limit(at(&self, "another.yaml"), 9);
    nap(A_WHILE_US);
    ck_assert_int_eq(rn_load(&self.told), 0);
    ck_assert_int_eq(rn_pool_limit(self.governor->root), 7 * MIB);
    close_world(&self);
}
END_TEST

START_TEST(test_keeper__environment_and_host_win)
{
    world self;
    prepare(&self);
    put_limit(self.path, 64);
    ck_assert_int_eq(unsetenv("RATION_REGISTRY_DIRECTORY"), 0); /* of the test run */
    ck_assert_int_eq(setenv("RATION_QUERY_LIMIT_BYTES", "3MiB", 1), 0);
    self.query_rows_max = 17;
    start_keeper(&self, true);
    put_limit(self.path, 62);
    await_limit(&self, 62);
    await(&self.told, 1);
    rn_settings *settings = rn_governor_settings(self.governor);
    ck_assert_int_eq(settings->limits.query_limit_bytes, 3 * MIB);
    ck_assert_int_eq(settings->limits.query_rows_max, 17);
    rn_settings_release(settings);
    close_world(&self);
}
END_TEST

/* -------------------------------------------------------------------------------------- signals */

static ration_keeper *signalled;

static void reload_on_signal(int number)
{
    (void)number;
    ration_keeper_reload(signalled);
}

START_TEST(test_keeper__reload_from_a_signal_handler)
{
    world self;
    rely_on_events();
    open_world(&self);
    signalled = self.keeper;
    struct sigaction action = {.sa_handler = reload_on_signal, .sa_flags = SA_RESTART};
    ck_assert_int_eq(sigaction(SIGHUP, &action, NULL), 0);
    ck_assert_int_eq(ration_governor_set_limit(self.governor, 7 * MIB), RATION_OK);
    ck_assert_int_eq(raise(SIGHUP), 0);
    await(&self.told, 1);
    await_limit(&self, 64);
    ck_assert_int_eq(sigaction(SIGALRM, &action, NULL), 0); /* again and again */
    const struct itimerval often = {{0, 500}, {0, 500}}, never = {{0, 0}, {0, 0}};
    ck_assert_int_eq(setitimer(ITIMER_REAL, &often, NULL), 0);
    for (int i = 0; i < 300; i++) {
        ration_slot *slot;
        ration_query *query = open_query(self.governor, NULL, &slot);
        ck_assert_int_eq(ration_slot_try_charge(slot, MIB), RATION_OK);
        ration_query_close(query);
    }
    await(&self.told, 20);
    ck_assert_int_eq(setitimer(ITIMER_REAL, &never, NULL), 0);
    ck_assert_int_eq(rn_load(&self.failed), 0);
    (void)signal(SIGHUP, SIG_DFL);
    close_world(&self);
}
END_TEST

/* It has them all blocked: the host's own threads get them. */
START_TEST(test_keeper__takes_no_signals)
{
    world self;
    sigset_t mine;
    open_world(&self);
    ck_assert_int_eq(sigemptyset(&mine), 0);
    ck_assert_int_eq(sigaddset(&mine, SIGTERM), 0);
    ck_assert_int_eq(pthread_sigmask(SIG_BLOCK, &mine, NULL), 0);
    ck_assert_int_eq(kill(getpid(), SIGTERM), 0); /* would end the process */
    put_limit(self.path, 60);
    await_limit(&self, 60);
    ck_assert_int_eq(sigpending(&mine), 0);
    ck_assert_int_eq(sigismember(&mine, SIGTERM), 1);
    (void)signal(SIGTERM, SIG_IGN);
    close_world(&self);
}
END_TEST

/* ------------------------------------------------------------------------------- start and stop */

static int count_descriptors(void)
{
    int count = 0;
    for (int i = 0; i < 256; i++) {
        count += fcntl(i, F_GETFD) >= 0;
    }
    return count;
}

START_TEST(test_keeper__stops_at_once_and_leaves_nothing)
{
    ration_limits limits = usual();
    limits.monitor_interval_ms = 10000;
    ration_governor *governor = open_governor_with(&limits);
    int64_t heap_bytes = rn_heap_bytes(), begin_ns = rn_clock_ns();
    int descriptors = count_descriptors();
    for (int i = 0; i < 20; i++) {
        ration_keeper *keeper;
        ck_assert_int_eq(ration_keeper_start(governor, NULL, &keeper, NULL), RATION_OK);
        ration_keeper_reload(keeper); /* of nothing */
        ration_keeper_stop(keeper);
    }
    ration_keeper_stop(NULL);
    ck_assert_int_lt(rn_clock_ns() - begin_ns, INT64_C(60000000000)); /* not 20 intervals */
    ck_assert_int_eq(count_descriptors(), descriptors);
    ck_assert_int_eq(rn_heap_bytes(), heap_bytes);
    close_and_check(governor);
}
END_TEST

/* As some do that become a daemon late: it goes on by the clock. */
START_TEST(test_keeper__host_closes_its_descriptors)
{
    world self;
    bool open_before[256];
    prepare(&self);
    put_limit(self.path, 64);
    for (int i = 0; i < 256; i++) {
        open_before[i] = fcntl(i, F_GETFD) >= 0;
    }
    start_keeper(&self, false);
    for (int i = 0; i < 256; i++) {
        if (!open_before[i]) {
            (void)close(i);
        }
    }
    ration_keeper_reload(self.keeper);
    await(&self.told, 1);
    put_limit(self.path, 57);
    await_limit(&self, 57);
    close_world(&self);
}
END_TEST

START_TEST(test_keeper__ticks)
{
    ration_limits limits = usual();
    limits.retain_ms = 1;
    limits.monitor_interval_ms = 10;
    ration_governor *governor = open_governor_with(&limits);
    ration_keeper *keeper;
    ration_slot *slot;
    ration_context *context;
    ration_query *query = open_query(governor, NULL, &slot);
    ck_assert_int_eq(ration_context_create(NULL, slot, RATION_CONTEXT_BUMP, "rows", &context),
                     RATION_OK);
    ck_assert_ptr_nonnull(ration_context_allocate(context, 8000));
    ration_context_delete(context);
    ration_query_close(query);
    ck_assert_int_eq(ration_keeper_start(governor, NULL, &keeper, NULL), RATION_OK);
    for (int ms = 0; rn_blocks_mapped(governor->blocks) > 0; ms++) {
        ck_assert_int_lt(ms, PATIENCE_MS);
        nap(1000);
    }
    ration_keeper_stop(keeper);
    close_and_check(governor);
}
END_TEST

START_TEST(test_keeper__is_not_in_the_child_of_a_fork)
{
    world self;
    open_world(&self);
    pid_t child = fork();
    ck_assert_int_ge(child, 0);
    if (child == 0) {
        ration_keeper_stop(self.keeper);
        put_limit(self.path, 59);
        if (!RN_TSAN) {                 /* which has no threads there */
            start_keeper(&self, false); /* one of its own */
            put_limit(self.path, 58);
            await_limit(&self, 58);
            put_limit(self.path, 59);
            await_limit(&self, 59);
            ration_keeper_stop(self.keeper);
        }
        ration_governor_close(self.governor);
        _exit(rn_heap_bytes() == 0 && rn_faults() == 0 ? 0 : 1);
    }
    int status = 0;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_msg(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %d", status);
    await_limit(&self, 59);
    close_world(&self);
}
END_TEST

START_TEST(test_keeper__what_cannot_start)
{
    ration_limits limits = usual();
    ration_governor *governor = open_governor_with(&limits);
    int64_t heap_bytes = rn_heap_bytes();
    ration_keeper *keeper = NULL;
    ration_error error;
    ration_keeper_options options = {.size = 3};
    ck_assert_int_eq(ration_keeper_start(governor, &options, &keeper, &error),
                     RATION_INVALID_ARGUMENT);
    options.size = sizeof options;
    ck_assert_int_eq(ration_keeper_start(NULL, &options, &keeper, &error), RATION_INVALID_ARGUMENT);
    ck_assert_int_eq(ration_keeper_start(governor, &options, NULL, &error),
                     RATION_INVALID_ARGUMENT);
    rn_heap_fail_after(1, false);
    ck_assert_int_eq(ration_keeper_start(governor, &options, &keeper, &error), RATION_NO_MEMORY);
    rn_heap_fail_after(0, false);
    struct rlimit before, none;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = (struct rlimit){0, before.rlim_max};
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
    ck_assert_int_eq(ration_keeper_start(governor, &options, &keeper, &error), RATION_ENVIRONMENT);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    ck_assert_msg(strstr(support_error(&error), "no descriptor") != NULL, "%s",
                  support_error(&error));
    ck_assert_ptr_null(keeper);
    ck_assert_int_eq(rn_heap_bytes(), heap_bytes);
    close_and_check(governor);
}
END_TEST

int main(void)
{
    const TTest *tests[] = {
        test_keeper__written_in_place,
        test_keeper__renamed_over,
        test_keeper__removed_and_made_anew,
        test_keeper__config_map_is_swapped,
        test_keeper__behind_links,
        test_keeper__folder_is_removed_and_made_again,
        test_keeper__bad_files_keep_the_last_good_one,
        test_keeper__nothing_new_changes_nothing,
        test_keeper__environment_and_host_win,
        test_keeper__reload_from_a_signal_handler,
        test_keeper__takes_no_signals,
        test_keeper__stops_at_once_and_leaves_nothing,
        test_keeper__host_closes_its_descriptors,
        test_keeper__ticks,
        test_keeper__is_not_in_the_child_of_a_fork,
        test_keeper__what_cannot_start,
    };
    return support_run("adapters/keeper", tests, RN_COUNT(tests));
}
