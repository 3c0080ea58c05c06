/* SPDX-License-Identifier: Apache-2.0
 *
 * The keeper: one thread that does for a host what a loop of its own would do.
 *
 *     ration_keeper_start -> ration_keeper_reload, from anywhere -> ration_keeper_stop
 *
 * It sleeps in one poll() over four things: an eventfd (somebody wants a reload, or an end), the
 * kernel's word that tasks wait for memory, an inotify descriptor, and the time of the next tick.
 *
 * When to load. Names lie: an editor writes in place, or writes another file and renames it over
 * this one, or deletes and creates; a Kubernetes ConfigMap is a link to a link, and the one in the
 * middle is replaced. So an event says no more than "look", whatever it was, and what decides is
 * what the path leads to: device, inode, time and size of the file, then the values in it. Two
 * folders are watched, that of the path and that of the file it leads to; both are asked for anew
 * at every look, which costs nothing while they are the same. And the path is looked at once a
 * second whatever the watch says: a folder that was removed and made again, a link further up, a
 * file system without events are found then.
 *
 * When not. What a path leads to has to be the same at two looks: REST_NS apart after an event, and
 * as far as any two looks without one, since a file that somebody still writes to gives no event
 * before it is closed. An empty one is about to be written. What cannot be loaded is told once; the
 * governor goes on with what it has.
 *
 *   1. `seen` is what the path led to when it was last loaded, or told to be no good.
 *   2. When `good`, `loaded` is what that said, and is in force but for what the host puts over it.
 *   3. Everything below `thread` in the struct is the thread's alone.
 *
 * Bounds: a look is a few calls. A file that is closed between two parts, or rests for a second in
 * the middle, is loaded then, if the part is good; who renames it into place has no such moment.
 * Rejected: a watch on the file itself. It is lost with the first rename.
 */
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <time.h>

#include "executor/governor.h"
#include "ration_monitor.h"

#define STACK_BYTES ((size_t)256 * 1024)
#define REST_NS ((int64_t)20 * 1000 * 1000)
#define FOLDERS 2
#define EVENTS                                                                                     \
    (IN_CLOSE_WRITE | IN_CREATE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_ATTRIB |            \
     IN_DELETE_SELF | IN_MOVE_SELF)

/* Between two looks without an event; a test that is about events has none. */
int64_t rn_keeper_look_ns = (int64_t)1000 * 1000 * 1000;

/* What a path leads to. All zeros = nothing. */
typedef struct sight {
    dev_t device;
    ino_t file;
    int64_t changed_ns; /* CLOCK_REALTIME */
    int64_t bytes;
} sight;

struct ration_keeper {
    ration_governor *governor;
    ration_keeper_options options; /* `path` is that below */
    char path[PATH_MAX];
    int64_t process; /* pid that started it */
    int event;       /* eventfd */
    int64_t asked;   /* atomic: load, please */
    int64_t stopped; /* atomic */
    pthread_t thread;
    int watch; /* inotify, -1 = none */
    int folders[FOLDERS];
    int deaf; /* pressure descriptor that has nothing to say any more; -1 = none */
    int64_t tick_at_ns;
    int64_t look_at_ns;
    sight seen;
    sight coming;      /* another one, that has to be there at the next look too .. */
    int64_t coming_ns; /* .. since when it is */
    bool happened;     /* an event came since it was looked at */
    ration_limits loaded;
    bool good;
};

/* -------------------------------------------------------------------------------------- loading */

static ration_status put_in_force(const ration_keeper *keeper, ration_limits *limits,
                                  ration_error *error)
{
    const ration_keeper_options *options = &keeper->options;
    if (options->environment) {
        RN_TRY(ration_limits_override(limits, error));
    }
    if (options->adjust != NULL) {
        options->adjust(options->argument, limits);
    }
    return ration_governor_reload(keeper->governor, limits, error);
}

