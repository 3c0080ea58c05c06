/* SPDX-License-Identifier: Apache-2.0
 *
 * YAML text -> tree, and the one file that includes yaml.h. rn_yaml_read, rn_yaml_get .. ,
 * rn_yaml_free; the checked readers of keys and scalars are config/values.c.
 *
 * The text is read whole, then libyaml's events are folded into nodes of one arena. The nodes being
 * filled form a stack of at most depth_max entries, so nothing here recurses.
 *
 * Invariants
 * 1. stack[0 .. depth) are open collections, each a child of the one before; the newest child of
 *    each is its `last`.
 * 2. In a mapping `key` is set between a key and its value, and only then.
 * 3. Keys are unique in their mapping.
 *
 * Bounds: RN_YAML_BYTES_MAX of text, depth_max levels, KEYS_MAX keys in one mapping (uniqueness is
 * checked by comparing with each), nodes_max nodes. A node takes 80 bytes and what its texts need:
 * 2 MiB for configuration; plans may have one for each two bytes, 12 MiB at worst, given back with
 * the tree. Any 256 KiB of configuration are answered within 8 MiB and a few milliseconds
 * (tests/config/test_hostile.c counts). The depth is checked event by event because libyaml's
 * scanner is quadratic in the nesting: 40,000 opening brackets cost it seconds. yaml_parser_load
 * would scan to the end first, resolve aliases and accept duplicate keys. */
#include "config/yaml.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>
#include <yaml.h>

#include "base/heap.h"
#include "base/text.h"
#include "config/yaml_text.h"

#define KEYS_MAX 1024
#define DIRECTIVES_MAX 16
#define BYTE_ORDER_MARK "\xEF\xBB\xBF"

struct level {
    rn_yaml *node;
    rn_yaml *last;
    const char *key;
    int key_line, key_column;
};

struct builder {
    yaml_parser_t parser;
    yaml_event_t event; /* empty or to be deleted */
    rn_yaml_file file;
    rn_arena *arena;
    const char *text;
    size_t length;
    ration_error *error;
    int depth, depth_max;
    int nodes, nodes_max;
    struct level stack[RN_YAML_PLAN_DEPTH_MAX];
};

/* --------------------------------------------------------------------------------------- errors */

static int line_of(const yaml_mark_t *mark)
{
    return (int)mark->line + 1;
}

static int column_of(const yaml_mark_t *mark)
{
    return (int)mark->column + 1;
}

static ration_status refuse_memory(const char *path, ration_error *error)
{
    return rn_error_at(error, RATION_NO_MEMORY, path, 0, 0, "", "no memory to read this file");
}

/* An error where the event in hand begins. */
static ration_status refuse_event(const struct builder *builder, const char *hint,
                                  const char *message)
{
    const yaml_mark_t *mark = &builder->event.start_mark;
    return rn_error_at(builder->error, builder->file.invalid, builder->file.path, line_of(mark),
                       column_of(mark), hint, "%s", message);
}

static ration_status refuse_parser(const struct builder *builder)
{
    const yaml_parser_t *parser = &builder->parser;
    if (parser->error == YAML_MEMORY_ERROR) {
        return refuse_memory(builder->file.path, builder->error);
    }
    bool unreadable = parser->error == YAML_READER_ERROR;
    int line = line_of(&parser->problem_mark), column = column_of(&parser->problem_mark);
    size_t offset =
        unreadable ? RN_MIN(parser->problem_offset, builder->length)
                   : rn_yaml_find_byte(builder->text, builder->length, parser->problem_mark.index);
    if (unreadable) {
        rn_yaml_find_place(builder->text, builder->length, offset, &line, &column);
    }
    const char *problem = parser->problem != NULL ? parser->problem : "not YAML";
    const char *context = parser->context != NULL ? parser->context : "";
    const char *hint =
        rn_yaml_advise(problem, unreadable, builder->text + offset, builder->length - offset);
    char begun[48] = "";
    if (context[0] != '\0' && line_of(&parser->context_mark) < line) {
        snprintf(begun, sizeof(begun), " begun on line %d", line_of(&parser->context_mark));
    }
    return rn_error_at(builder->error, builder->file.invalid, builder->file.path, line, column,
                       hint, "%s%s%s%s", problem, context[0] != '\0' ? " " : "", context, begun);
}

/* ----------------------------------------------------------------------------------------- tree */

