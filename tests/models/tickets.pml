/* SPDX-License-Identifier: Apache-2.0
 *
 * The tree of pools and the queue, as queue.pml uses them: the words, what is promised of them, and
 * every section that changes them under the lock, named as in the sources it mirrors.
 *
 * mirrors memory/queue.c rn_ticket_enter rn_ticket_leave wake rn_queue_admits rn_queue_move serve
 * mirrors memory/queue.c wake_oldest block_at take_out rn_pool_count_givers
 * mirrors memory/pool.c rn_pool_find_full rn_pool_grant rn_pool_set_limit
 * mirrors memory/recall.c rn_pool_find_full_at_last rn_pool_shed rn_pool_drain rn_pool_is_drained
 */
#ifndef ROOT_LIMIT
#define ROOT_LIMIT 3
#endif
#define CHUNK 1
#define QUERIES 3
#define POOLS 3
#define ROOT 0
#define NOWHERE 3
#define NOBODY 3

/* rn_ticket_state */
#define NONE 0
#define WAITING 1
#define AGAIN 2
#define GRANTED 3

/* Pools: 0 is the root, 1 the group of queries 0 and 1, 2 that of query 2. */
byte limit[POOLS];
byte granted[POOLS];
byte direct[POOLS];
byte waiting[POOLS];
byte givers[POOLS];
bool drained[POOLS];

/* Slots and their tickets. */
byte used[QUERIES];
byte slot_granted[QUERIES];
bool always[QUERIES]; /* floor = INT64_MAX */
byte ticket[QUERIES];
byte blocked[QUERIES];
byte want[QUERIES];
byte posts[QUERIES]; /* of the ticket's semaphore */
bool owes[QUERIES];  /* was asked to give, has not answered */
byte queue[QUERIES]; /* oldest first */
byte queued;

/* Ghosts. */
byte leaving[QUERIES]; /* released, floor not yet looked at */
byte came[QUERIES];    /* who waits, in the order of their first ask */
byte arrived;

/* Of one section under the lock; 0 between two. */
bool freed, stale;
byte at, k, stop, shed, need, first, more;
bool goes, held_back;
bool promised; /* rn_move.promised: all bytes of a ticket are new, whatever credit its slot has */

#define OVER 1
#define SUMS 2
#define LEFT 3
#define COUNTS 4
#define LOST 5
#define GIVER 6
#define ORDER 7
#define POSTS 8
#define ENDS 9

#define group(i) ((i) < 2 -> 1 : 2)
#define is_below(i, p) ((p) == ROOT || group(i) == (p))
#define room(p) (limit[p] > granted[p] -> limit[p] - granted[p] : 0)
#define credit(i) (slot_granted[i] > used[i] -> slot_granted[i] - used[i] : 0)
#define missing(i)                                                                                 \
    (used[i] + want[i] > slot_granted[i] -> used[i] + want[i] - slot_granted[i] : 0)
#define is_drained(p) (drained[p] || drained[ROOT])
#define is_queued(i) (ticket[i] == WAITING || ticket[i] == AGAIN)
#define pledged(i) (ticket[i] == GRANTED -> want[i] : 0)
#define waits_at(i, p) (is_queued(i) && blocked[i] == (p))
#define gives_at(i, p) (owes[i] && is_below(i, p))

/* ------------------------------------------------------------------------------------ promises */

inline look_at_pools()
{
    promise(SUMS, "sums\n", direct[1] == pledged(0) + pledged(1));
    promise(SUMS, "sums\n", direct[2] == pledged(2));
    promise(SUMS, "sums\n", granted[1] == direct[1] + slot_granted[0] + slot_granted[1]);
    promise(SUMS, "sums\n", granted[2] == direct[2] + slot_granted[2]);
    promise(SUMS, "sums\n", granted[ROOT] == granted[1] + granted[2]);
    k = 0;
    do
    :: k < POOLS ->
        promise(OVER, "over\n", granted[k] <= limit[k] || (k == ROOT && drained[ROOT]));
        promise(COUNTS, "counts\n",
            waiting[k] == waits_at(0, k) + waits_at(1, k) + waits_at(2, k));
        promise(COUNTS, "counts\n",
            givers[k] == gives_at(0, k) + gives_at(1, k) + gives_at(2, k));
        promise(COUNTS, "counts\n", waiting[k] == 0 || is_drained(k));
        k++;
    :: else -> break
    od;
    promise(OVER, "over\n", granted[ROOT] <= ROOT_LIMIT);
}

