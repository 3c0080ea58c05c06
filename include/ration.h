/* SPDX-License-Identifier: Apache-2.0
 *
 * Ration: a memory budget for the result sets of a query executor.
 *
 * Limits, governors, queries, slots, guards. Regions of memory: ration_context.h; other allocators:
 * ration_resource.h, which includes both; operators that spill: ration_ask.h. Order of calls:
 *
 *     ration_limits limits;                     memory.yaml -> values
 *     ration_limits_load("memory.yaml", &limits, &error);
 *     ration_governor_open(&limits, &governor, &error);
 *         ration_query_open(governor, &options, &query, &error);
 *             ration_query_slot(query, &slot);          once per worker thread of the query
 *                 ration_guard_begin(&guard, slot, "expand.rows");
 *                     ration_guard_row(&guard, bytes);  once per row: no lock, no call
 *                 ration_guard_end(&guard);
 *         ration_query_close(query);                    gives everything back, whatever happened
 *     ration_governor_close(governor);
 *
 * Words: a *pool* is a node in the tree of limits (root -> data, queries -> query); a *slot* is
 * what one worker may charge for one query; *charged* bytes are in use, *credit* is granted to a
 * slot, not charged and always recallable; a *guard* is a scoped row counter that holds bytes;
 * *refuse* is the final no.
 *
 * Promise: charged + credit <= limit at every instant, and a refusal proves charged + asked > limit
 * at one instant inside the call, counting as charged what is promised to claims and to those who
 * wait. Only ration_slot_charge (bytes that exist already, counted as `unchecked_bytes`) or a
 * lowered limit can put a pool above its limit; then nothing new is granted until it is below again
 * (what a claim covers was granted before).
 *
 * Conventions. Byte amounts are int64_t. Functions that can fail return ration_status and leave
 * their out-parameters untouched on failure. `error` may be NULL. Strings are UTF-8, copied, never
 * kept. The header compiles alone as C99, C11 and C++17.
 */
#ifndef RATION_H
#define RATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define RATION_VERSION "0.1.0"

#define RATION_PUBLIC __attribute__((visibility("default")))
#define RATION_NODISCARD __attribute__((warn_unused_result))

/* Where the project's tests hold a thread (tests/points/README.md); nothing in any other build. */
#ifdef RATION_POINTS
void ration_point(const char *name);
#define RATION_POINT(name) ration_point(name)
#else
#define RATION_POINT(name) ((void)0)
#endif

/* --------------------------------------------------------------------------------------- status */

/* One row per status: name, exit code of the command line, sentence. Enum, texts and manual come
 * from here. Exit codes: 0 ok, 1 failed, 2 usage, 3 configuration, 5 the environment cannot do it.
 */
#define RATION_STATUS_MAP(X)                                                                       \
    X(OK, 0, "done")                                                                               \
    X(QUERY_LIMIT, 1, "the query's own limit is reached")                                          \
    X(GROUP_LIMIT, 1, "the limit of the query's group is reached")                                 \
    X(GLOBAL_LIMIT, 1, "the limit of all queries together is reached")                             \
    X(DATA_LIMIT, 1, "no room to load the data")                                                   \
    X(HOST_PRESSURE, 1, "the host is short of memory")                                             \
    X(VICTIM, 1, "chosen as victim so that other queries need not be refused")                     \
    X(QUEUE_TIMEOUT, 1, "waited too long for memory")                                              \
    X(QUEUE_FULL, 1, "too many queries wait for their minimum")                                    \
    X(CANCELLED, 1, "cancelled")                                                                   \
    X(DEADLINE, 1, "the query's time budget is spent")                                             \
    X(ROW_BUDGET, 1, "the query's row budget is spent")                                            \
    X(MINIMUM_ABOVE_LIMIT, 1, "the query's minimum is above its limit")                            \
    X(ROW_TOO_WIDE, 1, "a row is wider than max_row_bytes")                                        \
    X(STOPPED_BY_PEER, 1, "stopped because another worker of the query failed")                    \
    X(SPILL_QUOTA, 1, "the spill quota is spent")                                                  \
    X(SPILL_NO_SPACE, 1, "no space left for spilling")                                             \
    X(SPILL_IO, 1, "a spill file could not be read or written")                                    \
    X(SPILL_CORRUPT, 1, "a spill file does not hold what was written")                             \
    X(NO_MEMORY, 5, "the operating system gives no memory")                                        \
    X(NO_SLOT, 1, "every slot of the query is in use")                                             \
    X(CONFIG, 3, "the configuration is invalid")                                                   \
    X(PLAN, 3, "the plan is invalid")                                                              \
    X(DATA, 1, "the data is invalid")                                                              \
    X(EVALUATION, 1, "an expression has no value")                                                 \
    X(FILE, 1, "a file could not be read or written")                                              \
    X(INVALID_ARGUMENT, 2, "an argument is invalid")                                               \
    X(ENVIRONMENT, 5, "the environment cannot do it")                                              \
    X(INTERRUPTED, 130, "interrupted")

