/* SPDX-License-Identifier: Apache-2.0
 *
 * Forums of a generated social network with all that is inside: members, posts, threads of
 * comments, likes.
 *
 * One forum is written at a time from a room of fixed size, so memory does not grow with the scale.
 * Every person moderates a wall (only the moderator posts, friends comment) and some groups.
 *
 * Dates. A member joins after forum and person were made; a message follows its author's joining
 * and its parent; a like follows its message and the liker's joining: each date is drawn above
 * the maximum of what it must follow. */
#include "base/heap.h"
#include "storage/generate_files.h"

#define MEMBERS_MAX 1024u
#define THREAD_MAX 256u
#define TAGS_MAX 3u
#define TEXT_BYTES 2000u
#define MS_PER_MINUTE INT64_C(60000)

enum { KIND_FORUMS = 32 };

typedef struct member {
    rn_person person;
    int64_t joined_ms;
} member;

typedef struct message {
    int64_t id, created_ms;
} message;

struct rn_forum {
    uint64_t state; /* of the random stream */
    int64_t id, created_ms;
    bool wall;
    uint32_t tag_count, member_count, thread_count;
    uint32_t tags[TAGS_MAX];
    member members[MEMBERS_MAX]; /* the moderator first */
    message thread[THREAD_MAX];  /* comments below one post */
    char text[TEXT_BYTES + 128];
};

rn_forum *rn_forum_open(void)
{
    return rn_heap_allocate(sizeof(rn_forum));
}

void rn_forum_close(rn_forum *forum)
{
    rn_heap_free(forum, forum == NULL ? 0 : sizeof *forum);
}

/* -------------------------------------------------------------------------------------- details */

/* After `base`: within the simulated years while they last, else within a day. */
static int64_t draw_date(uint64_t *state, int64_t base)
{
    int64_t left = RN_MAX(RN_WORLD_END_MS - base, RN_MS_PER_DAY);

    return base + 1 + (int64_t)rn_random_below(state, (uint64_t)left);
}

/* Soon after `base`, sometimes much later: minutes to weeks. */
static int64_t draw_soon(uint64_t *state, int64_t base)
{
    int64_t minutes = (int64_t)rn_heavy_tail(state, 600 * 1000, 60 * 24 * 60);

    return base + 1 + minutes * MS_PER_MINUTE +
           (int64_t)rn_random_below(state, (uint64_t)MS_PER_MINUTE);
}

/* Words until `length` bytes are there; now and then something a careless reader of CSV stumbles
 * over. */
static uint32_t compose_text(rn_forum *forum, uint32_t tag, uint32_t length)
{
    char name[64];
    char *text = forum->text;
    int start = snprintf(text, sizeof forum->text, "About %s", rn_tag_name(tag, name));
    size_t at = (size_t)start;
    const char *join = ", ";

    if (rn_random_below(&forum->state, 48) == 0) {
        join = rn_random_below(&forum->state, 2) == 0 ? " \"so to say\" | " : ":\n";
    }
    while (at < length) {
        const char *word = rn_words[rn_skewed_below(&forum->state, RN_WORDS)];
        size_t join_bytes = strlen(join), word_bytes = strlen(word);
        if (at + join_bytes + word_bytes > TEXT_BYTES) {
            break;
        }
        memcpy(text + at, join, join_bytes);
        memcpy(text + at + join_bytes, word, word_bytes);
        at += join_bytes + word_bytes;
        join = " ";
    }
    return (uint32_t)at;
}

static void put_text(rn_output *output, const char *text)
{
    rn_output_text(output, text, strlen(text));
}

/* Browser and language as most of its author's messages have them. */
static void put_browser(rn_forum *forum, rn_output *output, const rn_person *author)
{
    bool other = rn_random_below(&forum->state, 12) == 0;
    uint64_t browser = other ? rn_random_below(&forum->state, RN_BROWSERS) : author->browser;

    put_text(output, rn_browsers[browser]);
}

