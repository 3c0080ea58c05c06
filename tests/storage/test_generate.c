/* SPDX-License-Identifier: Apache-2.0
 *
 * The generated network: the same bytes for the same seed, a graph that loads and makes sense,
 * and failures that leave nothing. */
#include "storage/generate.h"

#include <dirent.h>
#include <signal.h>
#include <sys/resource.h>

#include "tests/storage/graph_world.h"

/* Seed 7, scale 0.01 on every machine. */
#define GOLDEN_HASH UINT64_C(0x89aa1f2b3518e5f9)
#define FILES 32 /* 31 and the manifest */

static ration_status generate(const char *folder, double scale, uint64_t seed, ration_error *error)
{
    rn_generate_options options = {.scale = scale, .seed = seed, .progress = false};

    return rn_generate(folder, &options, error);
}

/* Files in a folder, and the sum of their hashes with their names: the order of the directory
 * does not matter. */
static uint64_t hash_folder(const char *folder, int *out_files)
{
    static char bytes[1 << 22];
    DIR *directory = opendir(folder);
    uint64_t sum = 0;
    int files = 0;

    ck_assert_ptr_nonnull(directory);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        char path[1024];
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        FILE *file = fopen(path, "rb");
        ck_assert_ptr_nonnull(file);
        size_t length = fread(bytes, 1, sizeof bytes, file);
        ck_assert_uint_lt(length, sizeof bytes);
        fclose(file);
        sum += rn_hash_bytes(rn_hash_bytes(1, entry->d_name, strlen(entry->d_name)), bytes, length);
        files++;
    }
    closedir(directory);
    *out_files = files;
    return sum;
}

START_TEST(test_generate__same_seed_same_bytes)
{
    char folder[512];
    const char *parent = support_folder();
    ration_error error = {0};
    uint64_t hashes[3];
    const uint64_t seeds[3] = {7, 7, 8};
    int files;

    for (int i = 0; i < 3; i++) {
        snprintf(folder, sizeof folder, "%s/%d", parent, i);
        support_ok(generate(folder, 0.01, seeds[i], &error), &error);
        hashes[i] = hash_folder(folder, &files);
        ck_assert_int_eq(files, FILES);
    }
    printf("hash=%016llx\n", (unsigned long long)hashes[0]);
    ck_assert_uint_eq(hashes[0], hashes[1]);
    ck_assert_uint_ne(hashes[0], hashes[2]);
    ck_assert_uint_eq(hashes[0], GOLDEN_HASH);
    support_ok(generate(folder, 0.01, 7, &error), &error);
    ck_assert_uint_eq(hash_folder(folder, &files), hashes[0]);
    support_remove(parent);
    ck_assert_int_eq(rn_heap_bytes(), 0);
}
END_TEST

static const int64_t *times_of(const rn_property *properties, int index)
{
    ck_assert_int_ge(index, 0);
    ck_assert_int_eq(properties[index].type.kind, RN_TIMESTAMP);
    ck_assert_ptr_null(properties[index].valid);
    return properties[index].data;
}

static const int64_t *label_times(const world *w, const char *name)
{
    const rn_label *label = rn_graph_label(w->graph, (uint32_t)rn_graph_find_label(w->graph, name));

    return times_of(label->properties, rn_label_find(label, "creationDate"));
}

/* Every edge of `name` is later than what it leads to and, unless NULL, than where it comes
 * from. `own` names the edge's date; NULL: the source's. */
static void check_later(const world *w, const char *name, const char *own, const int64_t *sources,
                        const int64_t *targets)
{
    const rn_edge_type *type = type_of(w, name);
    const int64_t *dates =
        own == NULL ? NULL : times_of(type->properties, rn_edge_type_find(type, own));
    const rn_adjacency *side = &type->forward;

    ck_assert_uint_gt(type->count, 0);
    for (uint32_t n = 0; n < side->count; n++) {
        for (uint64_t i = side->offsets[n]; i < side->offsets[n + 1]; i++) {
            uint32_t target = side->neighbours[i] - type->backward.first;
            int64_t date = dates == NULL ? sources[n] : dates[i];
            ck_assert_int_ge(date, targets[target]);
            ck_assert(dates == NULL || date >= sources[n]);
        }
    }
}

/* No two edges of the type have the same ends. */
static void check_once(const world *w, const char *name)
{
    const rn_adjacency *side = &type_of(w, name)->forward;

    for (uint32_t n = 0; n < side->count; n++) {
        for (uint64_t i = side->offsets[n] + 1; i < side->offsets[n + 1]; i++) {
            ck_assert_uint_lt(side->neighbours[i - 1], side->neighbours[i]);
        }
    }
}

