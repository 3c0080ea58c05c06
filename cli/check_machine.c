/* SPDX-License-Identifier: Apache-2.0
 *
 * Rules of `ration check` that look at this machine: is there the memory that the file speaks of,
 * can be written where it wants to spill, do processes find each other. Left out with --no-machine,
 * for a file that is meant for another one.
 *
 * An error is what no governor would be opened with here; all else is a warning or a note. */
#include <linux/magic.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "cli/findings.h"
#include "storage/spill.h"

#define HIGH_RATIO_PPM 950000
#define LITTLE_BYTES (INT64_C(64) << 20)

static rn_place at(const rn_limits_view *view, const char *name)
{
    return rn_places_find(&view->places, NULL, rn_limits_find(name));
}

static const char *binding_name(const rn_limits_view *view)
{
    return view->probe.sources[view->probe.binding].name;
}

/* --------------------------------------------------------------------------------------- limits */

/* A given limit against what is there. */
static void look_at_given(const rn_limits_view *view, rn_findings *findings)
{
    const ration_limits *limits = &view->limits;
    char given[32], there[32], derived[32];
    rn_place place = at(view, "limit_bytes");
    const rn_probe_source *binding = &view->probe.sources[view->probe.binding];
    for (int i = 0; i < view->probe.count; i++) {
        const rn_probe_source *source = &view->probe.sources[i];
        if (limits->limit_bytes > source->limit_bytes) {
            rn_findings_add(findings, RN_SEVERITY_WARNING, "limit-above-machine", &place,
                            "lower it, or write 0 and let it be derived",
                            "limit_bytes %s is more than there ever is: %s has %s",
                            rn_cli_size(limits->limit_bytes, given), source->name,
                            rn_cli_size(source->limit_bytes, there));
            return;
        }
    }
    if (!limits->enable_system_monitor && limits->limit_bytes > binding->headroom_bytes) {
        rn_findings_add(findings, RN_SEVERITY_WARNING, "limit-above-available", &place,
                        "set enable_system_monitor: true, and the limit gives way",
                        "limit_bytes %s is more than the %s that %s leaves now, and nothing lowers "
                        "it: the kernel may kill the process before a query is refused",
                        rn_cli_size(limits->limit_bytes, given),
                        rn_cli_size(binding->headroom_bytes, there), binding->name);
    } else if (limits->enable_system_monitor && view->derived_bytes >= 0 &&
               limits->limit_bytes > view->derived_bytes) {
        rn_findings_add(findings, RN_SEVERITY_NOTE, "limit-not-reached", &place,
                        "raise limit_ratio if the machine is meant for this process",
                        "limit_bytes %s is not reached now: the machine gives %s (limit_ratio of "
                        "what %s leaves)",
                        rn_cli_size(limits->limit_bytes, given),
                        rn_cli_size(view->derived_bytes, derived), binding->name);
    }
}

/* What a ratio leaves for all that is not charged. */
static void look_at_ratio(const rn_limits_view *view, rn_findings *findings)
{
    const ration_limits *limits = &view->limits;
    char total[32], left[32], reserved[32], ratio[32], limit[32];
    rn_text text = rn_text_over(ratio, sizeof ratio);
    rn_text_put_ratio(&text, limits->limit_ratio_ppm);
    rn_place place = at(view, "limit_ratio");
    int64_t above = view->division.total_bytes - view->limit_bytes;
    if (limits->limit_ratio_ppm >= HIGH_RATIO_PPM) {
        rn_findings_add(findings, RN_SEVERITY_WARNING, "ratio-high", &place,
                        "0.8 leaves room for what nobody announces",
                        "limit_ratio %s of %s leaves %s, with the reserve of %s, for code, stacks, "
                        "the page cache and every other process: pressure begins at half of the "
                        "rest",
                        ratio, rn_cli_size(view->division.total_bytes, total),
                        rn_cli_size(above, left),
                        rn_cli_size(limits->untracked_reserved_bytes, reserved));
    }
    if (view->limit_bytes > 0 && view->limit_bytes < LITTLE_BYTES) {
        rn_findings_add(findings, RN_SEVERITY_NOTE, "limit-little", &place, "",
                        "the limit comes to %s: %s of %s at %s, less a reserve of %s",
                        rn_cli_size(view->limit_bytes, limit), ratio,
                        rn_cli_size(view->division.total_bytes, total), binding_name(view),
                        rn_cli_size(limits->untracked_reserved_bytes, reserved));
    }
    if (limits->limit_base == RATION_BASE_TOTAL &&
        view->limit_bytes > view->probe.available_bytes) {
        char there[32];
        place = at(view, "limit_base");
        rn_findings_add(findings, RN_SEVERITY_WARNING, "total-above-available", &place,
                        "set limit_base: available, or lower limit_ratio",
                        "of the total the limit comes to %s, and %s leaves %s now: others hold the "
                        "rest, and the limit does not give way to them",
                        rn_cli_size(view->limit_bytes, limit), binding_name(view),
                        rn_cli_size(view->probe.available_bytes, there));
    }
    int64_t part = view->limit_bytes + limits->untracked_reserved_bytes;
    if (view->limit_bytes > 0 && limits->untracked_reserved_bytes > part / 2) {
        place = at(view, "untracked_reserved_memory_mb");
        rn_findings_add(findings, RN_SEVERITY_WARNING, "reserve-large", &place,
                        "lower untracked_reserved_memory_mb",
                        "the reserve of %s takes more than half of the %s that the ratio gives",
                        rn_cli_size(limits->untracked_reserved_bytes, reserved),
                        rn_cli_size(part, limit));
    }
}

