# SPDX-License-Identifier: Apache-2.0
"""
Death at exact points: strace kills the gateway at its n-th fdatasync, or makes that call fail.

LONGLINE_CRASH_POINTS=200 runs all of 1..200; by default a dozen of them are tried.
"""

import http.client
import json
import os
import subprocess

import pytest

from support.client import Api
from support.gateway import FAST_RETRIES
from support.ledger import Ledger, Load
from support.wait import PATIENCE, wait_until

ALL = int(os.environ.get("LONGLINE_CRASH_POINTS", "0"))
POINTS = list(range(1, ALL + 1)) if ALL else [1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 200]


def strace(what, when):
    return [
        "strace",
        "-f",
        "-qq",
        "-o",
        "/dev/null",
        "-e",
        "trace=fdatasync",
        "-e",
        f"inject=fdatasync:{what}:when={when}",
    ]


class World:
    def __init__(self, make_gateway, receiver):
        # One queue for all: the breaker is off, the endpoint is always there.
        self.g = make_gateway(
            {**FAST_RETRIES, "delivery.retry_limit": "50"}, env={"ASAN_OPTIONS": "detect_leaks=0"}
        )
        self.hook = receiver.hook()
        self.g.start()
        self.g.api.tenant("t")
        self.secret = self.g.api.destination("t", self.hook.url)["credentials"]["secret"]
        self.g.stop()
        self.ledger = Ledger(self.hook, self.secret)

    def run_until_it_dies(self, wrap, prefix):
        """Starts it below strace, publishes until it is gone; returns its exit status."""
        g = self.g
        g.wrap = wrap
        g.launch()
        wait_until(lambda: g.out or not g.is_running(), "a ready line or the end", deadline=40)
        if g.out:
            g.url = json.loads(g.out[0])["listen"]
            g.api = Api(g.url, g.admin_key)
            load = Load(self.ledger, g.api, "t", prefix, threads=3)
            wait_until(lambda: not g.is_running(), "it dies", deadline=60)
            load.stop()
        code = g.proc.wait(10)
        g.reader.join(5)
        g.proc = None
        g.wrap = []
        return code

    def recover(self):
        self.g.start()
        self.ledger.settle(deadline=40)
        self.g.stop()

    def check(self):
        self.ledger.check()


@pytest.fixture(scope="module")
def world(make_gateway, receiver):
    assert subprocess.run(["strace", "-V"], capture_output=True).returncode == 0
    return World(make_gateway, receiver)


@pytest.mark.timeout(120 * PATIENCE)
@pytest.mark.parametrize("point", POINTS)
def test_killed_at_fdatasync(world, point):
    world.run_until_it_dies(strace("signal=SIGKILL", point), f"p{point}-{world.g.starts}")
    world.recover()
    world.check()


@pytest.mark.timeout(120 * PATIENCE)
@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
@pytest.mark.parametrize("point", [4, 40])
def test_a_failing_fdatasync(world, error, point):
    """Fail-stop: what may not be on disk is never acknowledged, and the process ends."""
    code = world.run_until_it_dies(
        strace(f"error={error}", point), f"f{error}{point}-{world.g.starts}"
    )
    assert code not in (0, None)
    world.recover()
    world.check()


def publish_until_it_dies(world, point):
    """The answers of a publisher that goes on until the disk fails at that point."""
    g = world.g
    g.wrap = strace("error=EIO", point)
    g.launch()
    wait_until(lambda: g.out or not g.is_running(), deadline=40)
    statuses = []
    if g.out:
        api = Api(json.loads(g.out[0])["listen"], g.admin_key)
        for i in range(50):
            try:
                statuses.append(world.ledger.publish(api, "t", f"lie-{world.g.starts}-{i}"))
            except (OSError, http.client.HTTPException):
                break
        wait_until(lambda: not g.is_running())
    g.proc.wait(10)
    g.reader.join(5)
    g.proc = None
    g.wrap = []
    world.recover()
    return statuses


@pytest.mark.timeout(120 * PATIENCE)
def test_a_waiting_publisher_is_told(world):
    """Whoever waits for a commit that fails gets 503 (outcome unknown), never 202. The failing commit
    may be one that nobody waits for, so a few points are tried."""
    seen = set()
    for point in range(3, 12):
        seen |= set(publish_until_it_dies(world, point))
        if 503 in seen:
            break
    assert 503 in seen
    assert seen <= {202, 503}
    world.check()
