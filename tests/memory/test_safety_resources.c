/* SPDX-License-Identifier: Apache-2.0
 *
 * What checked builds find at every resource, whatever it does with its memory: double free,
 * foreign free, another size or align than at the allocation. Each error is made by a child
 * process. */
#include "tests/memory/dying.h"
#include "tests/memory/fixture.h"

#ifdef RATION_CHECKED

#include "ration_resource.h"

#define BLOCK_BYTES 100

/* One resource of each kind, with room for blocks of BLOCK_BYTES aligned to 16 or 32. */
typedef struct store {
    fixture world;
    rn_slot *slot;
    ration_context *context;
    ration_frame *frame;
    ration_object_pool *pool;
    ration_charging *charging;
    ration_resource *resources[6];
} store;

static const char *const kind_names[] = {"heap",  "blocks",      "context",
                                         "frame", "object pool", "charging"};
#define KINDS 6

typedef struct misdeed {
    void (*act)(ration_resource *resource, ration_resource *other);
    int kind;
} misdeed;

static void open_store(store *here)
{
    here->world = fixture_open(INT64_C(1) << 40, INT64_MAX, MIB, false);
    here->slot = open_slot(here->world.first);
    ration_slot *slot = &here->slot->hot;
    ck_assert_int_eq(ration_context_create(NULL, slot, RATION_CONTEXT_SET, "rows", &here->context),
                     RATION_OK);
    ck_assert_int_eq(ration_frame_open(slot, "rows", &here->frame), RATION_OK);
    ck_assert_int_eq(ration_object_pool_open(slot, BLOCK_BYTES, 32, "rows", &here->pool),
                     RATION_OK);
    ck_assert_int_eq(ration_charging_open(ration_heap_resource(), slot, "rows", &here->charging),
                     RATION_OK);
    ration_resource *resources[KINDS] = {ration_heap_resource(),
                                         ration_slot_blocks(slot),
                                         ration_context_resource(here->context),
                                         ration_frame_resource(here->frame),
                                         ration_object_pool_resource(here->pool),
                                         ration_charging_resource(here->charging)};
    memcpy(here->resources, resources, sizeof(resources));
}

__attribute__((noinline)) static ration_block allocate_block(ration_resource *resource)
{
    ration_block block = {0};
    ck_assert_int_eq(ration_resource_allocate(resource, BLOCK_BYTES, 16, &block), RATION_OK);
    return block;
}

__attribute__((noinline)) static void free_block(ration_resource *resource, ration_block block)
{
    ration_resource_deallocate(resource, block, 16);
    __asm__ volatile("" ::: "memory");
}

static void free_twice(ration_resource *resource, ration_resource *other)
{
    (void)allocate_block(other); /* before: the heap would answer the same block again */
    ration_block block = allocate_block(resource);
    free_block(resource, block);
    ration_resource_deallocate(resource, block, 16);
}

static void free_twice_later(ration_resource *resource, ration_resource *other)
{
    ration_block before[20];
    ration_block block = allocate_block(resource);
    for (size_t i = 0; i < RN_COUNT(before); i++) {
        before[i] = allocate_block(i % 2 == 0 ? resource : other);
    }
    free_block(resource, block);
    for (size_t i = 0; i < RN_COUNT(before); i++) {
        ration_resource_deallocate(i % 2 == 0 ? resource : other, before[i], 16);
    }
    ration_resource_deallocate(resource, block, 16);
}

static void reallocate_freed(ration_resource *resource, ration_resource *other)
{
    (void)other;
    ration_block block = allocate_block(resource);
    free_block(resource, block);
    (void)!ration_resource_reallocate(resource, &block, 50, 16);
}

static void free_of_stack(ration_resource *resource, ration_resource *other)
{
    (void)other;
    (void)allocate_block(resource);
    _Alignas(16) char local[BLOCK_BYTES] = {0};
    ration_resource_deallocate(resource, (ration_block){local, BLOCK_BYTES}, 16);
}

