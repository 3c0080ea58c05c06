/* SPDX-License-Identifier: Apache-2.0
 *
 * Chunks of checked builds: rn_chunk_arm -> rn_chunk_expect -> rn_chunk_disarm -> rn_chunk_bury ->
 * the quarantine.
 *
 * The record before a chunk is two words, which depend on its address, so that a copied record is
 * none:
 *
 *     live:    bytes 38 | stack 19 | seal 7     canary 64
 *     buried:  the kind's link                  stack 19 | that of the free 19 | bytes 15 | seal 11
 *
 * The seal of the first word lets a report trust it when the canary was overwritten: an underflow
 * of up to 8 bytes leaves the stack of the allocation. Behind the chunk, up to the next multiple of
 * 8 that leaves room, is the tail: 8 to 15 constant bytes, none of them 0, for most overflows write
 * the 0 of a string.
 *
 *   1. A live chunk has its canary and its tail, from arm to disarm.
 *   2. A buried one reads 0x7f from its record to the end of its tail, unless it is larger than
 *      what waits in quarantine: then it is only remembered (sentry_live.c).
 *
 * AddressSanitizer and valgrind are told that record, tail and freed memory are nobody's, so they
 * report first, and reads too; canaries are verified all the same, for code they did not see. The
 * record is read by functions that AddressSanitizer leaves alone; what is written is opened before.
 *
 * Rejected: a live list through the chunks, for leaks. Kinds can walk their blocks.
 */
#include "memory/alarm.h"
#include "memory/poison.h"

#ifdef RATION_CHECKED

#include <stdio.h>
#include <unistd.h>

#define NO_ASAN __attribute__((no_sanitize("address")))
#define CHUNK_BITS 38
#define SEAL_BITS (64 - CHUNK_BITS - RN_STACK_BITS)
#define BURIED_BITS 15
#define BURIED_SEAL_BITS (64 - BURIED_BITS - 2 * RN_STACK_BITS)
#define STACK_MASK ((UINT64_C(1) << RN_STACK_BITS) - 1)
#define CHUNK_MASK ((UINT64_C(1) << CHUNK_BITS) - 1)
#define BURIED_MASK ((UINT64_C(1) << BURIED_BITS) - 1)
#define FRESH_BYTES_MAX ((size_t)64 * 1024) /* a large chunk keeps its pages untouched */
#define SHOWN_BYTES 8

_Static_assert(RN_QUARANTINE_CHUNK_BYTES <= BURIED_MASK, "the record holds what waits");
_Static_assert(RN_FRONT_BYTES == 2 * sizeof(uint64_t), "the record is two words");

static const uint8_t tail_bytes[15] = {0xb5, 0x3d, 0xe7, 0x91, 0x4b, 0xf3, 0x6d, 0xc5,
                                       0x9b, 0x37, 0xd1, 0x59, 0xad, 0xe3, 0x8f};

typedef struct record {
    uint64_t first, second;
} record;

static int64_t quarantine_chunks = RN_QUARANTINE_CHUNKS; /* any thread */

/* --------------------------------------------------------------------------------------- record */

static uint64_t mix(const void *raw, uint64_t value)
{
    uint64_t x = ((uint64_t)(uintptr_t)raw ^ value * UINT64_C(0xd6e8feb86659fd93)) +
                 UINT64_C(0x632be59bd9b4e019);
    x ^= x >> 32;
    x *= UINT64_C(0xd6e8feb86659fd93);
    return x ^ x >> 29;
}

/* In the seal, and in every byte of the canary, the highest bit is set: 0 and letters, which are
 * what is written by mistake, never leave them as they were. */
static uint64_t seal(const void *raw, uint64_t word, unsigned bits)
{
    return word | (mix(raw, word) | UINT64_C(1) << 63) >> (64 - bits) << (64 - bits);
}

static bool is_sealed(const void *raw, uint64_t word, unsigned bits)
{
    return word == seal(raw, word & (UINT64_MAX >> bits), bits);
}

static size_t extent_of(uint64_t bytes)
{
    return (size_t)(RN_FRONT_BYTES + bytes + RN_TAIL_BYTES + 7) & ~(size_t)7;
}

/* Reading what AddressSanitizer calls nobody's, and valgrind must be told of. */
NO_ASAN static record load_record(const void *raw)
{
#if !RN_ASAN
    rn_open(raw, RN_FRONT_BYTES);
#endif
    const uint64_t *words = (const uint64_t *)raw;
    return (record){words[0], words[1]};
}

