#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Plants one violation of each rule of tools/tidy in a small clean tree and sees it found, with its
# place.
. tests/support.sh

# fresh: a tree without findings.
fresh() {
    rm -rf "$scratch/tree"
    for folder in base memory config storage executor iterators cli; do
        mkdir -p "$scratch/tree/$folder"
        echo "# $folder" >"$scratch/tree/$folder/README.md"
    done
    mkdir -p "$scratch/tree/include" "$scratch/tree/tests/base"
    cat >"$scratch/tree/include/ration.h" <<'END'
/* SPDX-License-Identifier: Apache-2.0 */
/* Opens. */
RATION_PUBLIC int ration_open(void);
END
    cat >"$scratch/tree/base/base.h" <<'END'
/* SPDX-License-Identifier: Apache-2.0
 *
 * A clean file. An example of a call, indented:
 *
 *     open_it(1);
 */
#include "ration.h"
END
}

# plant FILE: puts stdin behind an SPDX line.
plant() {
    fresh
    mkdir -p "$(dirname "$scratch/tree/$1")"
    { echo '/* SPDX-License-Identifier: Apache-2.0 */' && cat; } >"$scratch/tree/$1"
}

# found NAME PLACE TEXT: tidy fails with exactly this finding.
found() {
    begin "$1"
    run tools/tidy "$scratch/tree"
    expect_code 1
    expect_out "$2: "
    expect_out "$3"
    test "$(wc -l <"$scratch/out")" = 1 || fail "not exactly one finding"
}

begin "is silent for a clean tree"
fresh
run tools/tidy "$scratch/tree"
expect_code 0

plant memory/a.c <<<'#include "executor/plan.h"'
found "floor above" memory/a.c:2 "memory/ may not include executor/"
plant memory/a.c <<<'#include "config/yaml.h"'
found "memory includes config" memory/a.c:2 "never include each other"
plant config/a.c <<<'#include "memory/pool.h"'
found "config includes memory" config/a.c:2 "never include each other"
plant storage/a.c <<<'#include "tests/support.h"'
found "includes tests" storage/a.c:2 "may not include tests/"
plant storage/a.c <<<'#include "batch.h"'
found "include not from the root" storage/a.c:2 "not written from the root"
plant include/more.h <<<'#include "batch.h"'
found "public include not from the root" include/more.h:2 "not written from the root"
plant docs/examples/a.c <<<'#include "base/base.h"'
found "example looks inside" docs/examples/a.c:2 "includes public headers only"

plant executor/a.c <<<'#include <yaml.h>'
found "second yaml.h" executor/a.c:2 "only config/yaml.c includes yaml.h"

plant storage/a.c <<<'#include <xxhash.h>'
found "second xxhash.h" storage/a.c:2 "only storage/run.c includes xxhash.h"
plant memory/a.c <<<'#include <hwloc.h>'
found "hwloc.h" memory/a.c:2 "hwloc.h"
plant memory/a.c <<<'static const char *path = "/proc/meminfo";'
found "second reader of /proc" memory/a.c:2 "only memory/machine/"
for call in 'mmap(0)' 'munmap(p, 1)' 'madvise(p, 1, 2)' 'mprotect(p, 1, 0)'; do
    plant storage/a.c <<<"int x = $call;"
    found "${call%%(*} elsewhere" storage/a.c:2 "belongs to memory/pages.c"
done
for call in 'malloc(1)' 'calloc(1, 1)' 'realloc(p, 1)' 'free(p)' 'strdup(s)'; do
    plant storage/a.c <<<"int x = $call;"
    found "${call%%(*} elsewhere" storage/a.c:2 "only base/heap.c"
done
for call in 'open(p, 0)' 'fopen(p, "r")'; do
    plant iterators/a.c <<<"int x = $call;"
    found "${call%%(*} elsewhere" iterators/a.c:2 "opens a file"
done
plant memory/a.c <<<'int x = atomic_thread_fence(1);'
found "bare fence" memory/a.c:2 "bare fence"
plant base/a.c <<<'int x = strcpy(a, b);'
found "unbounded write" base/a.c:2 "without a bound"
plant cli/a.c <<<'void rn_refusal_build(void)'
found "second builder of refusals" cli/a.c:2 "executor/refusal.c"
plant iterators/a.c <<<'int x = op->next(op, &b);'
found "batch past the dispatcher" iterators/a.c:2 "rn_next"

begin "spares members, strings and comments"
plant storage/a.c <<<'int x = a->free(p) + b.open(q) + length("malloc(1)"); /* calls malloc() */'
run tools/tidy "$scratch/tree"
expect_code 0

plant include/ration.h <<<'
RATION_PUBLIC int ration_bare(void);'
found "undocumented public name" include/ration.h:3 "without a comment"
plant include/ration_more.h <<<'
RATION_PUBLIC int ration_bare(void);'
found "undocumented name of another header" include/ration_more.h:3 "without a comment"
begin "lets a group share a comment"
plant include/ration.h <<<'/* Two. */
RATION_PUBLIC int ration_one(void);
RATION_PUBLIC int ration_two(void);'
run tools/tidy "$scratch/tree"
expect_code 0

fresh
echo 'int x;' >"$scratch/tree/base/a.c"
found "no SPDX line" base/a.c:1 "no SPDX line"
plant base/a.c <<<"int x; /* $(printf 'x%.0s' $(seq 100)) */"
found "long line" base/a.c:2 "100 is the most"
plant base/a.c <<<"$(seq 600 | sed 's/.*/int x&;/')"
found "long file" base/a.c:601 "600 is the most"
plant base/a.c <<<"int f(void)
{
$(seq 68 | sed 's/.*/    x = &;/')
}"
found "long function" base/a.c:72 "function of 71 lines"
begin "lets a function of 70 lines pass"
plant base/a.c <<<"int f(void)
{
$(seq 67 | sed 's/.*/    x = &;/')
}"
run tools/tidy "$scratch/tree"
expect_code 0

for word in TO""DO FIX""ME X""XX; do
    plant base/a.c <<<"int x; /* $word later */"
    found "$word" base/a.c:2 "unfinished"
done
for dead in '/* x = y + 1; */' '// call(x);' '/* return x; */'; do
    plant base/a.c <<<"$dead"
    found "dead: $dead" base/a.c:2 "commented-out code"
done
plant base/a.c <<<'int x; '
found "blank at the end" base/a.c:2 "blanks at the end"
plant base/a.c <<<$'\tint x;'
found "tab" base/a.c:2 "tab"
plant base/a.c <<<'typedef int size_of_ours_t;'
found "type in _t" base/a.c:2 "_t"
plant base/a.c <<<'typedef struct thing *thing_pointer;'
found "pointer typedef" base/a.c:2 "typedef of a pointer"
fresh
rm "$scratch/tree/base/README.md"
found "folder without README" base/README.md:1 "missing"

begin "refuses two arguments"
run tools/tidy a b
expect_code 2
finish
