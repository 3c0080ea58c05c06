/* SPDX-License-Identifier: Apache-2.0
 *
 * The resource interface: blocks of pages, the heap, resources written by others, owned blocks,
 * bad input, and the contracts of checked builds. */
#include "memory/poison.h"
#include "tests/memory/resource_world.h"

START_TEST(test_resource__blocks_are_whole_and_charged)
{
    place here = open_place(INT64_MAX);
    ration_resource *blocks = ration_slot_blocks(&here.slot->hot);
    int64_t asked[] = {0, 1, 8192, 8193, 65536, 65537, 1000000};
    int64_t real[] = {
        8192, 8192, 8192, 16384, 65536, rn_block_round(65537), rn_block_round(1000000)};
    for (size_t i = 0; i < RN_COUNT(asked); i++) {
        ration_block block = take_block(blocks, (size_t)asked[i], 64);
        ck_assert_uint_eq(block.bytes, real_size((size_t)asked[i], (size_t)real[i]));
        memset(block.memory, 1, block.bytes);
        ck_assert_int_eq(rn_slot_used(here.slot), governed(real[i]));
        block.bytes = (size_t)asked[i]; /* as asked for, not as answered */
        ration_resource_deallocate(blocks, block, 64);
        ck_assert_int_eq(rn_slot_used(here.slot), 0);
    }
    close_place(&here);
}
END_TEST

START_TEST(test_resource__blocks_are_aligned_up_to_a_page)
{
    place here = open_place(INT64_MAX);
    ration_resource *blocks = ration_slot_blocks(&here.slot->hot);
    for (size_t align = 1; align <= 65536; align *= 2) {
        ration_block held[3]; /* not all of them where it fits by chance */
        for (size_t i = 0; i < RN_COUNT(held); i++) {
            held[i] = take_block(blocks, 100, align);
        }
        for (size_t i = 0; i < RN_COUNT(held); i++) {
            ration_resource_deallocate(blocks, held[i], align);
        }
    }
    ration_block block = take_block(blocks, 100000, 4096);
    ration_resource_deallocate(blocks, block, 4096);
    ck_assert_int_eq(ration_resource_allocate(blocks, 100, 131072, &block),
                     RATION_INVALID_ARGUMENT);
    ck_assert_int_eq(ration_resource_allocate(blocks, 100000, 8192, &block),
                     RATION_INVALID_ARGUMENT);
    ck_assert_int_eq(rn_slot_used(here.slot), 0);
    close_place(&here);
}
END_TEST

/* Above 64 KiB pages move, not bytes; below, a copy. */
START_TEST(test_resource__blocks_grow_and_shrink)
{
    place here = open_place(4 * MIB);
    ration_resource *blocks = ration_slot_blocks(&here.slot->hot);
    ration_block block = take_block(blocks, 100, 8);
    memset(block.memory, 7, 100);
    size_t sizes[] = {5000, 20000, 70000, 3000000, 200000, 66000, 300, 0};
    for (size_t i = 0; i < RN_COUNT(sizes); i++) {
        ck_assert_int_eq(ration_resource_reallocate(blocks, &block, sizes[i], 8), RATION_OK);
        ck_assert_uint_ge(block.bytes, sizes[i]);
        size_t kept = RN_MIN(sizes[i], 100);
        for (size_t at = 0; at < kept; at++) {
            ck_assert_int_eq(((char *)block.memory)[at], 7);
        }
        if (RN_GOVERNED) {
            ck_assert_int_ge(rn_slot_used(here.slot), (int64_t)block.bytes);
            ck_assert_int_le(rn_slot_used(here.slot), 2 * rn_block_round((int64_t)sizes[i]));
        }
    }
    ration_resource_deallocate(blocks, block, 8);
    close_place(&here);
}
END_TEST

