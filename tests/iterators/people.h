/* SPDX-License-Identifier: Apache-2.0
 *
 * A small graph with a case of everything: parallel edges (1 knows 2 twice), a self-loop (3), a
 * node without edges (4), nulls (ages, titles, years), two labels, an edge type between them, a
 * label and an edge type that are empty. */
#ifndef RATION_TESTS_PEOPLE_H
#define RATION_TESTS_PEOPLE_H

#define PEOPLE                                                                                     \
    "--- people.yaml\n"                                                                            \
    "nodes:\n"                                                                                     \
    "  Person: { file: person.csv, columns: { id: int64, name: string, age: int64 } }\n"           \
    "  Empty: { file: empty.csv, columns: { id: int64 } }\n"                                       \
    "  Post: { file: post.csv, columns: { id: string, title: string } }\n"                         \
    "edges:\n"                                                                                     \
    "  knows: { file: knows.csv, from: Person, to: Person, columns: { a: from, b: to, since: "     \
    "int64 } }\n"                                                                                  \
    "  likes: { file: likes.csv, from: Person, to: Post, columns: { a: from, b: to } }\n"          \
    "  shuns: { file: empty.csv, from: Person, to: Person, columns: { a: from, b: to } }\n"        \
    "--- person.csv\n"                                                                             \
    "1,Ann,30\n"                                                                                   \
    "2,Ben,40\n"                                                                                   \
    "3,Cid,\n"                                                                                     \
    "4,Dot,20\n"                                                                                   \
    "--- empty.csv\n"                                                                              \
    "--- post.csv\n"                                                                               \
    "x,a title that is longer than twelve\n"                                                       \
    "y,\n"                                                                                         \
    "--- knows.csv\n"                                                                              \
    "1,2,2001\n"                                                                                   \
    "1,2,2002\n"                                                                                   \
    "2,3,\n"                                                                                       \
    "3,3,2004\n"                                                                                   \
    "3,1,2005\n"                                                                                   \
    "--- likes.csv\n"                                                                              \
    "1,x\n"                                                                                        \
    "3,x\n"                                                                                        \
    "3,y\n"

#endif
