/* SPDX-License-Identifier: Apache-2.0
 *
 * Any 256 KiB as a memory.yaml: answered, within a bound of memory and of work. Shapes that are
 * the worst of their kind, each repeated to exactly RN_YAML_BYTES_MAX, and the kept corpus of the
 * fuzzer, as it is and repeated so.
 *
 * What decides is counted: bytes that malloc gave (libyaml's too), calls of malloc, and calls of
 * strcmp, in which looking for duplicate keys would be quadratic. Milliseconds are printed and
 * decide nothing. Sanitizers and valgrind have a malloc of their own; then only the answers are
 * tested. */
#include <dirent.h>
#include <malloc.h>
#include <time.h>

#include "base/heap.h"
#include "config/limits.h"
#include "tests/support.h"

#define BYTES ((size_t)RN_YAML_BYTES_MAX)
#define HELD_BYTES_MAX (INT64_C(8) << 20)
#define ALLOCATIONS_MAX INT64_C(600000)
#define COMPARISONS_MAX INT64_C(5000000)

#define COUNTING (!RN_ASAN && !RN_TSAN)

/* --------------------------------------------------------------------------------------- counts */

static struct counts {
    int64_t held_bytes, most_bytes, allocations, comparisons;
} counts;

#if COUNTING
#pragma GCC visibility push(default) /* libyaml finds them too */
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *memory, size_t bytes);
void *__libc_memalign(size_t align, size_t bytes);
void __libc_free(void *memory);

static void *count_taken(void *memory)
{
    counts.held_bytes += memory != NULL ? (int64_t)malloc_usable_size(memory) : 0;
    counts.most_bytes = RN_MAX(counts.most_bytes, counts.held_bytes);
    counts.allocations++;
    return memory;
}

void *malloc(size_t bytes)
{
    return count_taken(__libc_malloc(bytes));
}

void *calloc(size_t count, size_t bytes)
{
    return count_taken(__libc_calloc(count, bytes));
}

void *aligned_alloc(size_t align, size_t bytes)
{
    return count_taken(__libc_memalign(align, bytes));
}

void free(void *memory)
{
    counts.held_bytes -= memory != NULL ? (int64_t)malloc_usable_size(memory) : 0;
    __libc_free(memory);
}

void *realloc(void *memory, size_t bytes)
{
    int64_t before = memory != NULL ? (int64_t)malloc_usable_size(memory) : 0;
    void *grown = count_taken(__libc_realloc(memory, bytes)); /* both may be there for a moment */
    counts.held_bytes -= grown != NULL ? before : 0;
    return grown;
}

int strcmp(const char *a, const char *b)
{
    counts.comparisons++;
    while (*a != '\0' && *a == *b) {
        a++;
        b++;
    }
    return (unsigned char)*a - (unsigned char)*b;
}
#pragma GCC visibility pop
#endif

static char *text;
static char slowest[64], largest[64], busiest[64];
static double slowest_ms;
static struct counts worst;
static int answered;

static double processor_ms(void)
{
    struct timespec now;
    ck_assert_int_eq(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now), 0);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void note_worst(const char *name, double ms)
{
    if (ms > slowest_ms) {
        slowest_ms = ms;
        rn_copy_text(slowest, sizeof(slowest), name);
    }
    if (counts.most_bytes > worst.most_bytes) {
        worst.most_bytes = counts.most_bytes;
        rn_copy_text(largest, sizeof(largest), name);
    }
    if (counts.comparisons > worst.comparisons) {
        worst.comparisons = counts.comparisons;
        rn_copy_text(busiest, sizeof(busiest), name);
    }
    worst.allocations = RN_MAX(worst.allocations, counts.allocations);
}

/* Answers, leaves nothing, stays within the bounds. */
static void expect_answer(const char *name, size_t length)
{
    ration_limits limits = {.size = 0};
    ration_error error = {.size = 0};
    counts = (struct counts){0};
    double start = processor_ms();
    ration_status status = rn_limits_parse("hostile.yaml", text, length, &limits, &error);
    double ms = processor_ms() - start;
    const struct counts found = counts;
    ck_assert_msg(status == RATION_OK || status == RATION_CONFIG, "%s: %d", name, (int)status);
    ck_assert_msg(status == RATION_OK || (error.line > 0 && error.column > 0), "%s", name);
    ck_assert_msg((status == RATION_OK) == (limits.size != 0), "%s", name);
    ck_assert_int_eq(rn_heap_bytes(), 0);
    ck_assert_msg(found.held_bytes == 0, "%s leaves %lld bytes", name, (long long)found.held_bytes);
    ck_assert_msg(found.most_bytes <= HELD_BYTES_MAX, "%s: %lld bytes held", name,
                  (long long)found.most_bytes);
    ck_assert_msg(found.allocations <= ALLOCATIONS_MAX, "%s: %lld allocations", name,
                  (long long)found.allocations);
    ck_assert_msg(found.comparisons <= COMPARISONS_MAX, "%s: %lld comparisons", name,
                  (long long)found.comparisons);
    counts = found;
    note_worst(name, ms);
    answered++;
}

