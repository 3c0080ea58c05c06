/* SPDX-License-Identifier: Apache-2.0
 *
 * Workers take arrivals in order of time, sleep until each is due and run it to its end. When all
 * are busy the next arrival starts late and the lag says so: the schedule never waits for the
 * queries (open loop). The calling thread reads the root pool every 20 ms, compares it with its
 * limit, and shows progress.
 *
 * A limit that was lowered leaves the pool above it until enough was given back; meanwhile nothing
 * more is granted. So a reading is over its limit when more is granted than both the limit and what
 * was granted at the reading before, or could be by the limit of then; if the limit changed more
 * than once in between, nobody can say.
 *
 * Arrival cursor, figures, running queries and the result file are shared under one lock, taken a
 * few times per query. */
#include "cli/replay_run.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

#include "cli/format.h"

#define RN_WATCH_NS 20000000

struct crew;

typedef struct hand {
    struct crew *crew;
    pthread_t thread;
    ration_query *running; /* under crew->lock */
} hand;

struct crew {
    const rn_replay *replay;
    const rn_replay_options *options;
    pthread_mutex_t lock;
    rn_replay_figures *figures; /* under lock */
    rn_arrivals cursor;         /* under lock */
    bool ended;                 /* no arrivals left; under lock */
    int64_t ended_ns;           /* when the last query so far ended; under lock */
    int64_t start_ns;
    int64_t stop;                       /* atomic: no further arrivals, please */
    int64_t done;                       /* queries ended; atomic */
    int64_t working;                    /* hands not yet back; atomic */
    int64_t limit_bytes, granted_bytes; /* at the last reading; of the calling thread .. */
    int64_t changes;                    /* .. of the limit until shortly before it */
    uint32_t hand_count;
    hand *hands;
};

static bool take_arrival(struct crew *crew, rn_arrival *out_arrival)
{
    pthread_mutex_lock(&crew->lock);
    bool taken = !crew->ended && rn_load(&crew->stop) == 0 &&
                 rn_arrivals_next(crew->replay->workload, &crew->cursor, out_arrival);
    crew->ended = !taken;
    pthread_mutex_unlock(&crew->lock);
    return taken;
}

/* False when the replay was stopped while waiting. */
static bool wait_until(const struct crew *crew, int64_t due_ns)
{
    int64_t now_ns;
    while ((now_ns = rn_clock_ns()) < due_ns) {
        int64_t wake_ns = RN_MIN(due_ns, now_ns + 5 * RN_WATCH_NS);
        struct timespec wake = {wake_ns / 1000000000, wake_ns % 1000000000};
        (void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &wake, NULL);
        if (rn_load(&crew->stop) != 0) {
            return false;
        }
    }
    return true;
}

static void put_field(FILE *file, const char *text, char separator)
{
    char buffer[400];
    rn_string string = rn_string_over(text, (uint32_t)strlen(text));
    rn_column column = {.type = rn_type_of(RN_STRING), .data = &string};
    rn_text field = rn_text_over(buffer, sizeof buffer);
    rn_format_csv(&field, NULL, &column, 0);
    fprintf(file, "%s%c", buffer, separator);
}

/* One line: what became of the query and, when it was refused, the refusal. */
static void write_result(FILE *file, const rn_workload *workload, const rn_arrival *arrival,
                         const rn_outcome *outcome, int64_t latency_us)
{
    fprintf(file, "%lld,", (long long)arrival->number);
    put_field(file, workload->queries[arrival->query].name, ',');
    fprintf(file, "%s,%lld,%016llx,%lld,%lld,", ration_status_name(outcome->status),
            (long long)outcome->rows, (unsigned long long)outcome->checksum,
            (long long)outcome->peak_bytes, (long long)latency_us);
    const ration_refusal *refusal = &outcome->refusal;
    if (!outcome->refused) {
        fputs(",,,,,,,,\n", file);
        return;
    }
    put_field(file, refusal->pool, ',');
    fprintf(file, "%lld,%lld,%lld,", (long long)refusal->limit_bytes,
            (long long)refusal->charged_bytes, (long long)refusal->asked_bytes);
    put_field(file, refusal->site, ',');
    put_field(file, refusal->holder, ',');
    fprintf(file, "%lld,", (long long)refusal->holder_bytes);
    put_field(file, refusal->key, ',');
    fprintf(file, "%lld\n", (long long)refusal->key_bytes);
}

