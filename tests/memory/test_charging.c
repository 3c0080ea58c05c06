/* SPDX-License-Identifier: Apache-2.0
 *
 * Charging resources: every block's real size is charged, refusals on either side leave nothing,
 * figures, leaks. */
#include "tests/memory/resource_world.h"

static ration_charging *open_charging(place *here, ration_resource *upstream, const char *tag)
{
    ration_charging *charging = NULL;
    ck_assert_int_eq(ration_charging_open(upstream, &here->slot->hot, tag, &charging), RATION_OK);
    return charging;
}

/* Real size of what the heap gave. */
static int64_t real_of(ration_block block)
{
    return (int64_t)rn_heap_block_bytes(block.memory);
}

START_TEST(test_charging__charges_real_sizes)
{
    place here = open_place(INT64_MAX);
    ration_charging *charging = open_charging(&here, ration_heap_resource(), "rows");
    ration_resource *resource = ration_charging_resource(charging);
    ration_block small = take_block(resource, 100, 8);
    ration_block wide = take_block(resource, 5000, 256);
    int64_t bytes = real_of(small) + real_of(wide);
    ck_assert_int_eq(rn_slot_used(here.slot), governed(bytes));
    ration_resource_info info = read_resource(resource);
    ck_assert_str_eq(info.kind, "charging");
    ck_assert_str_eq(info.name, "heap");
    ck_assert_str_eq(info.tag, "rows");
    ck_assert(!info.thread_safe);
    ck_assert_int_eq(info.blocks, 2);
    ck_assert_int_eq(info.bytes, bytes);
    ck_assert_int_eq(info.held_bytes, bytes);
    ck_assert_int_eq(info.peak_bytes, bytes);
    int64_t freed = real_of(wide);
    wide.bytes = 5000; /* as asked for */
    ration_resource_deallocate(resource, wide, 256);
    ck_assert_int_eq(rn_slot_used(here.slot), governed(bytes - freed));
    memset(small.memory, 8, 100);
    ck_assert_int_eq(ration_resource_reallocate(resource, &small, 90000, 8), RATION_OK);
    ck_assert_int_eq(((char *)small.memory)[99], 8);
    ck_assert_int_eq(rn_slot_used(here.slot), governed(real_of(small)));
    ck_assert_int_eq(ration_resource_reallocate(resource, &small, 10, 8), RATION_OK);
    ck_assert_int_eq(rn_slot_used(here.slot), governed(real_of(small)));
    ck_assert_int_eq(read_resource(resource).bytes, real_of(small));
    ration_resource_deallocate(resource, small, 8);
    info = read_resource(resource);
    ck_assert_int_eq(info.blocks, 0);
    ck_assert_int_eq(info.bytes, 0);
    ck_assert_int_ge(info.peak_bytes, 90000);
    ck_assert_int_eq(info.allocations, info.deallocations);
    ration_charging_close(charging);
    ration_charging_close(NULL);
    close_place(&here);
}
END_TEST

/* A smaller size that the other answers by leaving the block as it is: what is released later is
 * what was charged. */
START_TEST(test_charging__a_block_that_stays_keeps_its_size)
{
    place here = open_place(INT64_MAX);
    ration_frame *frame = NULL;
    ration_context *context = NULL;
    ck_assert_int_eq(ration_frame_open(&here.slot->hot, "f", &frame), RATION_OK);
    ck_assert_int_eq(
        ration_context_create(NULL, &here.slot->hot, RATION_CONTEXT_BUMP, "b", &context),
        RATION_OK);
    ration_resource *others[] = {ration_frame_resource(frame), ration_context_resource(context)};
    for (size_t i = 0; i < RN_COUNT(others); i++) {
        ration_charging *charging = open_charging(&here, others[i], NULL);
        ration_resource *resource = ration_charging_resource(charging);
        for (int round = 0; round < 100; round++) {
            ration_block older = take_block(resource, 13, 8);
            ration_block newer = take_block(resource, 13, 8);
            older.bytes = 13; /* as asked for */
            ck_assert_int_eq(ration_resource_reallocate(resource, &older, 5, 8), RATION_OK);
            ration_resource_deallocate(resource, older, 8);
            ration_resource_deallocate(resource, newer, 8);
        }
        ck_assert_int_eq(read_resource(resource).bytes, 0);
        ration_charging_close(charging);
    }
    ration_frame_close(frame);
    ration_context_delete(context);
    close_place(&here);
}
END_TEST

