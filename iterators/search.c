/* SPDX-License-Identifier: Apache-2.0
 *
 * Breadth-first search; see search.h. */
#include "iterators/search.h"

#define SEGMENT_NODES (RN_SEARCH_SEGMENT_BYTES * 8)
#define CHUNK_NODES RN_SEARCH_CHUNK_NODES
#define WORK_TO_SETTLE 65536

/* ------------------------------------------------------------------------------- open and close */

static uint64_t count_segments(uint64_t nodes)
{
    return (nodes + SEGMENT_NODES - 1) / SEGMENT_NODES;
}

static size_t segment_bytes(uint64_t nodes, uint64_t segment)
{
    uint64_t left = nodes - segment * SEGMENT_NODES;
    return (size_t)((RN_MIN(left, (uint64_t)SEGMENT_NODES) + 63) / 64 * 8);
}

ration_status rn_search_open(rn_operator *op, const rn_graph *graph, const rn_sides *sides,
                             rn_search *out_search)
{
    rn_search search = {.op = op, .sides = sides, .node_count = rn_graph_node_count(graph)};
    uint64_t segments = count_segments(search.node_count);
    search.seen = ration_context_allocate(op->context, segments * sizeof(uint64_t *));
    if (search.seen == NULL) {
        return ration_context_status(op->context);
    }
    for (uint64_t s = 0; s < segments; s++) {
        search.seen[s] =
            ration_context_allocate_zero(op->context, segment_bytes(search.node_count, s));
        if (search.seen[s] == NULL) {
            return ration_context_status(op->context);
        }
    }
    *out_search = search;
    return RATION_OK;
}

int64_t rn_search_minimum(rn_draft *draft, const rn_graph *graph)
{
    uint64_t nodes = rn_graph_node_count(graph), segments = count_segments(nodes);
    rn_minimum_array(draft, segments, sizeof(uint64_t *));
    for (uint64_t s = 0; s < segments; s++) {
        rn_minimum_array(draft, 1, segment_bytes(nodes, s));
    }
    return 2 * rn_minimum_buffer(sizeof(rn_search_chunk));
}

static void release_run(rn_search *search)
{
    if (search->writer.run.number != 0) {
        rn_run_abandon(&search->writer);
    }
    memset(&search->writer, 0, sizeof search->writer);
    memset(&search->reader, 0, sizeof search->reader);
    search->unread = 0;
}

void rn_search_close(rn_search *search)
{
    release_run(search);
    memset(search, 0, sizeof *search);
}

/* ----------------------------------------------------------------------------------------- bits */

static inline uint64_t *seen_word(const rn_search *search, uint32_t node)
{
    return &search->seen[node / SEGMENT_NODES][node % SEGMENT_NODES / 64];
}
static inline bool is_seen(const rn_search *search, uint32_t node)
{
    return (*seen_word(search, node) >> (node % 64)) & 1; /* segments are whole words */
}

static void clear_nodes(const rn_search *search, const rn_search_chunk *chunk, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        *seen_word(search, chunk->nodes[i]) = 0; /* its neighbours in the word go too */
    }
}

static void clear_bits(const rn_search *search)
{
    if (search->forgot) {
        for (uint64_t s = 0; s < count_segments(search->node_count); s++) {
            memset(search->seen[s], 0, segment_bytes(search->node_count, s));
        }
        return;
    }
    for (const rn_search_chunk *chunk = search->past; chunk != NULL; chunk = chunk->next) {
        clear_nodes(search, chunk, CHUNK_NODES);
    }
    if (search->head != NULL) {
        clear_nodes(search, search->head,
                    search->tail == search->head ? search->tail_at : CHUNK_NODES);
    }
    for (const rn_search_chunk *chunk = search->first; chunk != NULL; chunk = chunk->next) {
        clear_nodes(search, chunk, chunk == search->tail ? search->tail_at : CHUNK_NODES);
    }
}

/* ---------------------------------------------------------------------------------------- queue */

static void push(rn_search_chunk **list, rn_search_chunk *chunk)
{
    chunk->next = *list;
    *list = chunk;
}

static rn_search_chunk *pop(rn_search_chunk **list)
{
    rn_search_chunk *chunk = *list;
    if (chunk != NULL) {
        *list = chunk->next;
    }
    return chunk;
}

static void move_all(rn_search_chunk **to, rn_search_chunk **from)
{
    while (*from != NULL) {
        push(to, pop(from));
    }
}