static void record(struct crew *crew, const rn_arrival *arrival, const rn_outcome *outcome,
                   int64_t lag_us, int64_t latency_us)
{
    if (outcome->status == RATION_CANCELLED && rn_load(&crew->stop) != 0) {
        return; /* ended by the interrupt, as those that never started */
    }
    pthread_mutex_lock(&crew->lock);
    rn_replay_figures_add(crew->figures, arrival, outcome, lag_us, latency_us);
    crew->ended_ns = rn_clock_ns();
    if (crew->options->results != NULL) {
        write_result(crew->options->results, crew->replay->workload, arrival, outcome, latency_us);
    }
    pthread_mutex_unlock(&crew->lock);
    rn_fetch_add(&crew->done, 1);
}

static void *work(void *argument)
{
    hand *self = argument;
    struct crew *crew = self->crew;
    rn_arrival arrival;
    while (take_arrival(crew, &arrival)) {
        int64_t due_ns = crew->start_ns + arrival.at_us * 1000;
        if (!wait_until(crew, due_ns)) {
            break;
        }
        rn_outcome outcome;
        int64_t lag_us = (rn_clock_ns() - due_ns) / 1000;
        rn_replay_run(crew->replay, &arrival, &crew->lock, &self->running, &outcome);
        record(crew, &arrival, &outcome, lag_us, (rn_clock_ns() - due_ns) / 1000);
    }
    rn_fetch_add(&crew->working, -1);
    return NULL;
}

static void cancel_running(struct crew *crew)
{
    rn_store(&crew->stop, 1);
    pthread_mutex_lock(&crew->lock);
    for (uint32_t i = 0; i < crew->hand_count; i++) {
        if (crew->hands[i].running != NULL) {
            ration_query_cancel(crew->hands[i].running);
        }
    }
    pthread_mutex_unlock(&crew->lock);
}

static int64_t count_changes(const ration_governor *governor)
{
    ration_governor_figures figures;
    ration_governor_read(governor, &figures);
    return figures.changes + figures.reloads;
}

/* What the readings are compared with from here on. */
static void begin_samples(struct crew *crew, rn_report *report)
{
    ration_governor *governor = crew->replay->governor;
    ration_pool_figures root;
    crew->changes = count_changes(governor);
    ration_pool_read(ration_governor_root(governor), &root);
    crew->limit_bytes = root.limit_bytes;
    crew->granted_bytes = root.granted_bytes;
    bool same = crew->changes == 0 && count_changes(governor) == 0;
    report->limit_highest_bytes =
        same ? root.limit_bytes : RN_MAX(root.limit_bytes, root.peak_bytes);
}

static void compare(struct crew *crew, const ration_pool_figures *root, int64_t changes,
                    rn_report *report)
{
    bool unclear = changes - crew->changes > 1;
    int64_t allowed = RN_MAX(root->limit_bytes, RN_MAX(crew->limit_bytes, crew->granted_bytes));
    int64_t highest = unclear ? RN_MAX(root->limit_bytes, root->peak_bytes) : root->limit_bytes;
    report->samples += 1;
    report->samples_over += !unclear && root->granted_bytes > allowed;
    report->limit_highest_bytes = RN_MAX(report->limit_highest_bytes, highest);
    crew->limit_bytes = root->limit_bytes;
    crew->granted_bytes = root->granted_bytes;
}

static void sample(struct crew *crew, rn_report *report)
{
    ration_governor *governor = crew->replay->governor;
    ration_pool_figures root;
    int64_t changes = count_changes(governor);
    ration_pool_read(ration_governor_root(governor), &root);
    compare(crew, &root, count_changes(governor), report);
    crew->changes = changes;
    int64_t rss_bytes, rss_peak_bytes;
    rn_probe_self("", &rss_bytes, &rss_peak_bytes);
    report->peak_bytes = root.peak_bytes;
    report->limit_bytes = root.limit_bytes;
    report->heap_peak_bytes = RN_MAX(report->heap_peak_bytes, rn_heap_bytes());
    report->mapped_peak_bytes =
        RN_MAX(report->mapped_peak_bytes, rn_blocks_mapped(governor->blocks));
    report->rss_peak_bytes = rss_peak_bytes;
    const rn_spill_quota *spilled = rn_spill_volume_quota(governor->volume);
    report->spilled_bytes = rn_load(&spilled->total_bytes);
    report->spilled_peak_bytes = rn_load(&spilled->peak_bytes);
}

