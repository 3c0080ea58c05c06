/* SPDX-License-Identifier: Apache-2.0
 *
 * See machines.h. */
#include "tests/memory/machines.h"

#include <ctype.h>
#include <dirent.h>

#define CONTENT_BYTES (64 * 1024)

static int64_t read_unit(const char **at)
{
    static const struct {
        const char *name;
        int64_t bytes;
    } units[] = {{"KiB", 1024}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {"TiB", INT64_C(1) << 40}};
    *at += strspn(*at, " ");
    for (size_t i = 0; i < RN_COUNT(units); i++) {
        if (strncmp(*at, units[i].name, 3) == 0) {
            *at += 3;
            return units[i].bytes;
        }
    }
    return 0;
}

int64_t machine_sum(const char *text)
{
    int64_t sum = 0, waiting = 0; /* numbers whose unit has not come */
    int sign = 1;
    if (strcmp(text, "unlimited") == 0) {
        return INT64_MAX;
    }
    for (const char *at = text;;) {
        at += strspn(at, " ");
        ck_assert_msg(isdigit((unsigned char)*at), "'%s' is no sum", text);
        char *end;
        waiting += sign * strtoll(at, &end, 10);
        at = end;
        int64_t unit = read_unit(&at);
        if (unit != 0) {
            sum += waiting * unit;
            waiting = 0;
        }
        at += strspn(at, " ");
        if (*at == '\0') {
            return sum + waiting;
        }
        ck_assert_msg(*at == '+' || *at == '-', "'%s' is no sum", text);
        sign = *at++ == '+' ? 1 : -1;
    }
}

static void make_folders(const char *path)
{
    char folder[600];
    rn_copy_text(folder, sizeof(folder), path);
    for (char *at = strchr(folder + 1, '/'); at != NULL; at = strchr(at + 1, '/')) {
        *at = '\0';
        (void)mkdir(folder, 0700);
        *at = '/';
    }
}

static const char *full_path(const machine *host, const char *path)
{
    static char full[600];
    ck_assert_int_lt(snprintf(full, sizeof(full), "%s%s", host->root, path), sizeof(full));
    make_folders(full);
    return full;
}

/* What stands between braces, written to `out`; false: it was {no newline}. */
static bool expand(const char *what, rn_text *out)
{
    size_t length = strlen(what);
    if (strcmp(what, "NUL") == 0) {
        rn_text_put_bytes(out, "\0", 1);
    } else if (strcmp(what, "CR") == 0) {
        rn_text_put(out, "\r");
    } else if (strcmp(what, "no newline") == 0) {
        return false;
    } else if (strncmp(what + 1, " x ", 3) == 0) {
        for (long count = strtol(what + 4, NULL, 10); count > 0; count--) {
            rn_text_put_bytes(out, what, 1);
        }
    } else if (length > 6 && strcmp(what + length - 6, " in kB") == 0) {
        char sum[100];
        rn_copy_text(sum, RN_MIN(sizeof(sum), length - 5), what);
        rn_text_format(out, "%lld", (long long)(machine_sum(sum) / 1024));
    } else {
        rn_text_format(out, "%lld", (long long)machine_sum(what));
    }
    return true;
}

void machine_write(const machine *host, const char *path, const char *text)
{
    static char content[CONTENT_BYTES];
    rn_text out = rn_text_over(content, sizeof(content));
    bool newline = text[0] != '\0';
    while (*text != '\0') {
        size_t plain = strcspn(text, "{");
        rn_text_put_bytes(&out, text, plain);
        text += plain;
        if (*text == '{') {
            char what[100];
            size_t length = strcspn(++text, "}");
            rn_copy_text(what, RN_MIN(sizeof(what), length + 1), text);
            newline = expand(what, &out) && newline;
            text += length + (text[length] == '}');
        }
    }
    if (newline) {
        rn_text_put(&out, "\n");
    }
    ck_assert_uint_lt(out.length, sizeof(content));
    FILE *file = fopen(full_path(host, path), "wb");
    ck_assert_ptr_nonnull(file);
    ck_assert_uint_eq(fwrite(content, 1, out.length, file), out.length);
    ck_assert_int_eq(fclose(file), 0);
}

void machine_remove(const machine *host, const char *path)
{
    struct stat status;
    const char *full = full_path(host, path);
    if (lstat(full, &status) == 0) {
        support_remove(full);
    }
}

void machine_folder(const machine *host, const char *path)
{
    machine_remove(host, path);
    ck_assert_int_eq(mkdir(full_path(host, path), 0700), 0);
}

void machine_pipe(const machine *host, const char *path)
{
    machine_remove(host, path);
    ck_assert_int_eq(mkfifo(full_path(host, path), 0600), 0);
}

void machine_link(const machine *host, const char *path, const char *target)
{
    machine_remove(host, path);
    ck_assert_int_eq(symlink(target, full_path(host, path)), 0);
}

/* A file that is being collected line by line. */
struct pending {
    char path[300];
    char text[8192];
    bool begun;
};