START_TEST(test_charging__a_limit_refuses_before_anything_is_allocated)
{
    place here = open_place(MIB);
    ration_charging *charging = open_charging(&here, ration_heap_resource(), NULL);
    ration_resource *resource = ration_charging_resource(charging);
    ration_block kept = take_block(resource, 500000, 8);
    memset(kept.memory, 2, kept.bytes);
    int64_t used = rn_slot_used(here.slot);
    if (RN_GOVERNED) {
        ration_block block = {.bytes = 3};
        ck_assert_int_eq(ration_resource_allocate(resource, 600000, 8, &block), RATION_QUERY_LIMIT);
        ck_assert_uint_eq(block.bytes, 3);
        ck_assert_int_eq(ration_resource_reallocate(resource, &kept, 2000000, 8),
                         RATION_QUERY_LIMIT);
        ck_assert_int_eq(read_resource(resource).refusals, 2);
        rn_no no;
        ck_assert(rn_slot_refusal(here.slot, &no));
        ck_assert_int_eq(read_pool(here.world.first).unchecked_bytes, 0);
    }
    ck_assert_int_eq(rn_slot_used(here.slot), used);
    ck_assert_int_eq(((char *)kept.memory)[499999], 2);
    ration_resource_deallocate(resource, kept, 8);
    ration_charging_close(charging);
    close_place(&here);
}
END_TEST

/* The bytes asked for fit under the limit, what the heap gives beyond does not: nothing is kept. */
START_TEST(test_charging__real_sizes_are_refused_too)
{
    for (int64_t limit = 900; limit <= 1100; limit += 4) {
        place here = open_place(limit);
        ration_charging *charging = open_charging(&here, ration_heap_resource(), NULL);
        ration_resource *resource = ration_charging_resource(charging);
        ration_block block = {0};
        ration_status status = ration_resource_allocate(resource, 993, 8, &block);
        ck_assert_int_le(rn_slot_used(here.slot), RN_GOVERNED ? limit : 0);
        ck_assert_int_eq(rn_slot_used(here.slot), governed(read_resource(resource).bytes));
        if (RN_GOVERNED) {
            ck_assert(status == (limit < 993 ? RATION_QUERY_LIMIT : status));
            ck_assert(status == (limit > 1050 ? RATION_OK : status));
        }
        ck_assert_int_eq(read_pool(here.world.first).unchecked_bytes, 0);
        ration_resource_deallocate(resource, block, 8);
        ration_charging_close(charging);
        close_place(&here);
    }
}
END_TEST

/* --------------------------------------------------------------------- somebody else's resource */

/* Answers more than was asked, resizes with more slack than anybody, and can be told to refuse. */
typedef struct greedy {
    ration_resource resource;
    char bytes[1 << 20];
    size_t extra;
    int allocated, freed;
    bool refuses;
} greedy;

static ration_status greedy_allocate(ration_resource *resource, size_t bytes, size_t align,
                                     ration_block *out_block)
{
    greedy *self = (greedy *)(void *)resource;
    (void)align;
    if (self->refuses) {
        return RATION_NO_MEMORY;
    }
    self->allocated += 1;
    char *memory = self->bytes + (self->allocated % 2 == 0 ? 0 : sizeof(self->bytes) / 2);
    *out_block = (ration_block){.memory = memory, .bytes = bytes + self->extra};
    return RATION_OK;
}

