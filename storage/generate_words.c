/* SPDX-License-Identifier: Apache-2.0
 *
 * Names, places, subjects and words of a generated social network. Chosen by hand; some are not
 * ASCII on purpose. */
#include "storage/generate_words.h"

const rn_country rn_countries[RN_COUNTRIES] = {
    {"India", "hi", 120, {"Delhi", "Mumbai", "Chennai", "Pune"}},
    {"China", "zh", 120, {"Beijing", "Shanghai", "Wuhan", "Chengdu"}},
    {"United_States", "en", 70, {"Chicago", "Boston", "Denver", "Seattle"}},
    {"Indonesia", "id", 40, {"Jakarta", "Bandung", "Surabaya", "Medan"}},
    {"Brazil", "pt", 40, {"Recife", "Salvador", "Curitiba", "Manaus"}},
    {"Pakistan", "ur", 30, {"Lahore", "Karachi", "Multan", "Quetta"}},
    {"Nigeria", "en", 30, {"Lagos", "Kano", "Ibadan", "Abuja"}},
    {"Russia", "ru", 28, {"Moscow", "Kazan", "Omsk", "Samara"}},
    {"Mexico", "es", 25, {"Puebla", "León", "Mérida", "Toluca"}},
    {"Japan", "ja", 25, {"Tokyo", "Osaka", "Kyoto", "Nagoya"}},
    {"Philippines", "tl", 20, {"Manila", "Cebu", "Davao", "Iloilo"}},
    {"Egypt", "ar", 18, {"Cairo", "Luxor", "Giza", "Aswan"}},
    {"Germany", "de", 18, {"Berlin", "Köln", "Hamburg", "Leipzig"}},
    {"Vietnam", "vi", 18, {"Hanoi", "Hue", "Vinh", "Dalat"}},
    {"Turkey", "tr", 16, {"Istanbul", "Ankara", "Izmir", "Bursa"}},
    {"France", "fr", 14, {"Paris", "Lyon", "Nantes", "Toulouse"}},
    {"Italy", "it", 12, {"Rome", "Milan", "Turin", "Bologna"}},
    {"Spain", "es", 10, {"Madrid", "Sevilla", "Bilbao", "Málaga"}},
    {"Kenya", "sw", 10, {"Nairobi", "Mombasa", "Kisumu", "Nakuru"}},
    {"Poland", "pl", 8, {"Warsaw", "Kraków", "Gdańsk", "Poznań"}},
    {"Canada", "en", 8, {"Toronto", "Ottawa", "Calgary", "Halifax"}},
    {"Netherlands", "nl", 4, {"Amsterdam", "Utrecht", "Delft", "Leiden"}},
    {"Sweden", "sv", 3, {"Stockholm", "Uppsala", "Malmö", "Lund"}},
    {"Hungary", "hu", 3, {"Budapest", "Szeged", "Pécs", "Győr"}}};

const char *const rn_first_names[RN_FIRST_NAMES] = {
    "Jan",   "Maria", "Ahmed",   "Wei",   "Anna",   "Carlos", "Priya", "Ivan",  "Fatima", "John",
    "Li",    "Sofia", "Ali",     "Elena", "Rahul",  "Yuki",   "Jose",  "Nina",  "Omar",   "Chen",
    "Lucia", "Peter", "Amina",   "Hans",  "Mei",    "Pablo",  "Olga",  "Kofi",  "Laura",  "Raj",
    "Emma",  "Hiro",  "Zoë",     "José",  "Ingrid", "Tariq",  "Jun",   "Clara", "Sergei", "Nadia",
    "Paul",  "Ines",  "Mohamed", "Eva",   "Arjun",  "Lena",   "Diego", "Aiko",  "Viktor", "Leila",
    "Tom",   "Ana",   "Samuel",  "Rosa",  "Karim",  "Hana",   "Luis",  "Vera",  "Bao",    "Ida",
    "Marco", "Sara",  "Abdul",   "Kim"};

const char *const rn_last_names[RN_LAST_NAMES] = {
    "Khan",    "Singh",   "Wang",   "Smith",   "Garcia",   "Müller",    "Ivanov",  "Silva",
    "Li",      "Kumar",   "Zhang",  "Rossi",   "Kowalski", "Nguyen",    "Sato",    "Yilmaz",
    "Jansen",  "Brown",   "Hassan", "Lopez",   "Chen",     "Okafor",    "Petrov",  "Santos",
    "Kim",     "Bianchi", "Ali",    "Schmidt", "Tanaka",   "Liu",       "Sharma",  "Novak",
    "Martin",  "Reyes",   "Dubois", "Costa",   "Nagy",     "Andersson", "Hussain", "Jones",
    "Perez",   "Sokolov", "Ito",    "Gupta",   "Bauer",    "Ferrari",   "Morales", "Mwangi",
    "Yang",    "Demir",   "Visser", "Wilson",  "Ahmed",    "Torres",    "Fischer", "Das",
    "Popov",   "Almeida", "Suzuki", "Bello",   "Moreau",   "Conti",     "Szabo",   "Lind",
    "Mendoza", "Zhao",    "Rao",    "Weber",   "Gomez",    "Orlov",     "Sanchez", "Patel",
    "Otieno",  "Kaya",    "Bakker", "Taylor",  "Cruz",     "Adeyemi",   "Romano",  "O'Brien"};