static void close_record(const void *raw)
{
    rn_poison(raw, RN_FRONT_BYTES);
}

static uint64_t canary(const void *raw, uint64_t first)
{
    return mix(raw, ~first) | UINT64_MAX / 255 * 0x80;
}

static bool is_live(const void *raw, record found)
{
    return found.second == canary(raw, found.first);
}

static bool is_buried(const void *raw, record found)
{
    return !is_live(raw, found) && is_sealed(raw, found.second, BURIED_SEAL_BITS);
}

static uint64_t live_bytes(record found)
{
    return found.first & CHUNK_MASK;
}

static uint32_t live_stack(record found)
{
    return (uint32_t)(found.first >> CHUNK_BITS & STACK_MASK);
}

static uint32_t buried_stack(record found)
{
    return (uint32_t)(found.second & STACK_MASK);
}

static uint32_t buried_end(record found)
{
    return (uint32_t)(found.second >> RN_STACK_BITS & STACK_MASK);
}

/* Seals are short: that the stack is one makes it sure. */
static bool is_stack(uint32_t stack)
{
    const uintptr_t *frames;
    return rn_stack_frames(stack, &frames) > 0;
}

static uint64_t buried_bytes(record found)
{
    return found.second >> (2 * RN_STACK_BITS) & BURIED_MASK;
}

static void store_live(void *raw, size_t bytes, uint32_t stack)
{
    rn_assert(bytes <= CHUNK_MASK);
    uint64_t *words = (uint64_t *)raw;
    words[0] = seal(raw, bytes | (uint64_t)stack << CHUNK_BITS, SEAL_BITS);
    words[1] = canary(raw, words[0]);
}

static void store_buried(void *raw, uint64_t bytes, uint32_t made, uint32_t ended)
{
    uint64_t word =
        RN_MIN(bytes, BURIED_MASK) << (2 * RN_STACK_BITS) | (uint64_t)ended << RN_STACK_BITS | made;
    ((uint64_t *)raw)[1] = seal(raw, word, BURIED_SEAL_BITS);
}

/* -------------------------------------------------------------------------------------- reports */

/* "bytes 24..27, 0 behind its end, are 41 41 41 41" of a chunk of `bytes`. */
NO_ASAN static void add_bytes(rn_alarm *alarm, const void *user, int64_t first, int64_t last,
                              uint64_t bytes)
{
    bool one = first == last;
    if (one) {
        rn_alarm_add(alarm, ": byte %lld", (long long)first);
    } else {
        rn_alarm_add(alarm, ": bytes %lld..%lld", (long long)first, (long long)last);
    }
    if (first < 0) {
        rn_alarm_add(alarm, ", %lld before its start,", (long long)(-1 - last));
    } else if ((uint64_t)first >= bytes) {
        rn_alarm_add(alarm, ", %lld behind its end,", (long long)((uint64_t)first - bytes));
    }
    rn_alarm_add(alarm, one ? " is" : " are");
    for (int64_t at = first; at <= last && at < first + SHOWN_BYTES; at++) {
        rn_alarm_add(alarm, " %02x", ((const uint8_t *)user)[at]);
    }
    if (last - first >= SHOWN_BYTES) {
        rn_alarm_add(alarm, " ..");
    }
}

static void begin_report(rn_alarm *alarm, const char *what, const void *user, uint64_t bytes,
                         const rn_place *place)
{
    rn_alarm_begin(alarm, STDERR_FILENO);
    rn_alarm_add(alarm, "ration: %s: %llu bytes at %p", what, (unsigned long long)bytes, user);
    rn_alarm_place(alarm, place);
}

_Noreturn static void report_double_free(const void *user, uint64_t bytes, const rn_place *place,
                                         const char *call, uint32_t made, uint32_t ended)
{
    rn_alarm alarm;
    begin_report(&alarm, "double free of a chunk", user, bytes, place);
    rn_alarm_abort(&alarm, call, made, ended);
}

