#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# PostgreSQL's contexts beside ours, in a server of its own: prints the rows of bench/memory.sh that
# are PostgreSQL's. Needs postgresql-15 and postgresql-server-dev-15 and, run as root, somebody else
# to run the server as (nobody), which refuses root.
#
#     BUILD=build ROUNDS=11 bench/peers/postgresql.sh
#
# Exit codes: 0 ok, 5 something is missing, which is said.
set -eu
ROUNDS=${ROUNDS:-11}

give_up() {
    echo "postgresql: $1" >&2
    exit 5
}

config=/usr/lib/postgresql/15/bin/pg_config
test -x "$config" || give_up "no $config (apt-get install postgresql-15 postgresql-server-dev-15)"
includes=$("$config" --includedir-server)
programs=$("$config" --bindir)
test -e "$includes/postgres.h" || give_up "no postgres.h (apt-get install postgresql-server-dev-15)"
test -x "$programs/initdb" || give_up "no initdb (apt-get install postgresql-15)"

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
# shellcheck disable=SC2046
${CC:-gcc} -std=gnu11 -O2 -fPIC -shared -Iinclude -I. -I"$includes" \
    -o "$scratch/bench.so" bench/peers/postgresql.c "$BUILD"/release/bench/parts/memory_*.o \
    "$BUILD/libration.a" $(pkg-config --libs yaml-0.1) -lm >&2 || give_up "does not compile"

as_other=
if [ "$(id -u)" = 0 ]; then
    chown nobody "$scratch"
    as_other="runuser -u nobody --"
fi
$as_other "$programs/initdb" -D "$scratch/data" -A trust --no-sync >"$scratch/log" 2>&1 ||
    { cat "$scratch/log" >&2; give_up "no cluster"; }

# call ROUNDS: one server process, one call
call() {
    printf '%s\n' \
        "CREATE OR REPLACE FUNCTION bench_memory(int) RETURNS void AS '$scratch/bench' LANGUAGE C" \
        "SELECT bench_memory($1)" |
        $as_other "$programs/postgres" --single -D "$scratch/data" template1 2>>"$scratch/log"
}

call "$ROUNDS" >"$scratch/rows"
sed -n 's/^\(backend> \)*\(memory\.[a-z0-9_.]*\.postgresql\t.*\)/\2/p' "$scratch/rows" |
    grep . || { cat "$scratch/log" >&2; give_up "it measured nothing"; }

for _ in $(seq "$ROUNDS"); do
    call 0
done | sed -n 's/^\(backend> \)*\(million\..*\)/\2/p' | awk -F '\t' '
    {
        for (i = 2; i <= 4; i++)
            if (!(($1, i) in least) || $i < least[$1, i]) least[$1, i] = $i
    }
    END {
        split("- fresh warm reset", what, " ")
        for (i = 2; i <= 4; i++) {
            ours = least["million.set", i]
            its = least["million.postgresql", i]
            printf "memory.million.%s.postgresql\t%.3f\tns\t%.3f\t%.3f\n", what[i], its, ours, \
                its / ours
        }
    }'