inline look_at_slots()
{
    k = 0;
    do
    :: k < QUERIES ->
        promise(OVER, "over\n", used[k] <= slot_granted[k]);
        promise(LEFT, "left\n", credit(k) <= leaving[k] ||
            (!is_drained(group(k)) && waiting[group(k)] == 0 && waiting[ROOT] == 0));
        k++;
    :: else -> break
    od;
}

inline look_at_queue()
{
    k = 0;
    do
    :: k < queued ->
        at = queue[k];
        goes = (room(group(at)) >= want[at] && room(ROOT) >= want[at]);
        held_back = false; /* by somebody older */
        first = true;      /* at the pool where it is blocked */
        need = 0;
        do
        :: need < k ->
            stop = queue[need];
            held_back = held_back || group(stop) == group(at) || blocked[stop] == ROOT;
            first = first && blocked[stop] != blocked[at];
            need++;
        :: else -> break
        od;
        promise(LOST, "lost\n", !goes || held_back);
        promise(GIVER, "giver\n", !first || ticket[at] == AGAIN || givers[blocked[at]] > 0);
        k++;
    :: else -> break
    od;
}

inline note()
{
    d_step {
        look_at_pools();
        look_at_slots();
        look_at_queue();
        at = 0; k = 0; stop = 0; shed = 0; need = 0; first = 0; more = 0;
        goes = false; held_back = false;
    }
}

/* `i` is given bytes of its group and of the root. */
inline keeps_order(i)
{
    k = 0;
    do
    :: k < arrived && came[k] != i ->
        promise(ORDER, "order\n", group(came[k]) != group(i) && blocked[came[k]] != ROOT);
        k++;
    :: else -> break
    od;
}

/* --------------------------------------------------------------------------- pools and recall */

inline grant(i, units)
{
    granted[group(i)] = granted[group(i)] + units;
    granted[ROOT] = granted[ROOT] + units;
    freed = freed || queued > 0;
}

inline give_back(i, units)
{
    granted[group(i)] = granted[group(i)] - units;
    granted[ROOT] = granted[ROOT] - units;
#ifndef WAKE_UP_LOST
    freed = freed || units > 0;
#endif
}

inline drain(p)
{
    if
    :: !is_drained(p) ->
        k = 0;
        do
        :: k < QUERIES && is_below(k, p) ->
            need = credit(k);
            slot_granted[k] = slot_granted[k] - need;
            give_back(k, need);
            always[k] = true;
            k++;
        :: k < QUERIES && !is_below(k, p) -> k++;
        :: else -> break
        od;
    :: else
    fi;
    drained[p] = true;
}

/* rn_queue_admits, the other way round. */
inline hold_back(i, p)
{
    held_back = (waiting[p] > 0);
#ifdef BARGING
    held_back = held_back && is_queued(i);
#endif
    if
    :: held_back && is_queued(i) ->
#ifdef YOUNGER_FIRST
        held_back = false;
#else
        k = 0;
        do
        :: queue[k] != i && blocked[queue[k]] != p -> k++;
        :: else -> break
        od;
        held_back = (queue[k] != i);
#endif
    :: else
    fi;
}

inline find_full(i)
{
    stop = NOWHERE;
    need = (promised -> want[i] : missing(i));
    if
    :: need > 0 ->
        hold_back(i, group(i));
        if
        :: held_back || room(group(i)) < need -> stop = group(i);
        :: else ->
            hold_back(i, ROOT);
            if
            :: held_back || room(ROOT) < need -> stop = ROOT;
            :: else
            fi;
        fi;
    :: else
    fi;
}

inline find_full_at_last(i)
{
    shed = NOWHERE;
    find_full(i);
    do
    :: stop != NOWHERE && stop != shed ->
        shed = stop;
        if
        :: room(stop) < need -> drain(stop);
        :: else
        fi;
        find_full(i);
    :: else -> break
    od;
}

/* --------------------------------------------------------------------------------------- queue */