static void free_inside(ration_resource *resource, ration_resource *other)
{
    (void)other;
    ration_block block = allocate_block(resource);
    block.memory = (char *)block.memory + 32;
    ration_resource_deallocate(resource, block, 16);
}

static void free_elsewhere(ration_resource *resource, ration_resource *other)
{
    ration_resource_deallocate(other, allocate_block(resource), 16);
}

static void free_larger(ration_resource *resource, ration_resource *other)
{
    (void)other;
    ration_block block = allocate_block(resource);
    block.bytes += 1;
    ration_resource_deallocate(resource, block, 16);
}

static void free_smaller(ration_resource *resource, ration_resource *other)
{
    (void)other;
    ration_block block = allocate_block(resource);
    block.bytes = BLOCK_BYTES / 2;
    ration_resource_deallocate(resource, block, 16);
}

static void free_with_other_align(ration_resource *resource, ration_resource *other)
{
    (void)other;
    ration_resource_deallocate(resource, allocate_block(resource), 32);
}

static void do_misdeed(void *argument)
{
    const misdeed *what = (const misdeed *)argument;
    store here;
    open_store(&here);
    what->act(here.resources[what->kind], here.resources[(what->kind + 1) % KINDS]);
}

/* Dies with a report that begins like this; `made` and `ended`: with the stacks of the allocation
 * and of the free. */
static void expect_report(int kind, void (*act)(ration_resource *, ration_resource *),
                          const char *error, bool made, bool ended)
{
    misdeed what = {act, kind};
    last_words words;
    listen_to(&words, do_misdeed, &what);
    char text[128];
    (void)snprintf(text, sizeof(text), "ration: %s", error);
    ck_assert_msg(died_by(&words, SIGABRT), "%s: %s\n%s", kind_names[kind], error, words.text);
    ck_assert_msg(strncmp(words.text, text, strlen(text)) == 0, "%s: %s\nin\n%s", kind_names[kind],
                  text, words.text);
    ck_assert_msg(strstr(words.text, "found by ration_resource_") != NULL, "%s", words.text);
    ck_assert_msg(!made || shows_frame(words.text, "allocated at:", "allocate_block"), "%s: %s",
                  kind_names[kind], words.text);
    ck_assert_msg(!ended || shows_frame(words.text, "freed at:", "free_block"), "%s: %s",
                  kind_names[kind], words.text);
}

START_TEST(test_safety_resources__double_free)
{
    expect_report(_i, free_twice, "double free of a block: 100 bytes at", true, true);
    expect_report(_i, free_twice_later, "double free of a block: 100 bytes at", true, true);
    expect_report(_i, reallocate_freed, "double free of a block: 100 bytes at", true, true);
}
END_TEST

START_TEST(test_safety_resources__foreign_free)
{
    expect_report(_i, free_of_stack, "foreign free: 100 bytes at", false, false);
    expect_report(_i, free_inside, "foreign free: 0x", true, false);
    expect_report(_i, free_elsewhere, "foreign free: the block of 100 bytes at", true, false);
}
END_TEST

START_TEST(test_safety_resources__mismatched_size_and_align)
{
    expect_report(_i, free_larger, "mismatched size: a block of 100 bytes at", true, false);
    expect_report(_i, free_smaller, "mismatched size: a block of 100 bytes at", true, false);
    expect_report(_i, free_with_other_align, "mismatched alignment: a block of 100 bytes at", true,
                  false);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("safety of resources");
    TCase *all = tcase_create("all");
    tcase_add_loop_test(all, test_safety_resources__double_free, 0, KINDS);
    tcase_add_loop_test(all, test_safety_resources__foreign_free, 0, KINDS);
    tcase_add_loop_test(all, test_safety_resources__mismatched_size_and_align, 0, KINDS);
    suite_add_tcase(suite, all);
    return run_suite(suite);
}

#else

int main(void)
{
    puts("skipped: these are errors that checked builds find");
    return 77;
}

#endif
