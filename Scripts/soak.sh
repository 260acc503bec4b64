#!/usr/bin/env bash
# Walks fresh seeds of the cluster simulation until SEEDS of them have run, or one fails: soak.sh SEEDS [MODE...]
# Prints the failing seed and the command that repeats it. `START` sets the first seed; by default it is drawn from the clock.
set -uo pipefail
cd "$(dirname "$0")/.."
seeds=${1:?soak.sh SEEDS [MODE...]}
shift
modes=("$@")
[ ${#modes[@]} -gt 0 ] || modes=(isr tiered shared)
start=${START:-$(($(date +%s%N) / 1000))}
step=500
tally=$(mktemp)
# What the faults did, over all seeds that have run: one that never did anything proves nothing.
report() {
    awk -F'\t' '{ key = $2 "\t" $3; if (!(key in sums)) order[++count] = key; sums[key] += $4 }
        END { for (i = 1; i <= count; i++) print order[i] "\t" sums[order[i]] }' "$tally" | column -t -s "$(printf '\t')"
    rm -f "$tally"
}
trap report EXIT
echo "seeds from $start on, $seeds of each of: ${modes[*]}"
for ((done = 0; done < seeds; done += step)); do
    first=$((start + done))
    last=$((first + (seeds - done < step ? seeds - done : step) - 1))
    for mode in "${modes[@]}"; do
        if ! NINEFOLD_SEED=$first...$last swift test -c release --skip-build --ignore-lock --disable-xctest \
            --filter "ClusterSimulationTests.FaultTests/$mode" >soak.log 2>&1; then
            # What failed follows an arrow on the line of its own.
            grep -vE '^(◇|✔|\[)' soak.log
            exit 1
        fi
        grep -a '^tally' soak.log >>"$tally"
        echo "$mode: seeds $first...$last are well"
    done
done
rm -f soak.log
