/* SPDX-License-Identifier: Apache-2.0
 *
 * Levels of pressure: rn_pressure_judge at each look.
 *
 *     spare = (1 - ratio) x what is there, 2% of it at least
 *     headroom < spare / 2                                   elevated
 *     headroom < spare / 4                                   critical
 *     some task stalled for >= stall_ratio of the last 2 s   elevated
 *     all of them did, and headroom < spare / 2              critical
 *
 * When the governor grants all it may, the headroom is `spare`: so its own queries alone never
 * raise the level. Stalls without short headroom never make it critical: they may come from a disk
 * or a neighbour's limit, which writing out does not help.
 *
 *   1. A level is left downwards only for one that holds with every threshold a quarter stricter,
 *      for CALM_LOOKS looks in a row, so that a value that swings around a threshold keeps one
 *      level.
 *
 * The stall of the last two seconds is a difference of the kernel's counters; its own averages
 * over 10 s are late by as much. */
#include "executor/pressure.h"

#include "executor/limit.h"

#define WINDOW_NS INT64_C(2000000000)
#define SPARE_PPM_MIN 20000
#define CALM_LOOKS 5

int64_t rn_pressure_spare(int64_t total_bytes, int64_t ratio_ppm)
{
    return rn_share_of_ratio(total_bytes, RN_MAX(1000000 - ratio_ppm, SPARE_PPM_MIN));
}

int64_t rn_pressure_relief(int64_t spare_bytes)
{
    return spare_bytes / 2 + spare_bytes / 8;
}

/* The oldest sample of the window, else the newest; NULL = there is none. */
static const rn_pressure_sample *find_sample(const rn_pressure_gauge *gauge, int64_t now_ns)
{
    int64_t kept = RN_MIN(gauge->count, RN_PRESSURE_SAMPLES);
    for (int64_t age = kept; age > 0; age--) {
        const rn_pressure_sample *sample =
            &gauge->samples[(gauge->count - age) % RN_PRESSURE_SAMPLES];
        if (age == 1 || now_ns - sample->at_ns <= WINDOW_NS) {
            return sample;
        }
    }
    return NULL;
}

static int64_t part_of(int64_t us, int64_t ns)
{
    return RN_MIN(RN_MAX(rn_multiply(us, 1000000) / RN_MAX(ns / 1000, 1), 0), 1000000);
}

static void measure_stall(rn_pressure_gauge *gauge, const rn_strain *strain)
{
    gauge->some_ppm = gauge->full_ppm = -1;
    if (!strain->stall.known) {
        gauge->count = 0;
        return;
    }
    const rn_pressure_sample now = {strain->now_ns, strain->stall.some_us, strain->stall.full_us};
    const rn_pressure_sample *since = find_sample(gauge, now.at_ns);
    if (since != NULL && since->some_us > now.some_us) {
        gauge->count = 0; /* the counters of somebody else */
    } else if (since != NULL && since->at_ns < now.at_ns) {
        gauge->some_ppm = part_of(now.some_us - since->some_us, now.at_ns - since->at_ns);
        gauge->full_ppm = part_of(now.full_us - since->full_us, now.at_ns - since->at_ns);
    }
    gauge->samples[gauge->count++ % RN_PRESSURE_SAMPLES] = now;
}

/* With thresholds a quarter stricter when `strict`. */
static ration_pressure find_level(const rn_pressure_gauge *gauge, const rn_strain *strain,
                                  bool strict)
{
    int64_t spare = strict ? strain->spare_bytes / 4 * 5 : strain->spare_bytes;
    int64_t stall = strict ? strain->stall_ppm / 5 * 4 : strain->stall_ppm;
    bool low = strain->headroom_bytes < spare / 2;
    bool some = stall > 0 && gauge->some_ppm >= stall;
    bool full = stall > 0 && gauge->full_ppm >= stall;
    if (strain->headroom_bytes < spare / 4 || (full && low)) {
        return RATION_PRESSURE_CRITICAL;
    }
    return low || some ? RATION_PRESSURE_ELEVATED : RATION_PRESSURE_NORMAL;
}

ration_pressure rn_pressure_judge(rn_pressure_gauge *gauge, const rn_strain *strain)
{
    measure_stall(gauge, strain);
    ration_pressure found = find_level(gauge, strain, false);
    ration_pressure lower = find_level(gauge, strain, true);
    if (found >= gauge->level || lower >= gauge->level) {
        gauge->level = RN_MAX(found, gauge->level);
        gauge->calm = 0;
    } else if (++gauge->calm >= CALM_LOOKS) {
        gauge->level = lower;
        gauge->calm = 0;
    }
    return gauge->level;
}

const char *ration_pressure_name(ration_pressure pressure)
{
    static const char *const names[] = {"normal", "elevated", "critical"};
    return (unsigned)pressure < RN_COUNT(names) ? names[pressure] : "unknown";
}