static void print_worst(const char *what)
{
    printf("%s: %d texts; slowest %.1f ms (%s)", what, answered, slowest_ms, slowest);
    if (worst.allocations > 0) {
        printf(", most memory %.2f MiB (%s), %lld allocations, %lld comparisons (%s)",
               (double)worst.most_bytes / (1 << 20), largest, (long long)worst.allocations,
               (long long)worst.comparisons, busiest);
    }
    printf("\n");
}

static void open_text(void)
{
    text = malloc(BYTES + 1);
    ck_assert_ptr_nonnull(text);
    answered = 0;
}

/* --------------------------------------------------------------------------------------- shapes */

struct shape {
    const char *name, *head, *unit, *tail;
    size_t unit_length; /* 0: strlen(unit) */
};

/* '@' in a unit becomes four letters that differ from unit to unit. */
static const struct shape shapes[] = {
    {"open brackets", "", "[", "", 0},
    {"open braces", "", "{", "", 0},
    {"open brackets, a line each", "", "[\n", "", 0},
    {"brackets", "", "[]", "", 0},
    {"brackets in a list", "[", "[],", "[]]", 0},
    {"braces in a list", "[", "{},", "{}]", 0},
    {"dashes", "", "- ", "", 0},
    {"dashes, a line each", "", "-\n", "", 0},
    {"items", "", "- a\n", "", 0},
    {"list", "[", "a,", "a]", 0},
    {"list of quoted", "[", "'a',", "'a']", 0},
    {"list of nothing", "[", ",", "]", 0},
    {"question marks", "", "? ", "", 0},
    {"question marks, a line each", "", "?\n", "", 0},
    {"questions", "", "? a@\n", "", 0},
    {"colons", "", ":\n", "", 0},
    {"wide mapping", "", "@:\n", "", 0},
    {"wide flow mapping", "{", "@,", "a}", 0},
    {"many groups", "groups:\n", " @:\n", "", 0},
    {"many flow groups", "groups: {", "@: {},", "a: {}}", 0},
    {"near misses", "", "limit_byte@: 1\n", "", 0},
    {"near misses in a group", "groups:\n web:\n", "  shar@: 1\n", "", 0},
    {"known keys", "", "limit_bytes: 1GiB\n", "", 0},
    {"long key", "", "a", ": 1\n", 0},
    {"long near key", "limit_", "b", ": 1\n", 0},
    {"long quoted key", "\"", "a", "\": 1\n", 0},
    {"long explicit key", "? ", "a", "\n: 1\n", 0},
    {"long amount", "limit_bytes: ", "9", "\n", 0},
    {"long fraction", "limit_bytes: 1.", "0", "GiB\n", 0},
    {"long ratio", "limit_ratio: 0.8", "0", "\n", 0},
    {"long blanks in an amount", "limit_bytes: 1", " ", "GiB\n", 0},
    {"long number", "query_rows_max: ", "1", "\n", 0},
    {"long switch", "prefault: ", "true", "\n", 0},
    {"long word", "limit_base: ", "available", "\n", 0},
    {"long path", "spill_directory: ", "/..x", "\n", 0},
    {"long path of dots", "spill_directory: /", "../", "\n", 0},
    {"long quoted path", "spill_directory: \"", "/a", "\"\n", 0},
    {"lines of a plain text", "limit_bytes: a\n", " b\n", "", 0},
    {"blank lines in a plain text", "limit_bytes: a\n", "\n", " b\n", 0},
    {"lines of a quoted text", "spill_directory: \"", "\n", "\"\n", 0},
    {"blanks of a quoted text", "spill_directory: \"", " ", "\"\n", 0},
    {"escapes", "spill_directory: \"", "\\x41", "\"\n", 0},
    {"wide escapes", "spill_directory: \"", "\\U0010FFFF", "\"\n", 0},
    {"escaped line ends", "spill_directory: \"", "\\\n", "\"\n", 0},
    {"folded text", "spill_directory: >\n", " a\n", "", 0},
    {"folded blank lines", "spill_directory: >\n", "\n", "", 0},
    {"literal text", "spill_directory: |\n", "  x\n", "", 0},
    {"literal blanks", "spill_directory: |\n", " \n", "", 0},
    {"literal deeper and deeper", "spill_directory: |\n", "     \n ", "", 0},
    {"comment", "#", "x", "", 0},
    {"comments", "", "#\n", "", 0},
    {"comments behind blanks", "", "   #\n", "", 0},
    {"blank lines", "", "\n", "", 0},
    {"blanks", "", " ", "", 0},
    {"tabs", "", "\t", "", 0},
    {"tabs behind a key", "limit_bytes:", "\t", "1", 0},
    {"carriage returns", "", "\r", "", 0},
    {"both line ends", "", "\r\n", "", 0},
    {"next lines", "", "\xC2\x85", "", 0},
    {"line separators", "spill_directory: \"", "\xE2\x80\xA8", "\"", 0},
    {"anchors", "", "&a ", "", 0},
    {"anchors in a list", "[", "&a a,", "a]", 0},
    {"long anchor", "&", "a", "", 0},
    {"aliases", "[", "*a,", "*a]", 0},
    {"long alias", "*", "a", "", 0},
    {"tags", "[", "!!a b,", "a]", 0},
    {"long tag", "!<", "a", ">", 0},
    {"tag escapes", "!", "%41", "", 0},
    {"directives", "", "%TAG !a! b\n", "", 0},
    {"different directives", "", "%TAG !@! b\n", "", 0},
    {"directives without line feeds", "", "%TAG !@! b\r", "", 0},
    {"directives on next lines", "", "%TAG !@! b\xC2\x85", "", 0},
    {"directives on separated lines", "", "%TAG !@! b\xE2\x80\xA9", "", 0},
    {"per cent signs", "#", "%", "", 0},
    {"long directive", "%", "a", "", 0},
    {"documents", "", "---\n", "", 0},
    {"document ends", "", "...\n", "", 0},
    {"merge keys", "", "<<: 1\n", "", 0},
    {"four byte characters", "limit_bytes: ", "\xF0\x9F\x98\x80", "\n", 0},
    {"last character", "limit_bytes: ", "\xF4\x8F\xBF\xBF", "\n", 0},
    {"behind the last character", "limit_bytes: ", "\xF4\x90\x80\x80", "\n", 0},
    {"surrogates", "#", "\xED\xA0\x80", "", 0},
    {"overlong", "#", "\xC0\x80", "", 0},
    {"no characters", "#", "\xEF\xBF\xBE", "", 0},
    {"byte order marks", "", "\xEF\xBB\xBF", "", 0},
    {"byte order marks in lines", "", "\xEF\xBB\xBF\n", "", 0},
    {"continuation bytes", "#", "\x80", "", 0},
    {"cut character", "#", "x", "\xF0\x9F\x98", 0},
    {"wrong last byte", "#", "x", "\xFF", 0},
    {"NUL", "#", "\0", "", 1},
    {"NUL in lines", "", "\0\n", "", 2},
    {"all bytes", "", "\x01\x02\x03\x04\x05\x06\x07\x08\x0E\x0F\x10\x11\x7F\xFE\xFF", "", 0},
};

