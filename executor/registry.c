/* SPDX-License-Identifier: Apache-2.0
 *
 * Governors of one user that find each other: turns at a file with a place for each.
 *
 * A turn, under the file's lock: read all places, forget who is gone, divide (limit.c), write the
 * own place. Nobody waits for anybody but for the length of a turn: what somebody else holds too
 * much of is not asked for, it gives way at its own next turn.
 *
 * Who is gone, and what the others have in memory by now, is read of each of them in every turn,
 * out of one file of a few microseconds: their start times tell a process from a later one with its
 * pid, and what left or entered their memory since they were last heard has entered or left the
 * headroom. With more than LOOKS_MAX of them only those are looked at that were not heard for
 * SILENCE_NS, and all when the limit would change by more than 1/64. A place is taken only when it
 * is free, or its governor was found gone by such a look.
 *
 * Invariants
 * 1. What is written is never less than what the pool may grant until the next turn: the larger of
 *    its limit now and of what is answered. A lower limit so frees its room one turn later.
 * 2. The own limit is raised only in a turn that was written. Without one - the lock is not to be
 *    had, the file cannot be opened, read or written - the limit may only fall.
 * 3. A place that says nothing any more (cut short, overwritten, the file removed) stands for who
 *    was last seen there until that process ends, or is seen in any place again.
 * 4. The child of a fork writes nothing and takes nothing; opening a registry of its own is its
 *    way.
 *
 * Bounds. What a process has in memory beside what it was granted counts, between two of its turns,
 * as if it were granted: for ever of one that takes a single turn, since its limit does not follow.
 * The probe is read before the turn. Who had to wait for the lock does not count what others have
 * taken since they were heard, which may have left the headroom only after it was read; what they
 * take in the microseconds without a wait is counted twice until the next round (rn_limit_window).
 * Who forks inside of a turn, and is killed inside of the same turn, leaves the lock to the child
 * until that ends or starts another program. A process that becomes another program (execve) holds
 * what it held until that opens a governor, or ends. Of two files - somebody removed the first -
 * members find each other again in their next turns; who takes none is known only to who saw it. */
#include <unistd.h>

#include "executor/limit.h"
#include "executor/registry_file.h"

#define LOOKS_MAX 16
#define SILENCE_NS INT64_C(250000000)
#define NOISE_BYTES (INT64_C(1) << 20) /* what a process gains and loses without being granted */
#define WAIT_NS INT64_C(10000000)
#define FIRST_WAIT_NS INT64_C(500000000)
#define NO_PLACE (-1)

struct rn_registry {
    char path[RN_REGISTRY_PATH_BYTES];
    rn_failure failure;
    bool writes;
    bool turned;        /* the file was good in one turn at least */
    bool divided;       /* a turn was had */
    bool waited;        /* for this turn: the probe is old */
    bool has_limits;    /* `limits` are to be published */
    int64_t process;    /* who opened it */
    int64_t start_time; /* its */
    int64_t number;     /* of its governors */
    int64_t place;      /* or NO_PLACE */
    int64_t others;     /* known */
    rn_limit_window window;
    rn_registry_limits limits;
    rn_registry_contents contents;               /* scratch of a turn */
    rn_registry_entry known[RN_REGISTRY_PLACES]; /* others; process 0 = nobody */
    int64_t resident_bytes[RN_REGISTRY_PLACES];  /* theirs, when it was last looked */
};

/* --------------------------------------------------------------------------- opening, closing */

static int64_t opened; /* numbers that this program has given to governors */

static ration_status make_registry(const char *directory, bool writes, rn_registry **out_registry,
                                   ration_error *error)
{
    char path[RN_REGISTRY_PATH_BYTES];
    RN_TRY(rn_registry_file_name(directory, path, error));
    int64_t process = getpid();
    int64_t start_time = rn_probe_start_time(process);
    if (start_time <= 0) {
        return rn_error_set(error, RATION_ENVIRONMENT, "mount /proc",
                            "cannot read when this process started");
    }
    rn_registry *registry = rn_heap_allocate(sizeof *registry);
    if (registry == NULL) {
        return rn_error_set(error, RATION_NO_MEMORY, "", "no memory for the registry");
    }
    rn_copy_text(registry->path, sizeof(registry->path), path);
    registry->writes = writes;
    registry->process = process;
    registry->start_time = start_time;
    registry->number = rn_fetch_add(&opened, 1) + 1;
    registry->place = NO_PLACE;
    *out_registry = registry;
    return RATION_OK;
}

