#!/usr/bin/env bash
# The experiments of examples/paper on few images, after a short training: they run to their end and judge every claim.
# multiscale.deq, whose images are not Debian's, is checked.
source "$(dirname "$0")/lib.sh"
if [[ ! -f /usr/share/datasets/fashion-mnist/train-images-idx3-ubyte.gz ]]; then
  echo "skipped: Debian's dataset-fashion-mnist is not installed"
  exit 77
fi
folder=$SOURCE/examples/paper
short=(--quiet --set setup.images=8 --set setup.seeds=2 --set 'setup.length={ epochs: 1; examples: 128 }' --set setup.iterations=1)

# judged SCRIPT: it runs, and claims.csv has a line for each claim of the script
judged() {
  expect 0 '' timeout 500 "$DEQ" run "$folder/$1.deq" "${short[@]}" "${@:2}" --results results
  local wanted found
  wanted=$(grep -c '^  claim ' "$folder/$1.deq")
  found=$(cat "results/$1/"*claims.csv | grep -cE '","",(holds|fails|undecided),')
  [[ $found == "$wanted" ]] || fail "$1: of $wanted claims $found are judged"
  checks=$((checks + 1))
}
for script in table1 table2 table3 table4 appendix; do judged $script; done
judged figure2 --set setup.trainings=2
judged obfuscation --set "length={ epochs: 1; examples: 128 }"
# of the 528 evaluations that a column is the mean of some have a picture
pictures=(results/table2/each-*-attacked.gp)
[[ ${#pictures[@]} == 16 ]] || fail "${#pictures[@]} pictures of one column"
expect 0 '' "$DEQ" check "$folder/multiscale.deq"
done_testing
