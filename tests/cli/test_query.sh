#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# `ration query`: notations, parameters, plans, refusals, interruption.
. tests/support.sh
cd "$scratch" || exit 1

cat >person.csv <<'END'
id|name|birthday|height
1|Ann|1990-01-31|1.5
2|"Ben, ""Big"""|1991-02-28|
3|Cleo|1992-03-01|1.75
END
cat >knows.csv <<'END'
a|b
1|2
2|3
1|3
END
cat >graph.yaml <<'END'
delimiter: "|"
header: true
nodes:
  Person:
    file: person.csv
    key: id
    columns: { id: int64, name: string, birthday: date, height: double }
edges:
  knows: { file: knows.csv, from: Person, to: Person, columns: { a: from, b: to } }
END
cat >plans.yaml <<'END'
graph: graph.yaml
parameters: { person: 1, name: 'Ann' }
plans:
  people:
    pipeline:
      - scan: { label: Person, as: p }
      - project: { p: p, name: p.name, born: p.birthday, height: p.height }
  friends:
    pipeline:
      - scan: { label: Person, id: $person, as: p }
      - expand: { from: p, edge: knows, to: q, as: e }
      - project: { e: e, q: q }
  named:
    pipeline:
      - scan: { label: Person, as: p }
      - filter: "p.name = $name"
      - project: { id: p.id }
  fails:
    pipeline:
      - range: { rows: 10, columns: { i: sequence } }
      - project: { x: "10 / (i - 5)" }
  endless:
    pipeline:
      - range: { rows: 1000000000000000, columns: { i: sequence } }
      - filter: "i < 0"
  many:
    pipeline:
      - range: { rows: 100000, columns: { i: sequence } }
main: people
END

begin "a table"
run ration query plans.yaml
expect_code 0
expect_exactly 'p          name        born        height
---------  ----------  ----------  ------
Person(1)  Ann         1990-01-31     1.5
Person(2)  Ben, "Big"  1991-02-28    null
Person(3)  Cleo        1992-03-01    1.75
'
expect_err "3 rows in "

begin "a table fits its line"
COLUMNS=30 run ration query plans.yaml
test "$(awk 'length($0) > 38' out | wc -l)" = 0 || fail "a line is too long"

begin "CSV"
run ration query plans.yaml --format csv --quiet
expect_code 0
expect_silence
expect_exactly 'p,name,born,height
Person(1),Ann,1990-01-31,1.5
Person(2),"Ben, ""Big""",1991-02-28,
Person(3),Cleo,1992-03-01,1.75
'

begin "JSON lines"
run ration query plans.yaml friends --format jsonl --quiet
expect_exactly '{"e":{"type":"knows","from":1,"to":2},"q":{"label":"Person","id":2}}
{"e":{"type":"knows","from":1,"to":3},"q":{"label":"Person","id":3}}
'

begin "JSON is one document with status and profile"
run ration query plans.yaml friends --json --profile
expect_code 0
expect_out '{"schema_version":1,"columns":[{"name":"e","type":"edge"},{"name":"q",'
expect_out '],"row_count":2,"status":"OK","time_ns":'
expect_out '"profile":[{"operator":"scan@'

begin "--rows shows some and counts all"
run ration query plans.yaml --rows 1 --format csv
expect_out "Person(1)"
test "$(wc -l <out)" = 2 || fail "more than one row"
expect_err "3 rows (1 shown)"

begin "--param"
run ration query plans.yaml friends --param person=2 --format csv --quiet
expect_exactly 'e,q
knows[2->3],Person(3)
'
run ration query plans.yaml named --param name=Cleo --format csv --quiet
expect_exactly 'id
3
'
run ration query plans.yaml named --param "name='Ann'" --format csv --quiet
expect_exactly 'id
1
'

begin "bad parameters"
run ration query plans.yaml friends --param person=x
expect_code 3
run ration query plans.yaml friends --param persn=1
expect_code 3
expect_err "did you mean person"
run ration query plans.yaml friends --param person
expect_code 2
expect_err "--param name=value"

begin "--explain prints the plan and runs nothing"
run ration query plans.yaml friends --explain
expect_code 0
expect_silence
expect_out "expand@"
expect_out "q: node, e: edge"

begin "--profile prints a table on stderr"
run ration query plans.yaml friends --profile --format csv
expect_err "operator"
expect_err "  expand@"
expect_err "with inputs"

begin "files that are not there"
run ration query nothing.yaml
expect_code 1
expect_err "nothing.yaml: error: "
run ration query plans.yaml --graph nothing.yaml
expect_code 1
expect_err "nothing.yaml: error: "
run ration query plans.yaml --config nothing.yaml
expect_code 1
expect_err "nothing.yaml: error: "

begin "a plan that is not there"
run ration query plans.yaml frends
expect_code 3
expect_err "frends"

begin "a plan that is invalid, with its place"
printf 'pipeline:\n  - scan: { lable: Person, as: p }\n' >invalid.yaml
run ration query invalid.yaml --graph graph.yaml
expect_code 3
expect_err "invalid.yaml:2:"
expect_err "label"

begin "an error in the middle is told with its place, and the JSON stays whole"
run ration query plans.yaml fails --json
expect_code 1
expect_out '"status":"EVALUATION"'
expect_err "plans.yaml:"
expect_err "division by zero"

begin "a group of the configuration"
printf 'groups:\n  small: { limit_bytes: 9KiB }\n' >groups.yaml
run ration query plans.yaml --config groups.yaml --group small
expect_code 1
expect_err "root/queries/small"
run ration query plans.yaml --config groups.yaml --group smal
expect_code 2
expect_err "there is no group 'smal' (did you mean 'small'?)"

begin "a refusal explains itself"
run ration query plans.yaml --limit 9KiB --json
expect_code 1
expect_out '"status":"MINIMUM_ABOVE_LIMIT"'
expect_err "memory limit exceeded: "
expect_err "root/queries/people"
expect_err "limit_bytes of the query"

begin "a graph that does not fit is refused"
printf 'limit_bytes: 64KiB\nquery_limit_bytes: 32KiB\n' >small.yaml
run ration query plans.yaml --config small.yaml
expect_code 1
expect_err "no room to load the graph"

begin "SIGINT cancels the query"
"$RATION" query plans.yaml endless --format csv >out 2>err </dev/null &
query=$!
while [ ! -s out ] && kill -0 $query; do # the heading is written when it can be cancelled
    sleep 0.1
done
kill -INT $query
wait $query
code=$?
expect_code 130
expect_err "interrupted"

begin "a reader that leaves early ends it without a word"
"$RATION" query plans.yaml many --format csv --quiet 2>err | head -n 1 >out
expect_exactly 'i
'
expect_silence

begin "the output of a failed write is told"
if [ -e /dev/full ]; then
    "$RATION" query plans.yaml --quiet >/dev/full 2>err
    code=$?
    expect_code 1
    expect_err "could not be written"
fi
finish
