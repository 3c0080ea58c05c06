/* SPDX-License-Identifier: Apache-2.0
 *
 * What a context says of itself: figures of every kind, the report line by line, and whether a
 * damaged header is found. */
#include "memory/context.h"
#include "tests/memory/fixture.h"

#define KIB ((int64_t)1024)
#define LINES_MAX 64

typedef struct place {
    fixture world;
    rn_slot *slot;
} place;

static place open_place(void)
{
    place here = {.world = fixture_open(64 * MIB, INT64_MAX, MIB, false)};
    here.slot = open_slot(here.world.first);
    return here;
}

static void close_place(place *here)
{
    ck_assert_int_eq(rn_slot_used(here->slot), 0);
    rn_slot_close(here->slot);
    fixture_close(&here->world);
}

static ration_context *create(const place *here, ration_context *parent, ration_context_kind kind,
                              const char *name)
{
    ration_context *context = NULL;
    ration_status status =
        kind == RATION_CONTEXT_SLAB
            ? ration_context_create_slab(parent, &here->slot->hot, 100, name, &context)
            : ration_context_create(parent, &here->slot->hot, kind, name, &context);
    ck_assert_int_eq(status, RATION_OK);
    return context;
}

/* A context of exactly `blocks` blocks, the first included: 8, 16, 32, 64, 64 .. KiB. */
static ration_context *create_of(const place *here, ration_context *parent, const char *name,
                                 int64_t blocks)
{
    ration_context *context = create(here, parent, RATION_CONTEXT_BUMP, name);
    ration_context_figures figures = {0};
    while (figures.blocks < blocks) {
        ck_assert_ptr_nonnull(ration_context_allocate(context, 3000));
        ration_context_read(context, &figures);
    }
    return context;
}

/* -------------------------------------------------------------------------------------- figures */

START_TEST(test_context_report__figures_of_every_kind)
{
    place here = open_place();
    static const char *const names[] = {"bump", "set", "slab", "generation"};
    for (int kind = 0; kind < 4; kind++) {
        ration_context *context = create(&here, NULL, (ration_context_kind)kind, names[kind]);
        ration_context_figures empty, full, reset;
        ration_context_read(context, &empty);
        ck_assert_str_eq(empty.name, names[kind]);
        ck_assert_int_eq((int)empty.kind, kind);
        ck_assert_int_eq(empty.depth, 0);
        ck_assert_int_eq(empty.below + empty.below_bytes, 0);
        ck_assert_int_eq(empty.bytes, 8 * KIB);
        ck_assert_int_eq(empty.blocks, 1);
        ck_assert_int_gt(empty.free_bytes, 6 * KIB);
        ck_assert_int_lt(empty.free_bytes, 8 * KIB);
        for (int i = 0; i < 1000; i++) {
            ck_assert_ptr_nonnull(ration_context_allocate(context, 100));
        }
        ration_context_read(context, &full);
        ck_assert_int_gt(full.bytes, 100 * 1000);
        ck_assert_int_eq(full.bytes, ration_context_bytes(context, false));
        ck_assert_int_eq(full.bytes, rn_slot_used(here.slot));
        ck_assert_int_eq(full.peak_bytes, full.bytes);
        ck_assert_int_gt(full.blocks, 1);
        ck_assert_int_ge(full.free_bytes, 0);
        ck_assert_int_le(full.free_bytes, full.bytes - 100 * 1000);
        ration_context_reset(context);
        ration_context_read(context, &reset);
        ck_assert_int_eq(reset.bytes, 8 * KIB);
        ck_assert_int_eq(reset.blocks, 1);
        ck_assert_int_eq(reset.free_bytes, empty.free_bytes);
        ck_assert_int_eq(reset.peak_bytes, full.peak_bytes);
        ration_context_delete(context);
    }
    close_place(&here);
}
END_TEST

