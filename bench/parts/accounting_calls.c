/* SPDX-License-Identifier: Apache-2.0
 *
 * The chunks behind a call, as the systems that have them reach them. The slot's calls are those
 * of the library for language bindings. */
#include "bench/accounting.h"

static __thread int64_t reserved __attribute__((tls_model("local-exec")));

bool chunk_charge_by_call(int64_t bytes)
{
    return chunk_charge(&chunk_global, &reserved, bytes);
}

void chunk_release_by_call(int64_t bytes)
{
    chunk_release(&chunk_global, &reserved, bytes);
}