static void put_language(rn_forum *forum, rn_output *output, const rn_person *author)
{
    uint64_t chance = rn_random_below(&forum->state, 20);

    if (chance < 3) {
        rn_output_null(output);
    } else if (chance < 6) {
        put_text(output, "en");
    } else {
        put_text(output, rn_countries[author->city / RN_CITIES_PER_COUNTRY].language);
    }
}

static int64_t choose_country(rn_forum *forum, const rn_person *author)
{
    bool abroad = rn_random_below(&forum->state, 20) == 0;

    return abroad ? (int64_t)rn_random_below(&forum->state, RN_COUNTRIES)
                  : (int64_t)(author->city / RN_CITIES_PER_COUNTRY);
}

/* ---------------------------------------------------------------------------------------- likes */

/* Neighbours on the list of members, so that nobody likes a message twice. */
static void write_likes(rn_network *network, rn_forum *forum, rn_network_file file,
                        const message *liked, uint64_t mean_thousandths)
{
    rn_output *output = rn_network_output(network, file);
    uint64_t count = rn_heavy_tail(&forum->state, mean_thousandths, forum->member_count - 1);
    uint64_t first = rn_random_below(&forum->state, forum->member_count);

    for (uint64_t i = 0; i < count; i++) {
        const member *liker = &forum->members[(first + i) % forum->member_count];
        int64_t base = RN_MAX(liked->created_ms, liker->joined_ms);
        rn_output_int64(output, liker->person.id);
        rn_output_int64(output, liked->id);
        rn_output_time(output, draw_soon(&forum->state, base));
        rn_output_end_row(output);
    }
}

/* ------------------------------------------------------------------------------------- comments */

static uint32_t write_comment_tags(rn_network *network, rn_forum *forum, int64_t id)
{
    uint32_t tag = forum->tags[rn_random_below(&forum->state, forum->tag_count)];
    uint32_t other = (uint32_t)rn_skewed_below(&forum->state, RN_TAGS);
    uint64_t chance = rn_random_below(&forum->state, 10);

    if (chance < 5) {
        rn_network_link(network, RN_FILE_COMMENT_TAG, id, tag);
    }
    if (chance > 2 && chance < 6 && other != tag) {
        rn_network_link(network, RN_FILE_COMMENT_TAG, id, other);
    }
    return tag;
}

static void write_comment(rn_network *network, rn_forum *forum, const message *post)
{
    rn_output *output = rn_network_output(network, RN_FILE_COMMENT);
    const member *author = &forum->members[rn_skewed_below(&forum->state, forum->member_count)];
    bool direct = forum->thread_count == 0 || rn_random_below(&forum->state, 2) == 0;
    const message *parent = post;
    message comment;
    uint32_t length;

    if (!direct) {
        uint64_t back = rn_skewed_below(&forum->state, forum->thread_count);
        parent = &forum->thread[forum->thread_count - 1 - back];
    }
    comment.created_ms = draw_soon(&forum->state, RN_MAX(parent->created_ms, author->joined_ms));
    comment.id = rn_dated_id(comment.created_ms, network->comments++);
    rn_network_link(network, direct ? RN_FILE_REPLY_POST : RN_FILE_REPLY_COMMENT, comment.id,
                    parent->id);
    rn_network_link(network, RN_FILE_COMMENT_CREATOR, comment.id, author->person.id);
    rn_network_link(network, RN_FILE_COMMENT_COUNTRY, comment.id,
                    choose_country(forum, &author->person));
    uint32_t tag = write_comment_tags(network, forum, comment.id);
    rn_output_int64(output, comment.id);
    rn_output_time(output, comment.created_ms);
    put_browser(forum, output, &author->person);
    put_language(forum, output, &author->person);
    if (rn_random_below(&forum->state, 5) < 2) {
        const char *phrase = rn_phrases[rn_skewed_below(&forum->state, RN_PHRASES)];
        length = (uint32_t)strlen(phrase);
        rn_output_text(output, phrase, length);
    } else {
        uint64_t wanted = rn_heavy_tail(&forum->state, 80 * 1000, TEXT_BYTES);
        length = compose_text(forum, tag, (uint32_t)wanted);
        rn_output_text(output, forum->text, length);
    }
    rn_output_int64(output, length);
    rn_output_end_row(output);
    forum->thread[forum->thread_count++] = comment;
    write_likes(network, forum, RN_FILE_LIKES_COMMENT, &comment, 1000);
}