/* Of a chunk whose first word is sound or not. */
NO_ASAN _Noreturn static void report_underflow(const void *raw, record found, const rn_place *place,
                                               const char *call)
{
    rn_alarm alarm;
    const void *user = rn_chunk_user(raw);
    if (!is_sealed(raw, found.first, SEAL_BITS)) {
        rn_alarm_begin(&alarm, STDERR_FILENO);
        rn_alarm_add(&alarm, "ration: underflow of a chunk: at %p", user);
        rn_alarm_place(&alarm, place);
        add_bytes(&alarm, user, -RN_FRONT_BYTES, -1, 0);
        rn_alarm_abort(&alarm, call, 0, 0);
    }
    uint64_t wrong = found.second ^ canary(raw, found.first);
    int64_t first = -8 + __builtin_ctzll(wrong) / 8;
    int64_t last = -1 - __builtin_clzll(wrong) / 8;
    begin_report(&alarm, "underflow of a chunk", user, live_bytes(found), place);
    add_bytes(&alarm, user, first, last, live_bytes(found));
    rn_alarm_abort(&alarm, call, live_stack(found), 0);
}

void rn_chunk_expect(const void *user, const char *call)
{
    rn_departed gone;
    if (rn_departed_find(user, &gone)) {
        rn_place place = {.noun = gone.noun, .name = gone.name, .kind = gone.kind, .call = call};
        report_double_free(user, gone.bytes, &place, call, gone.made, gone.ended);
    }
    rn_alarm alarm;
    rn_alarm_begin(&alarm, STDERR_FILENO);
    if ((uintptr_t)user % sizeof(uint64_t) != 0) {
        rn_alarm_add(&alarm, "ration: foreign free: %p is no chunk", user);
        rn_alarm_abort(&alarm, call, 0, 0);
    }
    const void *raw = rn_chunk_raw(user);
    record found = load_record(raw);
    bool buried =
        is_buried(raw, found) && (buried_stack(found) == 0 || is_stack(buried_stack(found)));
    if (is_live(raw, found) || buried) {
        close_record(raw);
        return;
    }
    if (is_sealed(raw, found.first, SEAL_BITS) && is_stack(live_stack(found))) {
        report_underflow(raw, found, NULL, call);
    }
    rn_alarm_add(&alarm, "ration: foreign free: %p is no chunk", user);
    if (found.second == UINT64_MAX / 255 * RN_BURIED_BYTE) {
        rn_alarm_add(&alarm, ", and lies in freed memory");
    }
    rn_alarm_abort(&alarm, call, 0, 0);
}

void rn_chunk_report_header(const void *user, const char *call)
{
    const void *raw = rn_chunk_raw(user);
    record found = load_record(raw);
    rn_alarm alarm;
    begin_report(&alarm, "free of a chunk that cannot be freed, or whose header is overwritten",
                 user, is_live(raw, found) ? live_bytes(found) : buried_bytes(found), NULL);
    rn_alarm_abort(&alarm, call, is_live(raw, found) ? live_stack(found) : 0, 0);
}

/* --------------------------------------------------------------------------------------- chunks */

/* Writes the tail, and says what is nobody's. */
static void close_chunk(void *raw, size_t bytes)
{
    char *tail = (char *)raw + RN_FRONT_BYTES + bytes;
    size_t count = extent_of(bytes) - RN_FRONT_BYTES - bytes;
    memcpy(tail, tail_bytes, count);
    rn_poison(tail, count);
    rn_poison(raw, RN_FRONT_BYTES);
}

void *rn_chunk_arm(void *raw, size_t bytes)
{
    char *user = (char *)raw + RN_FRONT_BYTES;
    rn_unpoison(raw, extent_of(bytes));
    store_live(raw, bytes, rn_stack_here(1));
    memset(user, RN_FRESH_BYTE, RN_MIN(bytes, FRESH_BYTES_MAX));
    rn_unpoison(user, bytes);
    close_chunk(raw, bytes);
    rn_departed_clear(user);
    return user;
}

size_t rn_chunk_bytes(const void *user)
{
    const void *raw = rn_chunk_raw(user);
    record found = load_record(raw);
    close_record(raw);
    return (size_t)live_bytes(found);
}

/* The first and last byte of the tail that is not as it was; false when all are. */
NO_ASAN static bool find_overflow(const void *user, size_t bytes, int64_t *out_first,
                                  int64_t *out_last)
{
    const uint8_t *tail = (const uint8_t *)user + bytes;
    size_t count = extent_of(bytes) - RN_FRONT_BYTES - bytes;
    bool found = false;
    for (size_t i = 0; i < count; i++) {
        if (tail[i] != tail_bytes[i]) {
            *out_first = found ? *out_first : (int64_t)(bytes + i);
            *out_last = (int64_t)(bytes + i);
            found = true;
        }
    }
    return found;
}

