/* SPDX-License-Identifier: Apache-2.0
 *
 * How long tasks waited for memory (PSI), and how often a group was at its limits:
 * rn_stall_read, rn_events_read, rn_probe_stall_trigger.
 *
 * A file of PSI has two lines: "some avg10=0.12 avg60=0.03 avg300=0.00 total=33976172" (some task
 * waited; percent of the last 10 s; microseconds ever) and "full ..." (all tasks did). A trigger is
 * a line "some STALL WINDOW" written to it; the kernel watches for as long as the descriptor is
 * open. */
#include "memory/machine/survey.h"

#include <errno.h>

/* The value behind `name` in a line of "name=value" words: digits and points. */
static bool find_value(const char *line, const char *name, const char **out_text,
                       size_t *out_length)
{
    const char *at = strstr(line, name);
    if (at == NULL) {
        return false;
    }
    *out_text = at + strlen(name);
    *out_length = strspn(*out_text, "0123456789.");
    char behind = (*out_text)[*out_length];
    return behind == ' ' || behind == '\0';
}

static bool take_line(const char *line, int64_t *out_us, int64_t *out_ppm)
{
    const char *text;
    size_t length;
    int64_t percent_ppm;
    if (!find_value(line, " avg10=", &text, &length) ||
        !rn_parse_ratio(text, length, &percent_ppm) ||
        !find_value(line, " total=", &text, &length) || !rn_parse_int64(text, length, out_us)) {
        return false;
    }
    *out_ppm = percent_ppm / 100;
    return true;
}

bool rn_stall_read(const rn_lines_place *place, int slot, const char *folder, const char *name,
                   rn_probe_stall *out_stall)
{
    rn_lines lines;
    rn_probe_stall stall = {0};
    bool some = false, full = false;
    if (rn_lines_open(&lines, place, slot, folder, name) == 0) {
        for (char *line = NULL; !(some && full) && (line = rn_lines_next(&lines)) != NULL;) {
            if (strncmp(line, "some ", 5) == 0) {
                some = take_line(line, &stall.some_us, &stall.some_ppm_of_10s);
            } else if (strncmp(line, "full ", 5) == 0) {
                full = take_line(line, &stall.full_us, &stall.full_ppm_of_10s);
            }
        }
    }
    rn_lines_close(&lines);
    stall.known = some && full;
    if (stall.known) {
        *out_stall = stall;
    }
    return stall.known;
}

bool rn_events_read(rn_survey *survey, int version, const char *folder, rn_probe_events *out_events)
{
    rn_probe_events events = {0};
    if (version == 2) {
        rn_lines_entry entries[] = {{.name = "high", .unit = 1},
                                    {.name = "max", .unit = 1},
                                    {.name = "oom", .unit = 1},
                                    {.name = "oom_kill", .unit = 1}};
        (void)rn_lines_entries(&survey->place, RN_LINES_ONCE, folder, "/memory.events", entries,
                               RN_COUNT(entries));
        events = (rn_probe_events){.known = entries[0].found && entries[1].found,
                                   .high = entries[0].value,
                                   .max = entries[1].value,
                                   .oom = entries[2].value,
                                   .oom_kill = entries[3].value};
    } else {
        rn_lines_entry kills = {.name = "oom_kill", .unit = 1}; /* since Linux 4.13 */
        char count[32];
        events.known = rn_lines_first(survey->place.sysroot, folder, "/memory.failcnt", count,
                                      sizeof(count)) == 0 &&
                       rn_lines_number(count, 1, &events.max);
        (void)rn_lines_entries(&survey->place, RN_LINES_ONCE, folder, "/memory.oom_control", &kills,
                               1);
        events.oom_kill = kills.value;
    }
    if (events.known) {
        *out_events = events;
    }
    return events.known;
}

int rn_probe_stall_trigger(const rn_probe *probe, int64_t stall_us, int64_t window_us)
{
    const char *const paths[] = {probe->group_stall_file, "/proc/pressure/memory"};
    char text[64];
    rn_text line = rn_text_over(text, sizeof(text));
    rn_text_format(&line, "some %lld %lld", (long long)stall_us, (long long)window_us);
    int descriptor = -1;
    errno = ENOENT;
    for (size_t i = 0; i < RN_COUNT(paths) && descriptor < 0; i++) {
        descriptor = paths[i][0] != '\0' ? rn_lines_subscribe(paths[i], text) : -1;
    }
    return descriptor;
}
