/* SPDX-License-Identifier: Apache-2.0
 *
 * What `ration limits --explain` says of the machine beside its limits: pages, swap, huge pages,
 * pressure, events, nodes and caches; as text and as JSON. */
#include "cli/limits_parts.h"

#include <unistd.h>

#include "memory/machine/topology.h"
#include "memory/pages.h"

#define WINDOW_US 2000000 /* that of the monitor; shorter ones need CAP_SYS_RESOURCE */

static const char *huge_word(rn_huge_mode mode)
{
    static const char *const words[] = {[RN_HUGE_ABSENT] = "absent",
                                        [RN_HUGE_NEVER] = "never",
                                        [RN_HUGE_MADVISE] = "madvise",
                                        [RN_HUGE_ALWAYS] = "always"};
    return words[mode];
}

int64_t rn_limits_find_window(const rn_limits_view *view)
{
    int64_t stall_us = rn_share_of_ratio(WINDOW_US, view->limits.pressure_stall_ppm);
    if (view->sysroot[0] != '\0' || stall_us == 0) {
        return 0; /* a folder of files cannot tell what this kernel allows */
    }
    int descriptor = rn_probe_stall_trigger(&view->probe, stall_us, WINDOW_US);
    if (descriptor < 0) {
        return 0;
    }
    (void)close(descriptor);
    return WINDOW_US;
}

/* ---------------------------------------------------------------------------------------- lines */

/* What the kernel does for pages; whatever it lacks is done without. */
static void print_pages(void)
{
    const rn_page_features *pages = rn_page_features_get();
    char page[32];
    printf("pages     %s, huge pages %s, MADV_POPULATE_WRITE %s, MADV_GUARD_INSTALL %s, named "
           "mappings %s\n",
           rn_cli_size(pages->page_bytes, page), huge_word(pages->huge),
           pages->populate ? "yes" : "no", pages->guards ? "yes" : "no",
           pages->names ? "yes" : "no");
}

static void print_swap(const rn_probe *probe)
{
    char all[32], free_bytes[32], one[32];
    if (probe->swap_bytes == 0) {
        printf("swap      none: what does not fit is killed, not swapped\n");
    } else {
        printf("swap      %s of %s free; not counted as memory\n",
               rn_cli_size(probe->swap_free_bytes, free_bytes),
               rn_cli_size(probe->swap_bytes, all));
    }
    if (probe->huge_pages > 0) {
        printf("hugetlb   %lld of %lld pages of %s free; set aside, nobody else can have them\n",
               (long long)probe->huge_pages_free, (long long)probe->huge_pages,
               rn_cli_size(probe->huge_page_bytes, one));
    }
}

static void print_stall(const char *whose, const rn_probe_stall *stall)
{
    if (stall->known) {
        printf("%s some %.2f%%, all %.2f%%", whose, (double)stall->some_ppm_of_10s / 1e4,
               (double)stall->full_ppm_of_10s / 1e4);
    } else {
        printf("%s unknown", whose);
    }
}

static void print_pressure(const rn_limits_view *view)
{
    const rn_probe *probe = &view->probe;
    printf("stalls    tasks that waited for memory in the last 10 s:");
    print_stall(" machine", &probe->stall);
    if (probe->group_stall.known) {
        print_stall("; own group", &probe->group_stall);
    }
    printf("\n");
    int64_t window = rn_limits_find_window(view);
    if (view->limits.pressure_stall_ppm == 0) {
        printf("          not looked at (pressure_stall_ratio 0)\n");
    } else if (window > 0) {
        printf("          the kernel wakes the monitor when it was %lld of %lld us\n",
               (long long)rn_share_of_ratio(window, view->limits.pressure_stall_ppm),
               (long long)window);
    } else if (view->sysroot[0] == '\0') {
        printf("          the kernel does not wake the monitor here: it looks every %lld ms\n",
               (long long)view->limits.monitor_interval_ms);
    }
    if (probe->events.known) {
        printf("events    of the own group, ever: high %lld, max %lld, oom %lld, oom_kill %lld\n",
               (long long)probe->events.high, (long long)probe->events.max,
               (long long)probe->events.oom, (long long)probe->events.oom_kill);
    }
}

static void print_topology(const char *sysroot)
{
    static rn_topology topology; /* large */
    rn_topology_read(sysroot, &topology);
    char all[32], free_bytes[32];
    printf("nodes    ");
    for (int i = 0; i < topology.node_count; i++) {
        const rn_topology_node *node = &topology.nodes[i];
        printf("%s %d: %s", i > 0 ? "," : "", node->number,
               node->bytes < 0 ? "?" : rn_cli_size(node->bytes, all));
        if (node->free_bytes >= 0) {
            printf(" (%s free)", rn_cli_size(node->free_bytes, free_bytes));
        }
    }
    printf("%s; %d processors; told by %s\n", topology.node_count == 0 ? " unknown" : "",
           topology.processors, topology.teller);
    for (int i = 0; i < topology.cache_count; i++) {
        const rn_topology_cache *cache = &topology.caches[i];
        printf("%s L%d%s %s x %d", i == 0 ? "caches   " : ",", cache->level,
               cache->kind == 'd' ? "d" : "", rn_cli_size(cache->bytes, all), cache->count);
    }
    if (topology.cache_count > 0) {
        printf("\n");
    }
    if (topology.note[0] != '\0') {
        printf("          not read: %s\n", topology.note);
    }
}

