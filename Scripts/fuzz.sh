#!/usr/bin/env bash
# usage: Scripts/fuzz.sh TARGET SECONDS [libFuzzer options]
# Builds the decoders with libFuzzer and AddressSanitizer in .build-fuzz and runs TARGET from its corpus. New inputs stay in
# .build-fuzz/corpus/TARGET, what breaks a property or crashes in .build-fuzz/findings. No single allocation may pass 64 MiB.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${1:?a target: requests, record-batches, segments, wal, objects, manifests, properties, workload}
seconds=${2:?seconds to run}
shift 2
scratch=.build-fuzz
sanitizers=fuzzer,address
swift build -c release --scratch-path $scratch --target Fuzzing -Xswiftc -sanitize=$sanitizers -Xswiftc -parse-as-library \
    -Xcc -fsanitize=fuzzer-no-link,address >&2
release=$scratch/release

# SwiftPM links no library: whatever was compiled for the target is its whole closure.
find -L $scratch/release -name '*.o' -path '*.build/*' -printf '"%p"\n' >$scratch/objects.txt
swiftc -sanitize=$sanitizers "@$scratch/objects.txt" -lcurl -lsqlite3 -o $scratch/fuzz

mkdir -p "$scratch/corpus/$target" $scratch/findings
export NINEFOLD_FUZZ_TARGET=$target ASAN_OPTIONS=detect_leaks=0
exec $scratch/fuzz -max_total_time="$seconds" -malloc_limit_mb=64 -rss_limit_mb=2048 -timeout=20 -max_len=65536 \
    -print_final_stats=1 -artifact_prefix="$scratch/findings/$target-" "$@" "$scratch/corpus/$target" "Tests/Fixtures/fuzz/$target"
