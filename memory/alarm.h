/* SPDX-License-Identifier: Apache-2.0
 *
 * Inside of sentries, for sentry*.c only: reports that are being written, names of functions, and
 * what was freed lately. */
#ifndef RATION_ALARM_H
#define RATION_ALARM_H

#include "memory/sentry.h"

#ifdef RATION_CHECKED

#define RN_STACK_BITS 19 /* of an identity of a stack */
#define RN_ALARM_BYTES 8192

/* A report: rn_alarm_begin -> rn_alarm_add, rn_alarm_stack .. -> rn_alarm_end or rn_alarm_abort.
 * What is longer than the buffer goes out in pieces. */
typedef struct rn_alarm {
    size_t used;
    int descriptor;
    char text[RN_ALARM_BYTES];
} rn_alarm;

void rn_alarm_begin(rn_alarm *alarm, int descriptor);
RN_PRINTF(2, 3) void rn_alarm_add(rn_alarm *alarm, const char *format, ...);
/* ` in context "rows" (set)`, or nothing when `place` has no name. */
void rn_alarm_place(rn_alarm *alarm, const rn_place *place);
/* `head` and the frames, one per line; nothing when the stack is unknown. */
void rn_alarm_stack(rn_alarm *alarm, const char *head, uint32_t stack);
void rn_alarm_end(rn_alarm *alarm);
/* Ends the line, and adds "found by <call>:" with the stack of now, the other two, and aborts. */
_Noreturn void rn_alarm_abort(rn_alarm *alarm, const char *call, uint32_t made, uint32_t ended);

/* Return addresses of a stack, innermost first; 0 when unknown. */
size_t rn_stack_frames(uint32_t stack, const uintptr_t **out_frames);
/* The function of the file's symbol table around `address` (as the file counts), static ones too;
 * false when there is none, or the file cannot be read. */
bool rn_symbol_find(const char *path, uintptr_t address, char *name, size_t capacity,
                    uintptr_t *out_start);

/* What was freed at an address: kept for a while, so that a second free can say where the first
 * was. Best effort: addresses that fall together drive each other out. */
typedef struct rn_departed {
    int64_t address; /* 0 = none, 1 = somebody writes */
    size_t bytes;
    uint32_t made, ended;
    const char *noun, *kind;
    char name[24]; /* a copy: its context may be gone */
} rn_departed;

void rn_departed_add(const void *address, size_t bytes, uint32_t made, uint32_t ended,
                     const rn_place *place);
/* The address is in use again. */
void rn_departed_clear(const void *address);
bool rn_departed_find(const void *address, rn_departed *out_departed);

#endif
#endif
