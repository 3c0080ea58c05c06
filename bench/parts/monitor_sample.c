/* SPDX-License-Identifier: Apache-2.0
 *
 * One sample of the machine (rn_probe_refresh) with its files kept open, beside opening each file
 * each time, and beside a whole snapshot. Between any two samples a page comes and a page goes, so
 * that no figure of the group is the one of before. */
#include <stdlib.h>
#include <time.h>

#include "bench/monitor.h"
#include "memory/machine/probe.h"

#define SAMPLES 100
#define ROUNDS 15

static rn_probe probe;
static rn_probe_files files;
static volatile char pages[SAMPLES * 4096];

typedef enum way { KEPT, OPENED, SNAPSHOT, NOTHING, WAYS } way;

static bool take_sample(way which)
{
    return which == NOTHING  ? true
           : which == KEPT   ? rn_probe_refresh("", &probe, &files)
           : which == OPENED ? rn_probe_refresh("", &probe, NULL)
                             : rn_probe_read("", &probe, NULL) == RATION_OK;
}

/* Microseconds of the thread's processor time. */
static double clock_samples(way which)
{
    struct timespec start, end;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start);
    for (int i = 0; i < SAMPLES; i++) {
        pages[i * 4096]++;
        if (!take_sample(which)) {
            fprintf(stderr, "monitor: a sample failed\n");
            exit(1);
        }
    }
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
    return ((double)(end.tv_sec - start.tv_sec) * 1e6 +
            (double)(end.tv_nsec - start.tv_nsec) / 1e3) /
           SAMPLES;
}

void bench_samples(const char *place)
{
    double best[WAYS] = {1e9, 1e9, 1e9, 1e9};
    if (rn_probe_read("", &probe, NULL) != RATION_OK || probe.note[0] != '\0') {
        fprintf(stderr, "monitor: this machine cannot be read: %s\n", probe.note);
        exit(1);
    }
    for (int round = 0; round < ROUNDS; round++) {
        for (way which = KEPT; which < WAYS; which++) {
            best[which] = RN_MIN(best[which], clock_samples(which));
        }
    }
    rn_probe_files_close(&files);
    bench_put("monitor.sample.%s %.2f us - -", place, best[KEPT] - best[NOTHING]);
    bench_put("monitor.sample_opened.%s %.2f us - -", place, best[OPENED] - best[NOTHING]);
    bench_put("monitor.snapshot.%s %.2f us - -", place, best[SNAPSHOT] - best[NOTHING]);
}