/* ---------------------------------------------------------------------------------------- posts */

/* The forum's first tag and perhaps others; returns the first. */
static uint32_t write_post_tags(rn_network *network, rn_forum *forum, int64_t id)
{
    uint32_t first = forum->tags[rn_random_below(&forum->state, forum->tag_count)];
    uint32_t other = (uint32_t)rn_skewed_below(&forum->state, RN_TAGS);

    rn_network_link(network, RN_FILE_POST_TAG, id, first);
    if (other != first && rn_random_below(&forum->state, 3) == 0) {
        rn_network_link(network, RN_FILE_POST_TAG, id, other);
    }
    return first;
}

/* A post is a text or an image without one. */
static void put_content(rn_forum *forum, rn_output *output, const rn_person *author, uint32_t tag,
                        bool image)
{
    uint32_t length = 0;

    if (image) {
        rn_output_null(output);
        rn_output_null(output);
    } else {
        put_language(forum, output, author);
        uint64_t wanted = 20 + rn_heavy_tail(&forum->state, 110 * 1000, TEXT_BYTES - 20);
        length = compose_text(forum, tag, (uint32_t)wanted);
        rn_output_text(output, forum->text, length);
    }
    rn_output_int64(output, length);
    rn_output_end_row(output);
}

static void write_post(rn_network *network, rn_forum *forum)
{
    rn_output *output = rn_network_output(network, RN_FILE_POST);
    uint64_t chosen = forum->wall ? 0 : rn_skewed_below(&forum->state, forum->member_count);
    const member *author = &forum->members[chosen];
    bool image = rn_random_below(&forum->state, 10) == 0;
    char name[64];
    message post;

    post.created_ms = draw_date(&forum->state, author->joined_ms);
    post.id = rn_dated_id(post.created_ms, network->posts++);
    rn_network_link(network, RN_FILE_CONTAINER, forum->id, post.id);
    rn_network_link(network, RN_FILE_POST_CREATOR, post.id, author->person.id);
    rn_network_link(network, RN_FILE_POST_COUNTRY, post.id, choose_country(forum, &author->person));
    uint32_t tag = write_post_tags(network, forum, post.id);
    rn_output_int64(output, post.id);
    if (image) {
        (void)snprintf(name, sizeof name, "photo%llu.jpg", (unsigned long long)network->posts);
        put_text(output, name);
    } else {
        rn_output_null(output);
    }
    rn_output_time(output, post.created_ms);
    put_browser(forum, output, &author->person);
    put_content(forum, output, &author->person, tag, image);
    write_likes(network, forum, RN_FILE_LIKES_POST, &post, 2000);
    forum->thread_count = 0;
    uint64_t comments = rn_heavy_tail(&forum->state, 2000, THREAD_MAX);
    for (uint64_t i = 0; i < comments; i++) {
        write_comment(network, forum, &post);
    }
}

/* --------------------------------------------------------------------------------------- forums */

static void add_member(rn_network *network, rn_forum *forum, uint64_t number)
{
    for (uint32_t i = 0; i < forum->member_count; i++) {
        if (forum->members[i].person.number == number) {
            return;
        }
    }
    if (forum->member_count == MEMBERS_MAX) {
        return;
    }
    member *added = &forum->members[forum->member_count];
    added->person = rn_world_person(&network->world, number);
    int64_t base = RN_MAX(forum->created_ms, added->person.created_ms);
    added->joined_ms = forum->member_count == 0 ? base : draw_date(&forum->state, base);
    rn_output *output = rn_network_output(network, RN_FILE_MEMBER);
    rn_output_int64(output, forum->id);
    rn_output_int64(output, added->person.id);
    rn_output_time(output, added->joined_ms);
    rn_output_end_row(output);
    forum->member_count++;
}