/* Once more, or, unless `always`, only if it says something else. */
static void load(ration_keeper *keeper, bool always)
{
    ration_limits limits;
    ration_error error;
    ration_status status = ration_limits_load(keeper->path, &limits, &error);
    if (status == RATION_OK && keeper->good && !always &&
        rn_limits_equal(&limits, &keeper->loaded)) {
        return;
    }
    if (status == RATION_OK) {
        keeper->loaded = limits;
        status = put_in_force(keeper, &limits, &error);
    }
    keeper->good = status == RATION_OK;
    if (status != RATION_OK && error.file[0] == '\0') {
        rn_copy_text(error.file, sizeof error.file, keeper->path);
    }
    if (keeper->options.told != NULL) {
        keeper->options.told(keeper->options.argument, status == RATION_OK ? NULL : &error);
    }
}

/* -------------------------------------------------------------------------------------- looking */

static sight look(const char *path)
{
    struct stat found;
    if (stat(path, &found) != 0 || !S_ISREG(found.st_mode)) {
        return (sight){.bytes = 0};
    }
    return (sight){.device = found.st_dev,
                   .file = found.st_ino,
                   .changed_ns = (int64_t)found.st_mtim.tv_sec * 1000000000 + found.st_mtim.tv_nsec,
                   .bytes = found.st_size};
}

static bool is_same(const sight *one, const sight *other)
{
    return one->device == other->device && one->file == other->file &&
           one->changed_ns == other->changed_ns && one->bytes == other->bytes;
}

static void watch_folder(ration_keeper *keeper, int place, char *path)
{
    char *slash = strrchr(path, '/');
    const char *folder = slash == NULL ? "." : slash == path ? "/" : path;
    if (slash != NULL) {
        *slash = '\0';
    }
    int before = keeper->folders[place];
    keeper->folders[place] = inotify_add_watch(keeper->watch, folder, EVENTS | IN_ONLYDIR);
    for (int i = 0; i < FOLDERS; i++) {
        if (keeper->folders[i] == before) {
            return; /* both are one folder, or it is as it was */
        }
    }
    (void)inotify_rm_watch(keeper->watch, before);
}

static void watch_folders(ration_keeper *keeper)
{
    char path[PATH_MAX];
    if (keeper->watch < 0) {
        return;
    }
    rn_copy_text(path, sizeof path, keeper->path);
    watch_folder(keeper, 0, path);
    if (realpath(keeper->path, path) != NULL) {
        watch_folder(keeper, 1, path);
    }
}

/* Is there something else than was loaded, and has it come to rest? */
static bool find_change(ration_keeper *keeper)
{
    watch_folders(keeper); /* first: what happens from here on gives an event */
    sight found = look(keeper->path);
    int64_t now_ns = rn_clock_ns();
    int64_t rest_ns = keeper->happened ? REST_NS : rn_keeper_look_ns;
    keeper->look_at_ns = rn_add(now_ns, rn_keeper_look_ns);
    if (found.bytes == 0 || is_same(&found, &keeper->seen)) {
        keeper->happened = false;
        return false;
    }
    if (!is_same(&found, &keeper->coming)) {
        keeper->coming = found;
        keeper->coming_ns = now_ns;
    }
    if (now_ns - keeper->coming_ns < rest_ns) {
        keeper->look_at_ns = rn_add(keeper->coming_ns, rest_ns);
        return false;
    }
    keeper->seen = found;
    keeper->happened = false;
    return true;
}

/* A file that was just created will be written and closed; links and folders will not. */
static bool matters(const ration_keeper *keeper, const struct inotify_event *event)
{
    char path[PATH_MAX];
    struct stat found;
    if ((event->mask & IN_CREATE) == 0) {
        return true;
    }
    if (event->wd != keeper->folders[0]) {
        return false; /* a link there is found within a second */
    }
    rn_text text = rn_text_over(path, sizeof path);
    const char *slash = strrchr(keeper->path, '/');
    if (slash != NULL) {
        rn_text_format(&text, "%.*s/", (int)(slash - keeper->path), keeper->path);
    }
    rn_text_put(&text, event->name);
    return lstat(path, &found) != 0 || !S_ISREG(found.st_mode) || found.st_nlink > 1;
}