/* What every function that can fail answers. Values are not stable between versions; names are. */
typedef enum ration_status {
#define RATION_STATUS_ENUM(name, exit_code, sentence) RATION_##name,
    RATION_STATUS_MAP(RATION_STATUS_ENUM)
#undef RATION_STATUS_ENUM
} ration_status;

/* "QUERY_LIMIT", or "UNKNOWN". Static text. */
RATION_PUBLIC const char *ration_status_name(ration_status status);
/* One sentence without full stop. Static text. */
RATION_PUBLIC const char *ration_status_sentence(ration_status status);
/* The exit code the command line answers with. */
RATION_PUBLIC int ration_status_exit_code(ration_status status);

/* Where, why and what next, of anything that is not a refusal of memory. A value: nothing to free.
 */
typedef struct ration_error {
    size_t size; /* sizeof(ration_error), set by the library */
    ration_status status;
    int line, column;  /* 1-based; 0 = not from a file position */
    char file[256];    /* "" = not from a file */
    char message[384]; /* why */
    char hint[384];    /* what next; may be "" */
} ration_error;

/* Writes "file:line:column: error: message (hint)" and returns its length without the final NUL;
 * at most `capacity - 1` bytes are written. */
RATION_PUBLIC size_t ration_error_format(const ration_error *error, char *text, size_t capacity);

/* --------------------------------------------------------------------------------------- limits */

#define RATION_GROUPS_MAX 64

/* A class of queries with a pool of its own between `queries` and its queries: `groups` of
 * memory.yaml. A value. */
typedef struct ration_group {
    char name[32];             /* 1 to 31 bytes of UTF-8 without control characters and '/' */
    int64_t limit_bytes;       /* of all its queries together; 0 = no limit of its own */
    int64_t share;             /* weight among the groups, for what none has claimed */
    int64_t priority;          /* higher is admitted first, and asked to give last */
    int64_t queries_max;       /* admitted at a time; 0 = no bound */
    int64_t query_limit_bytes; /* per query; 0 = that of ration_limits */
    int64_t spill_bytes_max; /* written out by all its queries together; 0 = no quota of its own */
} ration_group;

/* What limit_ratio is a part of. */
enum { RATION_BASE_AVAILABLE, RATION_BASE_TOTAL };