static rn_registry_file file_of(rn_registry *registry)
{
    return (rn_registry_file){
        .path = registry->path, .failure = &registry->failure, .descriptor = -1};
}

/* Is there a file that can be read, and written? */
static ration_status try_file(rn_registry *registry, bool *out_absent, ration_error *error)
{
    rn_registry_file file = file_of(registry);
    rn_registry_access access = registry->writes ? RN_REGISTRY_MAKES : RN_REGISTRY_READS;
    RN_TRY(rn_registry_file_open(&file, access, out_absent, error));
    if (*out_absent) {
        return RATION_OK;
    }
    ration_status status =
        registry->writes ? rn_registry_file_lock(&file, true, FIRST_WAIT_NS, error) : RATION_OK;
    if (status == RATION_OK) {
        status = rn_registry_file_read(&file, registry->writes, false, &registry->contents, error);
    }
    rn_registry_file_close(&file);
    return status;
}

static ration_status open_registry(const char *directory, bool writes, rn_registry **out_registry,
                                   ration_error *error)
{
    rn_registry *registry;
    bool absent = false;
    RN_TRY(make_registry(directory, writes, &registry, error));
    ration_status status = try_file(registry, &absent, error);
    if (status != RATION_OK || absent) {
        rn_heap_free(registry, sizeof *registry);
        registry = NULL;
    }
    if (status == RATION_OK) {
        *out_registry = registry;
    }
    return status;
}

ration_status rn_registry_open(const char *directory, rn_registry **out_registry,
                               ration_error *error)
{
    return open_registry(directory, true, out_registry, error);
}

ration_status rn_registry_look(const char *directory, rn_registry **out_registry,
                               ration_error *error)
{
    return open_registry(directory, false, out_registry, error);
}

static bool is_of(const rn_registry_entry *entry, const rn_registry *registry)
{
    return entry->process == registry->process && entry->start_time == registry->start_time &&
           entry->number == registry->number;
}

/* Of this process, when it was another program. */
static bool is_ghost(const rn_registry_entry *entry, const rn_registry *registry)
{
    return entry->process == registry->process && entry->start_time == registry->start_time &&
           entry->number > rn_load(&opened);
}

/* Without the lock: nobody else writes the place of a process that lives. Also where it says
 * nothing any more, since it stands for this one then. */
static void give_back(rn_registry *registry)
{
    static const rn_registry_entry nobody;
    rn_registry_file file = file_of(registry);
    if (rn_registry_file_open(&file, RN_REGISTRY_MAKES, NULL, NULL) != RATION_OK) {
        return;
    }
    const rn_registry_record *record = &registry->contents.records[registry->place];
    if (rn_registry_file_read(&file, true, true, &registry->contents, NULL) == RATION_OK &&
        (rn_registry_file_judge(record) != RN_REGISTRY_ENTRY || is_of(&record->entry, registry))) {
        (void)!rn_registry_file_write(&file, registry->place, &nobody, NULL);
    }
    rn_registry_file_close(&file);
}

void rn_registry_close(rn_registry *registry)
{
    if (registry == NULL) {
        return;
    }
    if (registry->process == getpid() && registry->place != NO_PLACE) {
        give_back(registry);
    }
    rn_heap_free(registry, sizeof *registry);
}

void rn_registry_fail_after(rn_registry *registry, int64_t n, bool forever)
{
    rn_failure_arm(&registry->failure, n, forever);
}

/* -------------------------------------------------------------------------------- who is gone */

/* Who it is tells the start time. */
static bool is_gone(const rn_registry_entry *entry, int64_t *out_memory_bytes)
{
    int64_t start_time = rn_probe_process(entry->process, out_memory_bytes);
    return start_time != -1 && start_time != entry->start_time;
}

/* A place as it was read, against what was known of it. `out_memory_bytes` 0: not looked at. */
static bool is_there(const rn_registry *registry, int64_t place, const rn_registry_entry *entry,
                     int64_t now_ns, int64_t *out_memory_bytes)
{
    const rn_registry_entry *known = &registry->known[place];
    bool same = known->process == entry->process && known->start_time == entry->start_time;
    int64_t silence_ns = rn_add(now_ns, -entry->heard_ns);
    bool heard = silence_ns >= 0 && silence_ns < SILENCE_NS;
    *out_memory_bytes = 0;
    if (same && heard && registry->others > LOOKS_MAX && registry->place != NO_PLACE) {
        return true;
    }
    return !is_gone(entry, out_memory_bytes);
}

