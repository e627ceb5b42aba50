#!/usr/bin/env bash
# Several processes on one run (mpirun): the bits of one, whatever is dealt; killed, stopped, and gone on with by others.
source "$(dirname "$0")/lib.sh"
source "$PROGRAMS/ranks_lib.sh"
data 200
cp "$PROGRAMS/ranks.deq" .
expect 0 'several processes: by .*MPI.*[0-9]' "$DEQ" version
for p in 1 2 3; do expect 0 "parts of $p ranks are whole" ranks $p "$(dirname "$MAKE_IDX")/ranks_parts"; done
for p in 1 2 3; do
  expect 0 "what $p ranks say is whole" ranks $p env LD_LIBRARY_PATH="$(dirname "$DEQ"):${LD_LIBRARY_PATH:-}" "$(dirname "$MAKE_IDX")/ranks_rooms"
done

expect 0 '' "$DEQ" run ranks.deq --threads 2 --results alone
for p in 1 2 3; do
  expect 0 "results in by$p" ranks $p "$DEQ" run ranks.deq --threads 1 --fresh --results by$p
  ((p == 1)) || grep -q "^ranks: $p, .*[1-9][0-9]* kB sent" out || fail "nothing was dealt to $p ranks"
  ((p == 1)) || grep -q "^coupled: ranks: $p, [0-9.]* examples/s in all, [0-9.]* a rank, [0-9.]* % of the time in reductions.*[0-9.]* % waiting" out ||
    fail "the training does not say what $p ranks have cost"
  [[ $(grep -c '^results in' out) == 1 ]] || fail "more than one rank speaks"
  same_files alone/ranks by$p/ranks
done
[[ -z $(find cache -name '*.ranks') ]] || fail "journals of ranks are left"
# four, and more than there are shards: those without a part of a gradient have parts of evaluations
short=(--set coupled.epochs=1 --set remembers.epochs=1)
expect 0 '' "$DEQ" run ranks.deq "${short[@]}" --fresh --results short
for p in "${many[@]}"; do
  expect 0 "^ranks: $p, " ranks $p "$DEQ" run ranks.deq "${short[@]}" --threads 1 --fresh --results by$p
  same_files short/ranks by$p/ranks
done
# an attack in training that sees the statistics of the batch asks about all of it, whoever has which part
sed 's/keep: best_robust/&; batch_statistics: train/' ranks.deq >seen.deq
for p in 1 2 3; do
  expect 0 '' ranks $p "$DEQ" run seen.deq "${short[@]}" --threads 1 --fresh --results seen$p
  same_files seen1/seen seen$p/seen
done
cmp -s short/ranks/coupled.safetensors seen1/seen/coupled.safetensors && fail "batch_statistics: train changes nothing"
# gradients of 25 shards, and attacks on parts that meet: the same bits for threads and ranks, also where each image is a block
cp "$PROGRAMS/ranks_shards.deq" .
expect 0 '' "$DEQ" run ranks_shards.deq --threads 2 --fresh --results shards
for t in 1 3 4 24; do
  expect 0 '' "$DEQ" run ranks_shards.deq --threads $t --fresh --results by$t
  same_files shards/ranks_shards by$t/ranks_shards
done
for p in 1 2 3 "${many[@]}"; do
  expect 0 'results in' ranks $p "$DEQ" run ranks_shards.deq --threads 1 --fresh --results by$p
  same_files shards/ranks_shards by$p/ranks_shards
done
"$DEQ" bench ranks_shards.deq --batch 8 --budget 0.01 --threads 1 --predict 1GbE --nodes 2,3,16 --cores 1 --json >predicted 2>&1 || fail "deq bench --predict: $(cat predicted)"
for p in 2 3 ${many[2]:-}; do
  expect 0 '' ranks $p "$DEQ" run ranks_shards.deq --threads 1 --fresh --json
  for net in many heavy; do
    step=$(sed -n "s/.*\"event\":\"predict\",\"name\":\"$net\".*\"nodes\":$p,.*\"reduced\":\([0-9]*\).*/\1/p" predicted)
    sent=$(sed -n "s/.*\"event\":\"ranks\".*\"reduced\":\([0-9]*\).*\"name\":\"$net\".*/\1/p" out)
    [[ -n $step && $step != 0 && $sent == "$step" ]] || fail "$net sends '$sent' bytes in a reduction of $p ranks, predicted '$step'"
    checks=$((checks + 1))
  done