/* memory.yaml as values. The key table in config/keys.c names unit, range and default of each. */
typedef struct ration_limits {
    size_t size;               /* sizeof(ration_limits) */
    int64_t limit_bytes;       /* 0 = derive from limit_ratio */
    int64_t limit_ratio_ppm;   /* millionths of limit_base: 800000 = 0.8 */
    int64_t limit_base;        /* RATION_BASE_AVAILABLE: what is free, with what queries hold of it;
                                RATION_BASE_TOTAL: the machine, or the smallest limit it sets */
    int64_t limit_floor_bytes; /* a derived limit below it is refused at open, and not followed */
    int64_t limit_ceiling_bytes; /* a derived limit never grows above it; 0 = none */
    int64_t untracked_reserved_bytes;
    int64_t data_limit_bytes;  /* 0 = no limit of its own below the root */
    int64_t query_limit_bytes; /* per query; 0 = no limit of its own below the root */
    int64_t query_rows_max; /* rows a query may produce in all operators together; 0 = unlimited */
    int64_t query_time_ms_max; /* time budget; 0 = unlimited */
    int64_t query_wait_ms_max; /* longest wait for memory that others give back */
    int64_t max_row_bytes;     /* widest row an operator may hold */
    int64_t chunk_bytes_max;   /* most credit a slot takes at a time */
    int64_t retain_ms;         /* how long pages stay that nobody uses; 0 = they go at once */
    bool prefault;             /* fresh blocks are made resident at once */
    int64_t check_interval; /* rows between two settles of a guard, and rows of a batch at most */
    int64_t check_bytes;    /* bytes between two settles of a guard */
    bool enable_system_monitor;    /* the limit follows the machine, with each tick */
    int64_t monitor_interval_ms;   /* between two looks at the machine */
    int64_t pressure_stall_ppm;    /* of the time that tasks wait for memory; 0 = not looked at */
    int64_t spill_bytes_max;       /* written out by all queries together; 0 = no quota */
    int64_t spill_query_bytes_max; /* per query; 0 = no quota of its own */
    int64_t spill_free_bytes_min;  /* stays free on that file system */
    bool spill_allow_memory;       /* also on a file system that is memory itself */
    int64_t admission_queue_max;   /* queries that may wait for their minimum */
    int64_t admission_wait_ms_max; /* longest that they wait for it */
    char spill_directory[256];     /* absolute, without ".." */
    char registry_directory[256];  /* where processes find each other; so too */
    int64_t group_count;
    ration_group groups[RATION_GROUPS_MAX]; /* the first group_count; names are unique */
} ration_limits;

/* The defaults of the key table. */
RATION_PUBLIC void ration_limits_default(ration_limits *out_limits);
/* Reads a memory.yaml (at most 256 KiB, 8192 values, nesting at most 8). Errors: CONFIG with file,
 * line, column; FILE. */
RATION_NODISCARD RATION_PUBLIC ration_status ration_limits_load(const char *path,
                                                                ration_limits *out_limits,
                                                                ration_error *error);
/* Puts what the environment says over `limits`: RATION_LIMIT_BYTES=4GiB stands for the key
 * limit_bytes, and so for every key but groups; an empty variable counts as not set. Errors: CONFIG
 * naming the variable (also one whose name is nearly that of a key), and `limits` are as before.
 * Not while another thread changes the environment. */
RATION_NODISCARD RATION_PUBLIC ration_status ration_limits_override(ration_limits *limits,
                                                                    ration_error *error);

/* ----------------------------------------------------------------------------------------- slot */

/* Keeper of the limits of one process; any thread may use it. */
typedef struct ration_governor ration_governor;
/* A node in the tree of limits; belongs to its governor or query. */
typedef struct ration_pool ration_pool;
/* Owner of everything one query was given. */
typedef struct ration_query ration_query;

/* Inside of a slot: how many blocks its owner gave up and can have again at once (memory/shelf.c).
 */
typedef struct ration_shelf {
    int64_t count; /* owner writes, all read */
    int64_t base;  /* written under the lock */
} ration_shelf;

/* What one worker may charge for one query. One owner at a time; every other thread only reads
 * `used` and, under the governor's lock, writes `limit` and `floor`. The first three words live
 * alone on a line pair, so that owners never share one. Equation between two
 * charges, while no recall is under way: credit = limit - used >= 0. */
typedef struct ration_slot {
    int64_t used __attribute__((aligned(128))); /* owner writes, all read, relaxed */
    int64_t limit; /* written under the lock; INT64_MIN while a recall reads */
    int64_t floor; /* a release that lands below it takes credit home; INT64_MAX while draining */
    int32_t ordering; /* 0 = membarrier supplies the store-load order, 1 = seq_cst; fixed at open */
    int32_t shelves_used;
    int64_t shelf_puts;      /* ever; owner writes, all read */
    int64_t shelf_cleared;   /* of these, when the shelves were last emptied; under the lock */
    ration_shelf shelves[5]; /* blocks at hand; the library's alone */
} ration_slot;

/* Slow paths of the two inline functions below; not to be called directly. */
RATION_NODISCARD RATION_PUBLIC ration_status ration_slot_charge_slow(ration_slot *slot,
                                                                     int64_t bytes, bool published);
RATION_PUBLIC void ration_slot_release_slow(ration_slot *slot);

