"""A disk that is full stops the writes with a clear line, loses nothing, and is written again once there is room."""
import os
import pathlib
import re
import subprocess
import time

import pytest
from brokers import Brokers, Load
from conftest import MODES, eventually


MESSAGES = {
    "isr": r"kept-\d.*the volume is full, nothing was written; free space and it goes on",
    "tiered": r"the volume is full.*free space and it goes on|Object store is full.*free space",
    "shared": r"Object store is full.*free space",
}


@pytest.fixture
def small_disk(tmp_path):
    directory = tmp_path / "disk"
    directory.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", directory], capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"a small tmpfs cannot be mounted: {done.stderr.strip()}")
    yield directory
    subprocess.run(["umount", "-l", directory], check=True)


@pytest.mark.parametrize("mode", MODES)
def test_a_full_disk_stops_the_writes_and_freed_space_resumes_them(mode, small_disk, tmp_path):
    filler = small_disk / "filler"
    filler.write_bytes(bytes(36 << 20))
    brokers = Brokers(
        mode, count=1, directory=tmp_path, log_dirs=f"{small_disk}/broker-{{broker}}", object_store_url=f"file://{small_disk}/objects",
        wal_capacity_bytes=8 << 20, wal_upload_threshold_bytes=2 << 20)
    load = None
    try:
        brokers.start().wait()
        brokers.create("kept")
        load = Load(brokers.bootstrap, "kept", rate=4_000).start()
        assert load.goes_on(1_000)

        def stands_still():
            count = load.count
            time.sleep(3)
            return load.count == count

        assert eventually(stands_still), "the disk did not fill up"
        assert brokers.processes[1].poll() is None, brokers.log(1)[-2000:]
        said = brokers.log(1)
        # What is full, and what helps.
        assert re.search(MESSAGES[mode], said), said[-3000:]
        # What waits in the client has room; more would fill the disk again.
        load.rate = 0
        filler.unlink()
        assert load.goes_on(2_000), brokers.log(1)[-3000:]
        load.stop()
        count = load.verify()
        # And what was acknowledged around it survives the process.
        brokers.kill(1)
        brokers.start(1).wait()
        assert load.verify() == count
    finally:
        if load:
            load.ending.set()
        brokers.remove()
