/* SPDX-License-Identifier: Apache-2.0
 *
 * memory/machine/topology*.c: from sysfs over machines as text (machines.h), from hwloc on this
 * one, and both compared. */
#include "memory/machine/topology.h"

#include "tests/memory/machines.h"

static rn_topology topology, other;
static machine host;

static void expect_fact(const char *key, const char *fact, const char *got)
{
    ck_assert_msg(strcmp(fact, got) == 0, "%s: %s '%s', expected '%s'", host.name, key, got, fact);
}

static void put_cache(const rn_topology_cache *cache, char *text, size_t capacity)
{
    snprintf(text, capacity, "L%d%c %d x %lld KiB line %lld shared by %d", cache->level,
             cache->kind, cache->count, (long long)(cache->bytes / 1024),
             (long long)cache->line_bytes, cache->processors);
}

/* Facts come in the order of the topology. */
static void expect_facts(void)
{
    char got[200];
    int caches = 0, nodes = 0;
    snprintf(got, sizeof(got), "%d", topology.processors);
    expect_fact("processors", machine_fact(&host, "processors"), got);
    const char *note = machine_fact(&host, "tells");
    ck_assert_msg(note == NULL ? topology.note[0] == '\0' : strstr(topology.note, note) != NULL,
                  "%s: note '%s'", host.name, topology.note);
    for (int i = 0; i < host.count; i++) {
        if (strcmp(host.facts[i].key, "cache") == 0) {
            put_cache(&topology.caches[caches++], got, sizeof(got));
            expect_fact("cache", host.facts[i].value, got);
        } else if (strcmp(host.facts[i].key, "node") == 0) {
            const rn_topology_node *node = &topology.nodes[nodes++];
            snprintf(got, sizeof(got), "%d %lld GiB %lld GiB", node->number,
                     (long long)(node->bytes >> 30), (long long)(node->free_bytes >> 30));
            expect_fact("node", host.facts[i].value, got);
        }
    }
    ck_assert_int_eq(topology.cache_count, caches);
    ck_assert_int_eq(topology.node_count, nodes);
    ck_assert_str_eq(topology.teller, "sysfs");
    ck_assert_int_gt(topology.page_bytes, 0);
}

START_TEST(test_topology__reads_every_machine_from_sysfs)
{
    static char names[200][64];
    int count = machine_names(names, 200), seen = 0;
    for (int i = 0; i < count; i++) {
        machine_open(&host, names[i]);
        if (machine_fact(&host, "processors") != NULL) {
            rn_topology_read(host.root, &topology);
            expect_facts();
            seen++;
        }
        machine_close(&host);
    }
    ck_assert_int_ge(seen, 5);
}
END_TEST

START_TEST(test_topology__keeps_caches_in_order)
{
    static const rn_topology_cache caches[] = {
        {.level = 3, .kind = 'u', .processors = 4, .bytes = 1 << 24},
        {.level = 1, .kind = 'd', .processors = 1, .bytes = 1 << 16},
        {.level = 1, .kind = 'd', .processors = 1, .bytes = 1 << 15},
        {.level = 1, .kind = 'd', .processors = 1, .bytes = 1 << 16},
        {.level = 2, .kind = 'u', .processors = 2, .bytes = 1 << 20},
        {.level = 1, .kind = 'd', .processors = 1, .bytes = 1 << 15},
    };
    static const char *const expected[] = {
        "L1d 2 x 32 KiB line 0 shared by 1", "L1d 2 x 64 KiB line 0 shared by 1",
        "L2u 1 x 1024 KiB line 0 shared by 2", "L3u 1 x 16384 KiB line 0 shared by 4"};
    topology = (rn_topology){0};
    for (size_t i = 0; i < RN_COUNT(caches); i++) {
        rn_topology_add_cache(&topology, &caches[i]);
    }
    ck_assert_int_eq(topology.cache_count, RN_COUNT(expected));
    for (size_t i = 0; i < RN_COUNT(expected); i++) {
        char got[100];
        put_cache(&topology.caches[i], got, sizeof(got));
        ck_assert_str_eq(got, expected[i]);
    }
    for (int i = 0; i < 20; i++) {
        rn_topology_cache more = {.level = 4, .kind = 'u', .processors = 1, .bytes = i + 1};
        rn_topology_add_cache(&topology, &more);
    }
    ck_assert_int_eq(topology.cache_count, RN_TOPOLOGY_CACHES_MAX);
    ck_assert_str_eq(topology.note, "more kinds of caches than are shown");
}
END_TEST

/* What both know has to be the same. */
START_TEST(test_topology__agrees_with_hwloc_on_this_machine)
{
    rn_topology_read_sysfs("", &other);
    ck_assert_int_ge(other.processors, 1);
    ck_assert_int_ge(other.node_count, 1);
    if (!rn_topology_read_hwloc(&topology)) {
        printf("skipped: hwloc is not built in, or not installed\n");
        rn_topology_read("", &topology);
        ck_assert_str_eq(topology.teller, "sysfs");
        return;
    }
    ck_assert_int_eq(strncmp(topology.teller, "hwloc ", 6), 0);
    ck_assert_int_eq(topology.processors, other.processors);
    ck_assert_int_eq(topology.node_count, other.node_count);
    for (int i = 0; i < topology.node_count; i++) {
        ck_assert_int_eq(topology.nodes[i].number, other.nodes[i].number);
        ck_assert_int_eq(topology.nodes[i].bytes, other.nodes[i].bytes);
        ck_assert_int_gt(topology.nodes[i].free_bytes, 0);
    }
    if (other.cache_count == 0) {
        return; /* hwloc asks the processor where sysfs says nothing */
    }
    ck_assert_int_eq(topology.cache_count, other.cache_count);
    for (int i = 0; i < topology.cache_count; i++) {
        char left[100], right[100];
        put_cache(&topology.caches[i], left, sizeof(left));
        put_cache(&other.caches[i], right, sizeof(right));
        ck_assert_str_eq(left, right);
    }
    rn_topology_read("", &topology);
    ck_assert_int_eq(strncmp(topology.teller, "hwloc ", 6), 0);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_topology__reads_every_machine_from_sysfs,
        test_topology__keeps_caches_in_order,
        test_topology__agrees_with_hwloc_on_this_machine,
    };
    return support_run("topology", tests, RN_COUNT(tests));
}
