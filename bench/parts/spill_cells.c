/* SPDX-License-Identifier: Apache-2.0
 *
 * One shape under all its limits: without one first, which says what the right rows are and what a
 * part of "its own peak" is; then every cell, `rounds` times in turn, with a peer's run beside ours
 * where there is one. Kept are the best wall, the highest resident set and the first failure.
 *
 * A cell is as it must be when the run completed, with the same rows, in order where the shape has
 * one, and its resident set never was more over the start than limit + max(2 MiB, 2%), the graph
 * added to the limit. A limit that lies below what the plan needs at least is raised to that.
 *
 * One line per cell, separated by tabs: cell SHAPE NAME VERDICT LIMIT OVER ALLOWED WALL SPILLED
 * PEER_WALL PEER_OVER; with a peer also: generate SHAPE WALL PEER_WALL. */
#include "bench/spill.h"

#include <sys/stat.h>
#include <unistd.h>

#include "memory/poison.h"

#define CELLS_MAX 10
#define GROUPED_CELL "12.5%"
#define START_BYTES_MAX (12 * SPILL_MIB)

typedef struct cell {
    char name[32];
    int64_t limit_bytes;
    bool peer; /* it runs here too */
    spill_result best, theirs;
    int64_t over_bytes; /* highest */
    char verdict[40];   /* "ok", or the first failure */
} cell;

/* Sanitizers keep memory of their own. */
static bool resident_is_ours(void)
{
#if defined(RN_ASAN) || defined(__SANITIZE_THREAD__)
    return false;
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
    return false;
#endif
#endif
    return true;
}

static int64_t allowed_bytes(int64_t queries_bytes, int64_t data_bytes)
{
    int64_t limit_bytes = rn_add(queries_bytes, data_bytes);
    return rn_add(limit_bytes, RN_MAX(2 * SPILL_MIB, limit_bytes / 50));
}

static void judge(cell *at, const spill_result *now, const spill_result *right)
{
    const char *verdict = "ok";
    if (strcmp(now->status, "OK") != 0) {
        verdict = now->status;
    } else if (now->rows != right->rows || now->hash != right->hash) {
        verdict = "other rows";
    } else if (!now->sorted) {
        verdict = "not in order";
    } else if (resident_is_ours() && now->start_bytes > START_BYTES_MAX) {
        verdict = "starts above 12 MiB";
    } else if (resident_is_ours() && now->peak_bytes - now->start_bytes >
                                         allowed_bytes(at->limit_bytes, right->data_bytes)) {
        verdict = "resident above the limit";
    }
    if (at->verdict[0] == '\0' || strcmp(at->verdict, "ok") == 0) {
        (void)snprintf(at->verdict, sizeof at->verdict, "%s", verdict);
    }
    at->over_bytes = RN_MAX(at->over_bytes, now->peak_bytes - now->start_bytes);
    if (strcmp(now->status, "OK") == 0 && (at->best.rows == 0 || now->wall_ns < at->best.wall_ns)) {
        at->best = *now;
    }
}

/* The limits: those in MiB, parts of the own peak, the floor. */
static uint32_t name_cells(const spill_options *options, const spill_shape *shape,
                           int64_t peak_bytes, cell *cells)
{
    static const struct {
        const char *name;
        double part;
    } parts[] = {
        {"50%", 0.5}, {"25%", 0.25}, {"12.5%", 0.125}, {"6.25%", 0.0625}, {"3.1%", 0.03125}};
    uint32_t count = 0;
    (void)snprintf(cells[count].name, sizeof cells[count].name, "unlimited");
    cells[count].peer = true;
    cells[count++].limit_bytes = SPILL_UNLIMITED;
    for (uint32_t i = 0; i < 3; i++) {
        cell *at = &cells[count++];
        (void)snprintf(at->name, sizeof at->name, "%lldMiB", (long long)shape->limits_mib[i]);
        at->limit_bytes = spill_scaled(shape->limits_mib[i] * SPILL_MIB, options->scale);
        at->peer = true;
    }
    for (uint32_t i = 0; i < RN_COUNT(parts); i++) {
        cell *at = &cells[count++];
        (void)snprintf(at->name, sizeof at->name, "%s", parts[i].name);
        at->limit_bytes = (int64_t)((double)peak_bytes * parts[i].part);
    }
    if (shape->floor_mib > 0) {
        cell *at = &cells[count++];
        (void)snprintf(at->name, sizeof at->name, "%lldMiB", (long long)shape->floor_mib);
        at->limit_bytes = spill_scaled(shape->floor_mib * SPILL_MIB, options->scale);
    }
    return count;
}

