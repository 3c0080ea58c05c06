/* SPDX-License-Identifier: Apache-2.0
 *
 * The topology from sysfs: rn_topology_read_sysfs, rn_topology_read_free.
 *
 *   processors   /sys/devices/system/cpu/online           "0-3,8"
 *   caches       /sys/devices/system/cpu/cpuN/cache/indexM/{level,type,size,
 *                coherency_line_size,shared_cpu_list}; one is counted at the first processor
 *                that shares it
 *   nodes        /sys/devices/system/node/online, nodeN/meminfo; a kernel without NUMA has no such
 *                folder: then the machine is one node
 *
 * Bounds: processors and nodes from PROCESSORS_MAX on are not seen, nor the 17th cache of a
 * processor. */
#include <unistd.h>

#include "memory/machine/lines.h"
#include "memory/machine/topology.h"

#define PROCESSORS_MAX 8192
#define INDEXES_MAX 16
#define LIST_BYTES 4096

static void put_note(rn_topology *topology, const char *what)
{
    if (topology->note[0] == '\0') {
        rn_copy_text(topology->note, sizeof(topology->note), what);
    }
}

/* The smallest number above `after` in "0-3,8"; -1 = none, or garbage before it. */
static int find_next(const char *list, int after)
{
    int best = -1;
    while (*list != '\0') {
        size_t length = strspn(list, "0123456789");
        int64_t first, last;
        if (!rn_parse_int64(list, length, &first)) {
            return best;
        }
        last = first;
        list += length;
        if (*list == '-') {
            length = strspn(++list, "0123456789");
            if (!rn_parse_int64(list, length, &last)) {
                return best;
            }
            list += length;
        }
        int64_t next = RN_MAX(first, (int64_t)after + 1);
        if (next <= last && next < PROCESSORS_MAX && (best < 0 || next < best)) {
            best = (int)next;
        }
        if (*list != ',') {
            return best;
        }
        list++;
    }
    return best;
}

/* How many numbers of `list` are in `wanted` too. */
static int count_common(const char *list, const char *wanted)
{
    int count = 0;
    for (int number = find_next(list, -1); number >= 0; number = find_next(list, number)) {
        count += find_next(wanted, number - 1) == number;
    }
    return count;
}

static bool read_list(const char *sysroot, const char *folder, const char *name,
                      char list[LIST_BYTES])
{
    return rn_lines_first(sysroot, folder, name, list, LIST_BYTES) == 0 && find_next(list, -1) >= 0;
}

/* "32K", "1024K", "8M", "64". */
static int64_t parse_cache_size(const char *text)
{
    size_t digits = strspn(text, "0123456789");
    int64_t value;
    if (!rn_parse_int64(text, digits, &value)) {
        return 0;
    }
    int shift = text[digits] == 'K' ? 10 : text[digits] == 'M' ? 20 : text[digits] == 'G' ? 30 : 0;
    return rn_multiply(value, INT64_C(1) << shift);
}

/* False: there is no such index. */
static bool read_cache(const char *sysroot, const char *folder, int processor, const char *online,
                       rn_topology *topology)
{
    char level[16] = "", type[32] = "", size[32] = "", line[32] = "", sharers[LIST_BYTES];
    if (rn_lines_first(sysroot, folder, "/level", level, sizeof(level)) != 0) {
        return false;
    }
    (void)rn_lines_first(sysroot, folder, "/type", type, sizeof(type));
    (void)rn_lines_first(sysroot, folder, "/size", size, sizeof(size));
    (void)rn_lines_first(sysroot, folder, "/coherency_line_size", line, sizeof(line));
    if (!read_list(sysroot, folder, "/shared_cpu_list", sharers)) {
        snprintf(sharers, sizeof(sharers), "%d", processor);
    }
    int first = find_next(sharers, -1);
    while (first >= 0 && first < processor && find_next(online, first - 1) != first) {
        first = find_next(sharers, first);
    }
    rn_topology_cache cache = {.level = level[0] - '0',
                               .kind = strcmp(type, "Unified") == 0 ? 'u'
                                       : strcmp(type, "Data") == 0  ? 'd'
                                                                    : '\0',
                               .bytes = parse_cache_size(size),
                               .line_bytes = parse_cache_size(line)};
    if (first != processor || cache.kind == '\0' || cache.bytes <= 0 || cache.level < 1 ||
        cache.level > 9 || level[1] != '\0') {
        return true;
    }
    cache.processors = RN_MAX(count_common(sharers, online), 1);
    rn_topology_add_cache(topology, &cache);
    return true;
}