static void look_at_limits(const rn_limits_view *view, rn_findings *findings)
{
    const ration_limits *limits = &view->limits;
    if (view->refused.status != RATION_OK) {
        rn_place place = at(view, "limit_ratio");
        rn_findings_add(findings, RN_SEVERITY_ERROR, "no-limit-here", &place, view->refused.hint,
                        "no governor would open here: %s", view->refused.message);
        return;
    }
    if (limits->limit_bytes > 0) {
        look_at_given(view, findings);
    } else {
        look_at_ratio(view, findings);
    }
    if (limits->limit_ceiling_bytes > 0 && view->division.total_bytes > 0 &&
        limits->limit_ceiling_bytes > view->division.total_bytes) {
        char ceiling[32], total[32];
        rn_place place = at(view, "limit_ceiling_bytes");
        rn_findings_add(findings, RN_SEVERITY_NOTE, "ceiling-not-reached", &place, "",
                        "limit_ceiling_bytes %s is above the %s that are here",
                        rn_cli_size(limits->limit_ceiling_bytes, ceiling),
                        rn_cli_size(view->division.total_bytes, total));
    }
    if (limits->enable_system_monitor && limits->pressure_stall_ppm > 0 &&
        !view->probe.stall.known && !view->probe.group_stall.known) {
        rn_place place = at(view, "pressure_stall_ratio");
        rn_findings_add(findings, RN_SEVERITY_NOTE, "no-stalls", &place, "",
                        "this kernel does not tell how long tasks wait for memory (PSI): free "
                        "memory alone says when it is short");
    }
}

/* -------------------------------------------------------------------------------------- folders */

static void look_at_room(const rn_limits_view *view, const rn_place *place, rn_findings *findings)
{
    const ration_limits *limits = &view->limits;
    struct statvfs system;
    if (statvfs(limits->spill_directory, &system) != 0 || view->limit_bytes <= 0) {
        return;
    }
    int64_t unit = (int64_t)(system.f_frsize > 0 ? system.f_frsize : system.f_bsize);
    int64_t room = rn_multiply((int64_t)system.f_bavail, unit) - limits->spill_free_bytes_min;
    char left[32], free_bytes[32], limit[32];
    if (room < view->limit_bytes) {
        rn_findings_add(findings, RN_SEVERITY_NOTE, "spill-little-room", place,
                        "make room there, or name another place",
                        "%s has room for %s beyond the %s that stay free, less than the limit of "
                        "%s",
                        limits->spill_directory, rn_cli_size(room, left),
                        rn_cli_size(limits->spill_free_bytes_min, free_bytes),
                        rn_cli_size(view->limit_bytes, limit));
    }
}

static void look_at_spilling(const rn_limits_view *view, rn_findings *findings)
{
    const ration_limits *limits = &view->limits;
    const rn_spill_options options = {.directory = limits->spill_directory,
                                      .allow_memory = limits->spill_allow_memory,
                                      .free_bytes_min = limits->spill_free_bytes_min};
    rn_spill_volume *volume;
    ration_error error;
    rn_place place = at(view, "spill_directory");
    if (rn_spill_volume_open(&options, &volume, &error) != RATION_OK) {
        return; /* no memory; a path that cannot be was refused with the file */
    }
    ration_status status = rn_spill_volume_probe(volume, &error);
    rn_spill_volume_close(volume);
    struct statfs system;
    bool memory = statfs(limits->spill_directory, &system) == 0 &&
                  (system.f_type == TMPFS_MAGIC || system.f_type == RAMFS_MAGIC);
    if (memory) {
        rn_findings_add(findings, RN_SEVERITY_WARNING, "spill-on-memory", &place,
                        "name a directory on a disk",
                        "spill_directory %s lies on a file system that is memory: spilling there "
                        "%s",
                        limits->spill_directory,
                        status == RATION_OK ? "takes the memory that it should free"
                                            : "is refused, as it would free nothing");
    } else if (status != RATION_OK) {
        rn_findings_add(findings, RN_SEVERITY_WARNING, "spill-impossible", &place, error.hint,
                        "nothing can be written out: %s", error.message);
    } else {
        look_at_room(view, &place, findings);
    }
}

static void look_at_registry(const rn_limits_view *view, rn_findings *findings)
{
    const ration_limits *limits = &view->limits;
    if (!rn_limits_view_follows(view)) {
        return;
    }
    struct statfs system;
    rn_place place = at(view, "registry_directory");
    if (statfs(limits->registry_directory, &system) != 0 ||
        access(limits->registry_directory, W_OK | X_OK) != 0) {
        rn_findings_add(findings, RN_SEVERITY_WARNING, "registry-impossible", &place,
                        "name a directory that this user may write to, best on a memory file "
                        "system",
                        "registry_directory %s: %m: processes do not find each other there",
                        limits->registry_directory);
    } else if (view->registry_note[0] != '\0') {
        rn_findings_add(findings, RN_SEVERITY_WARNING, "registry-unreadable", &place, "",
                        "the registry in %s cannot be used: %s", limits->registry_directory,
                        view->registry_note);
    } else if (system.f_type != TMPFS_MAGIC && system.f_type != RAMFS_MAGIC) {
        rn_findings_add(findings, RN_SEVERITY_NOTE, "registry-on-disk", &place,
                        "/dev/shm is gone with each boot",
                        "registry_directory %s lies on a disk: each look may be written to it, and "
                        "its file stays after a boot",
                        limits->registry_directory);
    }
}

void rn_rules_look_at_machine(const rn_limits_view *view, rn_findings *findings)
{
    if (view->probe.count > 0) {
        look_at_limits(view, findings);
    }
    look_at_spilling(view, findings);
    look_at_registry(view, findings);
}