void rn_chunk_verify_live(const void *user, const rn_place *place)
{
    const void *raw = rn_chunk_raw(user);
    record found = load_record(raw);
    if (!is_live(raw, found)) {
        report_underflow(raw, found, place, place->call);
    }
    size_t bytes = (size_t)live_bytes(found);
#if !RN_ASAN
    rn_open((const char *)user + bytes, extent_of(bytes) - RN_FRONT_BYTES - bytes);
#endif
    int64_t first = 0, last = 0;
    if (find_overflow(user, bytes, &first, &last)) {
        rn_alarm alarm;
        begin_report(&alarm, "overflow of a chunk", user, bytes, place);
        add_bytes(&alarm, user, first, last, bytes);
        rn_alarm_abort(&alarm, place->call, live_stack(found), 0);
    }
    rn_poison((const char *)user + bytes, extent_of(bytes) - RN_FRONT_BYTES - bytes);
    close_record(raw);
}

void *rn_chunk_disarm(void *user, const rn_place *place)
{
    void *raw = rn_chunk_raw(user);
    record found = load_record(raw);
    if (is_buried(raw, found)) {
        report_double_free(user, buried_bytes(found), place, place->call, buried_stack(found),
                           buried_end(found));
    }
    rn_chunk_verify_live(user, place);
    return raw;
}

void rn_chunk_rearm(void *user, size_t bytes)
{
    void *raw = rn_chunk_raw(user);
    size_t old = (size_t)live_bytes(load_record(raw));
    rn_departed_clear(user); /* it may have moved to where another one was */
#if RN_ASAN
    rn_unpoison(user, bytes); /* the block may have moved as a whole */
#endif
    rn_unpoison(raw, RN_FRONT_BYTES);
    store_live(raw, bytes, rn_stack_here(1));
    size_t kept = RN_MIN(old, bytes);
    char *behind = (char *)user + kept;
    rn_unpoison(behind, extent_of(bytes) - RN_FRONT_BYTES - kept);
    memset(behind, RN_FRESH_BYTE, RN_MIN(bytes - kept, FRESH_BYTES_MAX));
    rn_unpoison(behind, bytes - kept);
    close_chunk(raw, bytes);
}

/* --------------------------------------------------------------------------------------- buried */

static bool waits(uint64_t bytes)
{
    return bytes <= RN_QUARANTINE_CHUNK_BYTES;
}

/* Nobody's from now on, and says so. */
static void scribble(void *raw, uint64_t bytes, uint32_t made, uint32_t ended)
{
    size_t buried = waits(bytes) ? extent_of(bytes) : RN_FRONT_BYTES;
    rn_unpoison(raw, buried);
    memset(raw, RN_BURIED_BYTE, buried);
    store_buried(raw, bytes, made, ended);
    rn_poison(raw, extent_of(bytes));
}

static void bury(void *raw, const void *user, uint32_t ended, const rn_place *place)
{
    const char *front = (const char *)rn_chunk_raw(user);
    record found = load_record(front);
    uint64_t bytes = live_bytes(found);
    scribble(raw, (uint64_t)(front - (const char *)raw) + bytes, live_stack(found), ended);
    rn_departed_add(user, (size_t)bytes, live_stack(found), ended, place);
}

void rn_chunk_bury(void *raw, const rn_place *place)
{
    bury(raw, rn_chunk_user(raw), rn_stack_here(1), place);
}

void rn_chunk_bury_around(void *raw, const void *user, const rn_place *place)
{
    bury(raw, user, rn_stack_here(1), place);
}

void rn_chunk_carve(void *raw, size_t capacity)
{
    rn_assert(capacity >= RN_FRONT_BYTES + RN_TAIL_BYTES && capacity % 8 == 0);
    scribble(raw, capacity - RN_FRONT_BYTES - RN_TAIL_BYTES, 0, 0);
}

bool rn_chunk_is_buried(const void *raw)
{
    record found = load_record(raw);
    close_record(raw);
    return is_buried(raw, found);
}

