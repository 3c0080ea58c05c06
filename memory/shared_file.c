/* SPDX-License-Identifier: Apache-2.0
 *
 * The file of a shared ledger: rn_share_file_open -> create or join (shared.c) ->
 * rn_share_file_publish, when it is fresh -> rn_share_file_close.
 *
 * A file is made beside its path under a name of its own and moved there when its region is
 * complete, by a rename that refuses to replace: nobody ever finds half a region, and of several
 * who are first at the same time one wins and the others join it. A process that dies between
 * leaves a file "PATH.XXXXXX" behind, which nobody will use.
 *
 * The last component of the path is not followed when it is a link, and a file of another user than
 * this process's and root is refused: its owner could write into it whatever its mode is now.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "memory/shared.h"

static ration_status fail(const char *path, const char *what, int code, ration_error *error)
{
    return rn_error_at(error, RATION_FILE, path, 0, 0, "", "%s: %s", what, strerror(code));
}

static ration_status make_beside(const char *path, rn_share_file *file, ration_error *error)
{
    rn_text name = rn_text_over(file->path, sizeof(file->path));
    rn_text_format(&name, "%s.XXXXXX", path);
    file->fresh = true;
    file->descriptor = mkostemp(file->path, O_CLOEXEC);
    if (file->descriptor < 0) {
        return fail(path, "cannot make the file of a shared ledger", errno, error);
    }
    return RATION_OK;
}

ration_status rn_share_file_open(const char *path, rn_share_file *out_file, ration_error *error)
{
    rn_share_file file = {.descriptor = -1};
    if (path[0] == '\0' || strlen(path) + sizeof(".XXXXXX") > sizeof(file.path)) {
        return rn_error_set(error, RATION_INVALID_ARGUMENT, "",
                            "the path of a shared ledger is empty, or longer than %zu bytes",
                            sizeof(file.path) - sizeof(".XXXXXX"));
    }
    rn_copy_text(file.path, sizeof(file.path), path);
    file.descriptor = open(path, O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
    struct stat status;
    if (file.descriptor >= 0) {
        if (fstat(file.descriptor, &status) != 0 ||
            (status.st_uid != geteuid() && status.st_uid != 0)) {
            (void)close(file.descriptor);
            return rn_error_at(error, RATION_FILE, path, 0, 0, "",
                               "the file of a shared ledger belongs to another user");
        }
    } else if (errno == ENOENT) {
        RN_TRY(make_beside(path, &file, error));
    } else {
        return fail(path, "cannot open the file of a shared ledger", errno, error);
    }
    *out_file = file;
    return RATION_OK;
}

ration_status rn_share_file_publish(rn_share_file *file, const char *path, bool *out_late,
                                    ration_error *error)
{
    rn_assert(file->fresh);
    bool late = false;
    if (renameat2(AT_FDCWD, file->path, AT_FDCWD, path, RENAME_NOREPLACE) != 0) {
        late = errno == EEXIST;
        if (!late) {
            return fail(path, "cannot put the file of a shared ledger there", errno, error);
        }
    }
    if (!late) {
        file->fresh = false;
        rn_copy_text(file->path, sizeof(file->path), path);
    }
    *out_late = late;
    return RATION_OK;
}

void rn_share_file_close(rn_share_file *file)
{
    (void)close(file->descriptor);
    if (file->fresh) {
        (void)unlink(file->path);
    }
}