static void greedy_deallocate(ration_resource *resource, ration_block block, size_t align)
{
    (void)block;
    (void)align;
    ((greedy *)(void *)resource)->freed += 1;
}

static bool greedy_resize(ration_resource *resource, ration_block *block, size_t bytes,
                          size_t align)
{
    const greedy *self = (const greedy *)(void *)resource;
    (void)align;
    block->bytes = self->refuses ? block->bytes : bytes + self->extra;
    return !self->refuses;
}

static size_t greedy_measure(ration_resource *resource, ration_block block, size_t align)
{
    const greedy *self = (const greedy *)(void *)resource;
    (void)align;
    return (block.bytes + self->extra) / 10000 * 10000; /* sizes in these tests are such */
}

static const ration_resource_calls greedy_calls = {
    .size = sizeof(greedy_calls),
    .kind = "greedy",
    .allocate = greedy_allocate,
    .deallocate = greedy_deallocate,
    .resize = greedy_resize,
    .measure = greedy_measure,
};

/* The same without what may be left out: blocks are what was asked for, and cannot be resized. */
static const ration_resource_calls plain_calls = {
    .size = sizeof(plain_calls),
    .kind = "plain",
    .allocate = greedy_allocate,
    .deallocate = greedy_deallocate,
};

static greedy wants __attribute__((aligned(64)));

START_TEST(test_charging__the_other_refuses)
{
    place here = open_place(100000);
    wants = (greedy){.resource = {.calls = &greedy_calls}, .extra = 5000};
    ration_charging *charging = open_charging(&here, &wants.resource, "greedy");
    ration_resource *resource = ration_charging_resource(charging);
    ration_block block = {0};
    wants.refuses = true;
    ck_assert_int_eq(ration_resource_allocate(resource, 5000, 8, &block), RATION_NO_MEMORY);
    ck_assert_int_eq(rn_slot_used(here.slot), 0);
    wants.refuses = false;
    if (RN_GOVERNED) { /* what was asked fits, what was given does not: given back */
        wants.extra = 95000;
        ck_assert_int_eq(ration_resource_allocate(resource, 5001, 8, &block), RATION_QUERY_LIMIT);
        ck_assert_int_eq(wants.allocated, 1);
        ck_assert_int_eq(wants.freed, 1);
        ck_assert_int_eq(rn_slot_used(here.slot), 0);
        wants.extra = 5000;
    }
    ck_assert_int_eq(ration_resource_allocate(resource, 5000, 8, &block), RATION_OK);
    ck_assert_int_eq(rn_slot_used(here.slot), governed(10000));
    wants.refuses = true; /* neither resizes nor gives another */
    ck_assert_int_eq(ration_resource_reallocate(resource, &block, 15000, 8), RATION_NO_MEMORY);
    ck_assert_int_eq(rn_slot_used(here.slot), governed(10000));
    wants.refuses = false;
    ck_assert_int_eq(ration_resource_reallocate(resource, &block, 35000, 8), RATION_OK);
    ck_assert_int_eq(rn_slot_used(here.slot), governed(40000));
    ck_assert_int_eq(read_pool(here.world.first).unchecked_bytes, 0);
    if (RN_GOVERNED) { /* fits as asked for; it rounds up by more than a page, and exists */
        ck_assert_int_eq(ration_resource_reallocate(resource, &block, 95000, 8), RATION_OK);
        ck_assert_int_eq(rn_slot_used(here.slot), 100000);
    }
    ration_resource_deallocate(resource, block, 8);
    ck_assert_int_eq(rn_slot_used(here.slot), 0);
    ck_assert_int_eq(wants.allocated, wants.freed);
    ration_charging_close(charging);
    close_place(&here);
}
END_TEST