void rn_limits_print_machine(const rn_limits_view *view)
{
    print_pages();
    if (view->probe.count > 0) {
        print_swap(&view->probe);
        print_pressure(view);
    }
    print_topology(view->sysroot);
}

/* ----------------------------------------------------------------------------------------- JSON */

static void put_pages(rn_text *text)
{
    const rn_page_features *pages = rn_page_features_get();
    rn_text_format(text,
                   ",\"pages\":{\"page_bytes\":%lld,\"huge\":\"%s\",\"populate\":%s,"
                   "\"guards\":%s,\"names\":%s}",
                   (long long)pages->page_bytes, huge_word(pages->huge),
                   pages->populate ? "true" : "false", pages->guards ? "true" : "false",
                   pages->names ? "true" : "false");
}

static void put_stall(const char *name, const rn_probe_stall *stall, rn_text *text)
{
    if (!stall->known) {
        rn_text_format(text, "\"%s\":null", name);
        return;
    }
    rn_text_format(text,
                   "\"%s\":{\"some_us\":%lld,\"full_us\":%lld,\"some_ppm_of_10s\":%lld,"
                   "\"full_ppm_of_10s\":%lld}",
                   name, (long long)stall->some_us, (long long)stall->full_us,
                   (long long)stall->some_ppm_of_10s, (long long)stall->full_ppm_of_10s);
}

static void put_pressure(const rn_limits_view *view, rn_text *text)
{
    const rn_probe *probe = &view->probe;
    rn_text_put(text, ",\"stalls\":{");
    put_stall("machine", &probe->stall, text);
    rn_text_put(text, ",");
    put_stall("group", &probe->group_stall, text);
    rn_text_format(
        text, ",\"trigger_window_us\":%lld},\"events\":", (long long)rn_limits_find_window(view));
    if (probe->events.known) {
        rn_text_format(text, "{\"high\":%lld,\"max\":%lld,\"oom\":%lld,\"oom_kill\":%lld}",
                       (long long)probe->events.high, (long long)probe->events.max,
                       (long long)probe->events.oom, (long long)probe->events.oom_kill);
    } else {
        rn_text_put(text, "null");
    }
}

static void put_known(const char *name, int64_t bytes, rn_text *text)
{
    if (bytes < 0) {
        rn_text_format(text, ",\"%s\":null", name);
    } else {
        rn_text_format(text, ",\"%s\":%lld", name, (long long)bytes);
    }
}

static void put_topology(const char *sysroot, rn_text *text)
{
    static rn_topology topology;
    rn_topology_read(sysroot, &topology);
    rn_text_format(text, ",\"topology\":{\"told_by\":\"%s\",\"processors\":%d,\"nodes\":[",
                   topology.teller, topology.processors);
    for (int i = 0; i < topology.node_count; i++) {
        const rn_topology_node *node = &topology.nodes[i];
        rn_text_format(text, "%s{\"number\":%d", i > 0 ? "," : "", node->number);
        put_known("bytes", node->bytes, text);
        put_known("free_bytes", node->free_bytes, text);
        rn_text_put(text, "}");
    }
    rn_text_put(text, "],\"caches\":[");
    for (int i = 0; i < topology.cache_count; i++) {
        const rn_topology_cache *cache = &topology.caches[i];
        rn_text_format(text,
                       "%s{\"level\":%d,\"kind\":\"%c\",\"count\":%d,\"processors\":%d,"
                       "\"bytes\":%lld,\"line_bytes\":%lld}",
                       i > 0 ? "," : "", cache->level, cache->kind, cache->count, cache->processors,
                       (long long)cache->bytes, (long long)cache->line_bytes);
    }
    rn_text_put(text, "],\"note\":");
    rn_text_put_json(text, topology.note, strlen(topology.note));
    rn_text_put(text, "}");
}

void rn_limits_put_machine(const rn_limits_view *view, rn_text *text)
{
    const rn_probe *probe = &view->probe;
    put_pages(text);
    if (probe->count > 0) {
        rn_text_format(text,
                       ",\"hidden\":%s,\"swap\":{\"bytes\":%lld,\"free_bytes\":%lld},"
                       "\"hugetlb\":{\"page_bytes\":%lld,\"pages\":%lld,\"pages_free\":%lld}",
                       probe->hidden ? "true" : "false", (long long)probe->swap_bytes,
                       (long long)probe->swap_free_bytes, (long long)probe->huge_page_bytes,
                       (long long)probe->huge_pages, (long long)probe->huge_pages_free);
        put_pressure(view, text);
    }
    put_topology(view->sysroot, text);
}