/* Charges `bytes` (>= 0), or refuses and charges nothing; INT64_MAX is always refused. Owner only.
 * Errors: QUERY_LIMIT, GROUP_LIMIT, GLOBAL_LIMIT, DATA_LIMIT; details by ration_query_refusal.
 * Cost: two loads, one store, no read-modify-write, no lock while credit lasts.
 * The published-counter protocol and its proof: memory/slot.c. */
RATION_NODISCARD static inline ration_status ration_slot_try_charge(ration_slot *slot,
                                                                    int64_t bytes)
{
#ifdef RATION_UNGOVERNED
    (void)slot;
    (void)bytes;
    return RATION_OK;
#else
    int64_t used = __atomic_load_n(&slot->used, __ATOMIC_RELAXED);
    int64_t limit = __atomic_load_n(&slot->limit, __ATOMIC_RELAXED);
    int64_t after;
    if (__builtin_expect(__builtin_add_overflow(used, bytes, &after) || after > limit, 0)) {
        return ration_slot_charge_slow(slot, bytes, false);
    }
    RATION_POINT("charge.compared");
    if (__builtin_expect(slot->ordering == 0, 1)) {
        __atomic_store_n(&slot->used, after, __ATOMIC_RELAXED);
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
        RATION_POINT("charge.published");
        limit = __atomic_load_n(&slot->limit, __ATOMIC_RELAXED);
    } else {
        (void)__atomic_exchange_n(&slot->used, after, __ATOMIC_SEQ_CST);
        RATION_POINT("charge.published");
        limit = __atomic_load_n(&slot->limit, __ATOMIC_SEQ_CST);
    }
    if (__builtin_expect(after > limit, 0)) {
        return ration_slot_charge_slow(slot, bytes, true);
    }
    return RATION_OK;
#endif
}

/* Gives back `bytes` (>= 0) charged before, by this or another slot of the same query. Owner only;
 * cannot fail. Cost: one load, one store, one compare. */
static inline void ration_slot_release(ration_slot *slot, int64_t bytes)
{
#ifdef RATION_UNGOVERNED
    (void)slot;
    (void)bytes;
#else
    int64_t after = __atomic_load_n(&slot->used, __ATOMIC_RELAXED) - bytes;
    int64_t floor;
    if (__builtin_expect(slot->ordering == 0, 1)) {
        __atomic_store_n(&slot->used, after, __ATOMIC_RELEASE);
        __atomic_signal_fence(__ATOMIC_SEQ_CST);
        RATION_POINT("release.published");
        floor = __atomic_load_n(&slot->floor, __ATOMIC_RELAXED);
    } else {
        (void)__atomic_exchange_n(&slot->used, after, __ATOMIC_SEQ_CST);
        RATION_POINT("release.published");
        floor = __atomic_load_n(&slot->floor, __ATOMIC_SEQ_CST);
    }
    if (__builtin_expect(after < floor, 0)) {
        ration_slot_release_slow(slot);
    }
#endif
}

/* Charges bytes that exist already; cannot refuse. What does not fit is counted as unchecked. Owner
 * only. */
RATION_PUBLIC void ration_slot_charge(ration_slot *slot, int64_t bytes);

/* Charges the most there is between `at_least` and `up_to`, and says how much. Owner only. Errors
 * as try_charge. */
RATION_NODISCARD RATION_PUBLIC ration_status ration_slot_try_charge_between(ration_slot *slot,
                                                                            int64_t at_least,
                                                                            int64_t up_to,
                                                                            int64_t *out_charged);

/* Hand a slot, with its guards and contexts, from one thread to another (fibers, continuations):
 * the old owner detaches, the new one attaches, and all that the first did happens before what the
 * second does. A slot that nobody has used yet needs no attach. Faults: an attach or detach of a
 * slot that another thread has; in checked builds, which attach a slot at its first use, also a
 * guard on such a slot or on a detached one. Cost: one atomic operation. */
RATION_PUBLIC void ration_slot_detach(ration_slot *slot);
RATION_PUBLIC void ration_slot_attach(ration_slot *slot);

/* --------------------------------------------------------------------------- governor and pools */