/* Friends of the moderator; a group adds people of the same city and from anywhere. */
static void write_members(rn_network *network, rn_forum *forum, const rn_person *moderator)
{
    const rn_world *world = &network->world;
    uint64_t friends[RN_FRIENDS_MAX];
    uint32_t count = rn_world_friends(world, moderator->number, friends);

    forum->member_count = 0;
    add_member(network, forum, moderator->number);
    for (uint32_t i = 0; i < count; i++) {
        if (forum->wall || rn_random_below(&forum->state, 2) == 0) {
            add_member(network, forum, friends[i]);
        }
    }
    uint64_t most = RN_MIN((uint64_t)MEMBERS_MAX, world->persons / 2);
    uint64_t others = forum->wall ? 0 : rn_heavy_tail(&forum->state, 30 * 1000, most);
    for (uint64_t i = 0; i < others; i++) {
        bool near = rn_random_below(&forum->state, 4) > 0;
        uint64_t reach = near ? RN_MIN(4 * world->degree_mean, world->persons) : world->persons;
        uint64_t step = rn_random_below(&forum->state, reach);
        add_member(network, forum, (moderator->number + step) % world->persons);
    }
}

static void write_forum_tags(rn_network *network, rn_forum *forum, uint64_t moderator)
{
    uint64_t wanted = 1 + rn_random_below(&forum->state, TAGS_MAX);
    uint64_t rank = forum->wall ? 0 : rn_random_below(&forum->state, 4);

    forum->tag_count = 0;
    for (uint64_t i = 0; i < wanted; i++) {
        uint32_t tag = rn_network_interest(network, moderator, rank + i);
        bool known = false;
        for (uint32_t t = 0; t < forum->tag_count; t++) {
            known = known || forum->tags[t] == tag;
        }
        if (!known) {
            forum->tags[forum->tag_count++] = tag;
            rn_network_link(network, RN_FILE_FORUM_TAG, forum->id, tag);
        }
    }
}

static void write_forum(rn_network *network, rn_forum *forum, const rn_person *moderator)
{
    rn_output *output = rn_network_output(network, RN_FILE_FORUM);
    const rn_country *country = &rn_countries[moderator->city / RN_CITIES_PER_COUNTRY];
    char title[128], tag[64];

    forum->created_ms =
        forum->wall ? moderator->created_ms + 10 : draw_date(&forum->state, moderator->created_ms);
    forum->id = rn_dated_id(forum->created_ms, network->forums++);
    write_forum_tags(network, forum, moderator->number);
    if (forum->wall) {
        (void)snprintf(title, sizeof title, "Wall of person %lld", (long long)moderator->id);
    } else {
        (void)snprintf(title, sizeof title, "Group for %s in %s", rn_tag_name(forum->tags[0], tag),
                       country->cities[moderator->city % RN_CITIES_PER_COUNTRY]);
    }
    rn_output_int64(output, forum->id);
    put_text(output, title);
    rn_output_time(output, forum->created_ms);
    rn_output_end_row(output);
    rn_network_link(network, RN_FILE_MODERATOR, forum->id, moderator->id);
    write_members(network, forum, moderator);
    uint64_t posts = rn_heavy_tail(&forum->state, forum->wall ? 8000 : 20000, 400);
    for (uint64_t i = 0; i < posts; i++) {
        write_post(network, forum);
    }
}

void rn_network_write_forums(rn_network *network, rn_forum *forum, uint64_t person)
{
    rn_person moderator = rn_world_person(&network->world, person);

    forum->state = rn_world_stream(&network->world, KIND_FORUMS, person);
    uint64_t groups = rn_heavy_tail(&forum->state, 1200, 20);
    for (uint64_t i = 0; i <= groups; i++) {
        forum->wall = i == 0;
        write_forum(network, forum, &moderator);
    }
}
