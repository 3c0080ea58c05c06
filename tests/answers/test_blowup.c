/* SPDX-License-Identifier: Apache-2.0
 *
 * Counts of paths, pairs and triangles over three graphs from SNAP, where two hops are many times
 * the edges. */
#include "tests/answers/answers.h"

typedef struct answers {
    const char *file;
    int64_t edges, two_hops, three_hops, pairs, triangles;
    int64_t two_hop_walks, three_hop_walks; /* with self-loops */
} answers;

static void count_all(const answers *expected)
{
    char path[PATH_MAX];
    if (!answers_find(expected->file, path)) {
        return;
    }
    rn_test_world world;
    rn_test_open_file(&world, NULL, path);
    answers_count(&world, "blowup.yaml", "edges", expected->edges);
    answers_count(&world, "blowup.yaml", "two_hops", expected->two_hops);
    answers_count(&world, "blowup.yaml", "three_hops", expected->three_hops);
    answers_count(&world, "blowup.yaml", "two_hop_walks", expected->two_hop_walks);
    answers_count(&world, "blowup.yaml", "three_hop_walks", expected->three_hop_walks);
    answers_count(&world, "blowup.yaml", "pairs", expected->pairs);
    answers_count(&world, "blowup.yaml", "pairs_by_start", expected->pairs);
    answers_count(&world, "blowup.yaml", "triangles", expected->triangles);
    answers_count(&world, "blowup.yaml", "triangles_join", expected->triangles);
    rn_test_close(&world);
}

START_TEST(test_blowup__grqc)
{
    static const answers grqc = {
        "snap/grqc/edges.csv", 28968, 488702, 13558756, 158477, 48260, 488852, 13560523};
    count_all(&grqc);
}
END_TEST

START_TEST(test_blowup__lastfm)
{
    static const answers lastfm = {
        "snap/lastFM/edges.csv", 55612, 1413772, 36883174, 774438, 40433, 1413772, 36883174};
    count_all(&lastfm);
}
END_TEST

START_TEST(test_blowup__gnutella31)
{
    static const answers gnutella = {
        "p2p-31/p2p-31.e", 147892, 538318, 1981306, 537601, 2024, 538318, 1981306};
    count_all(&gnutella);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_blowup__grqc, test_blowup__lastfm, test_blowup__gnutella31};
    return support_run("blowup", tests, RN_COUNT(tests));
}