/* Opens a governor: root pool with the limit of `limits`, below it the pools `data` and `queries`.
 * With limit_bytes 0 the limit is derived from what the machine has, and divided with other
 * governors of the user that are there; that may take a second, until they have given way. With
 * enable_system_monitor it follows the machine from then on, at each ration_governor_tick
 * (ration_monitor.h); the child of a fork opens its own. Threads: the governor may be used from any
 * thread. Errors: INVALID_ARGUMENT, CONFIG (values out of range), ENVIRONMENT (the derived limit
 * would be below limit_floor_bytes, or cannot be derived), NO_MEMORY. */
RATION_NODISCARD RATION_PUBLIC ration_status ration_governor_open(const ration_limits *limits,
                                                                  ration_governor **out_governor,
                                                                  ration_error *error);
/* The same for several processes that charge one tree of pools, so that one limit holds for all of
 * them together. Root and queries are common; queries, and the pool that ration_governor_data
 * answers, are each process's own. The tree lies in the file `path`, made with mode 0600 when there
 * is none and joined otherwise; put it where a boot clears it, such as /dev/shm or /run. The limits
 * of root and data and the chunk are those of whoever opens it while nobody else has; afterwards
 * ration_governor_set_limit changes the root's for all. A limit that follows the machine is set by
 * the ticks of one process: the one that was there first, and when it has gone, the next that
 * ticks. Up to 64 processes, 500 pools and 1000 slots at a time; more are answered ENVIRONMENT,
 * NO_MEMORY and NO_SLOT.
 *
 * Idle credit of one process is granted to another that asks. Bytes that another process uses are
 * not waited for: nobody there is asked to spill, and none of its queries becomes a victim. Of a
 * process that dies, however it does, all is given back before anybody is refused for want of it
 * (within 10 ms when it was not waited for), but for bytes it had handed to a common pool. A
 * process that is stopped in the middle of a slow path stops the others at theirs. The child of a
 * fork does not have the governor: it may close it and its queries, not use them, and opens its
 * own. Slots are ordered by seq_cst.
 *
 * All who can write the file are trusted with its contents. Closing leaves the file, which may be
 * removed when nobody uses it. Errors: as above; FILE (cannot be opened, is no such file, is
 * damaged, belongs to another version or user), ENVIRONMENT (from before this boot or from another
 * pid namespace, too many processes). */
RATION_NODISCARD RATION_PUBLIC ration_status
ration_governor_open_shared(const ration_limits *limits, const char *path,
                            ration_governor **out_governor, ration_error *error);
/* Closes it. Every query must be closed before (checked builds abort). */
RATION_PUBLIC void ration_governor_close(ration_governor *governor);
/* Sets the root's limit; live. A cut is accepted at once: idle credit is recalled, nothing new is
 * granted above it. It stays, whatever the machine has, until ration_governor_reload. */
RATION_NODISCARD RATION_PUBLIC ration_status ration_governor_set_limit(ration_governor *governor,
                                                                       int64_t limit_bytes);
/* Looks at the machine when monitor_interval_ms is over (ration_monitor.h), and gives pages back to
 * the system that nobody has used for `retain_ms`. Call it every 100 ms or so, from any thread:
 * then they are gone 100 ms after that time at the latest. Without it they go by and by, as queries
 * take and give back blocks, and when somebody needs the bytes. Cost: a lock; with something to
 * give back, up to 1 MiB of it at a time under the governor's. It also writes out for queries that
 * were asked to give and that nobody is inside of (ration_ask.h), up to 64 MiB of each: hosts that
 * wait by other means than ration_slot_wait need it for that. Takes up to 64 KiB of stack, and what
 * spillers take. */
RATION_PUBLIC void ration_governor_tick(ration_governor *governor);
/* The pools everybody has; owned by the governor. */
RATION_PUBLIC ration_pool *ration_governor_root(ration_governor *governor);
RATION_PUBLIC ration_pool *ration_governor_data(ration_governor *governor);
RATION_PUBLIC ration_pool *ration_governor_queries(ration_governor *governor);
/* "membarrier" or "seq_cst": how store-load order is supplied to slots. */
RATION_PUBLIC const char *ration_governor_ordering(const ration_governor *governor);

/* A reading of one pool. charged + credit = granted <= limit, but for unchecked bytes and a cut
 * limit. */
