#!/usr/bin/env bash
# accumulate, clip, average, freeze, rates and metric, against closed forms: ten steps of length 1 along the gradient (3, 4).
source "$(dirname "$0")/lib.sh"
data 400
cp "$PROGRAMS/steps.deq" .
deq=(timeout 200 "$DEQ")
expect 0 'average ema(decay: 0.75, warmup: false)' "${deq[@]}" run steps.deq --precision f64
table=results/steps/steps.csv
log() { echo "results/steps/$1-log.csv"; }
# is NAME VALUE: a column of the table, to nine digits
is() {
  awk -v a="$(cell $table 1 "$1")" -v b="$2" 'BEGIN { exit !(a != "" && (a - b) ^ 2 <= (1e-8 * (b ^ 2 + 1)) ^ 2) }' ||
    fail "$1 is $(cell $table 1 "$1"), not $2"
  checks=$((checks + 1))
}
# ema DECAY WARMUP: a <- d a + (1 - d) w over the ten steps w = -3 t
ema() { awk -v decay="$1" -v warm="$2" 'BEGIN { for (t = 1; t <= 10; t++) { d = warm && (1 + t) / (10 + t) < decay ? (1 + t) / (10 + t) : decay; a = d * a - (1 - d) * 3 * t } printf "%.12f", a }'; }
is plain_u -30 && is plain_v -40
is norm_u -6 && is norm_v -8 && is loose_u -30
is value_u -30 && is value_v -35
is ema_u "$(ema 0.75 0)" && is warm_u "$(ema 0.75 1)"
is frozen_u 0 && is frozen_v -20
is slow_u -15 && is slow_v -80

# replays: the input of step t is moved by min(0.1 (t - 1), 0.3), also from batch to batch; a box of one point is that point
is moved_u "$(awk -v u="$(cell $table 1 unmoved_u)" 'BEGIN { printf "%.12f", u - 0.01 * (0 + 0.1 + 0.2 + 0.3 + 0.3 + 0.3) }')"
is boxed_u "$(awk 'BEGIN { printf "%.12f", 1 - 0.01 * 6 * 5 }')"
[[ $(cell "$(log moved)" 2 step) == 6 ]] || fail "replays are no steps"
[[ -n $(cell "$(log boxed)" 1 robust) ]] || fail "the attack beside a replay is not that of validate"

# batches of a step make its gradient together, under the same draws; statistics are those of a batch
is four "$(cell $table 1 one)" && is whole "$(cell $table 1 one)"
[[ $(cell $table 1 ghost) != "$(cell $table 1 batch)" ]] || fail "the statistics of four batches are those of one"

# the average is of the statistics that a net keeps as well: they begin with 0 and 1, and are moved a tenth of the way
[[ $(cell $table 1 mean) != "$(cell $table 1 batch)" ]] || fail "the average of a net with statistics is its last step"
if command -v unzip >/dev/null; then
  # reals NET NAME: the values of an array of the net, a line each
  reals() {
    "${deq[@]}" export "results/steps/$1.safetensors" -o "$1.npz" >/dev/null
    unzip -qo "$1.npz" "$2.npy" -d "$1" && tail -c 64 "$1/$2.npy" | od -An -v -tf8 -w8
  }
  for kept in running_mean:0 running_variance:1; do
    reals normed_once norm.${kept%:*} >last && reals mean_once norm.${kept%:*} >averaged
    paste last averaged | awk -v first="${kept#*:}" '{ n++; if (($2 - 0.9 * first - 0.1 * $1) ^ 2 > 1e-24 || $1 == first) bad = 1 } END { exit bad || n != 8 }' ||
      fail "${kept%:*} is not averaged: $(paste last averaged)"
  done
  checks=$((checks + 3))
else
  echo "not tested: averages of statistics (no unzip)"
fi

# the log: the norm before, the share of steps that were clipped; the metric under its own name, and of the average
[[ $(cell "$(log by_norm)" 1 gradient_norm),$(cell "$(log by_norm)" 1 clipped) == 5,1 ]] || fail "the log of by_norm"
[[ $(cell "$(log loosely)" 1 gradient_norm),$(cell "$(log loosely)" 1 clipped) == 5,0 ]] || fail "the log of loosely"
[[ $(cell "$(log frozen)" 1 gradient_norm) == 4 ]] || fail "what is frozen has a part in the norm"
[[ -z $(cell "$(log plain)" 1 clipped) ]] || fail "a run that clips nothing logs a share"
awk -v a="$(cell "$(log averaged)" 1 clean)" -v b="$(ema 0.75 0)" 'BEGIN { exit !((a - b) ^ 2 < 1e-12) }' || fail "another net than the average is validated"
head -1 "$(log averaged)" | grep -q '^epoch,step,loss,first,' || fail "the log does not name the metric"
grep -q "set ylabel 'first'" results/steps/averaged-training.gp || fail "the picture does not name the metric"
[[ $(cell "$(log in_four)" 1 step) == 7 ]] || fail "steps are counted by batches"
expect 0 '"first":-13.5' "${deq[@]}" run steps.deq --precision f64 --json --fresh
grep -q '"accuracy":-' out && fail "another metric is called accuracy"