/* Makes a group for the run and removes it: what one leaves in the page cache is not the next's. */
static void run_in_group(const spill_options *options, spill_task *task, spill_result *out_result)
{
    char group[300];
    (void)snprintf(group, sizeof group, "%s/%s-%lld", options->groups, task->shape->name,
                   (long long)task->limit_bytes);
    if (mkdir(group, 0755) != 0) {
        perror(group);
        exit(2);
    }
    task->group = group;
    spill_child(options->program, NULL, task, out_result);
    task->group = NULL;
    if (rmdir(group) != 0) {
        perror(group);
    }
}

static void run_cell(const spill_options *options, const spill_shape *shape, cell *at,
                     const spill_result *right)
{
    spill_task task = {shape, at->limit_bytes, options->scale, options->directory, NULL};
    spill_result now;
    for (int tries = 0; tries < 2; tries++) {
        if (options->groups != NULL && at->limit_bytes != SPILL_UNLIMITED) {
            run_in_group(options, &task, &now);
        } else {
            spill_child(options->program, NULL, &task, &now);
        }
        if (strcmp(now.status, "MINIMUM_ABOVE_LIMIT") != 0) {
            break;
        }
        task.limit_bytes = at->limit_bytes = now.minimum_bytes - now.data_bytes;
    }
    judge(at, &now, right);
    if (options->peer == NULL || shape->generator == NULL || !at->peer) {
        return;
    }
    spill_child(options->peer, options->library, &task, &now);
    if (strcmp(now.status, "OK") == 0 && now.rows == right->rows && now.sorted &&
        (at->theirs.rows == 0 || now.wall_ns < at->theirs.wall_ns)) {
        at->theirs = now;
    }
}

/* A number, or "-" for what was not measured. */
static void put_number(bool measured, int64_t value)
{
    if (measured) {
        printf("\t%lld", (long long)value);
    } else {
        printf("\t-");
    }
}

static void put_cell(const spill_shape *shape, const cell *at, int64_t data_bytes)
{
    bool limited = at->limit_bytes != SPILL_UNLIMITED, measured = at->best.rows > 0;
    printf("cell\t%s\t%s\t%s", shape->name, at->name, at->verdict);
    put_number(limited, at->limit_bytes);
    put_number(resident_is_ours(), at->over_bytes);
    put_number(limited, allowed_bytes(at->limit_bytes, data_bytes));
    put_number(measured, at->best.wall_ns);
    put_number(measured, at->best.spilled_bytes);
    put_number(at->theirs.rows > 0, at->theirs.wall_ns);
    put_number(at->theirs.rows > 0, at->theirs.peak_bytes - at->theirs.start_bytes);
    printf("\n");
    (void)fflush(stdout);
}

/* What the rows alone take, ours and the peer's. */
static void run_generators(const spill_options *options, const spill_shape *shape)
{
    spill_task task = {spill_shape_find(shape->generator), SPILL_UNLIMITED, options->scale,
                       options->directory, NULL};
    int64_t best_ns = INT64_MAX, peer_best_ns = INT64_MAX;
    for (int round = 0; round < options->rounds; round++) {
        spill_result now;
        spill_child(options->program, NULL, &task, &now);
        best_ns = RN_MIN(best_ns, now.wall_ns);
        spill_child(options->peer, options->library, &task, &now);
        peer_best_ns = RN_MIN(peer_best_ns, now.wall_ns);
    }
    printf("generate\t%s\t%lld\t%lld\n", shape->name, (long long)best_ns, (long long)peer_best_ns);
}

bool spill_cells(const spill_options *options, const spill_shape *shape)
{
    cell cells[CELLS_MAX] = {{.limit_bytes = 0}};
    spill_task task = {shape, SPILL_UNLIMITED, options->scale, options->directory, NULL};
    spill_result right;
    bool good = true;
    spill_child(options->program, NULL, &task, &right);
    uint32_t count =
        name_cells(options, shape, right.peak_bytes - right.start_bytes - right.data_bytes, cells);
    if (strcmp(right.status, "OK") != 0) {
        printf("cell\t%s\tunlimited\t%s\n", shape->name, right.status);
        return false;
    }
    for (int round = 0; round < options->rounds; round++) {
        for (uint32_t i = 0; i < count; i++) {
            if (options->groups == NULL || strcmp(cells[i].name, GROUPED_CELL) == 0) {
                run_cell(options, shape, &cells[i], &right);
            }
        }
    }
    for (uint32_t i = 0; i < count; i++) {
        if (cells[i].verdict[0] != '\0') {
            put_cell(shape, &cells[i], right.data_bytes);
            good = good && strcmp(cells[i].verdict, "ok") == 0;
        }
    }
    if (options->peer != NULL && shape->generator != NULL) {
        run_generators(options, shape);
    }
    return good;
}
