"""Brokers killed with SIGKILL under a real client's load, round after round: nothing acknowledged is lost, repeated or out of order."""
import os
import random
import time

import pytest
from brokers import Brokers, Load
from conftest import MODES

# Each mode's. For a long run, see docs/testing.md.
ROUNDS = int(os.environ.get("NINEFOLD_KILL_ROUNDS", "6"))
SEED = int(os.environ.get("NINEFOLD_SEED", str(time.time_ns() % 1_000_000)))


@pytest.mark.timeout(60 + 30 * ROUNDS)
@pytest.mark.parametrize("mode", MODES)
def test_brokers_killed_under_load_lose_nothing(mode):
    randomness = random.Random(f"{SEED} {mode}")
    # Small segments, of which little stays: what is read at the end comes from the tier too, where there is one.
    brokers = Brokers(mode, metrics=True, log_segment_bytes=1 << 18).start().wait()
    load = None
    try:
        brokers.create("kept", local_retention_bytes=1 << 19)
        load = Load(brokers.bootstrap, "kept").start()
        assert load.goes_on()
        for number in range(ROUNDS):
            # One, two, or in every fifth round all of them: a process's death takes nothing from the page cache.
            victims = randomness.sample(list(brokers.ids), 3 if number % 5 == 4 else randomness.choice([1, 1, 2]))
            time.sleep(randomness.uniform(0, 0.7))
            brokers.kill(*victims)
            time.sleep(randomness.choice([0, 0, randomness.uniform(0, 2)]))
            brokers.start(*victims)
            assert load.goes_on(), (
                f"NINEFOLD_SEED={SEED}, round {number}: nothing is acknowledged after {victims} died\n"
                + "\n".join(f"broker {broker}: {brokers.log(broker)[-1500:]}" for broker in brokers.ids))
        brokers.wait()
        load.stop()
        before = brokers.requests("get")
        count = load.verify()
        if mode == "tiered":
            assert brokers.requests("get") > before, "nothing was read from the tier"
        print(f"{mode}: {ROUNDS} rounds, {count} records acknowledged, longest gap {load.longest:.1f} s")
    except BaseException:
        print(f"NINEFOLD_SEED={SEED}")
        raise
    finally:
        if load:
            load.ending.set()
        brokers.remove()
