/* SPDX-License-Identifier: Apache-2.0
 *
 * A parser's scratch memory under a limit of 1 MiB: cc frame.c -lration
 * Each line is cut into words that live in a frame until the next line. */
#include <ration_resource.h>
#include <stdio.h>
#include <string.h>

static const char *longest_word(ration_frame *frame, const char *line)
{
    const char *longest = "";
    while (*line != '\0') {
        size_t length = strcspn(line, " ");
        char *word = (char *)ration_frame_allocate(frame, length + 1);
        if (word == NULL) {
            return ration_status_sentence(ration_frame_status(frame));
        }
        memcpy(word, line, length);
        word[length] = '\0';
        longest = length > strlen(longest) ? word : longest;
        line += length + (line[length] == ' ');
    }
    return longest;
}

int main(void)
{
    static const char *lines[] = {"a frame gives up all", "since its marker", "at once"};
    ration_governor *governor;
    ration_query *query;
    ration_slot *slot;
    ration_frame *frame;
    ration_limits limits;
    ration_limits_default(&limits);
    limits.limit_bytes = 1 << 20;
    if (ration_governor_open(&limits, &governor, NULL) != RATION_OK ||
        ration_query_open(governor, NULL, &query, NULL) != RATION_OK ||
        ration_query_slot(query, &slot) != RATION_OK ||
        ration_frame_open(slot, "parser", &frame) != RATION_OK) {
        return 1;
    }
    ration_marker marker = ration_frame_mark(frame);
    for (size_t i = 0; i < 300000; i++) {
        const char *word = longest_word(frame, lines[i % 3]);
        if (i < 3) {
            printf("%s\n", word);
        }
        ration_frame_rollback(frame, marker); /* every word is gone, for the price of a store */
    }
    printf("held: %lld bytes\n", (long long)ration_frame_bytes(frame));
    ration_frame_close(frame);
    ration_query_close(query);
    ration_governor_close(governor);
    return 0;
}