/* Friendships: each once and in one direction, a few people with very many, triangles. */
static void check_friendships(const world *w)
{
    const rn_edge_type *knows = type_of(w, "person_knows_person");
    const rn_adjacency *out = &knows->forward;
    uint64_t most = 0, triangles = 0, first, end;

    check_once(w, "person_knows_person");
    for (uint32_t n = out->first; n < out->first + out->count; n++) {
        most = RN_MAX(most, degree_of(out, n) + degree_of(&knows->backward, n));
        ck_assert(!rn_adjacency_find(out, n, n, &first, &end));
        for (uint64_t i = out->offsets[n - out->first]; i < out->offsets[n - out->first + 1]; i++) {
            uint32_t a = out->neighbours[i];
            ck_assert(!rn_adjacency_find(out, a, n, &first, &end));
            for (uint64_t j = out->offsets[n - out->first]; j < i; j++) {
                uint32_t b = out->neighbours[j];
                triangles += rn_adjacency_find(out, a, b, &first, &end) ||
                             rn_adjacency_find(out, b, a, &first, &end);
            }
        }
    }
    uint64_t mean = 2 * (uint64_t)knows->count / out->count;
    ck_assert_uint_ge(mean, 12);
    ck_assert_uint_le(mean, 22);
    ck_assert_uint_gt(most, 6 * mean);
    ck_assert_uint_gt(triangles, out->count);
}

/* Every message has one author, one place; every comment one parent; every post one forum. */
static void check_once_each(const world *w, const char *name)
{
    const rn_adjacency *side = &type_of(w, name)->forward;

    for (uint32_t n = 0; n < side->count; n++) {
        ck_assert_uint_eq(side->offsets[n + 1] - side->offsets[n], 1);
    }
}

static void check_messages(const world *w)
{
    const rn_label *post =
        rn_graph_label(w->graph, (uint32_t)rn_graph_find_label(w->graph, "Post"));
    const rn_property *content = &post->properties[rn_label_find(post, "content")];
    const rn_property *length = &post->properties[rn_label_find(post, "length")];
    uint32_t longest = 0, nulls = 0;

    for (uint32_t i = 0; i < post->count; i++) {
        const rn_string *text = (const rn_string *)content->data + i;
        bool valid = rn_bit_get(content->valid, i);
        ck_assert_int_eq(((const int64_t *)length->data)[i], valid ? text->length : 0);
        longest = RN_MAX(longest, text->length);
        nulls += !valid;
    }
    ck_assert_uint_gt(longest, 1500);
    ck_assert_uint_le(longest, 2000);
    ck_assert_uint_gt(nulls, post->count / 20);
    check_once_each(w, "post_hasCreator_person");
    check_once_each(w, "comment_hasCreator_person");
    check_once_each(w, "post_isLocatedIn_country");
    check_once_each(w, "comment_isLocatedIn_country");
    check_once_each(w, "forum_hasModerator_person");
    check_once_each(w, "person_isLocatedIn_city");
    ck_assert_uint_eq(type_of(w, "forum_containerOf_post")->count, post->count);
    ck_assert_uint_eq(type_of(w, "comment_replyOf_post")->count +
                          type_of(w, "comment_replyOf_comment")->count,
                      type_of(w, "comment_hasCreator_person")->count);
}