START_TEST(test_charging__the_other_knows_the_least_it_may)
{
    place here = open_place(INT64_MAX);
    wants = (greedy){.resource = {.calls = &plain_calls}};
    ration_charging *charging = open_charging(&here, &wants.resource, "plain");
    ration_resource *resource = ration_charging_resource(charging);
    ck_assert_ptr_null(read_resource(resource).name);
    ration_block block = take_block(resource, 1000, 8);
    ck_assert_int_eq(rn_slot_used(here.slot), governed(1000));
    ck_assert_int_eq(ration_resource_reallocate(resource, &block, 3000, 8), RATION_OK);
    ck_assert_int_eq(rn_slot_used(here.slot), governed(3000));
    ck_assert_int_eq(wants.allocated, 2); /* by a new block */
    ration_resource_deallocate(resource, block, 8);
    ck_assert_int_eq(rn_slot_used(here.slot), 0);
    ration_charging_close(charging);
    close_place(&here);
}
END_TEST

START_TEST(test_charging__wraps_what_wraps)
{
    place here = open_place(INT64_MAX);
    ration_charging *inner = open_charging(&here, ration_heap_resource(), "inner");
    ration_charging *outer = open_charging(&here, ration_charging_resource(inner), "outer");
    ration_resource *resource = ration_charging_resource(outer);
    ration_block block = take_block(resource, 1000, 8);
    int64_t real = real_of(block);
    ck_assert_int_eq(rn_slot_used(here.slot), governed(2 * real)); /* each for itself */
    ck_assert_int_eq(ration_resource_reallocate(resource, &block, 70000, 8), RATION_OK);
    ck_assert_int_eq(rn_slot_used(here.slot), governed(2 * real_of(block)));
    ration_resource_deallocate(resource, block, 8);
    ck_assert_int_eq(rn_slot_used(here.slot), 0);
    ration_charging_close(outer);
    ration_charging_close(inner);
    close_place(&here);
}
END_TEST

START_TEST(test_charging__random_against_figures)
{
    for (uint64_t seed = 1; seed <= 6; seed++) {
        place here = open_place(seed % 2 == 0 ? 200 * KIB : INT64_MAX);
        ration_object_pool *pool = NULL;
        ck_assert_int_eq(ration_object_pool_open(&here.slot->hot, 300, 16, "pool", &pool),
                         RATION_OK);
        ration_charging *charging[] = {
            open_charging(&here, ration_heap_resource(), "heap"),
            open_charging(&here, ration_slot_blocks(&here.slot->hot), "blocks"),
            open_charging(&here, ration_object_pool_resource(pool), "pool"),
        };
        size_t most[] = {40000, 150000, 300};
        size_t align[] = {4096, 4096, 16};
        for (size_t i = 0; i < RN_COUNT(charging); i++) {
            ration_resource *resource = ration_charging_resource(charging[i]);
            walk how = {resource, most[i], align[i], false, i == 1 ? 300 : 1500};
            walk_at_random(&how, seed);
            ration_resource_info info = read_resource(resource);
            ck_assert_int_eq(info.blocks, 0);
            ck_assert_int_eq(info.bytes, 0);
            ration_charging_close(charging[i]);
        }
        ration_object_pool_close(pool);
        ck_assert_int_eq(read_pool(here.world.first).unchecked_bytes, 0);
        close_place(&here);
    }
}
END_TEST

START_TEST(test_charging__survives_every_fault)
{
    for (int forever = 0; forever < 2; forever++) {
        bool done = false;
        for (int n = 1; !done; n++) {
            place here = open_place(INT64_MAX);
            ration_charging *charging = NULL;
            rn_heap_fail_after(n, forever != 0);
            done = ration_charging_open(ration_heap_resource(), &here.slot->hot, NULL, &charging) ==
                   RATION_OK;
            ration_block blocks[4] = {{0}};
            for (size_t i = 0; charging != NULL && i < RN_COUNT(blocks); i++) {
                ration_resource *resource = ration_charging_resource(charging);
                done =
                    ration_resource_allocate(resource, 1000, 64, &blocks[i]) == RATION_OK && done;
                done =
                    ration_resource_reallocate(resource, &blocks[i], 9000, 64) == RATION_OK && done;
                ck_assert_int_eq(rn_slot_used(here.slot), governed(read_resource(resource).bytes));
            }
            rn_heap_fail_after(0, false);
            for (size_t i = 0; charging != NULL && i < RN_COUNT(blocks); i++) {
                ration_resource_deallocate(ration_charging_resource(charging), blocks[i], 64);
            }
            ration_charging_close(charging);
            close_place(&here);
            ck_assert_int_lt(n, 50);
        }
    }
}
END_TEST