static bool is_first_of_process(const rn_registry *registry, int64_t place)
{
    const rn_registry_entry *entry = &registry->known[place];
    for (int64_t i = 0; i < place; i++) {
        const rn_registry_entry *known = &registry->known[i];
        if (known->process == entry->process && known->start_time == entry->start_time) {
            return false;
        }
    }
    return true;
}

/* What it has of its grant in memory now: changed by as much as its process has since. */
static int64_t update_resident(const rn_registry *registry, int64_t place, int64_t memory_bytes)
{
    const rn_registry_entry *entry = &registry->known[place];
    int64_t change = memory_bytes - entry->memory_bytes;
    bool known =
        memory_bytes > 0 && entry->memory_bytes > 0 && is_first_of_process(registry, place);
    bool doubtful = change > 0 && registry->waited;
    if (!known || doubtful || (change > -NOISE_BYTES && change < NOISE_BYTES)) {
        return entry->resident_bytes;
    }
    int64_t most = RN_MAX(entry->limit_bytes, entry->granted_bytes);
    return RN_MAX(0, RN_MIN(most, rn_add(entry->resident_bytes, change)));
}

/* At all that are known, where there are too many to do so in every turn. */
static void look_again(rn_registry *registry)
{
    for (int64_t place = 0; place < RN_REGISTRY_PLACES; place++) {
        int64_t memory;
        if (registry->known[place].process != 0 && !is_gone(&registry->known[place], &memory)) {
            registry->resident_bytes[place] = update_resident(registry, place, memory);
        }
    }
}

/* Does what was known of a place stand for it, although it says nothing any more? */
static bool stands(const rn_registry *registry, const rn_registry_entry *known,
                   rn_registry_word word)
{
    if (word == RN_REGISTRY_FREE || known->process == 0) {
        return false;
    }
    for (int64_t place = 0; place < RN_REGISTRY_PLACES; place++) {
        const rn_registry_record *record = &registry->contents.records[place];
        const rn_registry_entry *entry = &record->entry;
        if (entry->process == known->process && entry->start_time == known->start_time &&
            entry->number == known->number && rn_registry_file_judge(record) == RN_REGISTRY_ENTRY) {
            return false;
        }
    }
    return true;
}

/* Renews `known` from what was read; places of who is gone are given back. */
static ration_status look_round(rn_registry *registry, rn_registry_file *file, int64_t now_ns,
                                ration_error *error)
{
    static const rn_registry_entry nobody;
    int64_t others = 0;
    for (int64_t place = 0; place < RN_REGISTRY_PLACES; place++) {
        rn_registry_record *record = &registry->contents.records[place];
        rn_registry_entry *known = &registry->known[place];
        rn_registry_word word = rn_registry_file_judge(record);
        if (word == RN_REGISTRY_ENTRY && is_of(&record->entry, registry)) {
            known->process = 0;
            if (place == registry->place) {
                continue;
            }
            /* Not written by this one: a copy. */
        } else if (word == RN_REGISTRY_ENTRY && is_ghost(&record->entry, registry)) {
            known->process = 0;
        } else if (word == RN_REGISTRY_ENTRY || stands(registry, known, word)) {
            const rn_registry_entry *entry = word == RN_REGISTRY_ENTRY ? &record->entry : known;
            registry->place = place == registry->place ? NO_PLACE : registry->place;
            int64_t memory;
            if (is_there(registry, place, entry, now_ns, &memory)) {
                *known = *entry;
                registry->resident_bytes[place] = update_resident(registry, place, memory);
                others++;
                continue;
            }
            known->process = 0;
        } else {
            known->process = 0;
            continue;
        }
        RN_TRY(rn_registry_file_write(file, place, &nobody, error));
        *record = (rn_registry_record){.sum = 0};
    }
    registry->others = others;
    return RATION_OK;
}

/* One that was never written to, or given back, before one that is damaged. */
static ration_status take_place(rn_registry *registry, ration_error *error)
{
    int64_t found = NO_PLACE;
    for (int64_t place = 0; place < RN_REGISTRY_PLACES; place++) {
        if (registry->known[place].process != 0) {
            continue;
        }
        if (rn_registry_file_judge(&registry->contents.records[place]) != RN_REGISTRY_LOST) {
            found = place;
            break;
        }
        found = found == NO_PLACE ? place : found;
    }
    if (found == NO_PLACE) {
        return rn_error_at(error, RATION_ENVIRONMENT, registry->path, 0, 0,
                           "give limit_bytes, and switch enable_system_monitor off",
                           "all %d places of the registry are taken", RN_REGISTRY_PLACES);
    }
    registry->place = found;
    return RATION_OK;
}

