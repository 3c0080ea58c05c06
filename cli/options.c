/* SPDX-License-Identifier: Apache-2.0
 *
 * Option tables over getopt_long. The messages are our own: getopt's know no "did you mean". */
#include "cli/options.h"

#include <getopt.h>
#include <math.h>
#include <stdlib.h>

static void print_help(const rn_usage *usage)
{
    printf("ration %s: %s\n\nusage: ration %s%s%s%s\n\n", usage->command, usage->sentence,
           usage->command, usage->option_count > 0 ? " [options]" : "",
           usage->operands[0] != '\0' ? " " : "", usage->operands);
    for (size_t i = 0; i < usage->option_count; i++) {
        const rn_option *option = &usage->options[i];
        char left[64];
        rn_text text = rn_text_over(left, sizeof left);
        rn_text_format(&text, "--%s%s%s", option->name, option->argument != NULL ? " " : "",
                       option->argument != NULL ? option->argument : "");
        printf("  %-26s %s\n", left, option->sentence);
    }
    printf("  %-26s %s\n", "--help", "this text");
}

static void refuse_unknown(const rn_usage *usage, const char *word)
{
    const char *names[RN_OPTIONS_MAX + 1];
    for (size_t i = 0; i < usage->option_count; i++) {
        names[i] = usage->options[i].name;
    }
    names[usage->option_count] = "help";
    char name[64];
    rn_copy_text(name, sizeof name, word + strspn(word, "-"));
    name[strcspn(name, "=")] = '\0';
    const char *nearest = rn_nearest(name, names, usage->option_count + 1);
    if (nearest != NULL) {
        (void)rn_cli_usage_error(usage->command, "unknown option '%s' (did you mean '--%s'?)", word,
                                 nearest);
    } else {
        (void)rn_cli_usage_error(usage->command, "unknown option '%s'", word);
    }
}

static bool take_choice(const rn_usage *usage, const rn_option *option, const char *value)
{
    char known[256];
    rn_text text = rn_text_over(known, sizeof known);
    for (int i = 0; option->choices[i] != NULL; i++) {
        if (strcmp(option->choices[i], value) == 0) {
            *(int *)option->target = i;
            return true;
        }
        rn_text_format(&text, "%s%s", i > 0 ? ", " : "", option->choices[i]);
    }
    (void)rn_cli_usage_error(usage->command, "--%s is one of %s, not '%s'", option->name, known,
                             value);
    return false;
}

static bool take_number(const rn_usage *usage, const rn_option *option, const char *value)
{
    size_t length = strlen(value);
    if (option->type == RN_OPTION_SIZE) {
        if (rn_parse_size(value, length, (int64_t *)option->target)) {
            return true;
        }
        (void)rn_cli_usage_error(usage->command, "--%s takes a size such as 512MiB, not '%s'",
                                 option->name, value);
        return false;
    }
    if (option->type == RN_OPTION_COUNT) {
        int64_t number;
        if (rn_parse_int64(value, length, &number) && number >= 0) {
            *(int64_t *)option->target = number;
            return true;
        }
        (void)rn_cli_usage_error(usage->command, "--%s takes a whole number from 0, not '%s'",
                                 option->name, value);
        return false;
    }
    double number;
    if (rn_parse_double(value, length, &number) && isfinite(number)) {
        *(double *)option->target = number;
        return true;
    }
    (void)rn_cli_usage_error(usage->command, "--%s takes a number, not '%s'", option->name, value);
    return false;
}

static bool take_value(const rn_usage *usage, const rn_option *option, const char *value)
{
    switch (option->type) {
    case RN_OPTION_FLAG:
        *(bool *)option->target = true;
        return true;
    case RN_OPTION_TEXT:
        *(const char **)option->target = value;
        return true;
    case RN_OPTION_CHOICE:
        return take_choice(usage, option, value);
    case RN_OPTION_LIST: {
        rn_option_list *list = option->target;
        if (list->count == RN_OPTION_LIST_MAX) {
            (void)rn_cli_usage_error(usage->command, "--%s is given more than %u times",
                                     option->name, RN_OPTION_LIST_MAX);
            return false;
        }
        list->values[list->count++] = value;
        return true;
    }
    case RN_OPTION_SIZE:
    case RN_OPTION_COUNT:
    case RN_OPTION_DOUBLE:
        break;
    }
    return take_number(usage, option, value);
}

/* getopt leaves in optopt: 0 = no such long option; the number of a known one whose value is
 * missing or too much; else the letter of a short one (there are none but -h). */
static void refuse_word(const rn_usage *usage, int found, const char *word)
{
    if (optopt >= 1 && (size_t)optopt <= usage->option_count) {
        const rn_option *option = &usage->options[optopt - 1];
        if (found == ':') {
            (void)rn_cli_usage_error(usage->command, "--%s needs a value: --%s %s", option->name,
                                     option->name, option->argument);
        } else {
            (void)rn_cli_usage_error(usage->command, "--%s takes no value", option->name);
        }
    } else if (optopt > (int)RN_OPTIONS_MAX + 1) {
        const char letter[3] = {'-', (char)optopt, '\0'};
        (void)rn_cli_usage_error(usage->command, "unknown option '%s'", letter);
    } else {
        refuse_unknown(usage, word);
    }
}

bool rn_options_parse(const rn_usage *usage, int argc, char **argv, int *out_first, int *out_code)
{
    rn_assert(usage->option_count <= RN_OPTIONS_MAX);
    struct option table[RN_OPTIONS_MAX + 2];
    memset(table, 0, sizeof table);
    const int help = (int)usage->option_count + 1;
    for (size_t i = 0; i < usage->option_count; i++) {
        table[i].name = usage->options[i].name;
        table[i].has_arg = usage->options[i].argument != NULL ? required_argument : no_argument;
        table[i].val = (int)i + 1;
    }
    table[usage->option_count].name = "help";
    table[usage->option_count].val = help;

    *out_code = RN_EXIT_USAGE;
    opterr = 0;
    optind = 0; /* GNU: forget an earlier parse */
    for (;;) {
        int found = getopt_long(argc, argv, ":h", table, NULL);
        if (found == -1) {
            break;
        }
        if (found == help || found == 'h') {
            print_help(usage);
            *out_code = rn_cli_finish(0);
            return false;
        }
        if (found == '?' || found == ':') {
            refuse_word(usage, found, argv[optind - 1]);
            return false;
        }
        if (!take_value(usage, &usage->options[found - 1], optarg)) {
            return false;
        }
    }
    int operands = argc - optind;
    if (operands < usage->operands_min) {
        (void)rn_cli_usage_error(usage->command, "missing operand: ration %s %s", usage->command,
                                 usage->operands);
        return false;
    }
    if (operands > usage->operands_max) {
        (void)rn_cli_usage_error(usage->command, "one operand too many: '%s'",
                                 argv[optind + usage->operands_max]);
        return false;
    }
    *out_first = optind;
    return true;
}
