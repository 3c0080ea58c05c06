/* SPDX-License-Identifier: Apache-2.0
 *
 * A service whose limits follow its memory.yaml and the machine: a keeper ticks the governor and
 * loads the file again when it changes. Here the program itself changes it. cc keeper.c -lration */
#include <ration_monitor.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* From the keeper's thread. On an error the limits before hold. */
static void tell(void *argument, const ration_error *error)
{
    char text[1200] = "loaded again";
    if (error != NULL) {
        ration_error_format(error, text, sizeof text);
    }
    printf("%s: %s\n", (const char *)argument, text);
}

/* As editors do: another file is renamed over it. */
static int write_limits(const char *path, const char *text)
{
    char other[64];
    snprintf(other, sizeof other, "%s.new", path);
    FILE *file = fopen(other, "w");
    if (file == NULL || fputs(text, file) < 0 || fclose(file) != 0) {
        return -1;
    }
    return rename(other, path);
}

static void serve_until(const ration_governor *governor, int64_t limit_bytes)
{
    ration_governor_figures figures;
    const struct timespec while_serving = {.tv_nsec = 1000 * 1000};
    do {
        nanosleep(&while_serving, NULL);
        ration_governor_read(governor, &figures);
    } while (figures.limit_bytes != limit_bytes);
    printf("limit %lld bytes\n", (long long)figures.limit_bytes);
}

int main(void)
{
    char path[] = "/tmp/ration-keeper-XXXXXX";
    ration_limits limits;
    ration_governor *governor;
    ration_keeper *keeper;
    ration_error error;
    if (mkstemp(path) < 0 || write_limits(path, "limit_bytes: 8MiB\n") != 0) {
        return EXIT_FAILURE;
    }
    const ration_keeper_options options = {
        .size = sizeof options, .path = path, .watch = true, .told = tell, .argument = "service"};
    if (ration_limits_load(path, &limits, &error) != RATION_OK ||
        ration_governor_open(&limits, &governor, &error) != RATION_OK ||
        ration_keeper_start(governor, &options, &keeper, &error) != RATION_OK) {
        tell("service", &error);
        return EXIT_FAILURE;
    }
    serve_until(governor, 8 << 20);
    int written = write_limits(path, "limit_bytes: 5MiB\n");
    serve_until(governor, 5 << 20);
    ration_keeper_stop(keeper);
    ration_governor_close(governor);
    return written == 0 && unlink(path) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