/* What was freed and can be had again is free, in kinds that use it again. */
START_TEST(test_context_report__freed_chunks_are_free)
{
    place here = open_place();
    ration_context *context = create(&here, NULL, RATION_CONTEXT_SET, "set");
    ration_context_figures before, after;
    void *memory[10];
    for (int i = 0; i < 10; i++) {
        memory[i] = ration_context_allocate(context, 200);
    }
    ration_context_read(context, &before);
    for (int i = 0; i < 10; i++) {
        ration_context_free(memory[i]);
    }
    ration_context_read(context, &after);
#ifndef RATION_CHECKED /* else they are set aside for a while */
    ck_assert_int_ge(after.free_bytes, before.free_bytes + 10 * 200);
#else
    ck_assert_int_ge(after.free_bytes, before.free_bytes);
#endif
    ration_context_delete(context);
    close_place(&here);
}
END_TEST

/* --------------------------------------------------------------------------------------- report */

typedef struct page {
    char lines[LINES_MAX][256];
    int count;
} page;

/* The line without its bytes that are free, which differ between builds. */
static void keep_line(void *argument, const char *text)
{
    page *to = (page *)argument;
    ck_assert_int_lt(to->count, LINES_MAX);
    char *line = to->lines[to->count++];
    const char *blocks = strstr(text, " blocks, ");
    const char *free_end = blocks == NULL ? NULL : strstr(blocks, " free");
    ck_assert_msg(free_end != NULL, "%s", text);
    snprintf(line, sizeof(to->lines[0]), "%.*s%s", (int)(blocks - text) + 7, text, free_end + 5);
}

static void expect_report(const ration_context *context, int most, const char *const *lines,
                          int count)
{
    static page got;
    got.count = 0;
    ration_context_report(context, most, keep_line, &got);
    for (int i = 0; i < RN_MIN(count, got.count); i++) {
        ck_assert_str_eq(got.lines[i], lines[i]);
    }
    ck_assert_int_eq(got.count, count);
}

START_TEST(test_context_report__largest_children_first)
{
    place here = open_place();
    ration_context *top = create(&here, NULL, RATION_CONTEXT_SET, "top");
    ration_context *small = create_of(&here, top, "small", 1);
    (void)create_of(&here, top, "large", 4);
    (void)create_of(&here, top, "other", 1);
    ration_context *middle = create_of(&here, top, "middle", 2);
    (void)create_of(&here, middle, "below", 3);
    ration_context_set_identifier(small, "id 7");
    static const char *const all[] = {
        "top (set): 8192 in 1 blocks; 221184 below in 5",
        "  large (bump): 122880 in 4 blocks",
        "  middle (bump): 24576 in 2 blocks; 57344 below in 1",
        "    below (bump): 57344 in 3 blocks",
        "  other (bump): 8192 in 1 blocks",
        "  small: id 7 (bump): 8192 in 1 blocks",
        "6 contexts: 229376 in 12 blocks",
    };
    static const char *const two[] = {
        "top (set): 8192 in 1 blocks; 221184 below in 5",
        "  large (bump): 122880 in 4 blocks",
        "  middle (bump): 24576 in 2 blocks; 57344 below in 1",
        "    below (bump): 57344 in 3 blocks",
        "  2 more contexts: 16384 in 2 blocks",
        "6 contexts: 229376 in 12 blocks",
    };
    static const char *const one[] = {
        "top (set): 8192 in 1 blocks; 221184 below in 5",
        "  large (bump): 122880 in 4 blocks",
        "  4 more contexts: 98304 in 7 blocks",
        "6 contexts: 229376 in 12 blocks",
    };
    static const char *const none[] = {
        "top (set): 8192 in 1 blocks; 221184 below in 5",
        "  5 more contexts: 221184 in 11 blocks",
        "6 contexts: 229376 in 12 blocks",
    };
    expect_report(top, 0, none, RN_COUNT(none));
    expect_report(top, 1, one, RN_COUNT(one));
    expect_report(top, 2, two, RN_COUNT(two));
    expect_report(top, 100, all, RN_COUNT(all));
    ration_context_delete(top);
    close_place(&here);
}
END_TEST

