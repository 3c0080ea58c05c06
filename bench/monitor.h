/* SPDX-License-Identifier: Apache-2.0
 *
 * Rows of bench/monitor.c and its parts: "name value unit against ratio", a line each. */
#ifndef RATION_BENCH_MONITOR_H
#define RATION_BENCH_MONITOR_H

#include <stdio.h>

#define bench_put(...) ((void)(printf(__VA_ARGS__), putchar('\n')))

/* monitor_sample.c: samples of the machine in the control group that the process is in; `place`
 * names it in the rows. */
void bench_samples(const char *place);

#endif
