#!/usr/bin/env bash
# Builds the package Benchmarks/ into the program's own .build, where all that it stands on is compiled already: seconds instead of
# minutes. What SwiftPM keeps there of one package alone (the plan of its build, the state of its dependencies) is exchanged
# for the time of the build, or the next build of the program would take the benchmarks' for its own.
set -euo pipefail
cd "$(dirname "$0")/.."
configuration=${1:-release}
plan=.build/$configuration.yaml
state=.build/workspace-state.json

[ -f Package.resolved ] && [ -f "$state" ] || swift package resolve
# The same versions, or everything would be compiled anew.
pins() { grep -v originHash "$1" 2>/dev/null; }
cmp -s <(pins Package.resolved) <(pins Benchmarks/Package.resolved) || cp Package.resolved Benchmarks/Package.resolved

give_back() {
    [ -f "$state" ] && mv "$state" "$state.benchmarks"
    mv "$state.program" "$state"
    rm -f "$plan"
}
# Left by a build that was killed.
[ -f "$state.program" ] && give_back
mv "$state" "$state.program"
trap give_back EXIT
[ -f "$state.benchmarks" ] && cp "$state.benchmarks" "$state" || cp "$state.program" "$state"
rm -f "$plan"
swift build -c "$configuration" --package-path Benchmarks --scratch-path .build