static void take_events(ration_keeper *keeper)
{
    char buffer[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
    bool matter = false;
    ssize_t bytes;
    while ((bytes = read(keeper->watch, buffer, sizeof buffer)) > 0) {
        for (const char *at = buffer; at < buffer + bytes;) {
            const struct inotify_event *event = (const void *)at;
            matter |= matters(keeper, event);
            at += sizeof *event + event->len;
        }
    }
    if (matter && !keeper->happened) {
        keeper->happened = true;
        keeper->look_at_ns = rn_clock_ns();
    }
}

/* ----------------------------------------------------------------------------------- the thread */

static int64_t interval_ns(const ration_keeper *keeper)
{
    rn_settings *settings = rn_governor_settings(keeper->governor);
    int64_t interval_ms = settings->limits.monitor_interval_ms;
    rn_settings_release(settings);
    return rn_multiply(RN_MAX(interval_ms, 1), 1000000);
}

static void tick(ration_keeper *keeper)
{
    ration_governor_tick(keeper->governor);
    keeper->tick_at_ns = rn_add(rn_clock_ns(), interval_ns(keeper));
}

static void take_wishes(ration_keeper *keeper)
{
    int64_t asked = 1;
    if (rn_compare_swap(&keeper->asked, &asked, 0) && keeper->path[0] != '\0') {
        keeper->seen = look(keeper->path);
        load(keeper, true);
    }
}

/* Until something is due, or to be read; what cannot be polled is waited out. */
static void wait_for(const ration_keeper *keeper, struct pollfd *polled, nfds_t count)
{
    int64_t due_ns = RN_MIN(keeper->tick_at_ns, keeper->look_at_ns);
    int64_t left_ns = RN_MAX(due_ns - rn_clock_ns(), 0);
    struct timespec wait = {.tv_sec = left_ns / 1000000000, .tv_nsec = left_ns % 1000000000};
    if (ppoll(polled, count, &wait, NULL) < 0) {
        for (nfds_t i = 0; i < count; i++) {
            polled[i].revents = 0;
        }
        (void)nanosleep(&wait, NULL);
    }
}

static void *keep(void *argument)
{
    ration_keeper *keeper = argument;
    int event = keeper->event; /* -1 = the host has closed it: wishes are looked for at each tick */
    while (rn_load_acquire(&keeper->stopped) == 0) {
        int pressure = ration_governor_pressure_descriptor(keeper->governor);
        struct pollfd polled[] = {
            {.fd = event, .events = POLLIN},
            {.fd = keeper->watch, .events = POLLIN},
            {.fd = pressure == keeper->deaf ? -1 : pressure, .events = POLLPRI}};
        wait_for(keeper, polled, RN_COUNT(polled));
        if (polled[0].revents != 0) {
            uint64_t count;
            event = read(event, &count, sizeof count) < 0 && errno != EAGAIN ? -1 : event;
        }
        take_wishes(keeper);
        if ((polled[1].revents & POLLNVAL) != 0) {
            keeper->watch = -1;
        } else if (polled[1].revents != 0) {
            take_events(keeper);
        }
        keeper->deaf = (polled[2].revents & POLLERR) != 0 ? pressure : keeper->deaf;
        if (polled[2].revents != 0) {
            ration_governor_hasten(keeper->governor);
        }
        if (polled[2].revents != 0 || rn_clock_ns() >= keeper->tick_at_ns) {
            tick(keeper);
        }
        if (rn_clock_ns() >= keeper->look_at_ns && find_change(keeper)) {
            load(keeper, false);
        }
    }
    return NULL;
}

/* ------------------------------------------------------------------------------- start and stop */

static ration_status open_descriptors(ration_keeper *keeper, ration_error *error)
{
    keeper->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (keeper->event < 0) {
        return rn_error_set(error, RATION_ENVIRONMENT, "raise the limit of open files",
                            "no descriptor for a keeper: %s", strerror(errno));
    }
    if (keeper->options.watch && keeper->path[0] != '\0') {
        keeper->watch = inotify_init1(IN_CLOEXEC | IN_NONBLOCK); /* without, it looks each second */
        keeper->look_at_ns = 0;
        watch_folders(keeper);
        keeper->seen = look(keeper->path);
    }
    return RATION_OK;
}

/* With all signals blocked: handlers of the host run on its own threads. */
static int start_thread(ration_keeper *keeper)
{
    pthread_attr_t attributes;
    int failed = pthread_attr_init(&attributes);
    if (failed != 0) {
        return failed;
    }
    sigset_t all, before;
    (void)sigfillset(&all);
    (void)pthread_attr_setstacksize(&attributes, STACK_BYTES);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    failed = pthread_create(&keeper->thread, &attributes, keep, keeper);
    if (failed == EINVAL) { /* too little for what the host keeps per thread */
        failed = pthread_create(&keeper->thread, NULL, keep, keeper);
    }
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attributes);
    if (failed == 0) {
        (void)pthread_setname_np(keeper->thread, "ration-keeper");
    }
    return failed;
}