static ration_status check_unique(const struct builder *builder, const struct level *level,
                                  const char *key)
{
    int first_line = 0;
    for (const rn_yaml *child = level->node->first; child != NULL && first_line == 0;
         child = child->next) {
        first_line = strcmp(child->key, key) == 0 ? child->key_line : 0;
    }
    if (first_line > 0) {
        const yaml_mark_t *mark = &builder->event.start_mark;
        return rn_error_at(builder->error, builder->file.invalid, builder->file.path, line_of(mark),
                           column_of(mark), "keep one of the two",
                           "duplicate key '%.60s', first on line %d", key, first_line);
    }
    if (level->node->count >= KEYS_MAX) {
        return refuse_event(builder, "is this the right file?",
                            "more than 1024 keys in one mapping");
    }
    return RATION_OK;
}

static ration_status take_key(struct builder *builder, struct level *level)
{
    const char *text = (const char *)builder->event.data.scalar.value;
    size_t length = builder->event.data.scalar.length;
    if (length == 0) {
        return refuse_event(builder, "write `key: value`", "a key is empty");
    }
    if (length == 2 && memcmp(text, "<<", 2) == 0) {
        return refuse_event(builder, "write the keys out", "merge keys are not supported");
    }
    RN_TRY(check_unique(builder, level, text));
    level->key = rn_arena_copy(builder->arena, text, length);
    level->key_line = line_of(&builder->event.start_mark);
    level->key_column = column_of(&builder->event.start_mark);
    return level->key == NULL ? refuse_memory(builder->file.path, builder->error) : RATION_OK;
}

/* Adds a node where the event in hand begins: below the innermost open collection, or as the
 * root. */
static ration_status add_node(struct builder *builder, rn_yaml_kind kind, rn_yaml **out_node)
{
    if (builder->nodes == builder->nodes_max) {
        char message[64];
        snprintf(message, sizeof(message), "more than %d values in one file", builder->nodes_max);
        return refuse_event(builder, "is this the right file?", message);
    }
    builder->nodes++;
    rn_yaml *node = (rn_yaml *)rn_arena_allocate(builder->arena, sizeof(*node));
    if (node == NULL) {
        return refuse_memory(builder->file.path, builder->error);
    }
    node->kind = kind;
    node->line = line_of(&builder->event.start_mark);
    node->column = column_of(&builder->event.start_mark);
    if (builder->depth == 0) {
        rn_assert(builder->file.root == NULL);
        builder->file.root = node;
        *out_node = node;
        return RATION_OK;
    }
    struct level *level = &builder->stack[builder->depth - 1];
    node->key = level->key;
    node->key_line = level->key_line;
    node->key_column = level->key_column;
    *(level->last == NULL ? &level->node->first : &level->last->next) = node;
    level->last = node;
    level->node->count++;
    level->key = NULL;
    level->key_line = 0;
    level->key_column = 0;
    *out_node = node;
    return RATION_OK;
}

/* Is the next event in this place a key? */
static bool wants_key(const struct builder *builder)
{
    const struct level *level = builder->depth > 0 ? &builder->stack[builder->depth - 1] : NULL;
    return level != NULL && level->node->kind == RN_YAML_MAPPING && level->key == NULL;
}

static ration_status take_scalar(struct builder *builder)
{
    const char *text = (const char *)builder->event.data.scalar.value;
    size_t length = builder->event.data.scalar.length;
    if (memchr(text, '\0', length) != NULL) {
        return refuse_event(builder, "remove the \\0", "a NUL character inside a text");
    }
    if (wants_key(builder)) {
        return take_key(builder, &builder->stack[builder->depth - 1]);
    }
    rn_yaml *node;
    RN_TRY(add_node(builder, RN_YAML_SCALAR, &node));
    node->quoted = builder->event.data.scalar.style != YAML_PLAIN_SCALAR_STYLE;
    node->length = length;
    node->text = rn_arena_copy(builder->arena, text, length);
    return node->text == NULL ? refuse_memory(builder->file.path, builder->error) : RATION_OK;
}

static ration_status open_collection(struct builder *builder, rn_yaml_kind kind)
{
    if (wants_key(builder)) {
        return refuse_event(builder, "write `key: value`", "a key must be a plain word");
    }
    if (builder->depth == builder->depth_max) {
        char message[64];
        snprintf(message, sizeof(message), "nested deeper than %d levels", builder->depth_max);
        return refuse_event(builder, "flatten this part of the file", message);
    }
    rn_yaml *node;
    RN_TRY(add_node(builder, kind, &node));
    builder->stack[builder->depth++] = (struct level){.node = node};
    return RATION_OK;
}

static ration_status refuse_decoration(const struct builder *builder, const yaml_char_t *anchor,
                                       const yaml_char_t *tag)
{
    if (anchor != NULL) {
        return refuse_event(builder, "write the value out", "anchors are not supported");
    }
    if (tag != NULL) {
        return refuse_event(builder, "remove the tag", "tags are not supported");
    }
    return RATION_OK;
}