done
# what working together costs, while it goes on: shares of the time of rank 0, which leave some for the work
expect 0 '"event":"ranks","count":2.*"reducing":{.*"waiting":{.*"name":"coupled"' ranks 2 "$DEQ" run ranks.deq "${short[@]}" --threads 1 --fresh --json
sed -n 's/.*"event":"epoch".*"ranks":{"count":2,"examples_per_second":\([^,]*\),"reducing":\([^,]*\),"waiting":\([^}]*\)}.*/\1 \2 \3/p' out >shares
awk '$1 <= 0 || $2 <= 0 || $3 <= 0 || $2 + $3 >= 1 { exit 1 } END { exit NR != 2 }' shares || fail "no shares of an epoch: $(cat shares)"
checks=$((checks + 1))
# bytes of reductions: those of the model, for each step
apart=(--set coupled.epochs=1 --set remembers.epochs=1 --set coupled.batch=40 --set remembers.batch=40 --set remembers.accumulate=1)
"$DEQ" bench ranks.deq "${apart[@]}" --batch 8 --budget 0.01 --threads 1 --predict 1GbE --nodes 2,3 --cores 1 --json >predicted 2>&1 || fail "deq bench --predict: $(cat predicted)"
for p in 2 3; do
  expect 0 '' ranks $p "$DEQ" run ranks.deq "${apart[@]}" --threads 1 --fresh --json
  for net in coupled remembers; do
    step=$(sed -n "s/.*\"event\":\"predict\",\"name\":\"$net\".*\"nodes\":$p,.*\"reduced\":\([0-9]*\).*/\1/p" predicted)
    sent=$(sed -n "s/.*\"event\":\"ranks\".*\"reduced\":\([0-9]*\).*\"name\":\"$net\".*/\1/p" out)
    [[ -n $step && $step != 0 && $sent == $((5 * step)) ]] || fail "$net sends '$sent' bytes in five reductions of $p ranks, predicted '$step' each"
    checks=$((checks + 1))
  done
done
# profile: pieces of a call that is dealt run as often on all ranks together as in one process
calls() { sed -n 's/.*"event":"profile","routine":"\([^"]*\)","operations":"\([^"]*\)","calls":\([0-9]*\),.*/\1 \2 \3/p' out | sort | grep '^Coupled_' | grep -v '^Coupled_\(prepare\|finish\|statistics\) '; }
expect 0 '' "$DEQ" profile ranks.deq "${short[@]}" --threads 1 --json
calls >alone.calls
expect 0 '"event":"profiled".*"by_rank":\[[0-9.]*[1-9][0-9]*,[0-9.]*[1-9][0-9]*\]' ranks 2 "$DEQ" profile ranks.deq "${short[@]}" --threads 1 --json
calls >together.calls
[[ -s alone.calls ]] && diff alone.calls together.calls >differences || fail "two ranks run other pieces: $(head -5 differences)"
expect 0 'of all threads of 2 ranks in compiled code' ranks 2 "$DEQ" profile ranks.deq "${short[@]}" --threads 1
# the program made by deq build
expect 0 '' "$DEQ" build ranks.deq -o program
ln -s "$(realpath "$(dirname "$DEQ")")/libdeq_mpi.so" .
expect 0 '^ranks: 3, ' ranks 3 ./program --threads 1 --fresh --results built
cp ranks.deq built/ranks # a program has no script to copy
same_files alone/ranks built/ranks
expect 64 'one process' ranks 2 ./program --test
# what they have made is found by one process, and by several
expect 0 'found in the cache' "$DEQ" run ranks.deq --results by3
expect 0 'found in the cache' ranks 2 "$DEQ" run ranks.deq --results by3
no_partial_files

# long.deq: a training that can be stopped, and an evaluation that can
sed 's/epochs: *3/epochs: 40/' ranks.deq >long.deq
stop() { # mpirun ends the others likewise
  killed+=($(children "$1"))
  kill_now "$(children "$1" | tail -1)"
}
begun '137|9' 'epoch 2/' "$MPIRUN" -n 3 "$DEQ" run long.deq --threads 1 --results stopped
stop() { kill -USR1 "$1"; }
begun 75 'epoch 2/' "$MPIRUN" -n 2 "$DEQ" run long.deq --threads 1 --results stopped
grep -q 'resumed after epoch' out || fail "the killed run was not gone on with"
grep -q 'E0922.*run the same command again' out || fail "SIGUSR1 does not say what was kept"
expect 0 'resumed after epoch' "$DEQ" run long.deq --threads 1 --results stopped
expect 0 '' "$DEQ" run long.deq --threads 2 --fresh --results whole
same_files whole/long stopped/long

expect 64 'work for one process' ranks 2 "$DEQ" test ranks.deq
no_partial_files
done_testing
