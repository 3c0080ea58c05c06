/* SPDX-License-Identifier: Apache-2.0
 *
 * `ration generate`: a seeded social network as CSV files with a manifest. */
#include "storage/generate.h"
#include "cli/options.h"

int rn_cli_generate(int argc, char **argv)
{
    const char *directory = NULL;
    double scale = 0.1;
    int64_t seed = 1;
    bool quiet = false;
    const rn_option options[] = {
        {"out", RN_OPTION_TEXT, "DIR", "where to write; made when missing", &directory, NULL},
        {"scale", RN_OPTION_DOUBLE, "S", "1 is 10,000 persons, about 220 MB (default 0.1)", &scale,
         NULL},
        {"seed", RN_OPTION_COUNT, "N", "the same seed and scale give the same bytes (default 1)",
         &seed, NULL},
        {"quiet", RN_OPTION_FLAG, NULL, "no progress, no summary", &quiet, NULL}};
    const rn_usage usage = {"generate",
                            "",
                            "writes a seeded social network: CSV files and DIR/manifest.yaml",
                            0,
                            0,
                            options,
                            RN_COUNT(options)};
    ration_error error;
    int first, code;

    if (!rn_options_parse(&usage, argc, argv, &first, &code)) {
        return code;
    }
    if (directory == NULL) {
        return rn_cli_usage_error("generate", "--out DIR is missing");
    }
    rn_generate_options generate = {.scale = scale, .seed = (uint64_t)seed, .progress = !quiet};
    if (rn_generate(directory, &generate, &error) != RATION_OK) {
        return rn_cli_error(&error);
    }
    if (!quiet) {
        (void)fprintf(stderr, "%s/manifest.yaml\n", directory);
    }
    return rn_cli_finish(0);
}
