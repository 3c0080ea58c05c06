/* SPDX-License-Identifier: Apache-2.0
 *
 * A generated social network, from options to a folder of files and its manifest: rn_generate.
 *
 * Persons are written one after the other, each with its friendships and forums
 * (generate_people.c, generate_messages.c), as functions of seed and number (generate_world.c):
 * memory is the same at every scale. All files are written under temporary names; when the last
 * one is complete an older manifest is removed, the files get their names, and the new manifest
 * comes last, so that a manifest never describes half a network. */
#include "storage/generate.h"

#include <errno.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/heap.h"
#include "storage/generate_files.h"

#define PERSONS_PER_SCALE 10000.0
#define PERSONS_MIN 10u
#define SCALE_MAX 1000.0

typedef struct network_spec {
    const char *name, *from, *to, *columns;
} network_spec;

static const network_spec specs[RN_NETWORK_FILE_COUNT] = {
#define RN_NETWORK_SPEC(name, file, from, to, columns) {file, from, to, columns},
    RN_NETWORK_FILES(RN_NETWORK_SPEC)
#undef RN_NETWORK_SPEC
};

/* The header line: the names of "a: int64, b: string". */
static void write_header(rn_output *output, const char *columns)
{
    for (const char *at = columns; *at != '\0';) {
        size_t name = strcspn(at, ":");
        rn_output_text(output, at, name);
        at += name;
        at += strcspn(at, ",");
        at += strspn(at, ", ");
    }
    rn_output_end_row(output);
}

static ration_status open_outputs(rn_network *network, const char *directory, ration_error *error)
{
    char name[64];

    for (size_t i = 0; i < RN_NETWORK_FILE_COUNT; i++) {
        (void)snprintf(name, sizeof name, "%s.csv", specs[i].name);
        RN_TRY(rn_output_open(&network->outputs[i], directory, name, error));
        write_header(&network->outputs[i], specs[i].columns);
    }
    return RATION_OK;
}

/* The first failure of any file; looked at once per person. */
static bool any_failure(const rn_network *network)
{
    for (size_t i = 0; i < RN_NETWORK_FILE_COUNT; i++) {
        if (network->outputs[i].failure != 0) {
            return true;
        }
    }
    return false;
}

static void show_progress(const rn_network *network, uint64_t done, bool last)
{
    int64_t bytes = 0;

    for (size_t i = 0; i < RN_NETWORK_FILE_COUNT; i++) {
        bytes += network->outputs[i].written_bytes;
    }
    (void)fprintf(stderr, "\r%3d%%  %llu persons  %llu posts  %llu comments  %lld MB%s",
                  (int)(done * 100 / network->world.persons), (unsigned long long)done,
                  (unsigned long long)network->posts, (unsigned long long)network->comments,
                  (long long)(bytes / 1000000), last ? "\n" : "");
}

static void write_network(rn_network *network, rn_forum *forum, bool progress)
{
    rn_network_write_things(network);
    for (uint64_t i = 0; i < network->world.persons && !any_failure(network); i++) {
        rn_network_write_person(network, i);
        rn_network_write_forums(network, forum, i);
        if (progress && (i + 1) % 128 == 0) {
            show_progress(network, i + 1, false);
        }
    }
    if (progress) {
        show_progress(network, network->world.persons, true);
    }
}

/* ------------------------------------------------------------------------------------- manifest */

static void put_line(rn_output *output, const char *line)
{
    rn_output_raw(output, line, strlen(line));
}

static void write_manifest(rn_output *output, const rn_network *network)
{
    char line[512];

    (void)snprintf(line, sizeof line,
                   "# A generated social network: ration generate, seed %llu, %llu persons.\n"
                   "delimiter: \"|\"\nheader: true\nnodes:\n",
                   (unsigned long long)network->world.seed,
                   (unsigned long long)network->world.persons);
    put_line(output, line);
    for (size_t i = 0; i < RN_NETWORK_FILE_COUNT; i++) {
        const network_spec *s = &specs[i];
        if (i > 0 && s->to != NULL && specs[i - 1].to == NULL) {
            put_line(output, "edges:\n");
        }
        const char *label = s->to == NULL ? s->from : s->name;
        int length = snprintf(line, sizeof line, "  %s:\n    file: %s.csv\n", label, s->name);
        if (s->to != NULL) {
            (void)snprintf(line + length, sizeof line - (size_t)length,
                           "    from: %s\n    to: %s\n", s->from, s->to);
        }
        put_line(output, line);
        (void)snprintf(line, sizeof line, "    columns: { %s }\n", s->columns);
        put_line(output, line);
    }
}

/* -------------------------------------------------------------------------------------- driving */

static ration_status publish(rn_network *network, rn_output *manifest, ration_error *error)
{
    for (size_t i = 0; i < RN_NETWORK_FILE_COUNT; i++) {
        RN_TRY(rn_output_finish(&network->outputs[i], error));
    }
    write_manifest(manifest, network);
    RN_TRY(rn_output_finish(manifest, error));
    if (unlink(manifest->final) != 0 && errno != ENOENT) {
        return rn_error_at(error, RATION_FILE, manifest->final, 0, 0, "",
                           "cannot replace the file: %s", strerror(errno));
    }
    for (size_t i = 0; i < RN_NETWORK_FILE_COUNT; i++) {
        RN_TRY(rn_output_publish(&network->outputs[i], error));
    }
    return rn_output_publish(manifest, error);
}

static ration_status generate_into(rn_network *network, const char *directory, bool progress,
                                   ration_error *error)
{
    rn_forum *forum = rn_forum_open();
    rn_output manifest;

    if (forum == NULL) {
        return rn_error_set(error, RATION_NO_MEMORY, "", "no memory to generate a network");
    }
    ration_status status = open_outputs(network, directory, error);
    if (status == RATION_OK) {
        status = rn_output_open(&manifest, directory, "manifest.yaml", error);
    }
    if (status == RATION_OK) {
        write_network(network, forum, progress);
        status = publish(network, &manifest, error);
        rn_output_discard(&manifest);
    }
    for (size_t i = 0; i < RN_NETWORK_FILE_COUNT; i++) {
        rn_output_discard(&network->outputs[i]);
    }
    rn_forum_close(forum);
    return status;
}

ration_status rn_generate(const char *directory, const rn_generate_options *options,
                          ration_error *error)
{
    double persons = options->scale * PERSONS_PER_SCALE;

    if (!(options->scale > 0.0 && options->scale <= SCALE_MAX)) {
        return rn_error_set(error, RATION_INVALID_ARGUMENT, "1 is 10,000 persons",
                            "the scale must be above 0 and at most 1000");
    }
    rn_network *network = rn_heap_allocate(sizeof *network);
    if (network == NULL) {
        return rn_error_set(error, RATION_NO_MEMORY, "", "no memory to generate a network");
    }
    bool made = mkdir(directory, 0755) == 0;
    if (!made && errno != EEXIST) {
        int failure = errno;
        rn_heap_free(network, sizeof *network);
        return rn_error_at(error, RATION_FILE, directory, 0, 0, "", "cannot make the directory: %s",
                           strerror(failure));
    }
    for (size_t i = 0; i < RN_NETWORK_FILE_COUNT; i++) {
        network->outputs[i].file = -1;
    }
    rn_world_set(&network->world, options->seed, RN_MAX((uint64_t)(persons + 0.5), PERSONS_MIN));
    ration_status status =
        generate_into(network, directory, options->progress && isatty(STDERR_FILENO) != 0, error);
    rn_heap_free(network, sizeof *network);
    if (status != RATION_OK && made) {
        (void)rmdir(directory);
    }
    return status;
}
