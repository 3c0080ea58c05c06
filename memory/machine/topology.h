/* SPDX-License-Identifier: Apache-2.0
 *
 * How memory and processors hang together: NUMA nodes, caches, processors. Shown, never acted
 * upon. */
#ifndef RATION_TOPOLOGY_H
#define RATION_TOPOLOGY_H

#include "base/text.h"

#define RN_TOPOLOGY_NODES_MAX 64
#define RN_TOPOLOGY_CACHES_MAX 8

typedef struct rn_topology_node {
    int number;
    int64_t bytes, free_bytes; /* free -1 = not known */
} rn_topology_node;

/* All caches that are alike. */
typedef struct rn_topology_cache {
    int level;      /* from 1 */
    char kind;      /* 'd' data, 'u' data and instructions; those for instructions are left out */
    int count;      /* how many there are */
    int processors; /* that share one */
    int64_t bytes;  /* of one */
    int64_t line_bytes; /* 0 = not known */
} rn_topology_cache;

typedef struct rn_topology {
    char teller[32]; /* who told: "hwloc API 2.8", "sysfs" */
    int64_t page_bytes;
    int processors; /* online */
    int node_count, cache_count;
    rn_topology_node nodes[RN_TOPOLOGY_NODES_MAX];    /* those with memory, by number */
    rn_topology_cache caches[RN_TOPOLOGY_CACHES_MAX]; /* by level, then by size */
    char note[160];                                   /* what could not be read, or "" */
} rn_topology;

/* Through hwloc where the library is there and `sysroot` is "", else from sysfs. What cannot be
 * read is noted, and left out. Cost: milliseconds. */
void rn_topology_read(const char *sysroot, rn_topology *out_topology);

/* The two ways. Of hwloc: false when it was not built in, is not installed, or fails. */
bool rn_topology_read_hwloc(rn_topology *out_topology);
void rn_topology_read_sysfs(const char *sysroot, rn_topology *out_topology);
/* Counts a cache, beside those that are like it; those for which there is no room are left out. */
void rn_topology_add_cache(rn_topology *topology, const rn_topology_cache *cache);
/* Free bytes of the nodes that are in `topology`, from sysfs. */
void rn_topology_read_free(const char *sysroot, rn_topology *topology);

#endif
