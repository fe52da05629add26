# SPDX-License-Identifier: Apache-2.0
"""
Death at exact points: strace kills the gateway at its n-th fdatasync, or makes that call fail.

LONGLINE_CRASH_POINTS=200 runs all of 1..200; by default a dozen of them are tried.
"""

import collections
import http.client
import json
import os
import signal
import subprocess
import sys

import pytest

from support.client import Api
from support.gateway import FAST_RETRIES
from support.ledger import Ledger, Load
from support.wait import PATIENCE, wait_until

ALL = int(os.environ.get("LONGLINE_CRASH_POINTS", "0"))
POINTS = list(range(1, ALL + 1)) if ALL else [1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144, 200]
STARTED = 20  # a start takes far fewer calls than this


def strace(what, when, trace):
    """The calls of each thread are counted for themselves."""
    return [
        "strace",
        "-f",
        "-qq",
        "-o",
        str(trace),
        "-e",
        "signal=none",
        "-e",
        "trace=fdatasync",
        "-e",
        f"inject=fdatasync:{what}:when={when}",
    ]


def assert_strace_works(directory):
    """Without it nothing would die, and nothing be tested: that is a failure, not a success."""
    code = "import os; f = os.open('probe', os.O_CREAT | os.O_RDWR); os.fdatasync(f)"
    cmd = strace("signal=SIGKILL", 1, directory / "trace") + [sys.executable, "-c", code]
    try:
        r = subprocess.run(cmd, capture_output=True, text=True, cwd=directory, timeout=60)
    except FileNotFoundError:
        pytest.fail("the crash points need strace, which is not installed")
    if r.returncode != -signal.SIGKILL:
        pytest.fail(
            "the crash points need strace, which cannot trace here (in a container: "
            f"--cap-add SYS_PTRACE): exit status {r.returncode}, {r.stderr.strip()}"
        )


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
        self.trace = self.g.directory / "trace"

    def launch(self, what, when):
        self.trace.write_text("")
        self.g.wrap = strace(what, when, self.trace)
        self.g.launch()

    def n_calls(self):
        """How many fdatasync the busiest thread has made in this life."""
        lines = self.trace.read_text().splitlines()
        return max(collections.Counter(x.split()[0] for x in lines if "fdatasync(" in x).values())

    def run_until_it_dies(self, what, when, prefix):
        """Starts it below strace, publishes until it is gone; returns its exit status."""
        g = self.g
        self.launch(what, when)
        wait_until(lambda: g.out or not g.is_running(), "a ready line or the end", deadline=40)
        if g.out:
            g.url = json.loads(g.out[0])["listen"]
            g.api = Api(g.url, g.admin_key)
            load = Load(self.ledger, g.api, "t", prefix, threads=3)
            try:
                wait_until(lambda: not g.is_running(), "it dies", deadline=60)
            finally:
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
def world(make_gateway, receiver, tmp_path_factory):
    assert_strace_works(tmp_path_factory.mktemp("strace"))
    return World(make_gateway, receiver)


@pytest.mark.timeout(120 * PATIENCE)
@pytest.mark.parametrize("point", POINTS)
def test_killed_at_fdatasync(world, point):
    before = len(world.ledger.accepted)
    code = world.run_until_it_dies("signal=SIGKILL", point, f"p{point}-{world.g.starts}")
    assert code == -signal.SIGKILL, f"it was not killed: {world.g.log_text()[-3000:]}"
    assert world.n_calls() == point
    if point > STARTED:
        assert len(world.ledger.accepted) > before, "nothing was under way when it died"
    world.recover()
    world.check()


@pytest.mark.timeout(120 * PATIENCE)
@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
@pytest.mark.parametrize("point", [4, 40])
def test_a_failing_fdatasync(world, error, point):
    """Fail-stop: what may not be on disk is never acknowledged, and the process ends."""
    before = len(world.ledger.accepted)
    code = world.run_until_it_dies(f"error={error}", point, f"f{error}{point}-{world.g.starts}")
    assert code not in (0, None)
    assert "(INJECTED)" in world.trace.read_text()
    if point > STARTED:
        assert len(world.ledger.accepted) > before, "nothing was under way when it failed"
    world.recover()
    world.check()


def publish_until_it_dies(world, point):
    """The answers of a publisher that goes on until the disk fails at that point."""
    g = world.g
    world.launch("error=EIO", point)
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
    assert "(INJECTED)" in world.trace.read_text()
    world.recover()
    return statuses


@pytest.mark.timeout(120 * PATIENCE)
def test_a_waiting_publisher_is_told(world):
    """Whoever waits for a commit that fails gets 503 (outcome unknown), never 202. The failing
    commit may be one that nobody waits for, so one point after the other is tried."""
    seen = set()
    for point in range(3, 40):
        seen |= set(publish_until_it_dies(world, point))
        if 503 in seen:
            break
    assert 503 in seen
    assert seen <= {202, 503}
    world.check()
