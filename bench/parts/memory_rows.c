/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows for bench/memory.sh. */
#include "bench/memory.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

_Noreturn void stop_bench(const char *why)
{
    fprintf(stderr, "memory: %s\n", why);
    exit(1);
}

static void put_figure(double figure)
{
    if (isnan(figure)) {
        printf("\t-");
    } else {
        printf("\t%.*f", figure >= 10000 ? 0 : 3, figure);
    }
}

void print_row(const char *name, double value, const char *unit, double against, double ratio)
{
    printf("memory.%s", name);
    put_figure(value);
    printf("\t%s", unit);
    put_figure(against);
    put_figure(ratio);
    putchar('\n');
    (void)fflush(stdout);
}

void print_jobs(const char *setting, const char *unit, const job *jobs, size_t count,
                const double *values)
{
    char name[96];
    bool compared = strcmp(unit, "MiB") != 0;
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(name, sizeof name, "%s.%s", setting, jobs[i].name);
        print_row(name, values[i], unit, i == 0 ? NAN : values[0],
                  i == 0 || !compared ? NAN : values[i] / values[0]);
    }
}

void print_published(const char *setting, const char *version, double value, const char *unit,
                     double ours)
{
    char name[96];
    (void)snprintf(name, sizeof name, "%s.postgresql_%s_published", setting, version);
    print_row(name, value, unit, ours, NAN);
}

void jobs_of(job *jobs, rival *rivals, size_t count,
             void (*const styles[])(void *state, int64_t turns))
{
    for (size_t i = 0; i < count; i++) {
        jobs[i] = (job){.name = rivals[i].name,
                        .run = rivals[i].here ? styles[rivals[i].style] : NULL,
                        .state = &rivals[i]};
    }
}
