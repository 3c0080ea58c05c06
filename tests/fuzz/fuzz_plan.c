/* SPDX-License-Identifier: Apache-2.0
 *
 * Any bytes as a plan file: it is built and explained, or an error says why not; nothing is left.
 */
#include <stdlib.h>

#include "iterators/registry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void build_plan(const rn_plan_file *file, const char *name)
{
    static char explained[1 << 16];
    rn_text text = rn_text_over(explained, sizeof explained);
    rn_plan *plan = NULL;
    ration_error error;
    ration_status status =
        rn_plan_build(file, name, NULL, NULL, rn_operator_classes(), &plan, &error);
    if (status == RATION_OK) {
        rn_plan_explain(plan, &text);
        rn_plan_close(plan);
    } else if (status != RATION_PLAN || error.message[0] == '\0') {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    rn_plan_file file;
    ration_error error;
    char path[512];
    if (rn_plan_file_parse("fuzz.yaml", size == 0 ? "" : (const char *)data, size, &file, &error) ==
        RATION_OK) {
        (void)rn_plan_file_graph(&file, path, sizeof path);
        const char *name = NULL;
        for (uint32_t i = 0; i < 8 && (i == 0 || name != NULL); i++) {
            build_plan(&file, name);
            name = rn_plan_file_name(&file, i);
        }
        rn_plan_file_close(&file);
    }
    if (rn_heap_bytes() != 0) {
        abort();
    }
    return 0;
}
