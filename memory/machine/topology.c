/* SPDX-License-Identifier: Apache-2.0
 *
 * The topology, through hwloc or without it: rn_topology_read, rn_topology_read_hwloc.
 *
 * hwloc is loaded when somebody asks (dlopen), with the types of its header: a program that never
 * asks pays neither for starting nor in memory, and one that was built with it runs where it is
 * not installed. hwloc does not know how much of a node is free: that is read from sysfs.
 * Under a prefix sysfs is read: hwloc takes another root from an environment variable alone.
 *
 * Rejected: linking with it, which costs every start some 1.5 MiB and a search for plugins. */
#include "memory/machine/topology.h"

#include <unistd.h>

#ifdef RATION_HWLOC
#include <dlfcn.h>
#include <hwloc.h>

#define HWLOC_LIBRARY "libhwloc.so.15" /* of all versions 2.x */

/* What is called of it. */
struct hwloc_calls {
    __typeof__(hwloc_get_api_version) *version;
    __typeof__(hwloc_topology_init) *init;
    __typeof__(hwloc_topology_set_flags) *set_flags;
    __typeof__(hwloc_topology_load) *load;
    __typeof__(hwloc_topology_destroy) *destroy;
    __typeof__(hwloc_get_type_depth) *depth;
    __typeof__(hwloc_get_nbobjs_by_depth) *count;
    __typeof__(hwloc_get_obj_by_depth) *object;
    __typeof__(hwloc_bitmap_weight) *weight;
};

static bool find_calls(void *library, struct hwloc_calls *calls)
{
    static const char *const names[] = {
        "hwloc_get_api_version",     "hwloc_topology_init",    "hwloc_topology_set_flags",
        "hwloc_topology_load",       "hwloc_topology_destroy", "hwloc_get_type_depth",
        "hwloc_get_nbobjs_by_depth", "hwloc_get_obj_by_depth", "hwloc_bitmap_weight"};
    void **const places[] = {
        (void **)&calls->version, (void **)&calls->init,    (void **)&calls->set_flags,
        (void **)&calls->load,    (void **)&calls->destroy, (void **)&calls->depth,
        (void **)&calls->count,   (void **)&calls->object,  (void **)&calls->weight};
    bool all = true;
    for (size_t i = 0; i < RN_COUNT(names); i++) {
        *places[i] = dlsym(library, names[i]);
        all = all && *places[i] != NULL;
    }
    return all && calls->version() >> 16 == HWLOC_API_VERSION >> 16;
}

static void take_nodes(const struct hwloc_calls *calls, hwloc_topology_t machine,
                       rn_topology *topology)
{
    int depth = calls->depth(machine, HWLOC_OBJ_NUMANODE);
    unsigned count = calls->count(machine, depth);
    for (unsigned i = 0; i < count && topology->node_count < RN_TOPOLOGY_NODES_MAX; i++) {
        hwloc_obj_t object = calls->object(machine, depth, i);
        int64_t bytes = (int64_t)object->attr->numanode.local_memory;
        if (bytes > 0) {
            topology->nodes[topology->node_count++] = (rn_topology_node){
                .number = (int)object->os_index, .bytes = bytes, .free_bytes = -1};
        }
    }
}

static void take_caches(const struct hwloc_calls *calls, hwloc_topology_t machine,
                        rn_topology *topology)
{
    for (int type = HWLOC_OBJ_L1CACHE; type <= HWLOC_OBJ_L5CACHE; type++) {
        int depth = calls->depth(machine, (hwloc_obj_type_t)type);
        unsigned count = depth >= 0 ? calls->count(machine, depth) : 0;
        for (unsigned i = 0; i < count; i++) {
            hwloc_obj_t object = calls->object(machine, depth, i);
            rn_topology_cache cache = {
                .level = (int)object->attr->cache.depth,
                .kind = object->attr->cache.type == HWLOC_OBJ_CACHE_UNIFIED ? 'u' : 'd',
                .processors = calls->weight(object->cpuset),
                .bytes = (int64_t)object->attr->cache.size,
                .line_bytes = (int64_t)object->attr->cache.linesize};
            rn_topology_add_cache(topology, &cache);
        }
    }
}

static bool load_machine(const struct hwloc_calls *calls, rn_topology *topology)
{
    hwloc_topology_t machine;
    if (calls->init(&machine) != 0) {
        return false;
    }
    /* Also what a control group of processors keeps this process from: it is the machine's. */
    bool loaded = calls->set_flags(machine, HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED) == 0 &&
                  calls->load(machine) == 0;
    if (loaded) {
        unsigned version = calls->version();
        snprintf(topology->teller, sizeof(topology->teller), "hwloc API %u.%u", version >> 16,
                 version >> 8 & 0xff);
        topology->processors = calls->weight(calls->object(machine, 0, 0)->cpuset);
        take_nodes(calls, machine, topology);
        take_caches(calls, machine, topology);
    }
    calls->destroy(machine);
    return loaded;
}

bool rn_topology_read_hwloc(rn_topology *out_topology)
{
    rn_topology topology = {.page_bytes = sysconf(_SC_PAGESIZE)};
    struct hwloc_calls calls;
    void *library = dlopen(HWLOC_LIBRARY, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        return false;
    }
    bool read = find_calls(library, &calls) && load_machine(&calls, &topology);
    (void)dlclose(library);
    if (read) {
        rn_topology_read_free("", &topology);
        *out_topology = topology;
    }
    return read;
}
#else
bool rn_topology_read_hwloc(rn_topology *out_topology)
{
    (void)out_topology;
    return false;
}
#endif

void rn_topology_read(const char *sysroot, rn_topology *out_topology)
{
    if (sysroot[0] != '\0' || !rn_topology_read_hwloc(out_topology)) {
        rn_topology_read_sysfs(sysroot, out_topology);
    }
}
