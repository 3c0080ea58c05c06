/* SPDX-License-Identifier: Apache-2.0
 *
 * Reports of sentries: the text goes into a buffer on the stack and to stderr by one write, so that
 * threads and processes do not mix theirs. Nothing here allocates or takes a lock.
 */
#include "memory/alarm.h"

#ifdef RATION_CHECKED

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void rn_alarm_begin(rn_alarm *alarm, int descriptor)
{
    alarm->used = 0;
    alarm->descriptor = descriptor;
}

void rn_alarm_end(rn_alarm *alarm)
{
    size_t done = 0;
    while (done < alarm->used) {
        ssize_t step = write(alarm->descriptor, alarm->text + done, alarm->used - done);
        if (step < 0 && errno != EINTR) {
            break;
        }
        done += step > 0 ? (size_t)step : 0;
    }
    alarm->used = 0;
}

static void add_text(rn_alarm *alarm, const char *format, va_list arguments)
{
    size_t room = sizeof(alarm->text) - alarm->used;
    int length = vsnprintf(alarm->text + alarm->used, room, format, arguments);
    alarm->used += RN_MIN((size_t)RN_MAX(length, 0), room - 1);
}

void rn_alarm_add(rn_alarm *alarm, const char *format, ...)
{
    if (alarm->used > sizeof(alarm->text) - 1024) { /* a line is shorter, or is cut */
        rn_alarm_end(alarm);
    }
    va_list arguments;
    va_start(arguments, format);
    add_text(alarm, format, arguments);
    va_end(arguments);
}

void rn_alarm_place(rn_alarm *alarm, const rn_place *place)
{
    if (place != NULL && place->name != NULL) {
        rn_alarm_add(alarm, " in %s \"%.64s\" (%s)", place->noun, place->name, place->kind);
    }
}

_Noreturn void rn_alarm_abort(rn_alarm *alarm, const char *call, uint32_t made, uint32_t ended)
{
    char head[96];
    (void)snprintf(head, sizeof(head), "found by %s:", call);
    rn_alarm_add(alarm, "\n");
    uint32_t now = rn_stack_here(1);
    if (now == 0) {
        rn_alarm_add(alarm, "%s\n", head);
    }
    rn_alarm_stack(alarm, head, now);
    rn_alarm_stack(alarm, "allocated at:", made);
    rn_alarm_stack(alarm, "freed at:", ended);
    rn_alarm_end(alarm);
    abort();
}

_Noreturn void rn_sentry_abort(const rn_place *place, uint32_t made, uint32_t ended,
                               const char *format, ...)
{
    rn_alarm alarm;
    rn_alarm_begin(&alarm, STDERR_FILENO);
    rn_alarm_add(&alarm, "ration: ");
    va_list arguments;
    va_start(arguments, format);
    add_text(&alarm, format, arguments);
    va_end(arguments);
    rn_alarm_place(&alarm, place);
    rn_alarm_abort(&alarm, place->call, made, ended);
}

/* ---------------------------------------------------------------------------------------- leaks */

void rn_leaks_add_block(rn_leaks *leaks, const void *address, size_t bytes, uint32_t stack)
{
    leaks->count += 1;
    leaks->bytes += (int64_t)bytes;
    size_t at = 0;
    while (at < leaks->shown && leaks->of[at].stack != stack) {
        at += 1;
    }
    if (at == RN_LEAKS_SHOWN) {
        return;
    }
    if (at == leaks->shown) {
        leaks->shown += 1;
        leaks->of[at].first = address;
        leaks->of[at].stack = stack;
        leaks->of[at].count = leaks->of[at].bytes = 0;
    }
    leaks->of[at].count += 1;
    leaks->of[at].bytes += (int64_t)bytes;
}

void rn_leaks_end(const rn_leaks *leaks, const rn_place *place)
{
    if (leaks->count == 0) {
        return;
    }
    rn_alarm alarm;
    rn_alarm_begin(&alarm, STDERR_FILENO);
    rn_alarm_add(&alarm, "ration: leak: %lld bytes in %lld chunks left", (long long)leaks->bytes,
                 (long long)leaks->count);
    rn_alarm_place(&alarm, place);
    rn_alarm_add(&alarm, "\nfound by %s\n", place->call);
    int64_t left = leaks->count;
    for (size_t i = 0; i < leaks->shown; i++) {
        char head[128];
        (void)snprintf(
            head, sizeof(head), "%lld bytes in %lld chunks, the first at %p, allocated at:",
            (long long)leaks->of[i].bytes, (long long)leaks->of[i].count, leaks->of[i].first);
        if (leaks->of[i].stack == 0) {
            rn_alarm_add(&alarm, "%s\n  (unknown)\n", head);
        }
        rn_alarm_stack(&alarm, head, leaks->of[i].stack);
        left -= leaks->of[i].count;
    }
    if (left > 0) {
        rn_alarm_add(&alarm, "and %lld chunks more, allocated elsewhere\n", (long long)left);
    }
    rn_alarm_end(&alarm);
    rn_fault_add();
}

#endif
