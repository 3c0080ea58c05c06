/* SPDX-License-Identifier: Apache-2.0
 *
 * Questions over string ids, nulls, ranks and parallel edges, on NebulaGraph's players and teams.
 */
#include "tests/answers/answers.h"

static const struct {
    const char *plan, *rows;
} questions[] = {
    {"old", "Shaquille O'Neal|47\nGrant Hill|46\nJason Kidd|45\nSteve Nash|45\nRay Allen|43\nTim "
            "Duncan|42\n"
            "Vince Carter|42\nManu Ginobili|41\n"},
    {"nameless", "Null1|null|-1\nNull2|Null|-2\nNull3|NULL|-3\nNull4|-|-4\n"},
    {"quoted", "Shaquille O'Neal\nAmar'e Stoudemire\n"},
    {"second_time", "Dwyane Wade|Heat|2018|2019\nJason Kidd|Mavericks|2008|2012\nLeBron "
                    "James|Cavaliers|2014|2018\n"
                    "Marco Belinelli|Hornets|2016|2017\nMarco Belinelli|Spurs|2018|2019\nSteve "
                    "Nash|Suns|2004|2012\n"},
    {"mutual", "19|Amar'e Stoudemire|Vince Carter\n"},
    {"twice", "Dejounte Murray|Tony Parker|2|198\n"},
    {"teams",
     "Vince Carter|8|8|21\nMarco Belinelli|8|10|12\nShaquille O'Neal|6|6|19\nDwight Howard|6|6|15\n"
     "Rajon Rondo|6|6|13\n"},
    {"unrequited", "JaVale McGee\nKevin Durant\nKobe Bryant\nKyle Anderson\nStephen Curry\n"},
    {"liked", "Manu Ginobili|4|94.75|90|99\nTony Parker|6|83|50|99\nTim "
              "Duncan|10|80.4|55|99\nLeBron James|6|77|13|99\n"
              "Chris Paul|4|69.5|-1|99\n"},
    {"colleagues", "346|462|5\n"},
    {"reached", "0|1\n1|2\n2|1\n"},
    {"labels", "like|player|Manu Ginobili|95\nlike|player|Tony Parker|95\nserve|team|Spurs|null\n"},
};

START_TEST(test_nba__questions)
{
    char folder[PATH_MAX];
    if (!answers_find("nba", folder)) {
        return;
    }
    rn_test_world world;
    answers_open(&world, "nba_merged.yaml", folder);
    for (size_t i = 0; i < RN_COUNT(questions); i++) {
        rn_test_result result = answers_run(&world, "nba.yaml", questions[i].plan, "");
        ck_assert_msg(strcmp(result.text, questions[i].rows) == 0, "%s: expected\n%sgot\n%s",
                      questions[i].plan, questions[i].rows, result.text);
        rn_test_result_free(&result);
    }
    rn_test_close(&world);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {test_nba__questions};
    return support_run("nba", tests, RN_COUNT(tests));
}
