/* SPDX-License-Identifier: Apache-2.0
 *
 * Files that are no sound region are refused, with the reason, before anything in them is followed;
 * and lists, sums and counts are believed of none. */
#include <fcntl.h>

#include "tests/memory/processes.h"

static const rn_share_sizes sizes = {.processes = 8, .pools = 16, .slots = 16};

START_TEST(test_shared__sizes_are_checked)
{
    const rn_share_sizes wrong[] = {{0, 1, 1},  {1, 0, 1},         {1, 1, 0},
                                    {1, 1, -1}, {1, 1, INT64_MAX}, {1, INT64_MAX / 8, 1}};
    for (size_t i = 0; i < RN_COUNT(wrong); i++) {
        int file = memfd_create("ration-test", MFD_CLOEXEC);
        rn_ledger *ledger = NULL;
        ck_assert_int_eq(rn_ledger_create_shared(file, &wrong[i], 0, &ledger, NULL),
                         RATION_INVALID_ARGUMENT);
        ck_assert_ptr_null(ledger);
        (void)close(file);
    }
    stage *here = stage_open(&sizes, PROCESSES_LIMIT);
    rn_ledger *ledger;
    ck_assert_int_eq(rn_ledger_create_shared(here->descriptor, &sizes, 0, &ledger, NULL),
                     RATION_INVALID_ARGUMENT); /* not over what is there */
    stage_close(here);
}
END_TEST

/* -------------------------------------------------------------------------------- damaged files */

/* A region with a pool and a slot in use, spoilt, is refused; and the message says why. */
static void refuse_spoilt(void (*spoil)(stage *here, rn_share *share), ration_status expected,
                          const char *why)
{
    stage *here = stage_open(&sizes, PROCESSES_LIMIT);
    member self = join_region(here);
    rn_slot *slot = take_slot(&self);
    spoil(here, rn_share_of(self.ledger));
    bool alone;
    rn_ledger *ledger = NULL;
    ration_error error;
    ck_assert_int_eq(rn_ledger_join_shared(here->descriptor, 0, &ledger, &alone, &error), expected);
    ck_assert_msg(strstr(error.message, why) != NULL, "%s: not in: %s", why, error.message);
    ck_assert_ptr_null(ledger);
    (void)slot; /* the spoilt region is left as it is */
    (void)close(here->descriptor);
}

static void cut_file(stage *here, rn_share *share)
{
    ck_assert_int_eq(ftruncate(here->descriptor, (off_t)(share->bytes - 1)), 0);
}
static void cut_header(stage *here, rn_share *share)
{
    (void)share;
    ck_assert_int_eq(ftruncate(here->descriptor, 64), 0);
}
static void empty_file(stage *here, rn_share *share)
{
    (void)share;
    ck_assert_int_eq(ftruncate(here->descriptor, 0), 0);
}
static void change_magic(stage *here, rn_share *share)
{
    (void)here;
    share->magic[0] = 'X';
}
static void change_layout(stage *here, rn_share *share)
{
    (void)here;
    share->layout ^= 1;
}
static void change_version(stage *here, rn_share *share)
{
    (void)here;
    memset(share->version, '9', sizeof(share->version));
}
static void change_sizes(stage *here, rn_share *share)
{
    (void)here;
    share->sizes.slots = INT64_MAX;
}
static void change_epoch(stage *here, rn_share *share)
{
    (void)here;
    share->epoch += 1;
}
static void lead_parent_out(stage *here, rn_share *share)
{
    (void)here;
    rn_share_pool(share, 2)->parent.distance = (int64_t)1 << 40;
}
static void lead_parent_into_the_middle(stage *here, rn_share *share)
{
    (void)here;
    rn_share_pool(share, 2)->parent.distance += 8;
}
static void lead_parent_round(stage *here, rn_share *share)
{
    (void)here;
    rn_link_set(&rn_share_pool(share, 0)->parent, rn_share_pool(share, 2));
}
static void lead_parent_to_a_free_place(stage *here, rn_share *share)
{
    (void)here;
    rn_link_set(&rn_share_pool(share, 2)->parent, rn_share_pool(share, 9));
}
static void lead_slot_out(stage *here, rn_share *share)
{
    (void)here;
    rn_share_slot(share, 0)->pool.distance = -((int64_t)1 << 40);
}
static void lead_slot_to_a_slot(stage *here, rn_share *share)
{
    (void)here;
    rn_link_set(&rn_share_slot(share, 0)->pool, rn_share_slot(share, 0));
}
static void make_two_roots(stage *here, rn_share *share)
{
    (void)here;
    rn_link_set(&rn_share_pool(share, 2)->parent, NULL);
}
static void unname_pool(stage *here, rn_share *share)
{
    (void)here;
    memset(rn_share_pool(share, 2)->name, 'x', RN_POOL_NAME_BYTES);
}