#ifndef RATION_CHECKED
START_TEST(test_charging__what_leaks_is_no_longer_charged)
{
    place here = open_place(INT64_MAX);
    ration_charging *charging = open_charging(&here, ration_heap_resource(), "leaks");
    ration_block block = take_block(ration_charging_resource(charging), 1000, 8);
    int64_t faults = rn_faults();
    ration_charging_close(charging);
    ck_assert_int_eq(rn_faults() - faults, 1);
    ck_assert_int_eq(rn_slot_used(here.slot), 0);
    ration_resource_deallocate(ration_heap_resource(), block, 8);
    rn_slot_close(here.slot);
    fixture_clear(&here.world);
}
END_TEST
#endif

/* ------------------------------------------------------------------------------------ contracts */

#ifdef RATION_CHECKED

static WORLD_NOINLINE ration_block allocate_here(ration_charging *charging)
{
    ration_block block = {0};
    ck_assert_int_eq(ration_resource_allocate(ration_charging_resource(charging), 1000, 8, &block),
                     RATION_OK);
    return block;
}

static void leak(place *here)
{
    ration_charging *charging = open_charging(here, ration_heap_resource(), "leaks");
    (void)allocate_here(charging);
    int64_t faults = rn_faults();
    ration_charging_close(charging);
    _exit(rn_faults() - faults == 1 && rn_slot_used(here->slot) == 0 ? 1 : 0);
}

static void leak_inside(place *here)
{
    ration_charging *inner = open_charging(here, ration_heap_resource(), "inner");
    ration_charging *outer = open_charging(here, ration_charging_resource(inner), "outer");
    (void)allocate_here(outer);
    ration_charging_close(inner);
}

static void free_past_it(place *here)
{
    ration_charging *charging = open_charging(here, ration_heap_resource(), "charged");
    ration_resource_deallocate(ration_heap_resource(), allocate_here(charging), 8);
}

static void free_twice(place *here)
{
    ration_charging *charging = open_charging(here, ration_heap_resource(), "charged");
    ration_block block = allocate_here(charging);
    ration_resource_deallocate(ration_charging_resource(charging), block, 8);
    ration_resource_deallocate(ration_charging_resource(charging), block, 8);
}

START_TEST(test_charging__contracts_are_reported)
{
    expect_report(leak, "leak", "allocate_here");
    expect_report(leak_inside, "not deallocated", "leak_inside");
    expect_report(free_past_it, "foreign free", "allocate_here");
    expect_report(free_twice, "double free", "allocate_here");
}
END_TEST

#endif

int main(void)
{
    Suite *suite = suite_create("charging");
    TCase *tests = tcase_create("charging");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, test_charging__charges_real_sizes);
    tcase_add_test(tests, test_charging__a_block_that_stays_keeps_its_size);
    tcase_add_test(tests, test_charging__a_limit_refuses_before_anything_is_allocated);
    tcase_add_test(tests, test_charging__real_sizes_are_refused_too);
    tcase_add_test(tests, test_charging__the_other_refuses);
    tcase_add_test(tests, test_charging__the_other_knows_the_least_it_may);
    tcase_add_test(tests, test_charging__wraps_what_wraps);
    tcase_add_test(tests, test_charging__random_against_figures);
    tcase_add_test(tests, test_charging__survives_every_fault);
#ifdef RATION_CHECKED
    tcase_add_test(tests, test_charging__contracts_are_reported);
#else
    tcase_add_test(tests, test_charging__what_leaks_is_no_longer_charged);
#endif
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
