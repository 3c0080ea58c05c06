/* SPDX-License-Identifier: Apache-2.0
 *
 * What a governor may grant, out of what the machine has and what others hold.
 *
 * A *source* bounds its *members*: the machine all governors, a control group those in it or below
 * it, a resource limit those of one process. rn_limit_divide, for each source k:
 *   1. total = headroom + what the members have of it in memory (headroom has shrunk by that; a
 *      ratio of the headroom alone would settle at ratio / (1 + ratio)), at most the limit there.
 *      limit_base total takes the limit itself.
 *   2. part = the own part of the total: first each member takes an equal one up to its demand, and
 *      who takes less leaves the rest to the others (water-filling); what is left when all have
 *      their demand is taken in the same way up to their ceilings. What gives a member B bytes is
 *      (B + reserve) / ratio of the total. At the machine its groups bound it too (bound_bytes).
 *   3. share = ratio x part - reserve. The smallest share over all sources binds.
 *   4. room = ratio x total - what others hold: their limit, or what they have granted where that
 *      is more, x own ratio / their ratio.
 *   5. limit = the smallest of share and all rooms.
 * So who comes late gets what is not held, and more as others give way: whoever is above its share
 * lowers its limit at its next turn, whatever the others do, and the shares fit beside each other.
 * One that is idle demands little, and leaves the rest to busy ones; alone it has everything.
 *
 * Amounts are exact: products are 128 bits wide, ratios millionths; shares and rooms are rounded
 * down, what others hold is rounded up.
 *
 * Invariants
 * 1. For each source: sum over its members of max(limit, granted) / ratio <= total, whoever has
 *    taken turns in whatever order. A turn raises the own limit only into the room, and what is
 *    granted never grows above it. With one ratio for all: sum of max(limit, granted) <= ratio x
 *    total. When the total falls, or somebody holds more than its limit, the sum may be above; then
 *    there is no room, and nothing is raised until it is true again. rn_limit_is_kept evaluates it.
 * 2. The shares of all members fit: sum of share / ratio <= total. So nobody starves: when all are
 *    at or below their share, each finds room for its own.
 * 3. The share depends on totals, demands, ceilings and ratios alone, never on limits: no feedback,
 *    and when these stand still all limits are at their fix point after as many rounds as it takes
 *    holders to give back. A demand that is made of what is granted counts in coarse steps
 *    (rn_limit_round_demand).
 * 4. The limit is not lowered below the floor, and raised to it only into the room.
 *
 * Bounds. Where what others have in memory is known of their last turn only (registry.c looks at it
 * where it can), the total seems smaller by what they have taken since, and larger by what they
 * have given back. The first only lowers. Against the second the smallest total counts that was
 * seen since all others were heard (rn_limit_window): what somebody gives back once is never
 * counted twice; who gives back more in each of several rounds is counted twice with what it gave
 * in one. A governor that is not heard for a second is taken to stand still. The price: with others
 * there, a limit rises one round later.
 * What is granted and mapped, but not in memory, has left the headroom of RLIMIT_AS already, and is
 * not added: the total is too small there by that.
 * The bound of a member's inner groups is known to others at the machine only: at a group between
 * two others one may get less than it could, never more.
 * A member with limit_base total takes its part of another total; others find in the room what it
 * leaves.
 *
 * Rejected: dividing what is free by the number of processes. It settles at 44% for a ratio of 0.8,
 * promises more than there is while a newcomer's neighbour still holds all, gives one in a small
 * group an equal part that it cannot use, and halves what a busy one has beside an idle one. */
#include "executor/limit.h"

#include "base/hash.h"

#define MILLION INT64_C(1000000)
#define STILL_NS INT64_C(1000000000)
#define DEMAND_STEP_BYTES (INT64_C(16) << 20)

__extension__ typedef __int128 wide;

int64_t rn_share_of_ratio(int64_t bytes, int64_t ppm)
{
    return (int64_t)((wide)bytes * ppm / MILLION);
}

/* bytes x by / of, rounded up; of > 0, all >= 0; sticks at INT64_MAX. */
static int64_t scale_up(int64_t bytes, int64_t by, int64_t of)
{
    wide scaled = ((wide)bytes * by + of - 1) / of;
    return scaled > INT64_MAX ? INT64_MAX : (int64_t)scaled;
}

static int64_t subtract(int64_t from, int64_t bytes)
{
    return from > bytes ? from - bytes : 0;
}

int64_t rn_limit_ceiling(const ration_limits *limits)
{
    int64_t given = limits->limit_bytes == 0 ? INT64_MAX : limits->limit_bytes;
    int64_t ceiling = limits->limit_ceiling_bytes == 0 ? INT64_MAX : limits->limit_ceiling_bytes;
    return RN_MIN(given, ceiling);
}