START_TEST(test_shared__refuses_what_is_no_region)
{
    refuse_spoilt(cut_file, RATION_FILE, "is damaged");
    refuse_spoilt(cut_header, RATION_FILE, "holds no shared ledger");
    refuse_spoilt(empty_file, RATION_FILE, "holds no shared ledger");
    refuse_spoilt(change_magic, RATION_FILE, "holds no shared ledger");
    refuse_spoilt(change_layout, RATION_FILE, "another build");
    refuse_spoilt(change_version, RATION_FILE, "made by version 9999");
    refuse_spoilt(change_sizes, RATION_FILE, "is damaged");
    refuse_spoilt(change_epoch, RATION_ENVIRONMENT, "before this boot");
    refuse_spoilt(lead_parent_out, RATION_FILE, "lead out");
    refuse_spoilt(lead_parent_into_the_middle, RATION_FILE, "lead out");
    refuse_spoilt(lead_parent_round, RATION_FILE, "lead out");
    refuse_spoilt(lead_parent_to_a_free_place, RATION_FILE, "lead out");
    refuse_spoilt(lead_slot_out, RATION_FILE, "lead out");
    refuse_spoilt(lead_slot_to_a_slot, RATION_FILE, "lead out");
    refuse_spoilt(make_two_roots, RATION_FILE, "lead out");
    refuse_spoilt(unname_pool, RATION_FILE, "lead out");
    bool alone;
    rn_ledger *ledger;
    int folder = open("/", O_RDONLY | O_CLOEXEC);
    ck_assert_int_eq(rn_ledger_join_shared(folder, 0, &ledger, &alone, NULL), RATION_FILE);
    ck_assert_int_eq(rn_ledger_join_shared(-1, 0, &ledger, &alone, NULL), RATION_FILE);
    (void)close(folder);
}
END_TEST

/* Lists, sums and counts are nobody's word: they are built anew when somebody joins. */
START_TEST(test_shared__believes_no_list)
{
    stage *here = stage_open(&sizes, PROCESSES_LIMIT);
    member self = join_region(here);
    rn_slot *slot = take_slot(&self);
    ck_assert_int_eq(charge(slot, MIB), RATION_OK);
    self.root->child.distance = (int64_t)1 << 40;
    self.pool->slots[0].distance = 8;
    self.pool->next.distance = -8;
    slot->next.distance = (int64_t)1 << 40;
    self.ledger->root.distance = 1;
    slot->ticket.state = RN_TICKET_WAITING;
    slot->ticket.pool.distance = (int64_t)1 << 40;
    slot->ticket.next.distance = 8;
    self.root->waiting = 9;
    self.ledger->first_waiting.distance = 1;
    self.queries->held = -1;
    self.queries->granted = INT64_MAX;
    self.root->slots_below = 1000;
    member other = join_bare(here);
    check_tree(&other);
    ck_assert_int_eq(rn_ticket_read(slot), RN_TICKET_GRANTED); /* of 0 bytes */
    rn_ticket_leave(slot);
    ck_assert_int_eq(read_pool(other.root).charged_bytes, MIB);
    leave_region(&other);
    release(slot, MIB);
    rn_slot_close(slot);
    leave_region(&self);
    stage_close(here);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("shared_damage");
    TCase *tests = tcase_create("shared_damage");
    tcase_add_test(tests, test_shared__sizes_are_checked);
    tcase_add_test(tests, test_shared__refuses_what_is_no_region);
    tcase_add_test(tests, test_shared__believes_no_list);
    suite_add_tcase(suite, tests);
    return run_suite(suite);
}
