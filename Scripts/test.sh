#!/usr/bin/env bash
# Runs every test of a built tree: Swift's, then the real clients'. Ends with one line that counts them all.
set -uo pipefail
cd "$(dirname "$0")/.."
configuration=${1:-release}
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
passed=0 failed=0 skipped=0

# The simulated clusters take every processor for minutes: by themselves, or tests that wait for something would wait too long.
for part in "--skip ClusterSimulationTests" "--filter ClusterSimulationTests"; do
    # shellcheck disable=SC2086
    swift test -c "$configuration" --skip-build --disable-xctest $part 2>&1 | tee "$logs/swift"
    ended=${PIPESTATUS[0]}
    # Swift Testing: one line a test, "✔ Test name() passed", "✘ … failed", "➜ … skipped".
    passed=$((passed + $(grep -cE '^. Test .* passed after' "$logs/swift")))
    skipped=$((skipped + $(grep -cE '^. Test .* skipped' "$logs/swift")))
    failures=$(grep -cE '^. Test .* failed after' "$logs/swift")
    # A crash prints no failure line of its own: the run still failed.
    [ "$ended" -ne 0 ] && [ "$failures" -eq 0 ] && failures=1
    failed=$((failed + failures))
done

if [ -x .venv/bin/python ] && ls Tests/RealClients/test_*.py >/dev/null 2>&1; then
    NINEFOLD="$PWD/.build/$configuration/ninefold" .venv/bin/python -m pytest Tests/RealClients -q -rs --no-header --timeout 300 --timeout-method thread \
        --junitxml "$logs/clients.xml" -p no:cacheprovider
    if [ -s "$logs/clients.xml" ]; then
        read -r p f s < <(python3 - "$logs/clients.xml" <<'PYTHON'
import sys, xml.etree.ElementTree as xml
suite = xml.parse(sys.argv[1]).getroot().find("testsuite")
total, skipped = int(suite.get("tests")), int(suite.get("skipped"))
bad = int(suite.get("failures")) + int(suite.get("errors"))
print(total - bad - skipped, bad, skipped)
PYTHON
        )
        passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    else
        failed=$((failed + 1))
    fi
fi

echo
echo "total: $passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
