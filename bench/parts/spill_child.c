/* SPDX-License-Identifier: Apache-2.0
 *
 * A run in a process of its own, so that its resident set is its own from the start. */
#include "bench/spill.h"

#include <sys/wait.h>
#include <unistd.h>

#define RUN_SECONDS_MAX 600 /* a run that goes on for ever ends with a signal */

static _Noreturn void become(const char *program, const char *library, const spill_task *task)
{
    char limit[32], scale[32];
    (void)snprintf(limit, sizeof limit, "%lld", (long long)task->limit_bytes);
    (void)snprintf(scale, sizeof scale, "%.17g", task->scale);
    const char *words[9] = {program};
    int count = 1;
    words[count++] = library != NULL ? library : "run";
    words[count++] = task->shape->name;
    words[count++] = task->limit_bytes == SPILL_UNLIMITED ? "none" : limit;
    words[count++] = scale;
    words[count++] = task->directory;
    if (task->group != NULL) {
        words[count++] = task->group;
    }
    (void)alarm(RUN_SECONDS_MAX);
    execv(program, (char *const *)(uintptr_t)words);
    perror(program);
    _exit(127);
}

void spill_child(const char *program, const char *library, const spill_task *task,
                 spill_result *out_result)
{
    int ends[2], status = 0;
    char line[1024] = "";
    *out_result = (spill_result){.status = "NO_ANSWER", .limit_bytes = task->limit_bytes};
    (void)fflush(stdout);
    pid_t child = pipe(ends) != 0 ? -1 : fork();
    if (child < 0) {
        perror("spill");
        exit(2);
    }
    if (child == 0) {
        (void)dup2(ends[1], STDOUT_FILENO);
        (void)close(ends[0]);
        (void)close(ends[1]);
        become(program, library, task);
    }
    (void)close(ends[1]);
    FILE *from = fdopen(ends[0], "r");
    if (from != NULL) {
        if (fgets(line, sizeof line, from) == NULL) {
            line[0] = '\0';
        }
        (void)fclose(from);
    }
    (void)waitpid(child, &status, 0);
    if (WIFSIGNALED(status)) {
        (void)snprintf(out_result->status, sizeof out_result->status, "SIGNAL_%d",
                       WTERMSIG(status));
    } else {
        (void)spill_result_get(line, out_result);
    }
}