typedef struct ration_pool_figures {
    size_t size;
    int64_t limit_bytes; /* INT64_MAX = none of its own */
    int64_t granted_bytes;
    int64_t charged_bytes;
    int64_t credit_bytes;
    int64_t retained_bytes;   /* resident pages no block uses; part of credit */
    int64_t claim_bytes;      /* minimum that is charged whether it is held or not */
    int64_t soft_limit_bytes; /* high watermark; INT64_MAX = none */
    int64_t unchecked_bytes;
    int64_t peak_bytes; /* highest granted, in refills */
    int64_t refusals;
    int64_t waiting; /* slots that wait for bytes at this pool */
    bool high;       /* granted >= soft_limit_bytes */
} ration_pool_figures;

/* One pass over the pool's slots, under the lock. Any thread. */
RATION_PUBLIC void ration_pool_read(ration_pool *pool, ration_pool_figures *out_figures);
/* Sets a high watermark; nothing is refused for it. INT64_MAX = none. Any thread. */
RATION_PUBLIC void ration_pool_set_soft_limit(ration_pool *pool, int64_t soft_limit_bytes);
/* Is the pool at its high watermark? It looks at granted bytes, so it may say so early, by the
 * credit that is out below the pool, and never late. Any thread; two loads. */
RATION_PUBLIC bool ration_pool_is_high(const ration_pool *pool);
/* Gives back `bytes` (>= 0) that a guard handed to this pool (ration_guard_hand_to_pool). Any
 * thread; cannot fail. More than the pool is granted is a fault, and nothing is given back. Cost:
 * the lock. */
RATION_PUBLIC void ration_pool_release(ration_pool *pool, int64_t bytes);
/* "root/queries/q17"; writes at most `capacity` bytes with the NUL. */
RATION_PUBLIC void ration_pool_path(const ration_pool *pool, char *text, size_t capacity);
/* Audit: does the sum over slots and children equal the pools' words, in the whole tree below?
 * Writes the first difference into `text`. Any thread, any time. */
RATION_PUBLIC bool ration_pool_check(ration_pool *pool, char *text, size_t capacity);

/* ---------------------------------------------------------------------------------------- query */

/* Why a query was refused memory. A value, filled without allocating. */
typedef struct ration_refusal {
    size_t size;
    ration_status status;
    char pool[96];         /* path of the pool whose limit it is */
    int64_t limit_bytes;   /* that pool's limit */
    int64_t charged_bytes; /* charged below that pool at the instant of the refusal, and promised to
                              who waits there */
    int64_t asked_bytes;   /* what did not fit */
    char query[64];        /* who asked */
    char site[64];         /* where: operator or guard */
    int64_t query_bytes;   /* what the asker held */
    char holder[64];       /* the query that holds most below that pool */
    char holder_site[64];  /* its largest operator, "" when unknown */
    int64_t holder_bytes;
    int64_t recalled_bytes; /* idle credit brought home before the answer */
    int64_t purged_bytes;   /* retained pages given back before the answer */
    int64_t waiting;        /* slots that wait at that pool: what comes free there is theirs */
    int64_t data_bytes;     /* what the graph holds, unless the limit is the query's own */
    char key[64];           /* what to turn: a key of memory.yaml, or "limit_bytes of the query" */
    int64_t key_bytes;      /* the least value of it under which this ask would have been granted */
} ration_refusal;

/* At most 13 lines; the first reads "memory limit exceeded: <charged> + <asked> > <limit> bytes
 * (<pool>)". Returns the length without the final NUL. */
RATION_PUBLIC size_t ration_refusal_format(const ration_refusal *refusal, char *text,
                                           size_t capacity);

/* How to open a query; all zeros but `size` are the defaults. */
typedef struct ration_query_options {
    size_t size;         /* sizeof(ration_query_options) */
    const char *name;    /* shown in reports and refusals; NULL = "q<number>", and in a shared
                            governor "<pid>.q<number>" */
    int64_t limit_bytes; /* 0 = query_limit_bytes of memory.yaml */
    int64_t rows_max;    /* 0 = query_rows_max of memory.yaml */
    int64_t time_ms_max; /* 0 = query_time_ms_max of memory.yaml */
    const char *group;   /* of memory.yaml; NULL = none, without limits of a group */
} ration_query_options;