START_TEST(test_resource__a_refused_reallocation_changes_nothing)
{
    place here = open_place(MIB);
    ration_resource *blocks = ration_slot_blocks(&here.slot->hot);
    ration_block block = take_block(blocks, 500000, 8);
    memset(block.memory, 9, 500000);
    ration_block before = block;
    int64_t used = rn_slot_used(here.slot);
    if (RN_GOVERNED) {
        ck_assert_int_eq(ration_resource_reallocate(blocks, &block, 2000000, 8),
                         RATION_QUERY_LIMIT);
    }
    ck_assert_int_eq(ration_resource_reallocate(blocks, &block, SIZE_MAX, 8), RATION_NO_MEMORY);
    ck_assert_ptr_eq(block.memory, before.memory);
    ck_assert_uint_eq(block.bytes, before.bytes);
    ck_assert_int_eq(((char *)block.memory)[499999], 9);
    ck_assert_int_eq(rn_slot_used(here.slot), used);
    ration_resource_deallocate(blocks, block, 8);
    close_place(&here);
}
END_TEST

START_TEST(test_resource__slots_of_one_query_are_equal)
{
    place here = open_place(INT64_MAX);
    rn_slot *other = open_slot(here.world.first);
    rn_slot *stranger = open_slot(here.world.second);
    ration_resource *blocks = ration_slot_blocks(&here.slot->hot);
    ration_resource *twin = ration_slot_blocks(&other->hot);
    ck_assert(ration_resource_is_equal(blocks, blocks));
    ck_assert(ration_resource_is_equal(blocks, twin));
    ck_assert(!ration_resource_is_equal(blocks, ration_slot_blocks(&stranger->hot)));
    ck_assert(!ration_resource_is_equal(blocks, ration_heap_resource()));
    ration_resource_deallocate(twin, take_block(blocks, 9000, 8), 8);
    ck_assert_int_eq(rn_slot_used(here.slot) + rn_slot_used(other), 0);
    ck_assert_str_eq(read_resource(blocks).kind, "blocks");
    ck_assert_str_eq(read_resource(blocks).name, "q1");
    ck_assert(!read_resource(blocks).thread_safe);
    ck_assert_int_eq(read_resource(blocks).allocations, RATION_NOT_KEPT);
    rn_slot_close(stranger);
    rn_slot_close(other);
    rn_slot_close(here.slot);
    fixture_close(&here.world);
}
END_TEST

START_TEST(test_resource__heap_knows_real_sizes)
{
    ration_resource *heap = ration_heap_resource();
    ck_assert(read_resource(heap).thread_safe);
    ck_assert_str_eq(read_resource(heap).name, "heap");
    for (size_t align = 1; align <= 65536; align *= 2) {
        for (size_t bytes = 0; bytes < 100000; bytes = bytes * 3 + 1) {
            ration_block block = take_block(heap, bytes, align);
            memset(block.memory, 5, block.bytes);
            ck_assert_int_eq(ration_resource_reallocate(heap, &block, bytes + 100, align),
                             RATION_OK);
            ck_assert_uint_ge(block.bytes, bytes + 100);
            ck_assert_uint_eq((uintptr_t)block.memory & (align - 1), 0);
            ck_assert_int_eq(((char *)block.memory)[bytes / 2],
                             bytes > 0 ? 5 : *(char *)block.memory);
            ration_resource_deallocate(heap, block, align);
        }
    }
}
END_TEST

static ration_context *create_context(place *here, ration_context_kind kind)
{
    ration_context *context = NULL;
    ration_status status =
        kind == RATION_CONTEXT_SLAB
            ? ration_context_create_slab(NULL, &here->slot->hot, 200, "context", &context)
            : ration_context_create(NULL, &here->slot->hot, kind, "context", &context);
    ck_assert_int_eq(status, RATION_OK);
    return context;
}

