/* SPDX-License-Identifier: Apache-2.0
 *
 * Strings that grow by repalloc, and lists. */
#include "tests/adapters/program.h"

void initStringInfo(StringInfo str)
{
    str->maxlen = 64;
    str->data = (char *)palloc((Size)str->maxlen);
    str->data[0] = '\0';
    str->len = 0;
}

/* Room for `needed` more characters and the NUL, in the context the string began in. */
static void enlargeStringInfo(StringInfo str, int needed)
{
    if ((Size)needed >= MaxAllocSize - (Size)str->len) {
        ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED), errmsg("string is too long"),
                        errdetail("%d characters cannot get %d more.", str->len, needed)));
    }
    int wanted = str->len + needed + 1;
    int room = str->maxlen;
    while (room < wanted) {
        room = room > (int)MaxAllocSize / 2 ? (int)MaxAllocSize : room * 2;
    }
    if (room > str->maxlen) {
        str->data = (char *)repalloc(str->data, (Size)room);
        str->maxlen = room;
    }
}

void appendStringInfo(StringInfo str, const char *fmt, ...)
{
    for (;;) {
        size_t room = (size_t)(str->maxlen - str->len);
        va_list args;
        va_start(args, fmt);
        size_t length = pvsnprintf(str->data + str->len, room, fmt, args);
        va_end(args);
        if (length < room) {
            str->len += (int)length;
            return;
        }
        str->data[str->len] = '\0';
        enlargeStringInfo(str, (int)length);
    }
}

void appendStringInfoString(StringInfo str, const char *text)
{
    int length = (int)strlen(text);
    enlargeStringInfo(str, length);
    memcpy(str->data + str->len, text, (Size)length + 1);
    str->len += length;
}

void appendStringInfoChar(StringInfo str, char ch)
{
    enlargeStringInfo(str, 1);
    str->data[str->len++] = ch;
    str->data[str->len] = '\0';
}

List *lappend(List *list, void *datum)
{
    if (list == NIL) {
        list = palloc0_object(List);
        list->max_length = 4;
        list->elements = palloc_array(void *, list->max_length);
    } else if (list->length == list->max_length) {
        list->elements = repalloc_array(list->elements, void *, list->max_length * 2);
        list->max_length *= 2;
    }
    list->elements[list->length++] = datum;
    return list;
}

List *list_copy_strings(const List *list)
{
    List *copy = NIL;
    for (int i = 0; i < list_length(list); i++) {
        copy = lappend(copy, pstrdup((const char *)list_nth(list, i)));
    }
    return copy;
}

void list_free_strings(List *list)
{
    if (list != NIL) {
        for (int i = 0; i < list->length; i++) {
            pfree(list->elements[i]);
        }
        pfree(list->elements);
        pfree(list);
    }
}

Cell **append_cell(Cell **link, void *datum)
{
    Cell *cell = palloc_object(Cell);
    *cell = (Cell){NULL, datum};
    *link = cell;
    return &cell->next;
}

int count_cells(const Cell *cells)
{
    int count = 0;
    for (; cells != NULL; cells = cells->next) {
        count += 1;
    }
    return count;
}

Cell *copy_cells(const Cell *cells)
{
    Cell *copy = NULL;
    Cell **end = &copy;
    for (; cells != NULL; cells = cells->next) {
        end = append_cell(end, pstrdup((const char *)cells->datum));
    }
    return copy;
}

void free_cells(Cell *cells)
{
    while (cells != NULL) {
        Cell *next = cells->next;
        pfree(cells->datum);
        pfree(cells);
        cells = next;
    }
}