static void show_progress(const struct crew *crew, const rn_report *report)
{
    const rn_workload *workload = crew->replay->workload;
    double seconds = (double)(rn_clock_ns() - crew->start_ns) / 1e9;
    char buffer[200];
    rn_text text = rn_text_over(buffer, sizeof buffer);
    ration_pool_figures root;
    ration_pool_read(ration_governor_root(crew->replay->governor), &root);
    int64_t total = workload->process == RN_PROCESS_TRACE
                        ? RN_MIN(workload->count, workload->recorded_count)
                        : workload->count;
    rn_text_format(&text, "\r%6.1f s  %lld", seconds, (long long)rn_load(&crew->done));
    if (total < RN_WORKLOAD_ARRIVALS_MAX) {
        rn_text_format(&text, " of %lld", (long long)total);
    }
    rn_text_put(&text, " queries  charged + credit ");
    rn_text_put_size(&text, root.granted_bytes);
    rn_text_put(&text, " of ");
    rn_text_put_size(&text, report->limit_bytes);
    rn_text_put(&text, "\x1b[K");
    fputs(buffer, stderr);
    fflush(stderr);
}

static void watch(struct crew *crew, rn_report *report)
{
    int64_t round = 0;
    while (rn_load(&crew->working) > 0) {
        struct timespec pause = {0, RN_WATCH_NS};
        nanosleep(&pause, NULL);
        sample(crew, report);
        ration_governor_tick(crew->replay->governor);
        if (crew->options->progress && round % 10 == 0) {
            show_progress(crew, report);
        }
        if (crew->options->interrupted != NULL && *crew->options->interrupted != 0) {
            report->interrupted = true;
        }
        if (report->interrupted || rn_load(&crew->stop) != 0) {
            cancel_running(crew); /* again and again: a query may have started meanwhile */
        }
        round += 1;
    }
    if (crew->options->progress) {
        fputs("\r\x1b[K", stderr);
    }
}

static uint32_t start_hands(struct crew *crew)
{
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    (void)pthread_attr_setstacksize(&attributes, RN_WORKER_STACK_BYTES);
    uint32_t started = 0;
    for (; started < crew->hand_count; started++) {
        hand *next = &crew->hands[started];
        next->crew = crew;
        rn_fetch_add(&crew->working, 1);
        if (pthread_create(&next->thread, &attributes, work, next) != 0) {
            rn_fetch_add(&crew->working, -1);
            break;
        }
    }
    pthread_attr_destroy(&attributes);
    return started;
}

ration_status rn_replay_run_all(const rn_replay *replay, const rn_replay_options *options,
                                rn_replay_figures *figures, rn_report *report, ration_error *error)
{
    struct crew crew = {.replay = replay, .options = options, .figures = figures};
    crew.hand_count = (uint32_t)replay->workload->concurrency;
    size_t bytes = crew.hand_count * sizeof *crew.hands;
    crew.hands = rn_heap_allocate(bytes);
    if (crew.hands == NULL) {
        return rn_error_set(error, RATION_NO_MEMORY, "", "no memory for the workers");
    }
    pthread_mutex_init(&crew.lock, NULL);
    int64_t unused;
    rn_probe_self("", &report->rss_start_bytes, &unused);
    begin_samples(&crew, report);
    crew.start_ns = crew.ended_ns = rn_clock_ns();
    uint32_t started = start_hands(&crew);
    bool complete = started == crew.hand_count;
    if (!complete) {
        rn_store(&crew.stop, 1);
    }
    watch(&crew, report);
    for (uint32_t i = 0; i < started; i++) {
        pthread_join(crew.hands[i].thread, NULL);
    }
    report->elapsed_us = (crew.ended_ns - crew.start_ns) / 1000;
    sample(&crew, report);
    pthread_mutex_destroy(&crew.lock);
    rn_heap_free(crew.hands, bytes);
    if (!complete) {
        return rn_error_set(error, RATION_ENVIRONMENT, "lower `concurrency`",
                            "could start only %u of %lld workers", started,
                            (long long)replay->workload->concurrency);
    }
    return RATION_OK;
}