static ration_status start_document(const struct builder *builder)
{
    if (builder->file.root != NULL) {
        return refuse_event(builder, "keep one document per file", "a second document begins");
    }
    if (builder->event.data.document_start.tag_directives.start !=
        builder->event.data.document_start.tag_directives.end) {
        return refuse_event(builder, "remove the %TAG line", "tags are not supported");
    }
    return RATION_OK;
}

static ration_status take_event(struct builder *builder)
{
    const yaml_event_t *event = &builder->event;
    switch (event->type) {
    case YAML_SCALAR_EVENT:
        RN_TRY(refuse_decoration(builder, event->data.scalar.anchor, event->data.scalar.tag));
        return take_scalar(builder);
    case YAML_SEQUENCE_START_EVENT:
        RN_TRY(refuse_decoration(builder, event->data.sequence_start.anchor,
                                 event->data.sequence_start.tag));
        return open_collection(builder, RN_YAML_SEQUENCE);
    case YAML_MAPPING_START_EVENT:
        RN_TRY(refuse_decoration(builder, event->data.mapping_start.anchor,
                                 event->data.mapping_start.tag));
        return open_collection(builder, RN_YAML_MAPPING);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        rn_assert(builder->depth > 0 && builder->stack[builder->depth - 1].key == NULL);
        builder->depth--;
        return RATION_OK;
    case YAML_ALIAS_EVENT:
        return refuse_event(builder, "write the value out", "aliases are not supported");
    case YAML_DOCUMENT_START_EVENT:
        return start_document(builder);
    default:
        return RATION_OK;
    }
}

static ration_status build_tree(struct builder *builder)
{
    for (bool end = false; !end;) {
        if (yaml_parser_parse(&builder->parser, &builder->event) == 0) {
            return refuse_parser(builder);
        }
        end = builder->event.type == YAML_STREAM_END_EVENT;
        ration_status status = take_event(builder);
        yaml_event_delete(&builder->event);
        RN_TRY(status);
    }
    /* `---` alone is a document of one empty scalar: nothing was written. */
    if (builder->file.root != NULL && builder->file.root->length == 0 &&
        rn_yaml_is_null(builder->file.root)) {
        builder->file.root = NULL;
    }
    return RATION_OK;
}

/* ----------------------------------------------------------------------------------------- file */

static ration_status refuse_file(const char *path, ration_error *error, const char *what, int code)
{
    const char *hint = code == ENOENT   ? "check the path"
                       : code == EACCES ? "check the permissions"
                                        : "";
    return rn_error_at(error, RATION_FILE, path, 0, 0, hint, "%s: %s", what, strerror(code));
}

static ration_status refuse_size(const char *path, int64_t bytes, ration_status invalid,
                                 ration_error *error)
{
    char shown[32];
    rn_text text = rn_text_over(shown, sizeof(shown));
    rn_text_put_size(&text, bytes);
    return rn_error_at(error, invalid, path, 0, 0, "is this the right file?",
                       "the file has %s (%lld bytes); the most that is read is 256 KiB", shown,
                       (long long)bytes);
}
_Static_assert(RN_YAML_BYTES_MAX == 256 * 1024, "refuse_size names it");

/* Reads an open file to its end; `bytes` has room for one byte more than is accepted. */
static ration_status fill_bytes(int descriptor, const char *path, char *bytes, size_t *out_length,
                                ration_error *error)
{
    size_t length = 0;
    while (length <= RN_YAML_BYTES_MAX) {
        ssize_t count = read(descriptor, bytes + length, RN_YAML_BYTES_MAX + 1 - length);
        if (count < 0 && errno == EINTR) {
            continue;
        }
        if (count < 0) {
            return refuse_file(path, error, "cannot read it", errno);
        }
        if (count == 0) {
            break;
        }
        length += (size_t)count;
    }
    *out_length = length;
    return RATION_OK;
}

static ration_status read_descriptor(int descriptor, const char *path, char *bytes,
                                     size_t *out_length, ration_status invalid, ration_error *error)
{
    struct stat about;
    if (fstat(descriptor, &about) != 0) {
        return refuse_file(path, error, "cannot read it", errno);
    }
    if (S_ISDIR(about.st_mode)) {
        return refuse_file(path, error, "cannot read it", EISDIR);
    }
    if (!S_ISREG(about.st_mode)) {
        return rn_error_at(error, RATION_FILE, path, 0, 0, "name a regular file",
                           "not a regular file");
    }
    if (about.st_size > RN_YAML_BYTES_MAX) {
        return refuse_size(path, about.st_size, invalid, error);
    }
    return fill_bytes(descriptor, path, bytes, out_length, error);
}