START_TEST(test_generate__the_network_makes_sense)
{
    world w;

    world_open(&w, INT64_MAX);
    support_ok(generate(w.folder, 0.1, 42, &w.error), &w.error);
    snprintf(w.path, sizeof w.path, "%s/manifest.yaml", w.folder);
    must_load(&w, w.path);
    check_graph(&w);
    ck_assert_uint_eq(rn_graph_edge_type_count(w.graph), 22);
    const rn_label *person =
        rn_graph_label(w.graph, (uint32_t)rn_graph_find_label(w.graph, "Person"));
    ck_assert_uint_eq(person->count, 1000);
    ck_assert_ptr_nonnull(person->properties[rn_label_find(person, "birthday")].valid);
    ck_assert_ptr_nonnull(person->properties[rn_label_find(person, "email")].valid);
    const int64_t *persons = label_times(&w, "Person"), *forums = label_times(&w, "Forum");
    const int64_t *posts = label_times(&w, "Post"), *comments = label_times(&w, "Comment");
    check_later(&w, "person_knows_person", "creationDate", persons, persons);
    check_later(&w, "forum_hasMember_person", "joinDate", forums, persons);
    check_later(&w, "forum_hasModerator_person", NULL, forums, persons);
    check_later(&w, "post_hasCreator_person", NULL, posts, persons);
    check_later(&w, "comment_hasCreator_person", NULL, comments, persons);
    check_later(&w, "comment_replyOf_post", NULL, comments, posts);
    check_later(&w, "comment_replyOf_comment", NULL, comments, comments);
    check_later(&w, "person_likes_post", "creationDate", persons, posts);
    check_later(&w, "person_likes_comment", "creationDate", persons, comments);
    check_once(&w, "person_likes_post");
    check_once(&w, "person_likes_comment");
    check_once(&w, "forum_hasMember_person");
    check_once(&w, "person_hasInterest_tag");
    check_once(&w, "comment_hasTag_tag");
    check_friendships(&w);
    check_messages(&w);
    world_close(&w);
}
END_TEST

START_TEST(test_generate__refuses_bad_arguments)
{
    const char *folder = support_folder();
    const double scales[] = {0.0, -1.0, 1000.5, __builtin_nan(""), __builtin_inf()};
    ration_error error = {0};
    char path[512];

    for (size_t i = 0; i < RN_COUNT(scales); i++) {
        ck_assert_int_eq(generate(folder, scales[i], 1, &error), RATION_INVALID_ARGUMENT);
    }
    snprintf(path, sizeof path, "%s/no/such", folder);
    ck_assert_int_eq(generate(path, 0.01, 1, &error), RATION_FILE);
    snprintf(path, sizeof path, "%s", support_write(folder, "file", "x", 1));
    ck_assert_int_eq(generate(path, 0.01, 1, &error), RATION_FILE);
    support_remove(folder);
    ck_assert_int_eq(rn_heap_bytes(), 0);
}
END_TEST

/* Files end at 64 KiB: writing fails in the middle, and the folder is gone again; an older
 * network stays as it was. */
START_TEST(test_generate__a_failing_write_leaves_nothing)
{
    const char *parent = support_folder();
    char folder[512];
    ration_error error = {0};
    struct rlimit limit = {64 * 1024, 64 * 1024};
    int files;

    snprintf(folder, sizeof folder, "%s/old", parent);
    support_ok(generate(folder, 0.001, 1, &error), &error);
    uint64_t before = hash_folder(folder, &files);
    ck_assert_ptr_ne(signal(SIGXFSZ, SIG_IGN), SIG_ERR);
    ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    ck_assert_int_eq(generate(folder, 0.05, 1, &error), RATION_FILE);
    ck_assert_str_eq(error.message, "cannot write the file: File too large");
    ck_assert_uint_eq(hash_folder(folder, &files), before);
    snprintf(folder, sizeof folder, "%s/new", parent);
    ck_assert_int_eq(generate(folder, 0.05, 1, &error), RATION_FILE);
    ck_assert_int_ne(access(folder, F_OK), 0);
    ck_assert_int_eq(rn_heap_bytes(), 0);
    support_remove(parent);
}
END_TEST

START_TEST(test_generate__every_fault_is_a_status)
{
    const char *parent = support_folder();
    char folder[512];
    int files;

    snprintf(folder, sizeof folder, "%s/x", parent);
    for (int forever = 0; forever <= 1; forever++) {
        bool failed = true;
        for (int64_t n = 1; failed; n++) {
            ration_error error = {0};
            rn_heap_fail_after(n, forever);
            ration_status status = generate(folder, 0.001, 1, &error);
            rn_heap_fail_after(0, false);
            failed = status != RATION_OK;
            ck_assert_int_eq(rn_heap_bytes(), 0);
            if (failed) {
                ck_assert_int_eq(status, RATION_NO_MEMORY);
                ck_assert_int_ne(access(folder, F_OK), 0);
            } else {
                ck_assert_int_gt(n, FILES);
                (void)hash_folder(folder, &files);
                ck_assert_int_eq(files, FILES);
                support_remove(folder);
            }
        }
    }
    support_remove(parent);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_generate__same_seed_same_bytes, test_generate__the_network_makes_sense,
        test_generate__refuses_bad_arguments, test_generate__a_failing_write_leaves_nothing,
        test_generate__every_fault_is_a_status};
    return support_run("generate", tests, RN_COUNT(tests));
}
