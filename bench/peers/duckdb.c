/* SPDX-License-Identifier: Apache-2.0
 *
 * DuckDB beside bench/spill.c: the same shapes from range(), one thread, through its C interface,
 * which is loaded at run time. Prints the same line.
 *
 *     duckdb LIBRARY SHAPE LIMIT SCALE DIRECTORY     LIMIT in bytes, "none" = its own default
 *
 * Keys are the same permutations of row numbers; payloads are its hash() of the place of a value,
 * random words like ours. Results come as a stream, chunk by chunk, and go through the same fold as
 * ours. The few declarations below are those of its C interface (duckdb.h, DuckDB 1.x). */
#include <dlfcn.h>
#include <unistd.h>

#include "base/text.h"
#include "bench/spill.h"

typedef uint64_t duckdb_count;
typedef struct duckdb_handle *duckdb_database, *duckdb_connection, *duckdb_statement, *duckdb_chunk,
    *duckdb_vector;
typedef struct duckdb_result {
    duckdb_count deprecated_columns, deprecated_rows, deprecated_changed;
    void *deprecated_data;
    char *deprecated_message;
    void *internal;
} duckdb_result;

static struct {
    int (*open)(const char *path, duckdb_database *out_database);
    int (*connect)(duckdb_database database, duckdb_connection *out_connection);
    int (*query)(duckdb_connection connection, const char *text, duckdb_result *out_result);
    int (*prepare)(duckdb_connection connection, const char *text, duckdb_statement *out_statement);
    int (*execute_prepared_streaming)(duckdb_statement statement, duckdb_result *out_result);
    const char *(*prepare_error)(duckdb_statement statement);
    const char *(*result_error)(duckdb_result *result);
    duckdb_chunk (*fetch_chunk)(duckdb_result result);
    duckdb_count (*data_chunk_get_size)(duckdb_chunk chunk);
    duckdb_count (*data_chunk_get_column_count)(duckdb_chunk chunk);
    duckdb_vector (*data_chunk_get_vector)(duckdb_chunk chunk, duckdb_count column);
    void *(*vector_get_data)(duckdb_vector vector);
    void (*destroy_data_chunk)(duckdb_chunk *chunk);
    void (*destroy_result)(duckdb_result *result);
    void (*destroy_prepare)(duckdb_statement *statement);
    void (*disconnect)(duckdb_connection *connection);
    void (*close)(duckdb_database *database);
} duckdb;

static _Noreturn void stop(const char *what, const char *why)
{
    fprintf(stderr, "duckdb: %s: %s\n", what, why == NULL ? "failed" : why);
    exit(2);
}

static void load_library(const char *path)
{
    void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) {
        stop(path, dlerror());
    }
