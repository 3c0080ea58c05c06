/* SPDX-License-Identifier: Apache-2.0
 *
 * A simulated disk behind the table of storage/disk.h: files in memory, calls that take simulated
 * time one after the other, space that ends, calls that fail.
 *
 *     sim_disk_open -> rn_spill_volume_replace(volume, sim_disk_table()) -> ... -> sim_disk_close
 */
#ifndef RATION_TESTS_SIM_DISK_H
#define RATION_TESTS_SIM_DISK_H

#include "storage/disk.h"

typedef enum sim_breakage {
    SIM_DISK_SOUND,
    SIM_DISK_WRITES_FAIL, /* EIO */
    SIM_DISK_READS_FAIL,
    SIM_DISK_READS_LIE, /* a bit is another one than was written */
} sim_breakage;

typedef struct sim_disk_options {
    int64_t call_ns;        /* every call takes this .. */
    int64_t bytes_per_ms;   /* .. and what its bytes take */
    int64_t capacity_bytes; /* what is written beyond answers ENOSPC */
    uint32_t short_one_in;  /* of the calls, to a count that is less; 0 = none */
    uint32_t interrupted_one_in;
    bool names_only; /* O_TMPFILE is not supported */
} sim_disk_options;

void sim_disk_open(const sim_disk_options *options);
const rn_disk *sim_disk_table(void);
/* From now on: how it is broken, how fast it is, what it holds. */
void sim_disk_break(sim_breakage breakage);
void sim_disk_set(int64_t bytes_per_ms, int64_t capacity_bytes);
/* Did a call fail, or lie, because of what was set? */
bool sim_disk_has_failed(void);
bool sim_disk_was_full(void);
/* In files that are open; files; written ever. */
int64_t sim_disk_bytes(void);
int sim_disk_files(void);
int64_t sim_disk_written(void);
void sim_disk_close(void);

#endif