/* An empty chunk, settled for. */
static ration_status take_chunk(rn_search *search, rn_search_chunk **out_chunk)
{
    rn_operator *op = search->op;
    if (search->spare == NULL) {
        RN_TRY(rn_settle(op, 0, rn_context_bound_one(op->context, sizeof(rn_search_chunk))));
    }
    rn_search_chunk *chunk = pop(&search->spare);
    if (chunk == NULL) {
        chunk = ration_context_allocate(op->context, sizeof *chunk);
    }
    if (chunk == NULL) {
        return ration_context_status(op->context);
    }
    chunk->next = NULL;
    *out_chunk = chunk;
    return RATION_OK;
}

/* Makes room for at least one entry behind the tail, which is full. */
static ration_status grow_queue(rn_search *search)
{
    rn_search_chunk *chunk;
    RN_TRY(take_chunk(search, &chunk));
    if (search->last == NULL) {
        search->first = chunk;
    } else {
        search->last->next = chunk;
    }
    search->last = search->tail = chunk;
    search->tail_at = 0;
    return RATION_OK;
}

ration_status rn_search_start(rn_search *search, uint32_t node)
{
    clear_bits(search);
    release_run(search);
    move_all(&search->spare, &search->past);
    move_all(&search->spare, &search->first);
    if (search->head != NULL) {
        push(&search->spare, search->head);
    }
    search->head = search->last = search->tail = NULL;
    search->tail_index = 0; /* the settle that follows may ask what could be given */
    RN_TRY(take_chunk(search, &search->head));
    search->tail = search->head;
    search->head->nodes[0] = node;
    search->head_at = 0;
    search->head_index = 0;
    search->tail_at = 1;
    search->tail_index = 1;
    search->level_end = 1;
    search->level = 0;
    search->forgot = false;
    *seen_word(search, node) |= UINT64_C(1) << (node % 64);
    return RATION_OK;
}

/* Reads the next block of the run into the head, which is through. */
static ration_status read_head(rn_search *search)
{
    const char *bytes;
    size_t length;
    if (search->reader.file == NULL) {
        rn_run_start(&search->reader, search->writer.file, &search->writer.run, search->head->head);
    }
    search->reader.run = search->writer.run;
    search->reader.buffer = search->head->head;
    RN_TRY(rn_run_next(&search->reader, &bytes, &length));
    if (rn_never(length != sizeof search->head->nodes)) {
        return RATION_SPILL_CORRUPT;
    }
    rn_assert(bytes == (const char *)search->head->nodes);
    search->unread -= 1;
    if (search->unread == 0) {
        release_run(search);
    }
    return RATION_OK;
}

/* Makes the chunk behind the head, which is through, the head. */
static ration_status turn_head(rn_search *search)
{
    search->head_at = 0;
    if (search->unread > 0) {
        return read_head(search);
    }
    push(search->forgot ? &search->spare : &search->past, search->head);
    search->head = pop(&search->first);
    if (search->first == NULL) {
        search->last = NULL;
    }
    rn_assert(search->head != NULL);
    return RATION_OK;
}

ration_status rn_search_front(rn_search *search, uint32_t most, const uint32_t **out_nodes,
                              uint32_t *out_count)
{
    uint64_t left = search->level_end - search->head_index;
    if (left > 0 && search->head_at == CHUNK_NODES) {
        RN_TRY(turn_head(search));
    }
    uint32_t count = RN_MIN(CHUNK_NODES - search->head_at, most);
    *out_count = left < count ? (uint32_t)left : count;
    *out_nodes = search->head->nodes + search->head_at;
    return RATION_OK;
}

void rn_search_skip(rn_search *search, uint32_t count)
{
    search->head_at += count;
    search->head_index += count;
}

bool rn_search_turn(rn_search *search)
{
    rn_assert(search->head_index == search->level_end);
    search->level += 1;
    search->level_end = search->tail_index;
    return search->level_end > search->head_index;
}

/* -------------------------------------------------------------------------------------- leaving */

/* Appends the unseen of `count` neighbours, for which there is room behind the tail. Which ones are
 * unseen is hard to predict, so every one is written and only the unseen are kept. Does one of them
 * lie in `other`? */
static bool reach_nodes(rn_search *search, const rn_search *other, const uint32_t *neighbours,
                        uint32_t count)
{
    uint32_t *out = search->tail->nodes + search->tail_at;
    uint32_t reached = 0;
    bool met = false;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t node = neighbours[i];
        uint64_t *word = seen_word(search, node);
        out[reached] = node;
        reached += !((*word >> (node % 64)) & 1);
        *word |= UINT64_C(1) << (node % 64);
    }
    for (uint32_t i = 0; i < reached && other != NULL; i++) {
        met |= is_seen(other, out[i]);
    }
    search->tail_at += reached;
    search->tail_index += reached;
    return met;
}

