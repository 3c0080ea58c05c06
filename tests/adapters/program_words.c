/* SPDX-License-Identifier: Apache-2.0
 *
 * Words of a text, counted in a chained hash table that grows. The table has a context of its own;
 * what a line needs for a moment lies in another, reset when the next line begins. */
#include <ctype.h>
#include <stdlib.h>

#include "tests/adapters/program.h"

typedef struct WordEntry {
    struct WordEntry *next;
    uint32 hash;
    int64 count;
    char word[];
} WordEntry;

typedef struct WordTable {
    MemoryContext context;
    WordEntry **buckets;
    uint32 bucket_count; /* a power of two */
    uint32 entry_count;
} WordTable;

static uint32 HashWord(const char *word)
{
    uint32 hash = 2166136261u;
    for (; *word != '\0'; word++) {
        hash = (hash ^ (unsigned char)*word) * 16777619u;
    }
    return hash;
}

static WordTable *CreateWordTable(MemoryContext parent)
{
    MemoryContext context = AllocSetContextCreate(parent, "word table", ALLOCSET_DEFAULT_SIZES);
    WordTable *table = (WordTable *)MemoryContextAllocZero(context, sizeof(WordTable));
    table->context = context;
    table->bucket_count = 16;
    table->buckets =
        (WordEntry **)MemoryContextAllocZero(context, table->bucket_count * sizeof(WordEntry *));
    return table;
}

static void GrowWordTable(WordTable *table)
{
    uint32 bucket_count = table->bucket_count * 2;
    WordEntry **buckets =
        (WordEntry **)MemoryContextAllocZero(table->context, bucket_count * sizeof(WordEntry *));
    for (uint32 i = 0; i < table->bucket_count; i++) {
        WordEntry *entry = table->buckets[i];
        while (entry != NULL) {
            WordEntry *next = entry->next;
            uint32 at = entry->hash & (bucket_count - 1);
            entry->next = buckets[at];
            buckets[at] = entry;
            entry = next;
        }
    }
    pfree(table->buckets);
    table->buckets = buckets;
    table->bucket_count = bucket_count;
}

static void CountWord(WordTable *table, const char *word)
{
    uint32 hash = HashWord(word);
    WordEntry *entry = table->buckets[hash & (table->bucket_count - 1)];
    while (entry != NULL && (entry->hash != hash || strcmp(entry->word, word) != 0)) {
        entry = entry->next;
    }
    if (entry == NULL) {
        if (table->entry_count >= table->bucket_count) {
            GrowWordTable(table);
        }
        Size length = strlen(word) + 1;
        entry = (WordEntry *)MemoryContextAlloc(table->context, offsetof(WordEntry, word) + length);
        memcpy(entry->word, word, length);
        entry->hash = hash;
        entry->count = 0;
        entry->next = table->buckets[hash & (table->bucket_count - 1)];
        table->buckets[hash & (table->bucket_count - 1)] = entry;
        table->entry_count += 1;
    }
    entry->count += 1;
}

/* The words of a line in small letters, in the current context. */
static Cell *SplitWords(const char *line)
{
    Cell *words = NULL;
    Cell **end = &words;
    while (*line != '\0') {
        Size length = strcspn(line, " ");
        if (length > 0) {
            char *word = pnstrdup(line, length);
            for (char *at = word; *at != '\0'; at++) {
                *at = (char)tolower((unsigned char)*at);
            }
            end = append_cell(end, word);
        }
        line += length + (line[length] == ' ');
    }
    return words;
}

/* The three longest lines, the first of equals first. Lives in the context of its caller. */
static List *KeepLongest(List *longest, const char *line)
{
    int at = list_length(longest);
    while (at > 0 && strlen((char *)list_nth(longest, at - 1)) < strlen(line)) {
        at -= 1;
    }
    if (at >= 3) {
        return longest;
    }
    longest = lappend(longest, NULL);
    memmove(&longest->elements[at + 1], &longest->elements[at],
            (Size)(longest->length - 1 - at) * sizeof(void *));
    longest->elements[at] = pstrdup(line);
    if (longest->length > 3) {
        longest->length = 3;
        pfree(longest->elements[3]);
    }
    return longest;
}

static int CompareEntries(const void *left, const void *right)
{
    const WordEntry *a = *(WordEntry *const *)left;
    const WordEntry *b = *(WordEntry *const *)right;
    if (a->count != b->count) {
        return a->count < b->count ? 1 : -1;
    }
    return strcmp(a->word, b->word);
}

static void ShowWords(const WordTable *table, StringInfo out)
{
    WordEntry **entries = palloc_array(WordEntry *, table->entry_count);
    uint32 found = 0;
    for (uint32 i = 0; i < table->bucket_count; i++) {
        for (WordEntry *entry = table->buckets[i]; entry != NULL; entry = entry->next) {
            entries[found++] = entry;
        }
    }
    qsort(entries, found, sizeof(WordEntry *), CompareEntries);
    for (uint32 i = 0; i < found; i++) {
        appendStringInfo(out, "%s %lld\n", entries[i]->word, (long long)entries[i]->count);
    }
    pfree(entries);
}

/* The lines of a text, one after the other. What a line needs lies in `per_line`; what is kept of
 * it is copied into the current context. */
static void ReadLines(const char *text, MemoryContext per_line, WordTable *table, List **longest,
                      Cell **fullest)
{
    MemoryContext kept = CurrentMemoryContext;
    while (*text != '\0') {
        MemoryContextReset(per_line);
        MemoryContextSwitchTo(per_line);
        Size length = strcspn(text, "\n");
        char *line = pchomp(pnstrdup(text, length + (text[length] == '\n')));
        Cell *words = SplitWords(line);
        for (const Cell *at = words; at != NULL; at = at->next) {
            CountWord(table, (const char *)at->datum);
        }
        MemoryContextSwitchTo(kept);
        *longest = KeepLongest(*longest, line);
        if (count_cells(words) > count_cells(*fullest)) {
            free_cells(*fullest);
            *fullest = copy_cells(words);
        }
        text += length + (text[length] == '\n');
    }
}

void CountWords(const char *text, StringInfo out)
{
    MemoryContext caller = CurrentMemoryContext;
    MemoryContext work = AllocSetContextCreate(caller, "words", ALLOCSET_START_SMALL_SIZES);
    MemoryContext per_line = AllocSetContextCreate(work, "line", ALLOCSET_SMALL_SIZES);
    WordTable *table = CreateWordTable(work);
    List *longest = NIL;
    Cell *fullest = NULL;
    MemoryContextSwitchTo(work);
    ReadLines(text, per_line, table, &longest, &fullest);
    ShowWords(table, out);

    /* What is shown below outlives the work. */
    MemoryContextSwitchTo(caller);
    longest = list_copy_strings(longest);
    fullest = copy_cells(fullest);
    MemoryContextDelete(work);
    for (int i = 0; i < list_length(longest); i++) {
        char *line = psprintf("longest %d: %s\n", i + 1, (char *)list_nth(longest, i));
        appendStringInfoString(out, line);
        pfree(line);
    }
    list_free_strings(longest);
    appendStringInfoString(out, "fullest:");
    for (const Cell *at = fullest; at != NULL; at = at->next) {
        appendStringInfo(out, " %s", (char *)at->datum);
    }
    appendStringInfoChar(out, '\n');
    free_cells(fullest);
}