#define LOAD(name)                                                                                 \
    do {                                                                                           \
        void *found = dlsym(library, "duckdb_" #name);                                             \
        if (found == NULL) {                                                                       \
            stop(path, "no duckdb_" #name);                                                        \
        }                                                                                          \
        memcpy(&duckdb.name, &found, sizeof found);                                                \
    } while (0)
    LOAD(open);
    LOAD(connect);
    LOAD(query);
    LOAD(prepare);
    LOAD(execute_prepared_streaming);
    LOAD(prepare_error);
    LOAD(result_error);
    LOAD(fetch_chunk);
    LOAD(data_chunk_get_size);
    LOAD(data_chunk_get_column_count);
    LOAD(data_chunk_get_vector);
    LOAD(vector_get_data);
    LOAD(destroy_data_chunk);
    LOAD(destroy_result);
    LOAD(destroy_prepare);
    LOAD(disconnect);
    LOAD(close);
#undef LOAD
}

/* `count` columns of random words, numbered from `first`. */
static void put_words(rn_text *text, int first, int count)
{
    for (int i = first; i < first + count; i++) {
        rn_text_format(text, "%s(hash(range*16+%d)>>1)::BIGINT c%d", i > first ? "," : "", i, i);
    }
}

static void put_wide(rn_text *text, long long rows)
{
    rn_text_put(text, "SELECT ");
    put_words(text, 0, 13);
    rn_text_format(text, " FROM range(%lld)", rows);
}

static void put_keys(rn_text *text, long long groups, long long rows)
{
    rn_text_format(text, "SELECT (range*2147483647)%%%lld k FROM range(%lld)", groups, rows);
}

/* One side of the join. */
static void put_side(rn_text *text, const char *key, long long factor, int first, long long rows)
{
    rn_text_format(text, "SELECT (range*%lld)%%%lld %s,", factor, rows, key);
    put_words(text, first, 3);
    rn_text_format(text, " FROM range(%lld)", rows);
}

static void put_sides(rn_text *text, const char *between, long long rows)
{
    put_side(text, "k", 2147483647, 1, rows);
    rn_text_put(text, between);
    put_side(text, "j", 1000000007, 4, rows);
}

/* The shape's statement; NUL-terminated. */
static const char *write_statement(const spill_shape *shape, double scale)
{
    static char buffer[4096];
    rn_text text = rn_text_over(buffer, sizeof buffer);
    long long rows = (long long)spill_scaled(shape->rows, scale);
    long long groups = (long long)spill_scaled(shape->groups, scale);
    if (strcmp(shape->name, "sort") == 0) {
        put_wide(&text, rows);
        rn_text_put(&text, " ORDER BY c0");
    } else if (strcmp(shape->name, "generate_wide") == 0) {
        put_wide(&text, rows);
    } else if (strcmp(shape->name, "aggregate") == 0) {
        rn_text_put(&text, "SELECT k,count(*) FROM (");
        put_keys(&text, groups, rows);
        rn_text_put(&text, ") GROUP BY k");
    } else if (strcmp(shape->name, "distinct") == 0) {
        rn_text_put(&text, "SELECT DISTINCT k FROM (");
        put_keys(&text, groups, rows);
        rn_text_put(&text, ")");
    } else if (strcmp(shape->name, "generate_keys") == 0) {
        put_keys(&text, groups, rows);
    } else if (strcmp(shape->name, "join") == 0) {
        rn_text_put(&text, "SELECT k,c1,c2,c3,c4,c5,c6 FROM (");
        put_sides(&text, ") JOIN (", rows);
        rn_text_put(&text, ") ON k=j");
    } else if (strcmp(shape->name, "generate_pairs") == 0) {
        put_sides(&text, " UNION ALL ", rows);
    } else {
        stop(shape->name, "is not one of its shapes");
    }
    return buffer;
}

static void set(duckdb_connection connection, const char *text)
{
    duckdb_result result;
    if (duckdb.query(connection, text, &result) != 0) {
        stop(text, duckdb.result_error(&result));
    }
    duckdb.destroy_result(&result);
}

static void fold_chunk(spill_fold *fold, duckdb_chunk chunk)
{
    const int64_t *columns[16];
    uint32_t count = (uint32_t)duckdb.data_chunk_get_column_count(chunk);
    for (uint32_t c = 0; c < count; c++) {
        columns[c] = duckdb.vector_get_data(duckdb.data_chunk_get_vector(chunk, c));
    }
    spill_fold_words(fold, columns, count, (uint32_t)duckdb.data_chunk_get_size(chunk));
}

/* Runs to the end of the stream; what failed is in the result's status. */
static void execute(duckdb_connection connection, const char *text, spill_fold *fold,
                    spill_result *result)
{
    duckdb_statement statement;
    duckdb_result stream;
    const char *problem = NULL;
    if (duckdb.prepare(connection, text, &statement) != 0) {
        stop(text, duckdb.prepare_error(statement));
    }
    int64_t start_ns = rn_clock_ns(), start_cpu_ns = spill_cpu_ns();
    if (duckdb.execute_prepared_streaming(statement, &stream) == 0) {
        duckdb_chunk chunk;
        while ((chunk = duckdb.fetch_chunk(stream)) != NULL) {
            fold_chunk(fold, chunk);
            duckdb.destroy_data_chunk(&chunk);
        }
    }
    problem = duckdb.result_error(&stream);
    if (problem != NULL && *problem != '\0') {
        fprintf(stderr, "duckdb: %.300s\n", problem);
    }
    (void)snprintf(result->status, sizeof result->status, "%s",
                   problem == NULL || *problem == '\0' ? "OK" : "FAILED");
    duckdb.destroy_result(&stream);
    result->wall_ns = rn_clock_ns() - start_ns;
    result->cpu_ns = spill_cpu_ns() - start_cpu_ns;
    duckdb.destroy_prepare(&statement);
}

int main(int argc, char **argv)
{
    const spill_shape *shape = argc == 6 ? spill_shape_find(argv[2]) : NULL;
    if (shape == NULL) {
        fprintf(stderr, "usage: duckdb LIBRARY SHAPE LIMIT SCALE DIRECTORY\n");
        return 2;
    }
    duckdb_database database;
    duckdb_connection connection;
    load_library(argv[1]);
    if (duckdb.open(NULL, &database) != 0 || duckdb.connect(database, &connection) != 0) {
        stop("open", NULL);
    }
    char text[700];
    set(connection, "SET threads=1");
    set(connection, "SET preserve_insertion_order=false");
    (void)snprintf(text, sizeof text, "SET temp_directory='%s/duckdb-%lld'", argv[5],
                   (long long)getpid());
    set(connection, text);
    spill_result result = {.limit_bytes = SPILL_UNLIMITED};
    if (strcmp(argv[3], "none") != 0) {
        result.limit_bytes = strtoll(argv[3], NULL, 10);
        (void)snprintf(text, sizeof text, "SET memory_limit='%lldB'",
                       (long long)result.limit_bytes);
        set(connection, text);
    }
    spill_fold fold;
    spill_fold_begin(&fold, shape->ordered);
    rn_probe_self("", &result.start_bytes, &result.peak_bytes);
    execute(connection, write_statement(shape, strtod(argv[4], NULL)), &fold, &result);
    result.rows = fold.rows;
    result.hash = fold.hash;
    result.sorted = fold.sorted;
    int64_t unused;
    rn_probe_self("", &unused, &result.peak_bytes);
    duckdb.disconnect(&connection);
    duckdb.close(&database);
    spill_result_put(&result);
    return strcmp(result.status, "OK") == 0 ? 0 : 1;
}