/* -------------------------------------------------------------------------------------- turns */

struct turn {
    const rn_registry_own *own;
    rn_registry_entry entries[RN_REGISTRY_PLACES]; /* the own one is the first */
    int64_t count;
    rn_registry_division division;
};

/* The own entry as it is before it is divided; and who else is known to be there. */
static void gather(const rn_registry *registry, struct turn *turn)
{
    const rn_registry_own *own = turn->own;
    rn_registry_entry *first = &turn->entries[0];
    int64_t resident = own->resident_bytes;
    *first = (rn_registry_entry){.process = 1,
                                 .granted_bytes = RN_MAX(0, own->granted_bytes),
                                 .limit_bytes = own->limit_bytes,
                                 .bound_bytes = INT64_MAX,
                                 .heard_ns = RN_MAX(1, own->now_ns)};
    rn_limit_describe(first, own->limits, own->probe);
    first->ceiling_bytes = RN_MAX(0, own->ceiling_bytes);
    first->demand_bytes = rn_limit_round_demand(RN_MAX(0, own->demand_bytes));
    turn->count = 1;
    if (registry != NULL) {
        first->process = registry->process;
        first->start_time = registry->start_time;
        first->number = registry->number;
        for (int64_t place = 0; place < RN_REGISTRY_PLACES; place++) {
            const rn_registry_entry *other = &registry->known[place];
            if (other->process == 0 || turn->count == RN_REGISTRY_PLACES) {
                continue;
            }
            if (other->process == first->process && other->start_time == first->start_time) {
                resident -= RN_MIN(resident, registry->resident_bytes[place]);
            }
            rn_registry_entry *entry = &turn->entries[turn->count++];
            *entry = *other;
            entry->resident_bytes = registry->resident_bytes[place];
        }
    }
    first->resident_bytes = RN_MAX(0, RN_MIN(first->granted_bytes, resident));
}

/* `window` may be NULL. */
static void divide(const rn_registry *registry, rn_limit_window *window, struct turn *turn)
{
    gather(registry, turn);
    const rn_limit_question question = {.limits = turn->own->limits,
                                        .probe = turn->own->probe,
                                        .entries = turn->entries,
                                        .count = turn->count,
                                        .window = window,
                                        .now_ns = turn->own->now_ns};
    int64_t *bound = &turn->entries[0].bound_bytes;
    rn_limit_divide(&question, &turn->division, NULL, bound);
}

/* With the lock. */
static ration_status divide_file(rn_registry *registry, rn_registry_file *file, struct turn *turn,
                                 ration_error *error)
{
    RN_TRY(rn_registry_file_read(file, true, registry->turned, &registry->contents, error));
    registry->turned = true;
    RN_TRY(look_round(registry, file, turn->own->now_ns, error));
    bool fresh = registry->place == NO_PLACE;
    if (fresh) {
        RN_TRY(take_place(registry, error));
    }
    if (registry->others > LOOKS_MAX) {
        divide(registry, NULL, turn);
        int64_t limit = turn->own->limit_bytes, change = turn->division.limit_bytes - limit;
        if (change > limit / 64 || change < -limit / 64) {
            look_again(registry);
        }
    }
    divide(registry, &registry->window, turn);
    rn_registry_entry *entry = &turn->entries[0];
    (void)rn_probe_process(registry->process, &entry->memory_bytes);
    entry->limit_bytes = RN_MAX(turn->own->limit_bytes, turn->division.limit_bytes);
    ration_status status = rn_registry_file_write(file, registry->place, entry, error);
    if (status != RATION_OK && fresh) {
        registry->place = NO_PLACE;
    }
    RN_TRY(status);
    if (fresh && registry->has_limits) {
        (void)!rn_registry_file_write_limits(file, registry->place, &registry->limits, NULL);
    }
    return RATION_OK;
}

/* Has it nothing to go by without a turn? */
static bool must_divide(const rn_registry *registry, const rn_registry_own *own)
{
    return own->limit_bytes == 0 && (!registry->divided || registry->process != getpid());
}