static void close_keeper(ration_keeper *keeper)
{
    if (keeper->event >= 0) {
        (void)close(keeper->event);
    }
    if (keeper->watch >= 0) {
        (void)close(keeper->watch);
    }
    rn_heap_free(keeper, sizeof *keeper);
}

static ration_status begin(ration_keeper *keeper, ration_error *error)
{
    RN_TRY(open_descriptors(keeper, error));
    ration_error unread;
    if (keeper->path[0] != '\0') {
        keeper->good = ration_limits_load(keeper->path, &keeper->loaded, &unread) == RATION_OK;
    }
    int failed = start_thread(keeper);
    return failed == 0 ? RATION_OK
                       : rn_error_set(error, RATION_ENVIRONMENT, "raise the limit of threads",
                                      "no thread for a keeper: %s", strerror(failed));
}

ration_status ration_keeper_start(ration_governor *governor, const ration_keeper_options *options,
                                  ration_keeper **out_keeper, ration_error *error)
{
    static const ration_keeper_options defaults = {.size = sizeof defaults};
    options = options != NULL ? options : &defaults;
    if (governor == NULL || out_keeper == NULL || options->size != sizeof *options ||
        (options->path != NULL && strlen(options->path) >= PATH_MAX)) {
        return rn_error_set(error, RATION_INVALID_ARGUMENT, "",
                            "a keeper needs a governor, options of this version of the library, "
                            "and a path of less than %d bytes",
                            PATH_MAX);
    }
    ration_keeper *keeper = rn_heap_allocate(sizeof *keeper);
    if (keeper == NULL) {
        return rn_error_set(error, RATION_NO_MEMORY, "", "no memory for a keeper");
    }
    keeper->governor = governor;
    keeper->options = *options;
    rn_copy_text(keeper->path, sizeof keeper->path, options->path == NULL ? "" : options->path);
    keeper->options.path = keeper->path;
    keeper->process = getpid();
    keeper->event = keeper->watch = keeper->deaf = -1;
    keeper->folders[0] = keeper->folders[1] = -1;
    keeper->look_at_ns = INT64_MAX;
    ration_status status = begin(keeper, error);
    if (status != RATION_OK) {
        close_keeper(keeper);
        return status;
    }
    *out_keeper = keeper;
    return RATION_OK;
}

static void wake(const ration_keeper *keeper)
{
    static const uint64_t one = 1;
    int kept = errno;
    (void)!write(keeper->event, &one, sizeof one);
    errno = kept;
}

void ration_keeper_reload(ration_keeper *keeper)
{
    rn_store(&keeper->asked, 1);
    wake(keeper);
}

void ration_keeper_stop(ration_keeper *keeper)
{
    if (keeper == NULL) {
        return;
    }
    if (keeper->process == getpid()) { /* the child of a fork has its memory, and no thread */
        rn_store_release(&keeper->stopped, 1);
        wake(keeper);
        int failed = pthread_join(keeper->thread, NULL);
        (void)rn_never(failed != 0);
    }
    close_keeper(keeper);
}