/* Opens a query: a pool below `queries`, or below its group's. `options` may be NULL. Errors:
 * NO_MEMORY, INVALID_ARGUMENT (also a group that is not there, with a suggestion). */
RATION_NODISCARD RATION_PUBLIC ration_status ration_query_open(ration_governor *governor,
                                                               const ration_query_options *options,
                                                               ration_query **out_query,
                                                               ration_error *error);
/* A slot for the calling worker, of at most 64 per query at a time. The query owns it: it ends with
 * ration_query_return_slot, or at close (also after its thread has exited). Errors: NO_SLOT,
 * NO_MEMORY. Cost: a lock, one allocation. */
RATION_NODISCARD RATION_PUBLIC ration_status ration_query_slot(ration_query *query,
                                                               ration_slot **out_slot);
/* Gives a slot back before close, so that any number of threads may come and go in one query: its
 * credit goes home, its place is free again, what it still charges stays charged to the query until
 * somebody releases it or the query closes. Guards and contexts on it must have ended. Its owner,
 * or anybody once it is detached. Cost: a lock. */
RATION_PUBLIC void ration_query_return_slot(ration_slot *slot);
/* Charges `bytes` (>= 0) to the query without a slot, for threads beyond the 64 and for those that
 * charge once: errors and refusals as ration_slot_try_charge. Any thread. Cost: the governor's
 * lock. */
RATION_NODISCARD RATION_PUBLIC ration_status ration_query_try_charge(ration_query *query,
                                                                     int64_t bytes);
/* Gives back `bytes` (>= 0) that ration_query_try_charge or a slot of the query charged. Any
 * thread; cannot fail. Cost: the governor's lock. */
RATION_PUBLIC void ration_query_release(ration_query *query, int64_t bytes);
/* Asks the query to stop: the next settle of each worker answers CANCELLED. Any thread. */
RATION_PUBLIC void ration_query_cancel(ration_query *query);
/* The query's sticky status: the first error of any worker. Any thread. */
RATION_PUBLIC ration_status ration_query_status(const ration_query *query);
/* Copies the refusal behind the sticky status, else the latest of any worker; false when there was
 * none. Any thread. */
RATION_PUBLIC bool ration_query_refusal(const ration_query *query, ration_refusal *out_refusal);
RATION_PUBLIC ration_pool *ration_query_pool(ration_query *query);
/* Sweeps what guards still hold and what was handed to the query's pool, returns all slots, closes
 * the pool. Afterwards the pool reads 0. Every worker must have stopped. */
RATION_PUBLIC void ration_query_close(ration_query *query);

/* ---------------------------------------------------------------------------------------- guard */

/* A scoped, row-counted holder of bytes at one site of one query. A value: it may live on the
 * stack, in an iterator or in a coroutine's frame, and be carried between threads with its slot.
 * Any number may live on one slot and end in any order. What a guard holds is counted in the slot,
 * so one lost to longjmp, or begun again before it ended, is swept when the query closes. It stays
 * armed after a refusal.
 *
 * It settles every N rows or B bytes, whichever comes first: B is at most check_bytes and at most a
 * share of the least room on the way to the root (room / (2 x slots)), so that near a limit every
 * row settles; N is what rows of the measured width make of B, at most check_interval.
 *
 * Overshoot. Told before it allocates, a host is never above the limit. A host that allocates first
 * and tells afterwards is above it by no more than
 *
 *     live guards x (settle bytes + widest row + one growth step)
 *
 * where settle bytes is what it lets run up before it tells (`bytes_left` says how much the guard
 * expects; 0 when every row is told at once) and one growth step is what a container takes beyond
 * its rows. tests/executor/test_guard.c measures it. */
typedef struct ration_guard {
    ration_slot *slot;
    const char *site; /* kept by pointer: static text */
    int64_t held_bytes;
    int64_t rows_left;  /* until the next settle */
    int64_t bytes_left; /* until the next settle */
    int64_t rows_start; /* where the countdowns began */
    int64_t bytes_start;
    int64_t rows_interval;
    int64_t bytes_interval;
} ration_guard;

/* Starts a guard that holds nothing. `site` must outlive it (a literal). Slot's owner only, as all
 * of guards. Cost: no allocation; a lock for the first guard of a slot. */