/* Looks for reasons to stop now and then, also within the list of one node. Nothing is charged
 * ahead here: what grows settles for itself. */
static ration_status count_work(rn_search *search, uint32_t steps)
{
    search->work += steps;
    if (search->work < WORK_TO_SETTLE) {
        return RATION_OK;
    }
    search->work = 0;
    return rn_settle(search->op, 0, 0);
}

/* Leaves one node through all sides. */
static ration_status leave_node(rn_search *search, const rn_search *other, uint32_t node, bool *met)
{
    rn_sides_cursor cursor;
    rn_sides_start(&cursor, node);
    while (rn_sides_next(search->sides, &cursor)) {
        while (cursor.at < cursor.end) {
            if (search->tail_at == CHUNK_NODES) {
                RN_TRY(grow_queue(search));
            }
            uint64_t left = cursor.end - cursor.at;
            uint32_t room = CHUNK_NODES - search->tail_at;
            uint32_t count = left < room ? (uint32_t)left : room;
            *met |=
                reach_nodes(search, other, cursor.side->adjacency->neighbours + cursor.at, count);
            cursor.at += count;
            RN_TRY(count_work(search, count));
        }
    }
    return RATION_OK;
}

ration_status rn_search_leave(rn_search *search, const rn_search *other, uint32_t count, bool *met)
{
    const uint32_t *nodes = search->head->nodes + search->head_at;
    *met = false;
    for (uint32_t i = 0; i < count && !*met; i++) {
        if (i + RN_SIDES_FAR < count) {
            rn_sides_prefetch_place(search->sides, nodes[i + RN_SIDES_FAR]);
            rn_sides_prefetch_list(search->sides, nodes[i + RN_SIDES_NEAR]);
        }
        RN_TRY(leave_node(search, other, nodes[i], met));
        rn_search_skip(search, 1);
        RN_TRY(count_work(search, 1));
    }
    return RATION_OK;
}

/* ------------------------------------------------------------------------------------- spilling */

/* Can the oldest chunk behind the head be written? Not while it is being filled. */
static bool is_writable(const rn_search *search, const rn_search_chunk *chunk)
{
    return chunk != NULL && (chunk != search->tail || search->tail_at == CHUNK_NODES);
}

static int64_t chunk_bytes(void)
{
    return rn_minimum_buffer(sizeof(rn_search_chunk));
}

int64_t rn_search_spillable(const rn_search *search)
{
    int64_t count = 0;
    for (const rn_search_chunk *chunk = search->spare; chunk != NULL; chunk = chunk->next) {
        count += 1;
    }
    for (const rn_search_chunk *chunk = search->past; chunk != NULL; chunk = chunk->next) {
        count += 1;
    }
    for (const rn_search_chunk *chunk = search->first; is_writable(search, chunk);
         chunk = chunk->next) {
        count += 1;
    }
    return count * chunk_bytes();
}

/* Frees a list as far as bytes are wanted. */
static void give_up(rn_search_chunk **list, int64_t *want_bytes)
{
    while (*list != NULL && *want_bytes > 0) {
        ration_context_free(pop(list)); /* alone in its block: it has a header, also in bumps */
        *want_bytes -= chunk_bytes();
    }
}

/* Writes the oldest chunk behind the head to the run. */
static ration_status write_chunk(rn_search *search)
{
    rn_worker *worker = search->op->worker;
    if (search->writer.run.number == 0) {
        rn_run_begin(&search->writer, worker->spill_file, search->op->node->number,
                     worker->spill_buffer, RN_RUN_BLOCK_BYTES);
    }
    RN_TRY(rn_run_append_wide(&search->writer, search->first->nodes, sizeof search->first->nodes,
                              NULL, 0));
    search->unread += 1;
    rn_search_chunk *chunk = pop(&search->first);
    if (search->first == NULL) {
        search->last = NULL;
    }
    if (chunk == search->tail) {
        search->tail = NULL;
    }
    ration_context_free(chunk);
    return RATION_OK;
}

ration_status rn_search_spill(rn_search *search, int64_t *want_bytes)
{
    give_up(&search->spare, want_bytes);
    if (*want_bytes > 0 && (search->past != NULL || is_writable(search, search->first))) {
        search->forgot = true;
        move_all(&search->spare, &search->past);
        give_up(&search->spare, want_bytes);
    }
    while (*want_bytes > 0 && is_writable(search, search->first)) {
        RN_TRY(write_chunk(search));
        *want_bytes -= chunk_bytes();
    }
    return RATION_OK;
}