const char *const rn_browsers[RN_BROWSERS] = {"Firefox", "Chrome", "Internet Explorer", "Safari",
                                              "Opera"};

const char *const rn_inner_classes[RN_INNER_CLASSES] = {"Art", "Science", "Place", "Sport",
                                                        "Society"};

const rn_leaf_class rn_leaf_classes[RN_LEAF_CLASSES] = {
    {"Music", 0, {"Symphony", "Ballad", "Opera", "Jazz"}},
    {"Painting", 0, {"Portrait", "Fresco", "Mural", "Sketch"}},
    {"Book", 0, {"Novel", "Poem", "Diary", "Essay"}},
    {"Film", 0, {"Comedy", "Western", "Documentary", "Thriller"}},
    {"Physics", 1, {"Gravity", "Light", "Atom", "Magnet"}},
    {"Biology", 1, {"Orchid", "Whale", "Beetle", "Forest"}},
    {"Mathematics", 1, {"Prime", "Knot", "Graph", "Lattice"}},
    {"Astronomy", 1, {"Comet", "Moon", "Galaxy", "Eclipse"}},
    {"Mountain", 2, {"Summit", "Glacier", "Valley", "Ridge"}},
    {"River", 2, {"Delta", "Bridge", "Harbour", "Ferry"}},
    {"Building", 2, {"Tower", "Castle", "Temple", "Museum"}},
    {"Island", 2, {"Reef", "Lagoon", "Beach", "Lighthouse"}},
    {"BallGame", 3, {"Football", "Tennis", "Cricket", "Handball"}},
    {"Race", 3, {"Marathon", "Regatta", "Rally", "Relay"}},
    {"Chess", 3, {"Gambit", "Endgame", "Opening", "Blitz"}},
    {"Climbing", 3, {"Boulder", "Rope", "Wall", "Route"}},
    {"Politics", 4, {"Election", "Treaty", "Senate", "Council"}},
    {"Food", 4, {"Bread", "Noodle", "Cheese", "Curry"}},
    {"Trade", 4, {"Market", "Guild", "Coin", "Caravan"}},
    {"Festival", 4, {"Carnival", "Parade", "Lantern", "Harvest"}}};

const char *const rn_adjectives[RN_ADJECTIVES] = {"Ancient", "Modern", "Northern", "Southern",
                                                  "Golden",  "Silent", "Great",    "Little",
                                                  "Royal",   "Hidden", "Winter",   "Summer"};

const char *const rn_phrases[RN_PHRASES] = {"ok",    "thanks", "great", "no way!",
                                            "maybe", "good",   "LOL",   "yes",
                                            "I see", "right",  "cool",  "not sure"};

const char *const rn_words[RN_WORDS] = {
    "the",     "of",     "and",    "to",      "a",      "in",      "is",     "was",     "for",
    "on",      "with",   "as",     "by",      "at",     "from",    "that",   "his",     "it",
    "an",      "were",   "which",  "be",      "this",   "are",     "had",    "also",    "has",
    "he",      "first",  "one",    "their",   "its",    "new",     "after",  "but",     "who",
    "not",     "they",   "have",   "two",     "her",    "she",     "been",   "other",   "when",
    "time",    "during", "there",  "into",    "all",    "may",     "year",   "more",    "most",
    "over",    "only",   "such",   "some",    "would",  "later",   "city",   "between", "use",
    "about",   "made",   "state",  "then",    "world",  "many",    "out",    "known",   "these",
    "part",    "where",  "up",     "until",   "number", "name",    "while",  "war",     "under",
    "life",    "work",   "three",  "four",    "people", "however", "early",  "several", "since",
    "same",    "being",  "second", "before",  "both",   "through", "well",   "became",  "great",
    "against", "house",  "island", "century", "area",   "team",    "called", "music",   "south",
    "north",   "west",   "long",   "play",    "often",  "town",    "school", "day",     "church",
    "million", "member", "small",  "large",   "group",  "film",    "album",  "season",  "game",
    "book",    "river"};