/* Equal ones in the order of the tree, each once. */
START_TEST(test_context_report__equal_children)
{
    place here = open_place();
    ration_context *top = create(&here, NULL, RATION_CONTEXT_GENERATION, "top");
    static const char *const names[] = {"a", "b", "c", "d"};
    for (int i = 0; i < 4; i++) {
        (void)create_of(&here, top, names[i], 1);
    }
    static const char *const lines[] = {
        "top (generation): 8192 in 1 blocks; 32768 below in 4",
        "  d (bump): 8192 in 1 blocks",
        "  c (bump): 8192 in 1 blocks",
        "  b (bump): 8192 in 1 blocks",
        "  1 more contexts: 8192 in 1 blocks",
        "5 contexts: 40960 in 5 blocks",
    };
    expect_report(top, 3, lines, 6);
    ration_context_delete(top);
    close_place(&here);
}
END_TEST

/* Deeper than twenty levels is added up, and nothing is counted twice or left out. */
START_TEST(test_context_report__deep_tree)
{
    place here = open_place();
    ration_context *top = create(&here, NULL, RATION_CONTEXT_BUMP, "0"), *at = top;
    for (int i = 1; i < 40; i++) {
        at = create(&here, at, RATION_CONTEXT_BUMP, "n");
    }
    static page got;
    got.count = 0;
    ration_context_report(top, 3, keep_line, &got);
    ck_assert_int_eq(got.count, 23);
    ck_assert_ptr_nonnull(strstr(got.lines[21], "19 more contexts: 155648 in 19 blocks"));
    ck_assert_str_eq(got.lines[22], "40 contexts: 327680 in 40 blocks");
    ration_context_delete(top);
    close_place(&here);
}
END_TEST

/* ---------------------------------------------------------------------------------------- check */

#ifndef RATION_CHECKED /* checked builds report what they find, and abort */
START_TEST(test_context_report__check_finds_a_damaged_header)
{
    place here = open_place();
    static const ration_context_kind kinds[] = {RATION_CONTEXT_SET, RATION_CONTEXT_SLAB,
                                                RATION_CONTEXT_GENERATION};
    for (size_t k = 0; k < RN_COUNT(kinds); k++) {
        ration_context *top = create(&here, NULL, RATION_CONTEXT_BUMP, "top");
        ration_context *context = create(&here, top, kinds[k], "damaged");
        uint64_t *chunks[20];
        for (int i = 0; i < 20; i++) {
            chunks[i] = (uint64_t *)ration_context_allocate(context, 100);
        }
        ck_assert(ration_context_check(top));
        for (int i = 0; i < 20; i++) {
            for (int bit = 0; bit < 64; bit += 7) {
                uint64_t *header = chunks[i] - 1;
                *header ^= UINT64_C(1) << bit;
                ck_assert_msg(!ration_context_check(context), "kind %d, bit %d", (int)kinds[k],
                              bit);
                ck_assert(!ration_context_check(top));
                *header ^= UINT64_C(1) << bit;
            }
            ck_assert(ration_context_check(top));
        }
        uint64_t *large = (uint64_t *)(kinds[k] == RATION_CONTEXT_SLAB
                                           ? NULL
                                           : ration_context_allocate(context, 100 * 1024));
        if (large != NULL) {
            ck_assert(ration_context_check(top));
            large[-1] = 0;
            ck_assert(!ration_context_check(top));
        }
        ration_context_delete(top);
    }
    close_place(&here);
}
END_TEST
#endif

int main(void)
{
#ifdef RATION_UNGOVERNED
    return 77; /* nothing is counted in this build */
#endif
    const TTest *tests[] = {
        test_context_report__figures_of_every_kind,
        test_context_report__freed_chunks_are_free,
        test_context_report__largest_children_first,
        test_context_report__equal_children,
        test_context_report__deep_tree,
#ifndef RATION_CHECKED
        test_context_report__check_finds_a_damaged_header,
#endif
    };
    TCase *all = tcase_create("all");
    for (size_t i = 0; i < RN_COUNT(tests); i++) {
        tcase_add_test(all, tests[i]);
    }
    tcase_set_timeout(all, 120);
    Suite *suite = suite_create("memory/context_report");
    suite_add_tcase(suite, all);
    return run_suite(suite);
}