int64_t rn_limit_floor(const ration_limits *limits)
{
    return RN_MAX(1, RN_MIN(limits->limit_floor_bytes, rn_limit_ceiling(limits)));
}

int64_t rn_limit_round_demand(int64_t bytes)
{
    if (bytes > INT64_C(1) << 60) {
        return INT64_MAX;
    }
    int64_t step = DEMAND_STEP_BYTES;
    while (step < bytes / 16) {
        step *= 2;
    }
    return rn_round_up(RN_MAX(bytes, 1), step);
}

void rn_limit_describe(rn_registry_entry *entry, const ration_limits *limits, const rn_probe *probe)
{
    entry->ceiling_bytes = rn_limit_ceiling(limits);
    entry->demand_bytes = entry->ceiling_bytes;
    entry->reserve_bytes = limits->untracked_reserved_bytes;
    entry->ratio_ppm = limits->limit_ratio_ppm;
    rn_copy_text(entry->group, sizeof(entry->group), probe->group);
}

/* -------------------------------------------------------------------------------------- members */

static bool is_member(const rn_probe_source *source, const rn_registry_entry *own,
                      const rn_registry_entry *entry)
{
    switch (source->kind) {
    case RN_PROBE_PROCESS:
        return entry->process == own->process && entry->start_time == own->start_time;
    case RN_PROBE_GROUP:
        return entry == own || rn_probe_below(entry->group, source->group);
    case RN_PROBE_MACHINE:
        break;
    }
    return true;
}

/* Bit i: entry i is a member of the source. */
static uint64_t find_members(const rn_limit_question *question, const rn_probe_source *source)
{
    const rn_registry_entry *own = &question->entries[question->own];
    uint64_t members = 0;
    for (int64_t i = 0; i < question->count; i++) {
        members |= (uint64_t)is_member(source, own, &question->entries[i]) << i;
    }
    return members;
}

static int64_t hold_of(const rn_registry_entry *entry)
{
    return RN_MAX(entry->limit_bytes, entry->granted_bytes);
}

bool rn_limit_is_kept(const rn_probe *probe, int source, int64_t total_bytes,
                      const rn_registry_entry *entries, int64_t count, int64_t own)
{
    wide held = 0;
    for (int64_t i = 0; i < count; i++) {
        if (is_member(&probe->sources[source], &entries[own], &entries[i])) {
            held += (wide)hold_of(&entries[i]) * MILLION / entries[i].ratio_ppm;
        }
    }
    return held <= total_bytes;
}

/* --------------------------------------------------------------------------------------- totals */

static int64_t count_total(const rn_limit_question *question, const rn_probe_source *source,
                           int64_t resident)
{
    if (question->limits->limit_base == RATION_BASE_TOTAL || source->headroom_bytes == INT64_MAX) {
        return source->limit_bytes;
    }
    return RN_MIN(source->limit_bytes, rn_add(source->headroom_bytes, resident));
}

static uint64_t hash_sources(const rn_probe *probe)
{
    uint64_t key = RN_HASH_SEED;
    for (int i = 0; i < probe->count; i++) {
        const rn_probe_source *source = &probe->sources[i]; /* a long name is cut short */
        key = rn_hash_bytes(key, source->name, strlen(source->name));
        key = rn_hash_bytes(key, source->group, strlen(source->group));
    }
    return key | 1;
}

/* Has every other governor been heard since the window began, or does it stand still? */
static bool all_were_heard(const rn_limit_question *question)
{
    int64_t still = rn_add(question->now_ns, -STILL_NS);
    for (int64_t i = 0; i < question->count; i++) {
        int64_t heard = question->entries[i].heard_ns;
        if (i != question->own && heard <= question->window->since_ns && heard >= still) {
            return false;
        }
    }
    return true;
}

/* Each total becomes the smallest that was seen since all others were heard twice: what one of them
 * gave back before it was heard makes the total too large until it is. */
static void pass_window(const rn_limit_question *question, rn_limit_sources *sources)
{
    rn_limit_window *window = question->window;
    uint64_t key = question->count > 1 ? hash_sources(question->probe) : 0;
    bool fresh = window->key != key || key == 0;
    bool turn = fresh || all_were_heard(question);
    for (int i = 0; i < question->probe->count; i++) {
        int64_t now = sources->of[i].total_bytes;
        window->before[i] = fresh ? now : turn ? window->low[i] : window->before[i];
        window->low[i] = turn ? now : RN_MIN(window->low[i], now);
        sources->of[i].total_bytes = RN_MIN(window->low[i], window->before[i]);
    }
    window->key = key;
    window->since_ns = turn ? question->now_ns : window->since_ns;
}

/* --------------------------------------------------------------------------------------- shares */