static void finish_file(const machine *host, struct pending *pending)
{
    if (pending->path[0] != '\0') {
        machine_write(host, pending->path, pending->text);
    }
    *pending = (struct pending){0};
}

static void take_path(const machine *host, char *line, struct pending *pending)
{
    static const char *const shapes[] = {" is gone", " is a folder", " is a pipe"};
    char *arrow = strstr(line, " -> "), *colon = strstr(line, ":");
    size_t length = strlen(line);
    for (size_t i = 0; i < RN_COUNT(shapes); i++) {
        size_t tail = strlen(shapes[i]);
        if (length > tail && strcmp(line + length - tail, shapes[i]) == 0) {
            line[length - tail] = '\0';
            (i == 0 ? machine_remove : i == 1 ? machine_folder : machine_pipe)(host, line);
            return;
        }
    }
    if (arrow != NULL) {
        *arrow = '\0';
        machine_link(host, line, arrow + 4);
        return;
    }
    while (colon != NULL && colon[1] != ' ' && colon[1] != '\0') {
        colon = strstr(colon + 1, ":"); /* names of groups have colons too */
    }
    ck_assert_msg(colon != NULL, "%s: no contents: %s", host->name, line);
    *colon = '\0';
    rn_copy_text(pending->path, sizeof(pending->path), line);
    pending->begun = colon[1] != '\0';
    rn_copy_text(pending->text, sizeof(pending->text), colon[1] != '\0' ? colon + 2 : "");
}

static void take_fact(machine *host, char *line)
{
    size_t length = strcspn(line, " ");
    ck_assert_int_lt(host->count, MACHINE_FACTS_MAX);
    rn_copy_text(host->facts[host->count].key, RN_MIN(sizeof(host->facts[0].key), length + 1),
                 line);
    rn_copy_text(host->facts[host->count].value, sizeof(host->facts[0].value),
                 line + length + strspn(line + length, " "));
    host->count++;
}

/* A comment behind two blanks, and blanks at the end, go. */
static void cut_line(char *line)
{
    char *comment = strstr(line, "  #");
    if (comment != NULL) {
        *comment = '\0';
    }
    for (size_t length = strlen(line); length > 0 && strchr(" \n", line[length - 1]) != NULL;) {
        line[--length] = '\0';
    }
}

static void unpack(machine *host, const char *name, bool facts)
{
    static char line[8192];
    static struct pending pendings[4];
    static int depth;
    struct pending *pending = &pendings[depth++];
    char path[200];
    snprintf(path, sizeof(path), "tests/fixtures/machines/%s.machine", name);
    FILE *file = fopen(support_path(path), "r");
    ck_assert_msg(file != NULL, "%s is not there", path);
    *pending = (struct pending){0};
    while (fgets(line, sizeof(line), file) != NULL) {
        cut_line(line);
        if (line[0] == '#') {
            continue;
        }
        if (strncmp(line, "    ", 4) == 0) {
            size_t used = strlen(pending->text);
            snprintf(pending->text + used, sizeof(pending->text) - used, "%s%s",
                     pending->begun ? "\n" : "", line + 4);
            pending->begun = true;
            continue;
        }
        finish_file(host, pending);
        if (strncmp(line, "like ", 5) == 0) {
            unpack(host, line + 5, false);
        } else if (line[0] == '/') {
            take_path(host, line, pending);
        } else if (line[0] != '\0' && facts) {
            take_fact(host, line);
        }
    }
    finish_file(host, pending);
    ck_assert_int_eq(fclose(file), 0);
    depth--;
}

void machine_open(machine *host, const char *name)
{
    memset(host, 0, sizeof(*host));
    rn_copy_text(host->name, sizeof(host->name), name);
    /* In memory where there is such a folder: thousands of files are made and removed. */
    rn_copy_text(host->root, sizeof(host->root), "/dev/shm/ration-machine-XXXXXX");
    if (mkdtemp(host->root) == NULL) {
        rn_copy_text(host->root, sizeof(host->root), support_folder());
    }
    unpack(host, name, true);
}

void machine_close(machine *host)
{
    support_remove(host->root);
}

const char *machine_fact(const machine *host, const char *key)
{
    for (int i = 0; i < host->count; i++) {
        if (strcmp(host->facts[i].key, key) == 0) {
            return host->facts[i].value;
        }
    }
    return NULL;
}

static int compare_names(const void *left, const void *right)
{
    return strcmp((const char *)left, (const char *)right);
}

int machine_names(char names[][64], int most)
{
    int count = 0;
    DIR *folder = opendir(support_path("tests/fixtures/machines"));
    ck_assert_ptr_nonnull(folder);
    for (struct dirent *entry; (entry = readdir(folder)) != NULL;) {
        char *end = strstr(entry->d_name, ".machine");
        if (end != NULL) {
            ck_assert_int_lt(count, most);
            *end = '\0';
            rn_copy_text(names[count++], 64, entry->d_name);
        }
    }
    closedir(folder);
    qsort(names, (size_t)count, sizeof(names[0]), compare_names);
    return count;
}
