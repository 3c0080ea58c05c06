#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Breaks the protocol in every way that a file *.mutant here names, and sees a test go red each
# time.
#
#     make mutants                 all of them
#     make mutants MUTANTS=NAME    one of them, or several
#
# Only what a change touches is compiled: a mutated memory/x.c is linked before the library, whose
# own x.o is then not taken; with a mutated header base/, memory/ and the test are compiled again.
# A mutant is killed when the named case fails or dies; a program that is red for another reason, or
# hangs, does not count. Every program must be green before. The format: tests/mutants/README.md.
#
# Environment, set by the Makefile: MUTANTS_CC, MUTANTS_FLAGS, MUTANTS_LINK, MUTANTS_LIBRARIES
# (commands and flags), MUTANTS_OBJECTS (folder of the objects), MUTANTS_LIBRARY, MUTANTS (names;
# default all). Without them, as in `make test`, nothing is compiled: it only looks whether every
# mutant still finds its text.
. tests/support.sh

seconds_max=300
jobs_max=${JOBS:-2}
export CK_VERBOSITY=normal CK_FORK=yes POINTS_SECONDS=3
unset CK_TIMEOUT_MULTIPLIER

# take_apart MUTANT FOLDER: leaves title, program, case and N.file, N.old, N.new for each change.
take_apart() {
    awk -v folder="$2" '
        function put(name, text) { printf "%s", text >(folder "/" name); close(folder "/" name) }
        FNR == 1 { sub(/^# /, ""); put("title", $0); next }
        /^---- / {
            if (part != "") put(changes "." part, text)
            part = $2 == "end" ? "" : $2; text = ""
            if (part == "old") put(++changes ".file", file)
            next
        }
        part != "" { text = text $0 "\n"; next }
        /^in / { file = $2; next }
        /^killed by / {
            put("program", $3); put("case", $4)
            put("group", substr($0, length("killed by " $3 " " $4 " ") + 1))
            next
        }
        /^(#|$)/ { next }
        { print FILENAME ":" FNR ": not understood: " $0; exit 1 }
        END { if (part != "" || changes == 0) { print FILENAME ": has no end"; exit 1 } }
    ' "$1"
}

# change FILE OLD NEW INTO: writes FILE into INTO with the text of OLD, which must be there exactly
# once, replaced by that of NEW.
change() {
    awk -v old_in="$2" -v new_in="$3" '
        function slurp(file,    line, text) {
            while ((getline line <file) > 0) text = text line "\n"
            close(file)
            return text
        }
        BEGIN {
            text = slurp(ARGV[1]); old = slurp(old_in); new = slurp(new_in)
            at = index(text, old)
            rest = substr(text, at + 1)
            if (at == 0 || index(rest, old) != 0) {
                print ARGV[1] ": the old text is there " (at == 0 ? "nowhere" : "more than once")
                exit 1
            }
            printf "%s%s%s", substr(text, 1, at - 1), new, substr(text, at + length(old))
        }
    ' "$1" >"$4.part" || { cat "$4.part"; return 1; }
    mv "$4.part" "$4"
}

# The folder a program's objects are in, and flags of its own.
objects_of() {
    case $1 in
    tests/points/*) echo "$MUTANTS_OBJECTS/points" ;;
    *) echo "$MUTANTS_OBJECTS" ;;
    esac
}
flags_of() {
    case $1 in
    tests/points/*) echo -DRATION_POINTS ;;
    esac
}

# compile FOLDER PROGRAM SOURCE: the mutated source if there is one, else the tree's.
compile() {
    local from=$3 object=$1/objects/${3%.c}.o
    test ! -e "$1/tree/$3" || from=$1/tree/$3
    mkdir -p "${object%/*}"
    # shellcheck disable=SC2046,SC2086
    $MUTANTS_CC -I"$1/tree/include" -I"$1/tree" $MUTANTS_FLAGS -w $(flags_of "$2") \
        -c "$from" -o "$object"
}

# build FOLDER PROGRAM: links the program of the mutant.
build() {
    local folder=$1 program=$2 own sources source objects=() library=$MUTANTS_LIBRARY
    own=$(objects_of "$program")
    case $program in tests/points/*) library=$own/libration.a ;; esac
    local helpers=()
    for source in "${program%/*}"/*.c; do
        case $source in */test_*) ;; *) helpers+=("$source") ;; esac
    done
    if [ -n "$(find "$folder/tree" -name '*.h')" ]; then
        sources=("$program.c" "${helpers[@]}" base/*.c memory/*.c)
    else
        sources=()
        objects=("$own/$program.o")
        for source in "${helpers[@]}"; do objects+=("$own/${source%.c}.o"); done
        while read -r source; do sources+=("$source"); done < <(cd "$folder/tree" &&
            find . -name '*.c' | sed 's|^\./||')
    fi
    for source in "${sources[@]}"; do
        compile "$folder" "$program" "$source" || return 1
        objects+=("$folder/objects/${source%.c}.o")
    done
    # shellcheck disable=SC2086
    $MUTANTS_LINK -o "$folder/test" "${objects[@]}" "$library" $MUTANTS_LIBRARIES
}

# mutate MUTANT FOLDER: the changed files below FOLDER/tree.
mutate() {
    local mutant=$1 folder=$2 number file
    mkdir -p "$folder/tree"
    take_apart "$mutant" "$folder" || return
    for number in $(cd "$folder" && ls ./*.file | tr -dc '0-9\n'); do
        file=$(<"$folder/$number.file")
        mkdir -p "$folder/tree/${file%/*}"
        test -e "$folder/tree/$file" || cp "$file" "$folder/tree/$file"
        change "$folder/tree/$file" "$folder/$number.old" "$folder/$number.new" \
            "$folder/tree/$file" || return
    done
}

# try MUTANT FOLDER: one line in FOLDER/verdict: killed, or why not.
try() {
    local folder=$2 code
    mutate "$1" "$folder" >"$folder/log" 2>&1 &&
        build "$folder" "$(<"$folder/program")" >"$folder/log" 2>&1 || return
    run_only "$(group_of "$(<"$folder/program")" "$(<"$folder/case")" "$(<"$folder/group")")" \
        "$folder/test" >>"$folder/log" 2>&1
    code=$?
    if [ "$code" = 0 ]; then
        echo "survived" >"$folder/verdict"
    elif [ "$code" = 124 ] || [ "$code" = 137 ]; then
        echo "neither red nor green after $seconds_max seconds" >"$folder/verdict"
    elif grep -q ":[FE]:.*:$(<"$folder/case"):" "$folder/log"; then
        echo "killed" >"$folder/verdict"
    else
        echo "red, but not by the case named" >"$folder/verdict"
    fi
}

# group_of PROGRAM CASE GROUP: what CK_RUN_CASE must say to run no more than needed; "" = all.
group_of() {
    case $1 in
    tests/points/*) echo "$2" ;; # each case is a group of its own
    *) echo "$3" ;;
    esac
}

# run_only GROUP COMMAND
run_only() {
    test -z "$1" || local -x CK_RUN_CASE=$1
    timeout -k 2 "$seconds_max" "$2" </dev/null
}

# One mutant from start to end, in the background.
judge() {
    local folder=$scratch/$1 begun=$EPOCHREALTIME
    mkdir -p "$folder"
    echo "could not be built" >"$folder/verdict"
    try "tests/mutants/$1.mutant" "$folder"
    awk -v a="$begun" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.1f", b - a }' >"$folder/seconds"
}

names=()
for mutant in tests/mutants/*.mutant; do
    name=${mutant##*/}
    names+=("${name%.mutant}")
done
if [ -n "${MUTANTS:-}" ]; then
    read -r -a names <<<"$MUTANTS"
fi

if [ -z "${MUTANTS_OBJECTS:-}" ]; then
    for name in "${names[@]}"; do
        begin "$name finds its text"
        mkdir -p "$scratch/$name"
        run mutate "tests/mutants/$name.mutant" "$scratch/$name"
        expect_code 0
    done
    finish
fi

for name in "${names[@]}"; do
    sed -n 's/^killed by //p' "tests/mutants/$name.mutant"
done | while read -r program case group; do
    echo "$program $(group_of "$program" "$case" "$group")"
done | sort -u >"$scratch/programs"
while read -r program group; do
    begin "$program $group is green without mutants"
    run run_only "$group" "$MUTANTS_OBJECTS/$program"
    expect_code 0
done <"$scratch/programs"

for name in "${names[@]}"; do
    while [ "$(jobs -rp | wc -l)" -ge "$jobs_max" ]; do
        wait -n
    done
    judge "$name" &
done
wait

printf '%-30s %-60s %7s\n' mutant 'killed by' seconds
for name in "${names[@]}"; do
    folder=$scratch/$name
    begin "$name is killed"
    case=$(cat "$folder/case" 2>/dev/null || true)
    verdict=$(<"$folder/verdict")
    if [ "$verdict" != killed ]; then
        cp "$folder/log" "$scratch/out"
        : >"$scratch/err"
        fail "$verdict"
        case="NOT KILLED: $verdict"
    fi
    printf '%-30s %-60s %7s\n' "$name" "$case" "$(<"$folder/seconds")"
done
finish
