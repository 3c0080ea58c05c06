#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# The README tells the truth: its C code is docs/examples/embed.c, what stands below a `$` in a
# block marked `console` is what the command prints, and the files it links to are there.
#
#     tests/docs/test_readme.sh --write     brings code and outputs of the README up to date
. tests/support.sh
for name in $(compgen -e RATION_); do unset "$name"; done
release=$(dirname "$RATION")

# commands: each console block as its command, one a line.
commands() {
    sed -n '/^```console$/,/^```$/ s/^\$ //p' README.md
}

# Runs a command of the README with the program under test.
answer() {
    local command=${1//build\/release\//$release/$(variant)}
    bash -c "${command//build\/ration/$RATION}"
}

# Objects of the release variant lie in their own folder, those of others beside the program.
variant() {
    test ! -d "$release/release" || echo release/
}

# renewed: the README with code and outputs as they are now.
renewed() {
    local line inside='' command
    while IFS= read -r line; do
        if [ -z "$inside" ]; then
            printf '%s\n' "$line"
            case $line in
            '```c') inside=code && sed '1,/\*\//d' docs/examples/embed.c ;;
            '```console') inside=console ;;
            '```'*) inside=plain ;;
            esac
        elif [ "$line" = '```' ]; then
            printf '%s\n' "$line" && inside=''
        elif [ "$inside" = plain ]; then
            printf '%s\n' "$line"
        elif [ "$inside" = console ] && [ "${line#\$ }" != "$line" ]; then
            command=${line#\$ }
            printf '%s\n' "$line" && answer "$command" </dev/null
        fi
    done <README.md
}

if [ "${1:-}" = --write ]; then
    renewed >"$scratch/README.md" && cp "$scratch/README.md" README.md
    exit
fi

# The minimums of plans, in bytes, are those of release builds; the others have other headers.
figures() {
    if [ -n "$(variant)" ]; then cat "$1"; else sed -E 's/[0-9]{6,}/N/g' "$1"; fi
}

begin "code and outputs are what the program prints"
renewed >"$scratch/README.md"
diff -u <(figures README.md) <(figures "$scratch/README.md") >"$scratch/out" ||
    fail "run tests/docs/test_readme.sh --write"

begin "it has commands with their outputs"
test "$(commands | wc -l)" -ge 4 || fail "fewer than four"

begin "links lead somewhere"
for document in README.md docs/*.md docs/decisions/*.md */README.md; do
    for link in $(sed -n 's/.*](\([^)#]*\)[^)]*).*/\1/p' "$document"); do
        case $link in *://*) continue ;; esac
        test -e "$(dirname "$document")/$link" || fail "$document: $link is not there"
    done
done

begin "it is short"
test "$(wc -l <README.md)" -le 200 || fail "more than 200 lines"
finish