/* Up to which each takes what it would, so that all together take `total`: INT64_MAX when that is
 * less, and `out_left` is what nobody takes. Sorts `takes`. */
static int64_t find_level(int64_t total, int64_t *takes, int64_t count, int64_t *out_left)
{
    for (int64_t i = 1; i < count; i++) {
        int64_t value = takes[i], to = i;
        for (; to > 0 && takes[to - 1] > value; to--) {
            takes[to] = takes[to - 1];
        }
        takes[to] = value;
    }
    *out_left = 0;
    for (int64_t i = 0; i < count; i++) {
        int64_t even = total / (count - i);
        if (takes[i] > even) {
            return even;
        }
        total -= takes[i];
    }
    *out_left = total;
    return INT64_MAX;
}

/* Of the total, what gives a member `bytes`. */
static int64_t take_of(const rn_registry_entry *entry, int64_t bytes)
{
    return scale_up(rn_add(bytes, entry->reserve_bytes), MILLION, entry->ratio_ppm);
}

/* Step 3. */
static int64_t share_of(const rn_registry_entry *own, int64_t part)
{
    int64_t share = subtract(rn_share_of_ratio(part, own->ratio_ppm), own->reserve_bytes);
    return RN_MIN(own->ceiling_bytes, share);
}

/* What the members of a source take of it, the own one first: up to their demands, and beyond. */
struct takes {
    int64_t count;
    int64_t demands[RN_REGISTRY_PLACES], rests[RN_REGISTRY_PLACES];
};

static void add_take(struct takes *takes, const rn_registry_entry *entry, int64_t bound)
{
    int64_t most = RN_MIN(entry->ceiling_bytes, bound);
    int64_t demand = take_of(entry, RN_MIN(entry->demand_bytes, most));
    takes->demands[takes->count] = demand;
    takes->rests[takes->count++] = take_of(entry, most) - demand;
}

/* Step 2. `demand`: the own one, whatever its groups say; with these the answer is what it could
 * have if they let it. */
static int64_t find_part(int64_t total, int64_t demand, struct takes *takes)
{
    int64_t taken = takes->demands[0], rest = takes->rests[0], left, unused;
    int64_t level = find_level(total, takes->demands, takes->count, &left);
    if (level != INT64_MAX) {
        return RN_MIN(level, demand);
    }
    level = find_level(left, takes->rests, takes->count, &unused);
    return rn_add(taken, level != INT64_MAX ? level : rn_add(rest, unused));
}

/* Steps 2 to 4. `bound`: of the own one by its groups, at the machine. */
static void divide_source(const rn_limit_question *question, uint64_t members, bool machine,
                          int64_t bound, rn_limit_source *source)
{
    const rn_registry_entry *own = &question->entries[question->own];
    struct takes takes = {.count = 0};
    add_take(&takes, own, machine ? bound : INT64_MAX);
    int64_t held = 0, reserved = 0;
    for (int64_t i = 0; i < question->count; i++) {
        const rn_registry_entry *entry = &question->entries[i];
        if (i != question->own && (members >> i & 1) != 0) {
            add_take(&takes, entry, machine ? entry->bound_bytes : INT64_MAX);
            held = rn_add(held, scale_up(hold_of(entry), own->ratio_ppm, entry->ratio_ppm));
            reserved = rn_add(reserved, take_of(entry, 0));
        }
    }
    source->members = takes.count;
    int64_t demand = take_of(own, RN_MIN(own->demand_bytes, own->ceiling_bytes));
    source->part_bytes = find_part(source->total_bytes, demand, &takes);
    source->share_bytes = share_of(own, source->part_bytes);
    source->most_bytes = share_of(own, subtract(source->total_bytes, reserved));
    source->held_bytes = held;
    source->room_bytes = subtract(rn_share_of_ratio(source->total_bytes, own->ratio_ppm), held);
}

static void count_sources(const rn_limit_question *question, uint64_t *members,
                          rn_limit_sources *sources)
{
    for (int i = 0; i < question->probe->count; i++) {
        const rn_probe_source *source = &question->probe->sources[i];
        int64_t resident = 0;
        members[i] = find_members(question, source);
        for (int64_t j = 0; j < question->count; j++) {
            resident = (members[i] >> j & 1) != 0
                           ? rn_add(resident, question->entries[j].resident_bytes)
                           : resident;
        }
        sources->of[i] = (rn_limit_source){.resident_bytes = resident,
                                           .total_bytes = count_total(question, source, resident)};
    }
}