START_TEST(test_resource__contexts_of_every_kind_are_resources)
{
    for (int kind = RATION_CONTEXT_BUMP; kind <= RATION_CONTEXT_GENERATION; kind++) {
        place here = open_place(INT64_MAX);
        ration_context *context = create_context(&here, (ration_context_kind)kind);
        ration_resource *resource = ration_context_resource(context);
        ck_assert_ptr_eq(resource, ration_context_resource(context));
        bool slab = kind == RATION_CONTEXT_SLAB;
        for (uint64_t seed = 1; seed <= 3; seed++) {
            walk how = {resource, slab ? 200 : 50000, slab ? 16 : 4096, false, 1500};
            if (!slab) {
                walk_at_random(&how, seed);
            }
            ration_block left = take_block(resource, 200, 8); /* goes with the reset */
            ck_assert_int_eq(ration_resource_reallocate(resource, &left, 100, 8), RATION_OK);
            ration_context_reset(context);
        }
        ration_resource_info info = read_resource(resource);
        ck_assert_str_eq(info.kind, "context");
        ck_assert_str_eq(info.name, "context");
        ck_assert(!info.thread_safe);
        ck_assert_int_eq(info.held_bytes, ration_context_bytes(context, false));
        ck_assert_int_ge(info.peak_bytes, info.held_bytes);
        ration_block block = {.bytes = 7};
        ck_assert_int_ne(ration_resource_allocate(resource, (size_t)INT64_MAX, 8, &block),
                         RATION_OK);
        ck_assert_int_eq(ration_resource_allocate(resource, 64, 131072, &block),
                         RATION_INVALID_ARGUMENT);
        ck_assert_uint_eq(block.bytes, 7);
        ration_context_delete(context);
        close_place(&here);
    }
}
END_TEST

START_TEST(test_resource__contexts_refuse_with_the_limits_status)
{
    place here = open_place(128 * KIB);
    ration_context *context = create_context(&here, RATION_CONTEXT_SET);
    ration_resource *resource = ration_context_resource(context);
    ration_block block = take_block(resource, 1000, 8);
    if (RN_GOVERNED) {
        ck_assert_int_eq(ration_resource_reallocate(resource, &block, 200000, 8),
                         RATION_QUERY_LIMIT);
    }
    ck_assert_int_eq(ration_resource_reallocate(resource, &block, 20000, 8), RATION_OK);
    ration_resource_deallocate(resource, block, 8);
    ration_context_delete(context);
    close_place(&here);
}
END_TEST

/* --------------------------------------------------------------------- somebody else's resource */

/* Hands out one buffer, knows neither resize nor anything else that may be left out. */
typedef struct shelf {
    ration_resource resource;
    char bytes[4][256];
    int used, freed;
    bool refuses;
} shelf;

static ration_status shelf_allocate(ration_resource *resource, size_t bytes, size_t align,
                                    ration_block *out_block)
{
    shelf *self = (shelf *)(void *)resource;
    ck_assert_uint_gt(bytes, 0);
    ck_assert_uint_le(align, 16);
    if (self->refuses || bytes > 256 || self->used == 4) {
        return RATION_SPILL_QUOTA;
    }
    *out_block = (ration_block){.memory = self->bytes[self->used], .bytes = 256};
    self->used += 1;
    return RATION_OK;
}

static void shelf_deallocate(ration_resource *resource, ration_block block, size_t align)
{
    shelf *self = (shelf *)(void *)resource;
    (void)align;
    ck_assert_uint_gt(block.bytes, 0);
    self->freed += 1;
}

static const ration_resource_calls shelf_calls = {
    .size = sizeof(shelf_calls),
    .kind = "shelf",
    .allocate = shelf_allocate,
    .deallocate = shelf_deallocate,
};