static ration_status take_turn(rn_registry *registry, struct turn *turn, ration_error *error)
{
    if (registry->process != getpid()) {
        return rn_error_set(error, RATION_ENVIRONMENT, "open a governor in the child",
                            "the place in the registry is that of the process that forked");
    }
    rn_registry_file file = file_of(registry);
    RN_TRY(rn_registry_file_open(&file, RN_REGISTRY_MAKES, NULL, error));
    ration_status status = rn_registry_file_lock(
        &file, true, must_divide(registry, turn->own) ? FIRST_WAIT_NS : WAIT_NS, error);
    registry->waited = file.waited;
    if (status == RATION_OK) {
        status = divide_file(registry, &file, turn, error);
    }
    rn_registry_file_close(&file);
    return status;
}

ration_status rn_registry_divide(rn_registry *registry, const rn_registry_own *own,
                                 rn_registry_division *out_division, ration_error *error)
{
    struct turn turn = {.own = own};
    if (registry == NULL) {
        divide(NULL, NULL, &turn);
        *out_division = turn.division;
        return RATION_OK;
    }
    ration_error reason;
    ration_status status = take_turn(registry, &turn, &reason);
    if (status != RATION_OK && must_divide(registry, own)) {
        if (error != NULL) {
            *error = reason;
        }
        return status;
    }
    if (status != RATION_OK) {
        divide(registry, &registry->window, &turn);
        turn.division.limit_bytes = RN_MIN(turn.division.limit_bytes, own->limit_bytes);
        turn.division.published = false;
        rn_copy_text(turn.division.note, sizeof(turn.division.note), reason.message);
    }
    registry->divided |= turn.division.published;
    *out_division = turn.division;
    return RATION_OK;
}

/* ------------------------------------------------------------------------------------ reading */

/* What is there now, in `contents`; false = cannot be read. */
static bool read_places(rn_registry *registry, rn_registry_file *file)
{
    bool absent;
    if (rn_registry_file_open(file, RN_REGISTRY_READS, &absent, NULL) != RATION_OK || absent) {
        return false;
    }
    /* A picture of one instant, unless the lock cannot be had. */
    (void)!rn_registry_file_lock(file, false, WAIT_NS, NULL);
    return rn_registry_file_read(file, false, false, &registry->contents, NULL) == RATION_OK;
}

int64_t rn_registry_list(rn_registry *registry, rn_registry_entry *entries)
{
    rn_registry_file file = file_of(registry);
    bool read = read_places(registry, &file);
    rn_registry_file_close(&file);
    int64_t count = 0;
    for (int64_t place = 0; read && place < RN_REGISTRY_PLACES; place++) {
        const rn_registry_record *record = &registry->contents.records[place];
        int64_t memory;
        if (rn_registry_file_judge(record) == RN_REGISTRY_ENTRY &&
            !is_gone(&record->entry, &memory)) {
            entries[count++] = record->entry;
        }
    }
    return count;
}

void rn_registry_put_limits(rn_registry *registry, const ration_limits *limits)
{
    registry->limits = (rn_registry_limits){.process = registry->process,
                                            .start_time = registry->start_time,
                                            .number = registry->number,
                                            .limits = *limits};
    registry->has_limits = true;
    rn_registry_file file = file_of(registry);
    bool absent;
    if (registry->place != NO_PLACE && registry->process == getpid() &&
        rn_registry_file_open(&file, RN_REGISTRY_WRITES, &absent, NULL) == RATION_OK && !absent) {
        (void)!rn_registry_file_write_limits(&file, registry->place, &registry->limits, NULL);
        rn_registry_file_close(&file);
    }
}

bool rn_registry_get_limits(rn_registry *registry, const rn_registry_entry *entry,
                            ration_limits *out_limits, bool *out_other_version)
{
    rn_registry_file file = file_of(registry);
    bool found = false, other = false;
    rn_registry_limits limits;
    bool read = read_places(registry, &file);
    for (int64_t place = 0; read && !found && place < RN_REGISTRY_PLACES; place++) {
        const rn_registry_entry *at = &registry->contents.records[place].entry;
        if (at->process == entry->process && at->start_time == entry->start_time &&
            at->number == entry->number) {
            found = rn_registry_file_read_limits(&file, place, entry, &limits, &other);
        }
    }
    rn_registry_file_close(&file);
    if (out_other_version != NULL) {
        *out_other_version = other;
    }
    if (found) {
        *out_limits = limits.limits;
    }
    return found;
}
