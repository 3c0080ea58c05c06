/* SPDX-License-Identifier: Apache-2.0
 *
 * Pages that one query gave back serve another, of whatever size, under a limit that has no room
 * for both; and what is resident never goes above what the limit says. Each test is a process of
 * its own, whose highest resident bytes the system remembers (VmHWM). */
#include "memory/context.h"
#include "memory/pool.h"
#include "tests/memory/fixture.h"
#include "tests/memory/resident.h"

#define KIB ((int64_t)1024)
#define LIMIT (120 * MIB)
#define ASKED (100 * MIB)
#define HELD_MAX ((int)(ASKED / (8 * KIB)) + 1)

static fixture world;
static rn_slot *slots[2];
static int64_t start_bytes;

static struct {
    void *memory;
    int64_t bytes;
} held[HELD_MAX];

static void open_world(void)
{
    world = fixture_open(LIMIT, INT64_MAX, MIB, false);
    slots[0] = open_slot(world.first);
    slots[1] = open_slot(world.second);
    memset(held, 0, sizeof(held)); /* resident from here on */
    int64_t peak;
    rn_probe_self("", &start_bytes, &peak);
}

static void expect_within_limit(void)
{
    int64_t resident, peak;
    rn_probe_self("", &resident, &peak);
    if (rss_is_ours()) {
        ck_assert_int_le(peak, start_bytes + LIMIT + RN_MAX(2 * MIB, LIMIT / 50));
        ck_assert_int_ge(peak, start_bytes + ASKED); /* it was there to be seen */
    }
}

static void close_world(void)
{
    expect_within_limit();
    check_audit(&world);
    ck_assert(rn_blocks_check(world.blocks));
    rn_slot_close(slots[0]);
    rn_slot_close(slots[1]);
    fixture_close(&world);
    ck_assert(!rss_is_ours() || resident_bytes_now() <= start_bytes + 2 * MIB);
}

/* A query takes 100 MiB in blocks of these sizes, one after another, and gives all back. */
static void take_and_give(rn_slot *slot, const int64_t *sizes, size_t count)
{
    int64_t bytes = 0;
    int blocks = 0;
    while (bytes < ASKED) {
        int64_t size = RN_MIN(sizes[(size_t)blocks % count], ASKED - bytes);
        held[blocks].bytes = rn_block_round(size);
        ck_assert_int_eq(rn_block_acquire(slot, held[blocks].bytes, &held[blocks].memory),
                         RATION_OK);
        memset(held[blocks].memory, 1, (size_t)held[blocks].bytes);
        bytes += held[blocks].bytes;
        blocks += 1;
    }
    ck_assert(!RN_GOVERNED || read_pool(world.root).granted_bytes <= LIMIT);
    while (blocks > 0) {
        blocks -= 1;
        rn_block_release(slot, held[blocks].memory, held[blocks].bytes);
    }
}

START_TEST(test_retained__serve_another_query)
{
    static const int64_t sizes[] = {64 * KIB};
    open_world();
    take_and_give(slots[0], sizes, 1);
    int64_t mappings = rn_pages_calls(RN_PAGES_MMAP);
    ck_assert_int_eq(rn_blocks_mapped(world.blocks), ASKED);
    take_and_give(slots[1], sizes, 1);
    /* The same pages, but for the few that are at hand for the first one's owner. */
    ck_assert_int_le(rn_pages_calls(RN_PAGES_MMAP), mappings + 1);
    close_world();
}
END_TEST

START_TEST(test_retained__serve_blocks_of_other_sizes)
{
    static const int64_t small[] = {8 * KIB}, full[] = {64 * KIB}, large[] = {3 * MIB, 200 * KIB};
    static const int64_t mixed[] = {8 * KIB,  64 * KIB,  16 * KIB, 100 * KIB,
                                    32 * KIB, 900 * KIB, 8 * KIB,  5 * MIB};
    static const struct {
        const int64_t *sizes;
        size_t count;
    } asks[] = {{small, 1}, {full, 1},  {mixed, RN_COUNT(mixed)}, {small, 1}, {large, 2},
                {full, 1},  {small, 1}, {mixed, RN_COUNT(mixed)}};
    open_world();
    for (size_t i = 0; i < RN_COUNT(asks); i++) {
        take_and_give(slots[i % 2], asks[i].sizes, asks[i].count);
        ck_assert(rn_blocks_check(world.blocks));
    }
    close_world();
}
END_TEST

START_TEST(test_retained__serve_contexts)
{
    static const ration_context_kind kinds[] = {RATION_CONTEXT_BUMP, RATION_CONTEXT_SET};
    open_world();
    for (size_t i = 0; i < 2 * RN_COUNT(kinds); i++) {
        ration_context *context;
        ck_assert_int_eq(
            ration_context_create(NULL, &slots[i % 2]->hot, kinds[i / 2], "results", &context),
            RATION_OK);
        while (ration_context_bytes(context, false) < ASKED) {
            void *chunk = ration_context_allocate(context, 4000);
            ck_assert_ptr_nonnull(chunk);
            memset(chunk, 1, 4000);
        }
        ration_context_delete(context);
    }
    close_world();
}
END_TEST

int main(void)
{
#ifdef RATION_UNGOVERNED
    return 77; /* there is no limit in this build */
#endif
    TCase *tests = tcase_create("retained");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, test_retained__serve_another_query);
    tcase_add_test(tests, test_retained__serve_blocks_of_other_sizes);
    tcase_add_test(tests, test_retained__serve_contexts);
    Suite *suite = suite_create("memory/retained");
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