START_TEST(test_resource__anybody_may_write_one)
{
    static shelf mine __attribute__((aligned(16))) = {.resource = {.calls = &shelf_calls}};
    ration_resource_info info = read_resource(&mine.resource);
    ck_assert_str_eq(info.kind, "shelf");
    ck_assert_ptr_null(info.name);
    ck_assert_ptr_null(info.tag);
    ck_assert(!info.thread_safe);
    ck_assert_uint_eq(info.size, sizeof(info));
    int64_t figures[] = {info.blocks,      info.bytes,         info.held_bytes, info.peak_bytes,
                         info.allocations, info.deallocations, info.refusals};
    for (size_t i = 0; i < RN_COUNT(figures); i++) {
        ck_assert_int_eq(figures[i], RATION_NOT_KEPT);
    }
    ration_block block = {0};
    ck_assert_int_eq(ration_resource_reallocate(&mine.resource, &block, 0, 8), RATION_OK);
    ck_assert_ptr_eq(block.memory, mine.bytes[0]);
    size_t first = block.bytes;
    ck_assert_uint_eq(first, real_size(0, 256));
    *(char *)block.memory = 3;
    mine.refuses = true;
    ck_assert_int_eq(ration_resource_reallocate(&mine.resource, &block, 257, 8),
                     RATION_SPILL_QUOTA);
    ck_assert_uint_eq(block.bytes, first);
    ck_assert_int_eq(ration_resource_reallocate(&mine.resource, &block, 1, 8), RATION_OK);
    ck_assert_ptr_eq(block.memory, mine.bytes[0]); /* smaller never fails */
    mine.refuses = false;
    ck_assert_int_eq(ration_resource_reallocate(&mine.resource, &block, 256, 8), RATION_OK);
    ck_assert_int_eq(*(char *)block.memory, 3);
    ration_resource_deallocate(&mine.resource, block, 8);
    ration_resource_deallocate(&mine.resource, (ration_block){0}, 8); /* none: ignored */
    ck_assert_int_eq(mine.used, mine.freed);
}
END_TEST

/* ---------------------------------------------------------------------------------------- owned */

static int leave_scope(ration_resource *heap, ration_resource *counted, int how)
{
    RATION_OWNED(first, heap);
    RATION_OWNED(second, counted);
    if (ration_owned_allocate(&first, 100, 8) != RATION_OK ||
        ration_owned_allocate(&second, 100, 8) != RATION_OK) {
        return -1;
    }
    if (how == 0) {
        return 0;
    }
    if (how == 1) {
        goto end;
    }
    if (ration_owned_allocate(&second, 200, 16) != RATION_OK) { /* frees the one before */
        return -1;
    }
end:
    return how;
}

START_TEST(test_resource__owned_blocks_end_with_their_scope)
{
    place here = open_place(INT64_MAX);
    ration_charging *charging = NULL;
    ration_resource *heap = ration_heap_resource();
    ck_assert_int_eq(ration_charging_open(heap, &here.slot->hot, "owned", &charging), RATION_OK);
    ration_resource *counted = ration_charging_resource(charging);
    for (int how = 0; how < 3; how++) {
        ck_assert_int_eq(leave_scope(heap, counted, how), how);
        ck_assert_int_eq(read_resource(counted).blocks, 0);
    }
    ck_assert_int_eq(read_resource(counted).allocations, 4);
    ration_block taken;
    {
        RATION_OWNED(given, counted);
        ck_assert_int_eq(ration_owned_allocate(&given, 50, 8), RATION_OK);
        taken = ration_owned_take(&given);
        ck_assert_ptr_nonnull(taken.memory);
        ration_owned_free(&given); /* nothing: it was taken */
        ck_assert_int_eq(ration_owned_allocate(&given, SIZE_MAX, 8), RATION_NO_MEMORY);
    }
    ck_assert_int_eq(read_resource(counted).blocks, 1);
    ration_resource_deallocate(counted, taken, 8);
    ration_charging_close(charging);
    close_place(&here);
}
END_TEST

/* ------------------------------------------------------------------------------------ bad input */

START_TEST(test_resource__refuses_nonsense)
{
    place here = open_place(MIB);
    ration_resource *resources[] = {ration_slot_blocks(&here.slot->hot), ration_heap_resource()};
    for (size_t i = 0; i < RN_COUNT(resources); i++) {
        ration_block block = {.memory = &here, .bytes = 77};
        ck_assert_int_eq(ration_resource_allocate(resources[i], SIZE_MAX, 8, &block),
                         RATION_NO_MEMORY);
        ck_assert_int_eq(ration_resource_allocate(resources[i], (size_t)INT64_MAX + 1, 8, &block),
                         RATION_NO_MEMORY);
#if !RN_ASAN /* which ends the process when malloc is asked for that much */
        ck_assert_int_ne(ration_resource_allocate(resources[i], (size_t)INT64_MAX, 8, &block),
                         RATION_OK);
#endif
        ck_assert_ptr_eq(block.memory, &here);
        ck_assert_uint_eq(block.bytes, 77);
    }
    close_place(&here);
}
END_TEST