/* libyaml compares each directive with all before it, ahead of the first event: 20,000 cost it half
 * a second. Lines that begin with '%' are all there can be. */
static ration_status check_directives(const struct builder *builder)
{
    size_t offset = rn_yaml_find_directive(builder->text, builder->length, DIRECTIVES_MAX);
    if (offset == builder->length) {
        return RATION_OK;
    }
    int line, column;
    rn_yaml_find_place(builder->text, builder->length, offset, &line, &column);
    return rn_error_at(builder->error, builder->file.invalid, builder->file.path, line, column,
                       "remove them: directives are not supported",
                       "more than %d lines begin with %%", DIRECTIVES_MAX);
}

static ration_status parse_bytes(const char *path, const char *text, size_t length, int depth_max,
                                 ration_status invalid, rn_yaml_file *out_file, ration_error *error)
{
    if (length > RN_YAML_BYTES_MAX) {
        return refuse_size(path, (int64_t)length, invalid, error);
    }
    rn_arena *arena = (rn_arena *)rn_heap_allocate(sizeof(*arena));
    if (arena == NULL) {
        return refuse_memory(path, error);
    }
    if (length >= sizeof(BYTE_ORDER_MARK) - 1 &&
        memcmp(text, BYTE_ORDER_MARK, sizeof(BYTE_ORDER_MARK) - 1) == 0) {
        text += sizeof(BYTE_ORDER_MARK) - 1;
        length -= sizeof(BYTE_ORDER_MARK) - 1;
    }
    bool configuration = depth_max <= RN_YAML_CONFIG_DEPTH_MAX;
    struct builder builder = {.arena = arena,
                              .error = error,
                              .depth_max = depth_max,
                              .nodes_max =
                                  configuration ? RN_YAML_CONFIG_NODES_MAX : RN_YAML_BYTES_MAX,
                              .text = text,
                              .length = length};
    builder.file.arena = arena;
    builder.file.invalid = invalid;
    builder.file.path = rn_arena_copy(arena, path, strlen(path));
    ration_status status = RATION_NO_MEMORY;
    if (builder.file.path == NULL || yaml_parser_initialize(&builder.parser) == 0) {
        status = refuse_memory(path, error);
    } else {
        yaml_parser_set_encoding(&builder.parser, YAML_UTF8_ENCODING);
        yaml_parser_set_input_string(&builder.parser, (const unsigned char *)text, length);
        status = check_directives(&builder);
        if (status == RATION_OK) {
            status = build_tree(&builder);
        }
        yaml_parser_delete(&builder.parser);
    }
    if (status != RATION_OK) {
        rn_yaml_free(&builder.file);
        return status;
    }
    *out_file = builder.file;
    return RATION_OK;
}

ration_status rn_yaml_read(const char *path, const char *text, size_t length, int depth_max,
                           ration_status invalid, rn_yaml_file *out_file, ration_error *error)
{
    rn_assert(depth_max > 0 && depth_max <= RN_YAML_PLAN_DEPTH_MAX);
    if (text != NULL) {
        return parse_bytes(path, text, length, depth_max, invalid, out_file, error);
    }
    /* O_NONBLOCK: opening a FIFO must not wait for a writer. */
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (descriptor < 0) {
        return refuse_file(path, error, "cannot open it", errno);
    }
    char *bytes = (char *)rn_heap_allocate(RN_YAML_BYTES_MAX + 1);
    ration_status status = bytes == NULL
                               ? refuse_memory(path, error)
                               : read_descriptor(descriptor, path, bytes, &length, invalid, error);
    (void)close(descriptor);
    if (status == RATION_OK) {
        status = parse_bytes(path, bytes, length, depth_max, invalid, out_file, error);
    }
    rn_heap_free(bytes, RN_YAML_BYTES_MAX + 1);
    return status;
}

void rn_yaml_free(rn_yaml_file *file)
{
    rn_arena *arena = (rn_arena *)file->arena;
    if (arena != NULL) {
        rn_arena_free(arena);
        rn_heap_free(arena, sizeof(*arena));
    }
    *file = (rn_yaml_file){0};
}

const rn_yaml *rn_yaml_get(const rn_yaml *node, const char *key)
{
    const rn_yaml *child = node != NULL && node->kind == RN_YAML_MAPPING ? node->first : NULL;
    while (child != NULL && strcmp(child->key, key) != 0) {
        child = child->next;
    }
    return child;
}

bool rn_yaml_is_null(const rn_yaml *node)
{
    return node != NULL && node->kind == RN_YAML_SCALAR && !node->quoted &&
           (node->length == 0 || strcmp(node->text, "~") == 0 || strcmp(node->text, "null") == 0);
}
