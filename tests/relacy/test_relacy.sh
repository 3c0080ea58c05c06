#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Compiles the reservation code with Relacy's simulated threads, runs every scenario, searches the
# two smallest completely, and sees each planted fault go red. README.md says what that shows.
#
# Environment: RATION_SEED (1), RELACY_EXECUTIONS (100000 per scenario), CXX (g++).
. tests/support.sh

compiler=${CXX:-g++}
seed=${RATION_SEED:-1}
executions=${RELACY_EXECUTIONS:-100000}

skip() {
    echo "skipped: $1"
    exit 77
}
case $RATION in
*/checked/* | */asan/* | */tsan/* | */coverage/* | */ungoverned/*)
    skip "compiles the sources itself: the same in every variant" ;;
esac
command -v "$compiler" >/dev/null || skip "no $compiler"
echo '#include <relacy/relacy.hpp>' | "$compiler" -E -x c++ - >/dev/null 2>&1 ||
    skip "no <relacy/relacy.hpp> (Debian: relacy-dev)"

# compile TREE LEVEL PROGRAM
compile() {
    (cd "$1" && "$compiler" -std=gnu++17 "$2" -DRATION_CHECKED -DRATION_POINTS -Iinclude -I. \
        -o "$3" tests/relacy/relacy.cc "$scratch/text.o")
}

# red: the run found a fault, and says where.
expect_red() {
    expect_code 1
    grep -v -e ': held$' -e '^passed ' "$scratch/out" | sed "s/^/$current: /"
}

# mutate NAME TREE: a copy of the sources with tests/mutants/NAME.mutant in it.
mutate() {
    mkdir "$2" && cp -r base include memory "$2" && mkdir "$2/tests" &&
        cp -r tests/relacy "$2/tests" && awk -v tree="$2" '
        function change(    text, line, at) {
            while ((getline line <file) > 0) text = text line "\n"
            close(file)
            at = index(text, old)
            if (at == 0) { print file ": the old text is nowhere"; exit 1 }
            printf "%s", substr(text, 1, at - 1) new substr(text, at + length(old)) >file
            close(file)
        }
        /^---- / {
            if (part == "new") change()
            part = $2
            if (part == "old") old = new = ""
            next
        }
        part == "old" { old = old $0 "\n"; next }
        part == "new" { new = new $0 "\n"; next }
        /^in / { file = tree "/" $2 }' "tests/mutants/$1.mutant"
}

begin "compiles as C++"
run "$compiler" -x c -std=c11 -D_GNU_SOURCE -Iinclude -I. -O1 -c base/text.c -o "$scratch/text.o"
expect_code 0
run compile . -O1 "$scratch/relacy"
expect_code 0
test -x "$scratch/relacy" || finish

begin "every scenario holds"
run "$scratch/relacy" --seed "$seed" --iterations "$executions"
expect_code 0
echo "seed=$seed"
cat "$scratch/out"
for point in charge.compared charge.published release.published slow.locked recall.closed \
    recall.fenced recall.read shelf.compared shelf.taken shelf.filled shelf.put shelf.read \
    tree.busy tree.entered peek.fenced peek.waiting \
    queue.enter queue.granted queue.woken 'a load of an old value'; do
    expect_out "passed $point "
done

for scenario in handing both taking putting; do
    begin "$scenario holds in every order"
    run "$scratch/relacy" --complete --scenario "$scenario"
    expect_code 0
    grep '^[^p]' "$scratch/out"
done

# What a fault is: relacy.cc, `plant`.
for fault in barrier release seq_cst; do
    begin "without $fault"
    run "$scratch/relacy" --fault "$fault" --iterations 5000 --quiet --until-red
    expect_red
done

# The same for shelves and for the lock of a peek, alone.
for scenario in taking shelves peeking; do
    for fault in barrier release seq_cst; do
        begin "$scenario without $fault"
        run "$scratch/relacy" --scenario "$scenario" --fault "$fault" --iterations 5000 --quiet \
            --until-red
        expect_red
    done
done

for mutant in used-loaded-twice floor-stored-after-read published-before-compare \
    slots-read-while-open charge-looks-before-it-stores release-looks-before-it-stores \
    drained-pool-keeps-credit wake-up-lost shelf-base-goes-back shelf-put-looks-once \
    peek-not-looked-at; do
    begin "$mutant"
    run mutate "$mutant" "$scratch/$mutant"
    expect_code 0
    run compile "$scratch/$mutant" -O0 "$scratch/$mutant/relacy"
    expect_code 0
    run "$scratch/$mutant/relacy" --iterations 5000 --quiet --until-red
    expect_red
done

finish