#ifndef RATION_CHECKED
START_TEST(test_resource__counts_an_align_that_is_none)
{
    ration_resource *heap = ration_heap_resource();
    size_t wrong[] = {0, 3, 24, SIZE_MAX};
    for (size_t i = 0; i < RN_COUNT(wrong); i++) {
        int64_t faults = rn_faults();
        ration_block block = take_block(heap, 10, 8);
        ration_block none = {0};
        ck_assert_int_eq(ration_resource_allocate(heap, 10, wrong[i], &none),
                         RATION_INVALID_ARGUMENT);
        ck_assert_int_eq(ration_resource_reallocate(heap, &block, 99, wrong[i]),
                         RATION_INVALID_ARGUMENT);
        ration_resource_deallocate(heap, block, wrong[i]); /* does nothing */
        ck_assert_int_eq(rn_faults() - faults, 3);
        ration_resource_deallocate(heap, block, 8);
    }
}
END_TEST
#endif

/* --------------------------------------------------------------------------------------- random */

START_TEST(test_resource__random_blocks_keep_their_bytes)
{
    for (uint64_t seed = 1; seed <= 4; seed++) {
        place here = open_place(seed % 2 == 0 ? 3 * MIB : INT64_MAX);
        walk pages = {ration_slot_blocks(&here.slot->hot), 400000, 4096, false, 400};
        walk_at_random(&pages, seed);
        walk heap = {ration_heap_resource(), 100000, 4096, false, 2000};
        walk_at_random(&heap, seed);
        close_place(&here);
    }
}
END_TEST

/* The nth mapping or heap allocation fails, once or for ever: a status, and all as before. */
START_TEST(test_resource__survives_every_fault)
{
    for (int forever = 0; forever < 2; forever++) {
        bool done = false;
        for (int n = 1; !done; n++) {
            place here = open_place(INT64_MAX);
            ration_resource *blocks = ration_slot_blocks(&here.slot->hot);
            ration_block block = {0};
            ration_block other = {0};
            rn_blocks_fail_after(n, forever != 0);
            rn_heap_fail_after(n, forever != 0);
            bool first = ration_resource_allocate(blocks, 9000, 8, &block) == RATION_OK;
            bool second =
                first && ration_resource_reallocate(blocks, &block, 90000, 8) == RATION_OK;
            bool third =
                ration_resource_allocate(ration_heap_resource(), 100, 8, &other) == RATION_OK;
            third = third && ration_resource_reallocate(ration_heap_resource(), &other, 9000, 8) ==
                                 RATION_OK;
            done = first && second && third;
            rn_blocks_fail_after(0, false);
            rn_heap_fail_after(0, false);
            ration_resource_deallocate(blocks, block, 8);
            ration_resource_deallocate(ration_heap_resource(), other, 8);
            close_place(&here);
            ck_assert_int_lt(n, 50);
        }
    }
}
END_TEST

/* ------------------------------------------------------------------------------------ contracts */

#ifdef RATION_CHECKED

static WORLD_NOINLINE ration_block allocate_here(ration_resource *resource, size_t bytes)
{
    ration_block block = {0};
    ck_assert_int_eq(ration_resource_allocate(resource, bytes, 16, &block), RATION_OK);
    return block;
}

static void free_twice(place *here)
{
    (void)here;
    ration_block block = allocate_here(ration_heap_resource(), 40);
    ration_resource_deallocate(ration_heap_resource(), block, 16);
    ration_resource_deallocate(ration_heap_resource(), block, 16);
}

static void free_pages_twice(place *here)
{
    ration_resource *blocks = ration_slot_blocks(&here->slot->hot);
    ration_block block = allocate_here(blocks, 100000);
    ration_resource_deallocate(blocks, block, 16);
    ration_resource_deallocate(blocks, block, 16);
}

