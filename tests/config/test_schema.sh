#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# `ration init`: every profile prints a file that `ration check` accepts, the schema is the
# committed one. With a validator (python3 with jsonschema and yaml) the schema is held against the
# parser: what the parser accepts it accepts, and what it cannot see of what the parser refuses is
# listed in tests/config/errors/beyond-schema.txt. An editor's view: tools/try-schema.
. tests/support.sh
unset RATION_REGISTRY_DIRECTORY # files are looked at as they are

begin "init prints the shipped file by default"
run ration init
expect_code 0
cmp -s "$scratch/out" memory.yaml || fail "not memory.yaml"
cp "$scratch/out" "$scratch/default.yaml"

for profile in default small server container; do
    begin "profile $profile is accepted by check"
    run ration init --profile "$profile"
    expect_code 0
    expect_silence
    cp "$scratch/out" "$scratch/$profile.yaml"
    run ration check --no-machine "$scratch/$profile.yaml"
    expect_code 0
    expect_out "$profile.yaml: ok"
done

begin "the default profile is what init prints without one"
run ration init --profile default
cmp -s "$scratch/out" "$scratch/default.yaml" || fail "they differ"

begin "an unknown profile"
run ration init --profile smal
expect_code 2
expect_err "--profile is one of default, small, server, container, not 'smal'"

begin "the schema has no profiles"
run ration init --schema --profile small
expect_code 2
expect_err "--schema is the same for every profile"

begin "init prints the shipped schema"
run ration init --schema
expect_code 0
cmp -s "$scratch/out" memory.schema.json || fail "not memory.schema.json"

begin "the schema accepts and refuses what the parser does"
if python3 -W ignore -c 'import jsonschema, yaml' 2>/dev/null; then
    run python3 -W ignore tests/config/try_schema.py memory.schema.json tests/config/accepted \
        tests/config/errors "$scratch"/*.yaml workloads/memory.yaml
    expect_code 0
    cat "$scratch/out"
else
    echo "skipped: python3 has no jsonschema and yaml here: the schema is held against nothing"
fi
finish
