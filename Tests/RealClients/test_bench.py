"""The table of the data path at toy size, so that it cannot rot."""
import json
import subprocess

import conftest


def test_the_suite_measures_a_row(tmp_path):
    output = tmp_path / "out"
    done = subprocess.run(
        [
            conftest.PROGRAM, "bench", "--suite", "--rows", "produce-16kb", "--modes", "isr", "--repeat", "1", "--seconds", "0.3",
            "--data-dir", str(tmp_path / "data"), "--output", str(output),
        ],
        capture_output=True, text=True, timeout=120, cwd=conftest.ROOT,
    )
    assert done.returncode == 0, done.stderr
    assert "produce-16kb" in done.stdout and "CPU s/GB" in done.stdout
    lines = (output / "bench.jsonl").read_text().splitlines()
    assert len(lines) == 1
    result = json.loads(lines[0])
    assert (result["row"], result["mode"], result["repeats"]) == ("produce-16kb", "isr", 1)
    figures = result["figures"]
    for name in ["throughput", "broker CPU", "load generator CPU", "machine floor", "read calls", "write calls", "response p99"]:
        assert figures[name]["median"] > 0, name
    # Either counted, or said why not.
    assert figures.get("allocations", {}).get("median", 0) > 0 or result["notMeasured"]["allocations"]
    # Before and after.
    assert len(result["limits"]["CRC-32C"]["values"]) == 2
    assert not (tmp_path / "data").exists()


def test_a_row_that_is_not_there_is_refused():
    done = subprocess.run([conftest.PROGRAM, "bench", "--suite", "--rows", "nothing"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 64
    assert "produce-1mb" in done.stderr