/* The groups and resource limits first: what they leave bounds what is taken at the machine. */
static int64_t divide_sources(const rn_limit_question *question, const uint64_t *members,
                              rn_limit_sources *sources)
{
    int64_t bound = INT64_MAX;
    for (int machine = 0; machine < 2; machine++) {
        int64_t outer = bound;
        for (int i = 0; i < question->probe->count; i++) {
            bool is_machine = question->probe->sources[i].kind == RN_PROBE_MACHINE;
            rn_limit_source *source = &sources->of[i];
            if (is_machine != (machine == 1) || source->total_bytes == INT64_MAX) {
                continue;
            }
            divide_source(question, members[i], is_machine, outer, source);
            bound = is_machine ? bound : RN_MIN(bound, source->share_bytes);
        }
    }
    return bound;
}

void rn_limit_divide(const rn_limit_question *question, rn_registry_division *out_division,
                     rn_limit_sources *out_sources, int64_t *out_bound_bytes)
{
    const rn_registry_entry *own = &question->entries[question->own];
    rn_assert(question->count >= 1 && question->count <= RN_REGISTRY_PLACES);
    rn_limit_sources local, *sources = out_sources != NULL ? out_sources : &local;
    uint64_t members[RN_PROBE_SOURCES_MAX];
    count_sources(question, members, sources);
    if (question->window != NULL) {
        pass_window(question, sources);
    }
    int64_t bound = divide_sources(question, members, sources);
    int64_t room = INT64_MAX;
    rn_registry_division division = {.share_bytes = INT64_MAX,
                                     .most_bytes = own->ceiling_bytes,
                                     .total_bytes = INT64_MAX,
                                     .others = question->count - 1,
                                     .binding = question->probe->binding,
                                     .published = true};
    for (int i = 0; i < question->probe->count; i++) {
        const rn_limit_source *source = &sources->of[i];
        if (source->members == 0) {
            continue;
        }
        room = RN_MIN(room, source->room_bytes);
        division.most_bytes = RN_MIN(division.most_bytes, source->most_bytes);
        bool ties = source->share_bytes == division.share_bytes && i == question->probe->binding;
        if (source->share_bytes < division.share_bytes || ties) {
            division.binding = i;
            division.share_bytes = source->share_bytes;
            division.total_bytes = source->total_bytes;
            division.others_limit_bytes = source->held_bytes;
        }
    }
    division.share_bytes = RN_MIN(division.share_bytes, own->ceiling_bytes);
    division.limit_bytes = RN_MIN(division.share_bytes, room);
    int64_t least = RN_MIN(rn_limit_floor(question->limits), own->limit_bytes);
    division.limit_bytes = RN_MAX(division.limit_bytes, least);
    *out_division = division;
    if (out_bound_bytes != NULL) {
        *out_bound_bytes = bound;
    }
}

/* ---------------------------------------------------------------------------------------- alone */

ration_status rn_limit_refuse(const ration_limits *limits, const rn_probe *probe,
                              const rn_registry_division *division, ration_error *error)
{
    int64_t floor = rn_limit_floor(limits);
    if (division->share_bytes >= floor) {
        return RATION_OK;
    }
    char total[32], share[32], least[32], reserve[32], ratio[32], others[48] = "";
    rn_text texts[] = {rn_text_over(total, sizeof(total)), rn_text_over(share, sizeof(share)),
                       rn_text_over(least, sizeof(least)), rn_text_over(reserve, sizeof(reserve)),
                       rn_text_over(ratio, sizeof(ratio))};
    rn_text_put_size(&texts[0], division->total_bytes);
    rn_text_put_size(&texts[1], division->share_bytes);
    rn_text_put_size(&texts[2], floor);
    rn_text_put_size(&texts[3], limits->untracked_reserved_bytes);
    rn_text_put_ratio(&texts[4], limits->limit_ratio_ppm);
    if (division->others > 0) {
        rn_text text = rn_text_over(others, sizeof(others));
        rn_text_format(&text, " divided with %lld others", (long long)division->others);
    }
    return rn_error_set(
        error, RATION_ENVIRONMENT,
        "raise the memory limit there, or lower untracked_reserved_memory_mb or limit_floor_bytes",
        "no memory to govern: %s x %s of %s%s, less the reserve of %s, leaves %s; the least is %s",
        ratio, total, probe->count > 0 ? probe->sources[division->binding].name : "nothing", others,
        reserve, share, least);
}

ration_status rn_limit_alone(const ration_limits *limits, const rn_probe *probe,
                             rn_registry_division *out_division, ration_error *error)
{
    rn_registry_entry entry = {.process = 1, .bound_bytes = INT64_MAX};
    rn_limit_describe(&entry, limits, probe);
    const rn_limit_question question = {
        .limits = limits, .probe = probe, .entries = &entry, .count = 1};
    rn_registry_division division;
    rn_limit_divide(&question, &division, NULL, NULL);
    RN_TRY(rn_limit_refuse(limits, probe, &division, error));
    *out_division = division;
    return RATION_OK;
}