RATION_PUBLIC void ration_guard_begin(ration_guard *guard, ration_slot *slot, const char *site);
/* The slow half of ration_guard_row: looks for cancel, deadline and budgets, and adapts the
 * interval to the width of the rows. */
RATION_NODISCARD RATION_PUBLIC ration_status ration_guard_settle(ration_guard *guard);
/* Records why `status` was answered at this guard's site; called by ration_guard_row. Negative
 * `bytes` are a fault, and INVALID_ARGUMENT. */
RATION_NODISCARD RATION_PUBLIC ration_status ration_guard_refused(ration_guard *guard,
                                                                  ration_status status,
                                                                  int64_t bytes);
/* Gives back all that the guard holds. Ending twice is harmless, also when the slot is gone. */
RATION_PUBLIC void ration_guard_end(ration_guard *guard);
/* Moves `bytes` of what the guard holds to `pool`, of the same governor, for something that
 * outlives the guard or the query (a cache, another query's result): whoever ends that calls
 * ration_pool_release. One step: no pool that lies on both ways sees a change, no limit is passed.
 * Refused with the status of the pool that has no room (ration_query_refusal explains): the guard
 * holds them as before. Handed to a query's pool, they are given back at its close at the latest.
 * Errors: the limits' statuses; INVALID_ARGUMENT (and a fault) for more than the guard holds. Cost:
 * the governor's lock. */
RATION_NODISCARD RATION_PUBLIC ration_status ration_guard_hand_to_pool(ration_guard *guard,
                                                                       int64_t bytes,
                                                                       ration_pool *pool);

/* Charges one row of `bytes` (>= 0), and settles every N rows or B bytes. When memory is refused
 * (errors of ration_slot_try_charge) nothing was charged for this row and the guard is as before;
 * when a settle says stop (CANCELLED, DEADLINE, ROW_BUDGET, STOPPED_BY_PEER) the row is charged and
 * held. Negative bytes are a fault: INVALID_ARGUMENT, nothing charged. */
RATION_NODISCARD static inline ration_status ration_guard_row(ration_guard *guard, int64_t bytes)
{
#ifdef RATION_UNGOVERNED
    (void)guard;
    (void)bytes;
    return RATION_OK;
#else
    if (__builtin_expect(bytes < 0, 0)) {
        return ration_guard_refused(guard, RATION_INVALID_ARGUMENT, bytes);
    }
    ration_status status = ration_slot_try_charge(guard->slot, bytes);
    if (__builtin_expect(status != RATION_OK, 0)) {
        return ration_guard_refused(guard, status, bytes);
    }
    guard->held_bytes += bytes;
    guard->rows_left -= 1;
    guard->bytes_left -= bytes;
    if (__builtin_expect(((guard->rows_left - 1) | (guard->bytes_left - 1)) < 0, 0)) {
        return ration_guard_settle(guard);
    }
    return RATION_OK;
#endif
}

/* Declares a guard that ends with its scope: return, break, goto, a C++ exception or a thread's
 * exit or cancellation (files through which they pass compiled with -fexceptions); not longjmp:
 * then the query sweeps it. */
#define RATION_GUARD(name, slot, site)                                                             \
    ration_guard name __attribute__((cleanup(ration_guard_end)));                                  \
    ration_guard_begin(&name, (slot), (site))

/* ------------------------------------------------------------------------------------- bindings */

/* For languages that cannot compile inline functions: each inline function ration_<name> above is
 * exported as ration_call_<name>, with the same parameters, results and contract. */
RATION_NODISCARD RATION_PUBLIC ration_status ration_call_slot_try_charge(ration_slot *slot,
                                                                         int64_t bytes);
RATION_PUBLIC void ration_call_slot_release(ration_slot *slot, int64_t bytes);
RATION_NODISCARD RATION_PUBLIC ration_status ration_call_guard_row(ration_guard *guard,
                                                                   int64_t bytes);
/* What to allocate for a guard, aligned to 8: sizeof(ration_guard) of the library that is loaded.
 */
RATION_PUBLIC size_t ration_call_guard_bytes(void);

#ifdef __cplusplus
}
#endif
#endif
