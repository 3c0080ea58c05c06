/* SPDX-License-Identifier: Apache-2.0
 *
 * How short of memory the host is, from one look to the next: arithmetic alone, no files.
 *
 *     rn_pressure_gauge gauge = {0};
 *     rn_pressure_judge(&gauge, &strain) at each look
 */
#ifndef RATION_PRESSURE_H
#define RATION_PRESSURE_H

#include "memory/machine/probe.h"
#include "ration_monitor.h"

#define RN_PRESSURE_SAMPLES 32

/* What one look found. */
typedef struct rn_strain {
    int64_t now_ns;
    int64_t headroom_bytes; /* at the source that is shortest of spare bytes */
    int64_t spare_bytes;    /* what the ratio leaves free there */
    rn_probe_stall stall;   /* of those who share that source */
    int64_t stall_ppm;      /* pressure_stall_ratio; 0 = not looked at */
} rn_strain;

typedef struct rn_pressure_sample {
    int64_t at_ns, some_us, full_us;
} rn_pressure_sample;

typedef struct rn_pressure_gauge {
    ration_pressure level;
    int64_t calm;               /* looks in a row that found a lower level, with a margin */
    int64_t some_ppm, full_ppm; /* of the last two seconds; -1 = unknown */
    int64_t count;              /* samples ever */
    rn_pressure_sample samples[RN_PRESSURE_SAMPLES];
} rn_pressure_gauge;

/* What `ratio` leaves free of `total_bytes`; 2% of it at least. */
int64_t rn_pressure_spare(int64_t total_bytes, int64_t ratio_ppm);
/* The level after this look: up at once, down when it has been better, by a quarter, for five looks
 * in a row. */
ration_pressure rn_pressure_judge(rn_pressure_gauge *gauge, const rn_strain *strain);
/* Headroom from which on it is normal again. */
int64_t rn_pressure_relief(int64_t spare_bytes);

#endif