static void free_elsewhere(place *here)
{
    ration_block block = allocate_here(ration_slot_blocks(&here->slot->hot), 40);
    ration_resource_deallocate(ration_heap_resource(), block, 16);
}

static void free_inside(place *here)
{
    (void)here;
    ration_block block = allocate_here(ration_heap_resource(), 40);
    block.memory = (char *)block.memory + 16;
    ration_resource_deallocate(ration_heap_resource(), block, 16);
}

static void free_other_size(place *here)
{
    (void)here;
    ration_block block = allocate_here(ration_heap_resource(), 40);
    block.bytes = 41;
    ration_resource_deallocate(ration_heap_resource(), block, 16);
}

static void free_other_align(place *here)
{
    (void)here;
    ration_resource_deallocate(ration_heap_resource(), allocate_here(ration_heap_resource(), 40),
                               32);
}

static void reallocate_other_size(place *here)
{
    ration_resource *blocks = ration_slot_blocks(&here->slot->hot);
    ration_block block = allocate_here(blocks, 100000);
    block.bytes -= 1;
    (void)!ration_resource_reallocate(blocks, &block, 200000, 16);
}

static void free_context_block_twice(place *here)
{
    ration_context *context = create_context(here, RATION_CONTEXT_SET);
    ration_block block = allocate_here(ration_context_resource(context), 40);
    ration_resource_deallocate(ration_context_resource(context), block, 16);
    ration_resource_deallocate(ration_context_resource(context), block, 16);
}

static void free_after_reset(place *here)
{
    ration_context *context = create_context(here, RATION_CONTEXT_BUMP);
    ration_block block = allocate_here(ration_context_resource(context), 40);
    ration_context_reset(context);
    ration_resource_deallocate(ration_context_resource(context), block, 16);
}

static WORLD_NOINLINE void ask_for_three(ration_resource *resource)
{
    ration_block block = {0};
    (void)!ration_resource_allocate(resource, 40, 3, &block);
}

static void align_wrong(place *here)
{
    (void)here;
    ask_for_three(ration_heap_resource());
}

START_TEST(test_resource__contracts_are_reported)
{
    expect_report(free_twice, "double free", "allocate_here");
    expect_report(free_pages_twice, "double free", "allocate_here");
    expect_report(free_elsewhere, "foreign free", "allocate_here");
    expect_report(free_inside, "foreign free", "allocate_here");
    expect_report(free_other_size, "mismatched size", "allocate_here");
    expect_report(free_other_align, "mismatched alignment", "allocate_here");
    expect_report(reallocate_other_size, "mismatched size", "allocate_here");
    expect_report(free_context_block_twice, "double free", "free_context_block_twice");
    expect_report(free_after_reset, "double free", "allocate_here");
    expect_report(align_wrong, "no power of two", "ask_for_three");
}
END_TEST

#endif

int main(void)
{
    Suite *suite = suite_create("resource");
    TCase *tests = tcase_create("resource");
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, test_resource__blocks_are_whole_and_charged);
    tcase_add_test(tests, test_resource__blocks_are_aligned_up_to_a_page);
    tcase_add_test(tests, test_resource__blocks_grow_and_shrink);
    tcase_add_test(tests, test_resource__a_refused_reallocation_changes_nothing);
    tcase_add_test(tests, test_resource__slots_of_one_query_are_equal);
    tcase_add_test(tests, test_resource__heap_knows_real_sizes);
    tcase_add_test(tests, test_resource__contexts_of_every_kind_are_resources);
    tcase_add_test(tests, test_resource__contexts_refuse_with_the_limits_status);
    tcase_add_test(tests, test_resource__anybody_may_write_one);
    tcase_add_test(tests, test_resource__owned_blocks_end_with_their_scope);
    tcase_add_test(tests, test_resource__refuses_nonsense);
    tcase_add_test(tests, test_resource__random_blocks_keep_their_bytes);
    tcase_add_test(tests, test_resource__survives_every_fault);
#ifdef RATION_CHECKED
    tcase_add_test(tests, test_resource__contracts_are_reported);
#else
    tcase_add_test(tests, test_resource__counts_an_align_that_is_none);
#endif
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
