/* SPDX-License-Identifier: Apache-2.0
 *
 * What allocating costs under a governor, beside general allocators in the same run;
 * bench/memory.sh makes the table.
 *
 *     memory [ROUNDS]               rows "name value unit against ratio", separated by tabs
 *     memory count WHAT TURNS       runs one loop, for callgrind (--toggle-collect=count_turns)
 *     memory million|space|decay WHAT      what a child does, for the program itself
 *
 * The rivals take turns in every round; the least of all rounds counts. Everything of ours is
 * charged to a slot three levels deep. */
#include "bench/memory.h"

#include <stdlib.h>

static void measure(int rounds)
{
    measure_objects(rounds);
    measure_frames(rounds);
    measure_contexts(rounds);
    measure_many(rounds);
}

int main(int argc, char **argv)
{
    int failed = 0;
    clock_pin();
    world_open();
    if (argc == 4 && strcmp(argv[1], "count") == 0) {
        failed = count_instructions(argv[2], atoll(argv[3]));
    } else if (argc == 3) {
        failed = many_child(argv[1], argv[2]);
    } else {
        measure(argc > 1 ? RN_MAX(atoi(argv[1]), 1) : 11);
    }
    rivals_close();
    world_close();
    return failed;
}
