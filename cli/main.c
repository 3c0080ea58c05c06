/* SPDX-License-Identifier: Apache-2.0
 *
 * `ration`: one table of sub-commands drives dispatch and help. Adding one: a line in it, a file, a
 * line in cli.h. */
#include <signal.h>

#include "cli/cli.h"

typedef struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *sentence;
} command;

static const command commands[] = {
    {"check", rn_cli_check, "validates memory.yaml files, and tells what cannot be meant"},
    {"limits", rn_cli_limits,
     "shows the limit on this machine, and with --explain how it comes about"},
    {"init", rn_cli_init, "prints a commented memory.yaml"},
    {"query", rn_cli_query, "runs one plan over a graph and prints its rows"},
    {"replay", rn_cli_replay, "runs a workload of concurrent queries and reports on it"},
    {"generate", rn_cli_generate, "writes a social network of any size"},
};

static void print_help(void)
{
    printf("ration %s: a memory budget for the result sets of a query executor\n\n",
           RATION_VERSION);
    printf("usage: ration COMMAND [options]\n\n");
    for (size_t i = 0; i < RN_COUNT(commands); i++) {
        printf("  %-10s %s\n", commands[i].name, commands[i].sentence);
    }
    printf(
        "\n`ration COMMAND --help` tells the options of one. Exit codes: 0 ok, 1 failed, 2 usage,\n"
        "3 configuration or plan, 4 threshold missed, 5 the environment cannot do it, 130 "
        "interrupted.\n");
}

static int refuse_command(const char *word)
{
    const char *names[RN_COUNT(commands)];
    for (size_t i = 0; i < RN_COUNT(commands); i++) {
        names[i] = commands[i].name;
    }
    const char *nearest = rn_nearest(word, names, RN_COUNT(names));
    if (nearest != NULL) {
        return rn_cli_usage_error("", "unknown command '%s' (did you mean '%s'?)", word, nearest);
    }
    return rn_cli_usage_error("", "unknown command '%s'", word);
}

int main(int argc, char **argv)
{
    /* A reader that has seen enough ends us without a word, also when the parent ignored the
     * signal. */
    (void)signal(SIGPIPE, SIG_DFL);
    if (argc < 2) {
        return rn_cli_usage_error("", "which command?");
    }
    const char *word = argv[1];
    if (strcmp(word, "--version") == 0) {
        printf("ration %s\n", RATION_VERSION);
        return rn_cli_finish(0);
    }
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0 || strcmp(word, "help") == 0) {
        print_help();
        return rn_cli_finish(0);
    }
    for (size_t i = 0; i < RN_COUNT(commands); i++) {
        if (strcmp(commands[i].name, word) == 0) {
            return commands[i].run(argc - 1, argv + 1);
        }
    }
    return refuse_command(word);
}
