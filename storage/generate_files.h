/* SPDX-License-Identifier: Apache-2.0
 *
 * The files of a generated social network: one row of RN_NETWORK_FILES each drives the enum, the
 * header lines and the manifest. */
#ifndef RATION_GENERATE_FILES_H
#define RATION_GENERATE_FILES_H

#include "storage/generate_output.h"
#include "storage/generate_world.h"

/* name · file and edge type · labels at its ends, or label and NULL · columns as in the manifest */
#define RN_NETWORK_FILES(X)                                                                        \
    X(COUNTRY, "country", "Country", NULL, "id: int64, name: string")                              \
    X(CITY, "city", "City", NULL, "id: int64, name: string")                                       \
    X(UNIVERSITY, "university", "University", NULL, "id: int64, name: string")                     \
    X(TAG_CLASS, "tagclass", "TagClass", NULL, "id: int64, name: string")                          \
    X(TAG, "tag", "Tag", NULL, "id: int64, name: string")                                          \
    X(PERSON, "person", "Person", NULL,                                                            \
      "id: int64, firstName: string, lastName: string, gender: string, birthday: date, "           \
      "creationDate: timestamp, browserUsed: string, email: string")                               \
    X(FORUM, "forum", "Forum", NULL, "id: int64, title: string, creationDate: timestamp")          \
    X(POST, "post", "Post", NULL,                                                                  \
      "id: int64, imageFile: string, creationDate: timestamp, browserUsed: string, "               \
      "language: string, content: string, length: int64")                                          \
    X(COMMENT, "comment", "Comment", NULL,                                                         \
      "id: int64, creationDate: timestamp, browserUsed: string, language: string, "                \
      "content: string, length: int64")                                                            \
    X(CITY_COUNTRY, "city_isPartOf_country", "City", "Country", "city: from, country: to")         \
    X(UNIVERSITY_CITY, "university_isLocatedIn_city", "University", "City",                        \
      "university: from, city: to")                                                                \
    X(CLASS_CLASS, "tagclass_isSubclassOf_tagclass", "TagClass", "TagClass",                       \
      "tagclass: from, superclass: to")                                                            \
    X(TAG_TYPE, "tag_hasType_tagclass", "Tag", "TagClass", "tag: from, tagclass: to")              \
    X(KNOWS, "person_knows_person", "Person", "Person",                                            \
      "person1: from, person2: to, creationDate: timestamp")                                       \
    X(PERSON_CITY, "person_isLocatedIn_city", "Person", "City", "person: from, city: to")          \
    X(INTEREST, "person_hasInterest_tag", "Person", "Tag", "person: from, tag: to")                \
    X(STUDY, "person_studyAt_university", "Person", "University",                                  \
      "person: from, university: to, classYear: int64")                                            \
    X(MODERATOR, "forum_hasModerator_person", "Forum", "Person", "forum: from, person: to")        \
    X(MEMBER, "forum_hasMember_person", "Forum", "Person",                                         \
      "forum: from, person: to, joinDate: timestamp")                                              \
    X(FORUM_TAG, "forum_hasTag_tag", "Forum", "Tag", "forum: from, tag: to")                       \
    X(CONTAINER, "forum_containerOf_post", "Forum", "Post", "forum: from, post: to")               \
    X(POST_CREATOR, "post_hasCreator_person", "Post", "Person", "post: from, person: to")          \
    X(POST_TAG, "post_hasTag_tag", "Post", "Tag", "post: from, tag: to")                           \
    X(POST_COUNTRY, "post_isLocatedIn_country", "Post", "Country", "post: from, country: to")      \
    X(COMMENT_CREATOR, "comment_hasCreator_person", "Comment", "Person",                           \
      "comment: from, person: to")                                                                 \
    X(COMMENT_TAG, "comment_hasTag_tag", "Comment", "Tag", "comment: from, tag: to")               \
    X(COMMENT_COUNTRY, "comment_isLocatedIn_country", "Comment", "Country",                        \
      "comment: from, country: to")                                                                \
    X(REPLY_POST, "comment_replyOf_post", "Comment", "Post", "comment: from, post: to")            \
    X(REPLY_COMMENT, "comment_replyOf_comment", "Comment", "Comment", "comment: from, parent: to") \
    X(LIKES_POST, "person_likes_post", "Person", "Post",                                           \
      "person: from, post: to, creationDate: timestamp")                                           \
    X(LIKES_COMMENT, "person_likes_comment", "Person", "Comment",                                  \
      "person: from, comment: to, creationDate: timestamp")

typedef enum rn_network_file {
#define RN_NETWORK_ENUM(name, file, from, to, columns) RN_FILE_##name,
    RN_NETWORK_FILES(RN_NETWORK_ENUM)
#undef RN_NETWORK_ENUM
        RN_NETWORK_FILE_COUNT
} rn_network_file;

/* What the writers of a network share. */
typedef struct rn_network {
    rn_world world;
    uint64_t forums, posts, comments; /* written so far: their serial numbers */
    rn_output outputs[RN_NETWORK_FILE_COUNT];
} rn_network;

static inline rn_output *rn_network_output(rn_network *network, rn_network_file file)
{
    return &network->outputs[file];
}
/* One row {from, to}. */
static inline void rn_network_link(rn_network *network, rn_network_file file, int64_t from,
                                   int64_t to)
{
    rn_output_int64(&network->outputs[file], from);
    rn_output_int64(&network->outputs[file], to);
    rn_output_end_row(&network->outputs[file]);
}

/* Places, tags and their classes. */
void rn_network_write_things(rn_network *network);
/* A person with its friendships, interests, city and university. */
void rn_network_write_person(rn_network *network, uint64_t number);
/* Tags a person would choose: its main interest at `rank` 0, then popular ones. */
uint32_t rn_network_interest(const rn_network *network, uint64_t person, uint64_t rank);

/* Room for one forum while it is written; of a fixed size. */
typedef struct rn_forum rn_forum;
/* NULL when the system has no memory. */
rn_forum *rn_forum_open(void);
void rn_forum_close(rn_forum *forum);
/* The forums a person moderates, with everything inside them. */
void rn_network_write_forums(rn_network *network, rn_forum *forum, uint64_t person);

#endif
