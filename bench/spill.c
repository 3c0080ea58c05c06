/* SPDX-License-Identifier: Apache-2.0
 *
 * Shapes that do not fit: what they take, under which limits they complete, with which rows.
 *
 *     spill run SHAPE LIMIT SCALE DIRECTORY [GROUP]   one run in this process; prints a result
 *     spill cells [OPTION]... DIRECTORY SHAPE...      each shape under its limits, a process each
 *     spill together COUNT GROUPS LIMIT DIRECTORY     equal aggregations at the same time
 *     spill in_turn COUNT GROUPS LIMIT DIRECTORY      and one after another
 *     spill graph SCALE DIRECTORY                     writes the graph of the hops_ shapes
 *
 * LIMIT is in bytes, "none" = unlimited. DIRECTORY is where runs spill and the graph lies. GROUP is
 * a memory control group (v1) that becomes 64 MiB larger than the limit. Options of `cells`:
 * -s SCALE (1), -r ROUNDS (1), -g FOLDER of control groups, -p PROGRAM of a peer with -l its
 * LIBRARY.
 *
 * Exit codes: 0 as it must be, 1 not, 2 it cannot work. */
#include "bench/spill.h"

#include <unistd.h>

#define NODES 1000000
#define EDGES 10000000

/* Out-degrees follow a power law, targets are drawn evenly. */
static int write_graph(double scale, const char *directory)
{
    char path[600];
    (void)snprintf(path, sizeof path, "%s/graph-%g.txt", directory, scale);
    FILE *file = fopen(path, "w");
    if (file == NULL) {
        perror(path);
        return 2;
    }
    uint64_t random = 42, nodes = (uint64_t)spill_scaled(NODES, scale);
    int64_t edges = spill_scaled(EDGES, scale);
    for (int64_t i = 0; i < edges; i++) {
        double unit = rn_random_unit(&random);
        uint64_t source = (uint64_t)(unit * unit * unit * (double)nodes);
        fprintf(file, "%llu %llu\n", (unsigned long long)source,
                (unsigned long long)rn_random_below(&random, nodes));
    }
    if (fclose(file) != 0) {
        perror(path);
        return 2;
    }
    return 0;
}

static int64_t read_limit(const char *word)
{
    return strcmp(word, "none") == 0 ? SPILL_UNLIMITED : strtoll(word, NULL, 10);
}

static int run_one(char **words, const char *group)
{
    spill_task task = {.shape = spill_shape_find(words[0]),
                       .limit_bytes = read_limit(words[1]),
                       .scale = strtod(words[2], NULL),
                       .directory = words[3],
                       .group = group};
    if (task.shape == NULL || task.limit_bytes <= 0 || task.scale <= 0) {
        fprintf(stderr, "spill: no shape %s, limit %s or scale %s\n", words[0], words[1], words[2]);
        return 2;
    }
    spill_result result;
    spill_run(&task, &result);
    spill_result_put(&result);
    return strcmp(result.status, "OK") == 0 ? 0 : 1;
}

static int run_cells(int argc, char **argv)
{
    spill_options options = {.program = argv[0], .scale = 1, .rounds = 1};
    int option;
    while ((option = getopt(argc - 1, argv + 1, "s:r:g:p:l:")) != -1) {
        switch (option) {
        case 's':
            options.scale = strtod(optarg, NULL);
            break;
        case 'r':
            options.rounds = atoi(optarg);
            break;
        case 'g':
            options.groups = optarg;
            break;
        case 'p':
            options.peer = optarg;
            break;
        case 'l':
            options.library = optarg;
            break;
        default:
            return 2;
        }
    }
    bool good = true;
    int at = optind + 1;
    options.directory = argv[at++];
    for (; at < argc; at++) {
        const spill_shape *shape = spill_shape_find(argv[at]);
        if (shape == NULL) {
            fprintf(stderr, "spill: no shape %s\n", argv[at]);
            return 2;
        }
        good = spill_cells(&options, shape) && good;
    }
    return good ? 0 : 1;
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "";
    bool in_turn = strcmp(mode, "in_turn") == 0;
    if ((argc == 6 || argc == 7) && strcmp(mode, "run") == 0) {
        return run_one(argv + 2, argc == 7 ? argv[6] : NULL);
    }
    if (argc > 3 && strcmp(mode, "cells") == 0) {
        return run_cells(argc, argv);
    }
    if (argc == 6 && (in_turn || strcmp(mode, "together") == 0)) {
        spill_crowd crowd = {strtoll(argv[2], NULL, 10), strtoll(argv[3], NULL, 10),
                             read_limit(argv[4]), in_turn, argv[5]};
        return spill_together(&crowd);
    }
    if (argc == 4 && strcmp(mode, "graph") == 0) {
        return write_graph(strtod(argv[2], NULL), argv[3]);
    }
    fprintf(stderr, "usage: spill run | cells | together | in_turn | graph (bench/spill.c)\n");
    return 2;
}
