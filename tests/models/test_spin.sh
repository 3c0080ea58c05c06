#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# Each model is right in every state that it has, and each of its mutants is found out: it breaks
# the promise that it should, looked at alone. What models and promises are: README.md.
. tests/support.sh
models=$root/tests/models

for command in spin gcc; do
    if ! command -v $command >/dev/null 2>&1; then
        echo "skipped: no $command (tools/deps test installs it)"
        exit 77
    fi
done
case $(basename "$(dirname "$RATION")") in
checked | asan | tsan | coverage)
    echo "skipped: models know no variants; make test runs them"
    exit 77
    ;;
esac
cp "$models"/*.pml "$scratch"
cd "$scratch" || exit 1

# compile OPTIMIZATION MODEL FLAG...: makes ./pan, the model as a program.
compile() {
    local optimization=$1 model=$2
    shift 2
    rm -f pan pan.* ./*.trail
    run spin -a "$@" "$model.pml"
    expect_code 0
    run gcc "$optimization" -w -DSAFETY -DNOFAIR -DPRINTF -DMEMLIM=1000 -o pan pan.c
    expect_code 0
}

# right DEPTH MODEL FLAG...: visits every state and finds nothing wrong in any.
right() {
    local depth=$1
    shift
    begin "$*: right in every state"
    compile -O1 "$@"
    run ./pan -m"$depth" -w22
    expect_out "Full statespace search for:"
    expect_out "errors: 0"
    for lack in "max search depth too small" "Search not completed" "out of memory"; do
        ! grep -qF "$lack" out || fail "not every state was visited: $lack"
    done
    grep -qE 'assertion violations[[:space:]]+\+' out || fail "assertions were not looked at"
    grep -qE 'invalid end states[[:space:]]+\+' out || fail "end states were not looked at"
    echo "$*: $(sed -n 's/^ *\([0-9]*\) states, stored$/\1/p' out) states"
}

# mutant MODEL PROMISE NAME FLAG...: with NAME defined the model breaks PROMISE.
mutant() {
    local model=$1 promise=$2 name=$3
    shift 3
    begin "$model, $name: breaks $promise"
    compile -O0 "$model" -D"$name" -DPROMISE="$promise" "$@"
    run ./pan -m400000 -w20
    expect_out "errors: 1"
    test -s "$model.pml.trail" || fail "no trail"
    if [ "$promise" = ENDS ]; then
        expect_out "invalid end state"
    else
        grep -qix "[[:space:]]*$promise" out || fail "it was not $promise that fell"
    fi
}

begin "what the models mirror is there"
run true
while read -r file names; do
    for name in $names; do
        grep -qw -- "$name" "$root/$file" || fail "$file: no $name"
    done
done < <(sed -n 's/^ \* mirrors //p' ./*.pml)

right 600000 ledger
right 400000 ledger -DSEQ_CST
right 100000 ledger -DLENT -DLIMIT=2

mutant ledger OVER NO_BARRIER             # the recall has none
mutant ledger OVER FENCE_OF_OWN_PROCESSOR # a fence of the recaller instead
mutant ledger OVER BARRIER_BEFORE_CLOSING # in the wrong order
mutant ledger OVER USED_READ_TWICE        # once for what goes home, once for the new limit
mutant ledger OVER LIMIT_FROM_USED        # not min(granted, used)
mutant ledger OVER NO_SECOND_COMPARE      # a charge that was published counts
mutant ledger NO PUBLISH_BEFORE_COMPARE   # a giant is visible before it is refused
mutant ledger NO SLOTS_READ_OPEN          # a refusal by readings of open slots
mutant ledger NO REFUSED_BEFORE_RECALL    # while others have credit
mutant ledger NO CHUNK_REFUSES            # the bytes fit, the chunk does not
mutant ledger NO FLOOR_AFTER_READ         # a release slips between
mutant ledger NO FLOOR_IGNORED            # credit stays in a drained pool
mutant ledger NO DRAINED_KEPT             # credit is granted in one
mutant ledger SWORN PUBLISHED_KEPT        # the slow path does not take back what was published
mutant ledger SWORN COVERED_NEEDS_ROOM    # a covered charge is refused after a cut
mutant ledger CUT CUT_WITHOUT_RECALL      # credit survives a cut of the limit
mutant ledger SUMS EXIT_KEEPS_CREDIT      # a thread that exits takes it along

right 3800000 queue
right 100000 queue -DKEEPER

mutant queue LOST WAKE_UP_LOST      # bytes come home, the queue does not move
mutant queue LOST LEFT_UNSEEN       # a ticket leaves, the queue does not move
mutant queue LOST RAISED_UNSEEN -DKEEPER # the limit is raised, the queue does not move
mutant queue LEFT DRAIN_LEFT_EARLY  # drain mode ends while others wait
mutant queue OVER CREDIT_PROMISED   # what is on its way home is promised once more
mutant queue SUMS GRANT_FORGOTTEN   # closed with a granted ticket
mutant queue ORDER BARGING          # an ask without a ticket passes
mutant queue ORDER YOUNGER_FIRST    # a small ticket passes a large one
mutant queue ORDER PLACE_LOST       # who asks again queues at the end
mutant queue GIVER AGAIN_KEPT_BACK  # who was woken leaves, the next is not woken
mutant queue GIVER ANSWER_UNSEEN    # the last giver answers, nobody is woken
mutant queue COUNTS GIVER_FORGOTTEN # a giver closes and is still counted
mutant queue ENDS GIVER_ASLEEP      # a giver that waits itself is not woken
mutant queue ENDS NO_POST           # the state is set, the semaphore not posted
mutant queue POSTS POSTED_TWICE     # for one sleep
mutant queue POSTS POST_LEFT        # of a wake-up that nobody slept for
finish