# what is frozen keeps its bits, the rest does not
"${deq[@]}" export results/steps/in_one.safetensors -o one.npz >/dev/null && "${deq[@]}" export results/steps/tuned.safetensors -o tuned.npz >/dev/null
if command -v unzip >/dev/null; then
  mkdir one tuned && (cd one && unzip -q ../one.npz) && (cd tuned && unzip -q ../tuned.npz)
  cmp one/body.W.npy tuned/body.W.npy && cmp one/head.b.npy tuned/head.b.npy || fail "frozen parameters have changed"
  cmp -s one/head.W.npy tuned/head.W.npy && fail "head.W has not been trained"
else
  echo "not tested: what is frozen keeps its bits (no unzip)"
fi

# states at random: one state of a long solve is the state of a short one, to the bit; of several all are drawn
"${deq[@]}" export results/steps/third.safetensors -o third.npz >/dev/null && "${deq[@]}" export results/steps/at_third.safetensors -o at_third.npz >/dev/null
cmp third.npz at_third.npz || fail "the state that is drawn is not that of a shorter solve"
awk -v n="$(cell "$(log at_any)" 3 steps)" 'BEGIN { exit !(n > 2 && n < 7 && n != int(n)) }' || fail "solves of $(cell "$(log at_any)" 3 steps) steps"
grep -q 'at_any.*stopped short' out && fail "solves that are to end early are said to have stopped short"
expect 64 'at_third.*: .*state' "${deq[@]}" run steps.deq --set 'at_third.gradient=simultaneous(states: 1..6)' --set 'at_third.forward=broyden(max: 9, tol: 1e-3)'
expect 0 'at_any: .*intermediate random(states: 2..4)' "${deq[@]}" run steps.deq --set at_any.intermediate.states=2..4

# the report says it
expect 0 'Trained with average ema(decay: 0.9, warmup: true)' "${deq[@]}" report results/steps
grep -q 'Trained with accumulate 4' out || fail "the report does not say how many batches a step has"
grep -q 'freeze \["body"\], rates' out || fail "the report does not say what is frozen"
grep -q '| confidence |' out || fail "the report does not name the metric"

# set, and refused, from outside
expect 0 '' "${deq[@]}" run steps.deq --set 'by_norm.clip=value(0.5)' --set loosely.accumulate=2 --set loosely.clip.most=3 \
  --set averaged.average.decay=0.5 --set averaged.metric=accuracy --set 'tuned.freeze=[body.b, head]' --set tuned.rates.body.W=3
for text in 'by_norm: .*clip value(most: 0.5)' 'loosely: .*5 steps of 2 batches of 40.*clip norm(most: 3)' \
  'averaged: .*average ema(decay: 0.5, warmup: false)' 'averaged .*train 2.*%' 'frozen body.b, head,' 'body.W at 3 of the rate'; do
  grep -q "$text" out || fail "--set does not give '$text'"
done
expect 64 'ways to clip: none, norm, value' "${deq[@]}" run steps.deq --set by_norm.clip=length
expect 64 "'most' of 'norm'\|most. is" "${deq[@]}" run steps.deq --set by_norm.clip.most=0
expect 64 'the script says no' "${deq[@]}" run steps.deq --set 'plain.replay=free(2)'
expect 64 'there is none here' "${deq[@]}" run steps.deq --set plain.clip.most=1
expect 64 "'bodi' leads to no trained parameter" "${deq[@]}" run steps.deq --set tuned.freeze=bodi
expect 64 'at least 1' "${deq[@]}" run steps.deq --set plain.accumulate=0
expect 64 'not compiled with that metric' "${deq[@]}" run steps.deq --set plain.metric=nothing
expect 64 'did you mean plain.accumulate' "${deq[@]}" run steps.deq --set plain.acumulate=2

# stopped and resumed, with any number of threads: the same bits
sed '/^train/,$d' steps.deq >long.deq
cat >>long.deq <<END
train long = Normed on quadrants.train { ..small; batch: 8; accumulate: 2; epochs: 200; average: ema(0.99); clip: norm(0.3); keep: best_clean; rates: { head: 0.5 }; replay: free(2, radius: 0.05, step: 0.05); intermediate: random(2..6) }
END
expect 0 'long: keeps' "${deq[@]}" run long.deq -t 1 --results whole
rm -rf cache
interrupted "${deq[@]}" run long.deq -t 1 --results parts
expect 0 'resumed' "${deq[@]}" run long.deq -t 2 --results parts
cmp whole/long/long.safetensors parts/long/long.safetensors || fail "a resumed run has other parameters"
same whole/long/long-log.csv parts/long/long-log.csv
done_testing
