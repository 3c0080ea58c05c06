/* SPDX-License-Identifier: Apache-2.0
 *
 * An engine whose sort writes out what does not fit: half a million numbers, 4 MB, under a limit of
 * 1 MiB. cc spill.c -lration */
#include <ration_ask.h>
#include <stdio.h>
#include <stdlib.h>

#define NUMBERS 500000
#define BLOCK 8192 /* numbers that are sorted together */
#define BUFFER 64  /* numbers read at a time of each sorted block */
#define BLOCKS ((NUMBERS + BLOCK - 1) / BLOCK)
#define BLOCK_BYTES ((int64_t)sizeof(int64_t) * BLOCK)
#define MERGE_BYTES ((int64_t)sizeof(cursor) * BLOCKS)

typedef struct cursor {
    int64_t numbers[BUFFER];
    int at, count;
    long next, end; /* numbers of the file */
} cursor;

typedef struct sort {
    ration_slot *slot;
    FILE *file;              /* sorted blocks, one behind the other */
    int64_t *blocks[BLOCKS]; /* what is still in memory */
    int held, written;
} sort;

static int compare(const void *a, const void *b)
{
    int64_t left = *(const int64_t *)a, right = *(const int64_t *)b;
    return (left > right) - (left < right);
}

static int64_t count_spillable(void *state)
{
    return ((sort *)state)->held * BLOCK_BYTES;
}

/* Called in ration_slot_obtain when somebody, perhaps this query itself, needs the bytes. */
static ration_status write_out(void *state, int64_t want_bytes)
{
    sort *self = state;
    for (; want_bytes > 0 && self->held > 0; want_bytes -= BLOCK_BYTES) {
        int64_t *block = self->blocks[--self->held];
        qsort(block, BLOCK, sizeof *block, compare);
        if (fwrite(block, sizeof *block, BLOCK, self->file) != BLOCK) {
            return RATION_SPILL_IO;
        }
        self->written++;
        free(block);
        ration_slot_release(self->slot, BLOCK_BYTES);
    }
    return RATION_OK;
}

static ration_status take_rows(sort *self)
{
    uint64_t random = 1;
    for (int i = 0; i < BLOCKS; i++) {
        ration_status status = ration_slot_obtain(self->slot, BLOCK_BYTES, "sort.rows");
        int64_t *block = status == RATION_OK ? malloc((size_t)BLOCK_BYTES) : NULL;
        if (block == NULL) {
            return status == RATION_OK ? RATION_NO_MEMORY : status;
        }
        for (int k = 0; k < BLOCK; k++) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            block[k] = i * BLOCK + k < NUMBERS ? (int64_t)(random >> 1) : INT64_MAX; /* the end */
        }
        self->blocks[self->held++] = block;
    }
    return write_out(self, INT64_MAX);
}

/* The smallest number of all cursors; INT64_MAX at the end. */
static int64_t take_smallest(FILE *file, cursor *cursors, int count)
{
    cursor *best = NULL;
    for (cursor *from = cursors; from < cursors + count; from++) {
        if (from->at == from->count && from->next < from->end) {
            fseek(file, from->next * (long)sizeof(int64_t), SEEK_SET);
            from->count = (int)fread(from->numbers, sizeof(int64_t), BUFFER, file);
            from->next += from->count;
            from->at = 0;
        }
        if (from->at < from->count &&
            (best == NULL || from->numbers[from->at] < best->numbers[best->at])) {
            best = from;
        }
    }
    return best == NULL ? INT64_MAX : best->numbers[best->at++];
}

static ration_status give_rows(sort *self)
{
    ration_status status = ration_slot_obtain(self->slot, MERGE_BYTES, "sort.merge");
    cursor *cursors = status == RATION_OK ? calloc(BLOCKS, sizeof *cursors) : NULL;
    if (cursors == NULL) {
        return status == RATION_OK ? RATION_NO_MEMORY : status;
    }
    for (int i = 0; i < self->written; i++) {
        cursors[i].next = (long)i * BLOCK;
        cursors[i].end = cursors[i].next + BLOCK;
    }
    int64_t before = INT64_MIN, rows = 0, number;
    while ((number = take_smallest(self->file, cursors, self->written)) != INT64_MAX &&
           number >= before) {
        before = number;
        rows++;
    }
    printf("%lld rows in order, %d of %d blocks written out\n", (long long)rows, self->written,
           BLOCKS);
    free(cursors);
    ration_slot_release(self->slot, MERGE_BYTES);
    return rows == NUMBERS ? RATION_OK : RATION_SPILL_CORRUPT;
}

int main(void)
{
    ration_governor *governor;
    ration_query *query;
    sort self = {.file = tmpfile()};
    const ration_spiller spiller = {&self, count_spillable, write_out};
    ration_limits limits;
    ration_limits_default(&limits);
    limits.limit_bytes = 1 << 20;
    if (self.file == NULL || ration_governor_open(&limits, &governor, NULL) != RATION_OK ||
        ration_query_open(governor, NULL, &query, NULL) != RATION_OK ||
        ration_query_slot(query, &self.slot) != RATION_OK) {
        return 1;
    }
    /* The least it can work with; other queries wait for it, or give. */
    int64_t minimum = BLOCK_BYTES > MERGE_BYTES ? BLOCK_BYTES : MERGE_BYTES;
    ration_status status = ration_query_claim(query, minimum, "sort");
    ration_slot_register_spill(self.slot, &spiller);
    status = status == RATION_OK ? take_rows(&self) : status;
    status = status == RATION_OK ? give_rows(&self) : status;
    printf("%s\n", ration_status_name(status));
    ration_slot_register_spill(self.slot, NULL);
    while (self.held > 0) {
        free(self.blocks[--self.held]);
    }
    ration_query_close(query);
    ration_governor_close(governor);
    fclose(self.file);
    return status == RATION_OK ? 0 : 1;
}