static size_t put(size_t at, const char *bytes, size_t length)
{
    ck_assert_uint_le(at + length, BYTES);
    memcpy(text + at, bytes, length);
    return at + length;
}

static void put_unit(size_t at, const char *unit, size_t length, unsigned number)
{
    for (size_t i = 0; i < length; i++) {
        if (unit[i] != '@') {
            text[at++] = unit[i];
            continue;
        }
        for (int k = 0; k < 4; k++, number /= 26) {
            text[at++] = (char)('a' + number % 26);
        }
    }
}

/* head, unit.., tail, and lines' ends up to BYTES. */
static void put_shape(const struct shape *shape)
{
    size_t length = shape->unit_length > 0 ? shape->unit_length : strlen(shape->unit);
    size_t tail = strlen(shape->tail);
    size_t step = length + (memchr(shape->unit, '@', length) != NULL ? 3 : 0);
    size_t at = put(0, shape->head, strlen(shape->head));
    for (unsigned number = 0; at + step + tail <= BYTES; number++, at += step) {
        put_unit(at, shape->unit, length, number);
    }
    at = put(at, shape->tail, tail);
    memset(text + at, '\n', BYTES - at);
}

START_TEST(test_hostile__shapes_are_answered)
{
    open_text();
    for (size_t i = 0; i < RN_COUNT(shapes); i++) {
        put_shape(&shapes[i]);
        expect_answer(shapes[i].name, BYTES);
    }
    print_worst("shapes of 256 KiB");
    free(text);
}
END_TEST

/* Mappings as wide as they may be, one after another: each key is compared with those before. */
START_TEST(test_hostile__wide_mappings_are_answered)
{
    open_text();
    size_t at = put(0, "[", 1);
    while (at + 8 * 1024 < BYTES) {
        text[at++] = '{';
        for (int i = 0; i < 1000; i++) {
            text[at++] = (char)('a' + i / 40);
            text[at++] = (char)('0' + i % 10 + (i / 10 % 4) * 16);
            text[at++] = i < 999 ? ',' : '}';
        }
        text[at++] = ',';
    }
    at = put(at, "a]", 2);
    memset(text + at, '\n', BYTES - at);
    expect_answer("wide mappings", BYTES);
    print_worst("wide mappings");
    free(text);
}
END_TEST

