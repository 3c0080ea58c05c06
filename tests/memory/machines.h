/* SPDX-License-Identifier: Apache-2.0
 *
 * Machines as text: tests/fixtures/machines/NAME.machine is unpacked into a folder that stands
 * for / (the sysroot of memory/machine/probe.h). A machine file has facts first, which tests
 * compare, then files; `#` begins a comment in a line of its own or behind two blanks.
 *
 *     like bare                             take its files first, not its facts
 *     binding  cgroup v2 /app               a fact: key and value
 *     used     400 - 300 MiB                amounts are sums: a number takes the next unit to its
 *                                           right, "16 GiB - 4096" has bytes at the end
 *     /sys/fs/cgroup/app/memory.max: {512 MiB}
 *     /proc/meminfo:                        more lines are indented by four blanks
 *         MemTotal: {16 GiB in kB} kB
 *     /proc/self/ns/cgroup -> cgroup:[77]   a symbolic link
 *     /sys/fs/cgroup/app/memory.stat is a folder | is a pipe | is gone
 *
 * In contents: {sum}, {sum in kB}, {9 x 100} a character repeated, {NUL}, {CR}, {no newline}. */
#ifndef RATION_TESTS_MACHINES_H
#define RATION_TESTS_MACHINES_H

#include "base/text.h"
#include "tests/support.h"

#define MACHINE_FACTS_MAX 40

typedef struct machine {
    char name[64];
    char root[256];
    int count;
    struct {
        char key[24], value[240];
    } facts[MACHINE_FACTS_MAX];
} machine;

void machine_open(machine *host, const char *name);
/* Removes the folder. */
void machine_close(machine *host);
/* The value of the first fact `key`, or NULL. */
const char *machine_fact(const machine *host, const char *key);
/* "512 MiB - 4096", "unlimited". */
int64_t machine_sum(const char *text);
/* Writes a file, in place when it is there; `text` as in a machine file, with a newline added. */
void machine_write(const machine *host, const char *path, const char *text);
/* Removes a file or a folder with all in it, if it is there. */
void machine_remove(const machine *host, const char *path);
void machine_folder(const machine *host, const char *path);
void machine_pipe(const machine *host, const char *path);
void machine_link(const machine *host, const char *path, const char *target);
/* Names of all machine files, ascending; returns how many. */
int machine_names(char names[][64], int most);

#endif