/* The first and last byte from the user's start on that is not 0x7f. */
NO_ASAN static bool find_write(const void *user, size_t bytes, int64_t *out_first,
                               int64_t *out_last)
{
    const uint64_t *words = (const uint64_t *)user;
    const uint64_t pattern = UINT64_MAX / 255 * RN_BURIED_BYTE;
    bool found = false;
    for (size_t i = 0; i < bytes / sizeof(uint64_t); i++) {
        uint64_t wrong = words[i] ^ pattern;
        if (wrong != 0) {
            int64_t start = (int64_t)(i * sizeof(uint64_t));
            *out_first = found ? *out_first : start + __builtin_ctzll(wrong) / 8;
            *out_last = start + 7 - __builtin_clzll(wrong) / 8;
            found = true;
        }
    }
    return found;
}

void rn_chunk_verify_buried(const void *raw, const rn_place *place)
{
    record found = load_record(raw);
    const void *user = rn_chunk_user(raw);
    rn_alarm alarm;
    if (!is_buried(raw, found)) {
        rn_departed gone = {0};
        (void)rn_departed_find(user, &gone);
        begin_report(&alarm, "write after free to a chunk", user, gone.bytes, place);
        add_bytes(&alarm, user, -8, -1, gone.bytes);
        rn_alarm_abort(&alarm, place->call, gone.made, gone.ended);
    }
    uint64_t bytes = buried_bytes(found);
    size_t verified = waits(bytes) ? extent_of(bytes) - RN_FRONT_BYTES : 0;
#if !RN_ASAN
    rn_open(user, verified);
#endif
    int64_t first = 0, last = 0;
    if (find_write(user, verified, &first, &last)) {
        begin_report(&alarm, "write after free to a chunk", user, bytes, place);
        add_bytes(&alarm, user, first, last, bytes);
        rn_alarm_abort(&alarm, place->call, buried_stack(found), buried_end(found));
    }
    rn_poison(raw, RN_FRONT_BYTES + verified);
}

/* ----------------------------------------------------------------------------------- quarantine */

static void *load_link(const void *raw)
{
    rn_open(raw, sizeof(void *));
    void *link = *(void *const *)raw;
    rn_poison(raw, sizeof(link));
    return link;
}

static void store_link(void *raw, void *link)
{
    rn_unpoison(raw, sizeof(link));
    *(void **)raw = link;
    rn_poison(raw, sizeof(link));
}

static size_t waiting_bytes(const void *raw)
{
    record found = load_record(raw);
    close_record(raw);
    return extent_of(buried_bytes(found));
}

void *rn_quarantine_take(rn_quarantine *quarantine, const rn_place *place)
{
    void *raw = quarantine->oldest;
    if (raw == NULL) {
        return NULL;
    }
    rn_chunk_verify_buried(raw, place);
    quarantine->oldest = load_link(raw);
    quarantine->newest = quarantine->oldest == NULL ? NULL : quarantine->newest;
    quarantine->count -= 1;
    quarantine->bytes -= waiting_bytes(raw);
    return raw;
}

void *rn_quarantine_next(rn_quarantine *quarantine, const rn_place *place)
{
    return quarantine->count > (size_t)rn_load(&quarantine_chunks) ||
                   quarantine->bytes > RN_QUARANTINE_BYTES
               ? rn_quarantine_take(quarantine, place)
               : NULL;
}

void *rn_quarantine_push(rn_quarantine *quarantine, void *raw, const rn_place *place)
{
    size_t bytes = waiting_bytes(raw);
    if (!waits(bytes) || rn_load(&quarantine_chunks) == 0) {
        return raw;
    }
    store_link(raw, NULL);
    if (quarantine->newest != NULL) {
        store_link(quarantine->newest, raw);
    } else {
        quarantine->oldest = raw;
    }
    quarantine->newest = raw;
    quarantine->count += 1;
    quarantine->bytes += bytes;
    return rn_quarantine_next(quarantine, place);
}

void rn_quarantine_verify(const rn_quarantine *quarantine, const rn_place *place)
{
    for (const void *raw = quarantine->oldest; raw != NULL; raw = load_link(raw)) {
        rn_chunk_verify_buried(raw, place);
    }
}

void rn_quarantine_limit(size_t chunks)
{
    rn_store(&quarantine_chunks, (int64_t)chunks);
}

void rn_leaks_add(rn_leaks *leaks, const void *user)
{
    const void *raw = rn_chunk_raw(user);
    record found = load_record(raw);
    close_record(raw);
    rn_leaks_add_block(leaks, user, (size_t)live_bytes(found), live_stack(found));
}

#endif