/* As much as is right: 64 groups with every key, and a comment up to the end. */
START_TEST(test_hostile__the_largest_right_file_is_read)
{
    open_text();
    size_t count, at = put(0, "groups:\n", 8);
    const rn_limits_key *keys = rn_limits_group_keys(&count);
    for (int group = 0; group < RATION_GROUPS_MAX; group++) {
        rn_text line = rn_text_over(text + at, BYTES - at);
        rn_text_format(&line, "  \"a group whose name is long, %02d\":\n", group);
        for (size_t i = 0; i < count; i++) {
            rn_text_format(&line, "    %s: ", keys[i].name);
            rn_limits_put_amount(&line, &keys[i], keys[i].maximum);
            rn_text_put(&line, "\n");
        }
        at += line.length;
    }
    keys = rn_limits_keys(&count);
    rn_text line = rn_text_over(text + at, BYTES - at);
    for (size_t i = 0; i < count; i++) {
        rn_text_format(&line, "%s: ", keys[i].name);
        rn_limits_put_default(&line, &keys[i]);
        rn_text_put(&line, "\n");
    }
    at += line.length;
    memset(text + at, '#', BYTES - at);
    ration_limits limits;
    ration_error error;
    support_ok(rn_limits_parse("right.yaml", text, BYTES, &limits, &error), &error);
    ck_assert_int_eq(limits.group_count, RATION_GROUPS_MAX);
    expect_answer("all keys and groups", BYTES);
    print_worst("largest right file");
    free(text);
}
END_TEST

/* One byte more than is read, and bounds just met and just passed. */
START_TEST(test_hostile__bounds_are_exact)
{
    ration_limits limits;
    ration_error error;
    text = malloc(BYTES + 1);
    memset(text, ' ', BYTES + 1);
    ck_assert_int_eq(rn_limits_parse("b.yaml", text, BYTES, &limits, &error), RATION_OK);
    ck_assert_int_eq(rn_limits_parse("b.yaml", text, BYTES + 1, &limits, &error), RATION_CONFIG);
    rn_yaml_file file;
    for (size_t nodes = RN_YAML_CONFIG_NODES_MAX - 1; nodes <= RN_YAML_CONFIG_NODES_MAX; nodes++) {
        size_t at = put(0, "[", 1); /* itself a node */
        for (size_t i = 0; i < nodes; i++) {
            at = put(at, "a,", 2);
        }
        at = put(at, "]", 1);
        ration_status status = rn_yaml_read("n.yaml", text, at, 8, RATION_CONFIG, &file, &error);
        if (nodes < RN_YAML_CONFIG_NODES_MAX) {
            support_ok(status, &error);
            rn_yaml_free(&file);
            continue;
        }
        ck_assert_str_eq(support_error(&error), "n.yaml:1:16384: error: more than 8192 values in "
                                                "one file (is this the right file?)");
        support_ok(rn_yaml_read("n.yaml", text, at, 9, RATION_PLAN, &file, &error), &error);
        rn_yaml_free(&file);
    }
    free(text);
}
END_TEST

START_TEST(test_hostile__kept_corpus_is_answered)
{
    DIR *entries = opendir(support_path("tests/fuzz/corpus/limits"));
    ck_assert_ptr_nonnull(entries);
    open_text();
    for (struct dirent *entry; (entry = readdir(entries)) != NULL;) {
        char path[400];
        snprintf(path, sizeof(path), "tests/fuzz/corpus/limits/%.255s", entry->d_name);
        FILE *file = entry->d_name[0] != '.' ? fopen(support_path(path), "rb") : NULL;
        if (file == NULL) {
            continue;
        }
        size_t length = fread(text, 1, BYTES, file);
        ck_assert_int_eq(fclose(file), 0);
        expect_answer(entry->d_name, length);
        for (size_t at = length; at < BYTES && length > 0; at++) {
            text[at] = text[at - length];
        }
        expect_answer(entry->d_name, BYTES);
    }
    ck_assert_int_eq(closedir(entries), 0);
    ck_assert_int_gt(answered, 20);
    print_worst("kept corpus");
    free(text);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        test_hostile__shapes_are_answered,
        test_hostile__wide_mappings_are_answered,
        test_hostile__the_largest_right_file_is_read,
        test_hostile__bounds_are_exact,
        test_hostile__kept_corpus_is_answered,
    };
    return support_run("hostile", tests, RN_COUNT(tests));
}