static void read_processors(const char *sysroot, rn_topology *topology)
{
    char online[LIST_BYTES], folder[96];
    if (!read_list(sysroot, "/sys/devices/system/cpu", "/online", online)) {
        put_note(topology, "/sys/devices/system/cpu/online: no processors");
        return;
    }
    for (int processor = find_next(online, -1); processor >= 0;
         processor = find_next(online, processor)) {
        topology->processors++;
        for (int index = 0; index < INDEXES_MAX; index++) {
            snprintf(folder, sizeof(folder), "/sys/devices/system/cpu/cpu%d/cache/index%d",
                     processor, index);
            if (!read_cache(sysroot, folder, processor, online, topology)) {
                break;
            }
        }
    }
    if (topology->cache_count == 0) {
        put_note(topology, "/sys/devices/system/cpu: no caches");
    }
}

/* "Node 0 MemTotal:  15427788 kB"; a node without memory has 0 there. */
static bool read_node(const char *sysroot, rn_topology_node *node)
{
    char folder[96], total[48], unused[48];
    snprintf(folder, sizeof(folder), "/sys/devices/system/node/node%d", node->number);
    snprintf(total, sizeof(total), "Node %d MemTotal:", node->number);
    snprintf(unused, sizeof(unused), "Node %d MemFree:", node->number);
    rn_lines_place place = {.sysroot = sysroot};
    rn_lines_entry entries[] = {{.name = total, .unit = 1024}, {.name = unused, .unit = 1024}};
    (void)rn_lines_entries(&place, RN_LINES_ONCE, folder, "/meminfo", entries, RN_COUNT(entries));
    node->bytes = entries[0].value;
    node->free_bytes = entries[1].found ? entries[1].value : -1;
    return entries[0].found;
}

static void read_whole(const char *sysroot, rn_topology *topology)
{
    rn_lines_place place = {.sysroot = sysroot};
    rn_lines_entry entries[] = {{.name = "MemTotal:", .unit = 1024},
                                {.name = "MemFree:", .unit = 1024}};
    (void)rn_lines_entries(&place, RN_LINES_ONCE, "/proc", "/meminfo", entries, RN_COUNT(entries));
    if (entries[0].found) {
        topology->nodes[topology->node_count++] = (rn_topology_node){
            .bytes = entries[0].value, .free_bytes = entries[1].found ? entries[1].value : -1};
    } else {
        put_note(topology, "/proc/meminfo: no MemTotal");
    }
}

static void read_nodes(const char *sysroot, rn_topology *topology)
{
    char online[LIST_BYTES];
    if (!read_list(sysroot, "/sys/devices/system/node", "/online", online)) {
        read_whole(sysroot, topology);
        return;
    }
    for (int number = find_next(online, -1);
         number >= 0 && topology->node_count < RN_TOPOLOGY_NODES_MAX;
         number = find_next(online, number)) {
        rn_topology_node node = {.number = number};
        if (!read_node(sysroot, &node)) {
            put_note(topology, "/sys/devices/system/node: a node without meminfo");
        } else if (node.bytes > 0) {
            topology->nodes[topology->node_count++] = node;
        }
    }
}

void rn_topology_read_free(const char *sysroot, rn_topology *topology)
{
    for (int i = 0; i < topology->node_count; i++) {
        rn_topology_node node = {.number = topology->nodes[i].number};
        topology->nodes[i].free_bytes = read_node(sysroot, &node) ? node.free_bytes : -1;
    }
}

void rn_topology_add_cache(rn_topology *topology, const rn_topology_cache *cache)
{
    int at = 0;
    for (; at < topology->cache_count; at++) {
        rn_topology_cache *other = &topology->caches[at];
        bool after = other->level > cache->level ||
                     (other->level == cache->level && other->bytes > cache->bytes);
        if (other->level == cache->level && other->kind == cache->kind &&
            other->bytes == cache->bytes && other->line_bytes == cache->line_bytes &&
            other->processors == cache->processors) {
            other->count++;
            return;
        }
        if (after) {
            break;
        }
    }
    if (topology->cache_count == RN_TOPOLOGY_CACHES_MAX) {
        put_note(topology, "more kinds of caches than are shown");
        return;
    }
    memmove(&topology->caches[at + 1], &topology->caches[at],
            (size_t)(topology->cache_count - at) * sizeof(*cache));
    topology->caches[at] = *cache;
    topology->caches[at].count = 1;
    topology->cache_count++;
}

void rn_topology_read_sysfs(const char *sysroot, rn_topology *out_topology)
{
    *out_topology = (rn_topology){.teller = "sysfs", .page_bytes = sysconf(_SC_PAGESIZE)};
    read_processors(sysroot, out_topology);
    read_nodes(sysroot, out_topology);
}