inline block_at(i, p)
{
    if
    :: blocked[i] != NOWHERE -> waiting[blocked[i]]--;
    :: else
    fi;
    blocked[i] = p;
    if
    :: p != NOWHERE -> waiting[p]++;
    :: else
    fi;
#ifndef AGAIN_KEPT_BACK
    stale = true;
#endif
}

/* Takes `i` out of a list. */
#define remove(list, length, i)                                                                    \
    k = 0;                                                                                         \
    do                                                                                             \
    :: list[k] != i -> k++;                                                                        \
    :: else -> break                                                                               \
    od;                                                                                            \
    do                                                                                             \
    :: k + 1 < length -> list[k] = list[k + 1]; k++;                                               \
    :: else -> break                                                                               \
    od;                                                                                            \
    length--;                                                                                      \
    list[length] = 0

inline take_out(i)
{
    remove(queue, queued, i);
    remove(came, arrived, i);
    block_at(i, NOWHERE);
}

inline post(i, state)
{
#ifndef NO_POST
    if
#ifdef POSTED_TWICE
    :: true ->
#else
    :: ticket[i] == WAITING ->
#endif
        posts[i]++;
        promise(POSTS, "posts\n", posts[i] <= 1);
    :: else
    fi;
#endif
    ticket[i] = state;
}

inline enter(i, p)
{
    if
    :: ticket[i] == NONE ->
        queue[queued] = i;
        queued++;
        came[arrived] = i;
        arrived++;
    :: ticket[i] != NONE ->
        freed = freed || blocked[i] != p;
#ifdef PLACE_LOST
        remove(queue, queued, i);
        queue[queued] = i;
        queued++;
#endif
    fi;
#ifndef POST_LEFT
    posts[i] = 0;
#endif
    block_at(i, p);
    ticket[i] = WAITING;
    drain(p);
}

inline leave(i)
{
    if
    :: ticket[i] == GRANTED ->
#ifndef GRANT_FORGOTTEN
        direct[group(i)] = direct[group(i)] - want[i];
        give_back(i, want[i]);
#endif
    :: is_queued(i) ->
        take_out(i);
#ifndef LEFT_UNSEEN
        freed = true;
#endif
    :: else
    fi;
    ticket[i] = NONE;
    want[i] = 0;
}

inline serve()
{
    at = 0;
    do
    :: at < queued ->
        first = queue[at];
#ifndef CREDIT_PROMISED
        promised = true;
#endif
        find_full_at_last(first);
        promised = false;
        if
        :: stop == NOWHERE ->
            keeps_order(first);
            take_out(first);
            grant(first, want[first]);
            direct[group(first)] = direct[group(first)] + want[first];
            post(first, GRANTED);
        :: else ->
            if
            :: stop != blocked[first] ->
                block_at(first, stop);
                drain(stop);
            :: else
            fi;
            at++;
        fi;
    :: else -> break
    od;
}

inline wake_oldest()
{
    at = 0;
    do
    :: at < queued ->
        first = queue[at];
        k = 0;
        do
        :: k < at && blocked[queue[k]] != blocked[first] -> k++;
        :: else -> break
        od;
        if
        :: k == at && givers[blocked[first]] == 0 && ticket[first] == WAITING ->
            post(first, AGAIN);
        :: else
        fi;
        at++;
    :: else -> break
    od;
}

/* rn_ledger_unlock, rn_queue_move */
inline unlock()
{
    d_step {
        do
        :: freed && queued > 0 ->
            freed = false;
            serve();
        :: else -> break
        od;
        if
        :: stale && queued > 0 -> wake_oldest();
        :: else
        fi;
        freed = false;
        stale = false;
    }
    note();
}

inline count_givers(i, count)
{
    givers[group(i)] = givers[group(i)] + count;
    givers[ROOT] = givers[ROOT] + count;
#ifndef ANSWER_UNSEEN
    stale = true;
#endif
}

/* rn_pool_set_limit, at the root */
inline set_limit(units)
{
    limit[ROOT] = units;
    if
    :: granted[ROOT] > limit[ROOT] -> drain(ROOT);
    :: else
    fi;
#ifndef RAISED_UNSEEN
    freed = true;
#endif
    unlock();
}
