#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# DuckDB for `PEERS=1 make bench-spill`: its library from npm, into $BUILD/peers, and the program
# that runs our shapes on it. Prints both paths.
#
#     BUILD=build bench/peers/duckdb.sh
#
# Exit codes: 0 ok, 5 something is missing, which is said.
set -eu
package=@duckdb/node-bindings-linux-x64

give_up() {
    echo "duckdb: $1" >&2
    exit 5
}

test "$(uname -m)" = x86_64 || give_up "$package is for x86_64"
library=$BUILD/peers/node_modules/$package/libduckdb.so
if [ ! -e "$library" ]; then
    command -v npm >/dev/null || give_up "npm is missing (apt-get install npm)"
    npm install --no-save --no-audit --no-fund --ignore-scripts --prefix "$BUILD/peers" \
        "$package" >&2 || give_up "npm gives no $package"
fi
test -e "$library" || give_up "no libduckdb.so in $package"
parts=$BUILD/release/bench/parts
# shellcheck disable=SC2046
${CC:-gcc} -std=c11 -D_GNU_SOURCE -O2 -pthread -Iinclude -I. -o "$BUILD/peers/duckdb" \
    bench/peers/duckdb.c "$parts/spill_fold.o" "$parts/spill_result.o" "$parts/spill_shapes.o" \
    "$BUILD/libration.a" $(pkg-config --libs yaml-0.1) -ldl -lm >&2 || give_up "does not compile"
echo "$BUILD/peers/duckdb $library"
