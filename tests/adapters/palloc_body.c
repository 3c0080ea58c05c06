/* SPDX-License-Identifier: Apache-2.0
 *
 * The one source file of these tests that holds what palloc.h only declares. */
#include "adapters/palloc_body.h"
