# SPDX-License-Identifier: Apache-2.0
"""
Clocks that are wrong delete nothing: histories of starts, stops, kills and steps of the clocks,
with libfaketime in the gateway and the true time here.

LONGLINE_CLOCK_HISTORIES sets the number of random ones (4), LONGLINE_CLOCK_SEED repeats a run.
"""

import concurrent.futures
import os
import random
import time

import pytest

from support.faketime import FakeClock
from support.receiver import Receiver, Reply
from support.wait import PATIENCE, stays_true, wait_until

HISTORIES = int(os.environ.get("LONGLINE_CLOCK_HISTORIES", "4"))
SEED = int(os.environ.get("LONGLINE_CLOCK_SEED", str(random.randrange(1 << 30))))
SIDE_BY_SIDE = 4

MINUTE, DAY = 60, 86400
JUMP_COUNTS = 10  # seconds of age that a jump of the monotonic clock may count as
SETTINGS = {
    "delivery.retry_interval": "12h",
    "delivery.breaker_failures": "0",
    # Of a time that may run a hundred times faster:
    "client.total_timeout": "10m",
    "server.head_timeout": "10m",
    "server.body_timeout": "10m",
    "server.write_timeout": "10m",
}


class History:
    """A gateway whose clocks lie, and what was published through it."""

    def __init__(self, g, clock, receiver, retention):
        self.g, self.clock, self.retention = g, clock, retention
        self.hooks = {"good": receiver.hook(), "bad": receiver.hook()}
        self.hooks["bad"].script(Reply(500))
        self.born = {}  # id -> time.monotonic() before it was published
        self.owed = set()
        self.gone = set()
        self.expired = set()
        self.jumps = 0
        self.g.start()
        self.g.api.tenant("t")
        for name, hook in self.hooks.items():
            self.g.api.destination("t", hook.url, topics=[name])

    def call(self, method, path, status, **kw):
        """Again after a 408: a request that a clock jumps over has taken too long."""

        def once():
            r = self.g.api.request(method, "/api/v1" + path, **kw)
            return r.status != 408 and r.must(status)

        return wait_until(once, path)

    def publish(self, topic):
        event = f"{topic}-{len(self.born)}"
        self.born[event] = time.monotonic()
        body = {"id": event, "tenant_id": "t", "topic": topic, "data": {"n": 1}}
        self.call("POST", "/publish", 202, json=body)
        if topic == "bad":
            self.owed.add(event)

    def models(self, path):
        return self.call("GET", path, 200, query={"tenant_id": "t", "limit": 1000})["models"]

    def step(self, seconds):
        self.clock.set(seconds)
        self.jumps += 1

    def check(self):
        """Whatever is gone was old enough, and had an end on record when it was owed."""
        present = {e["id"] for e in self.models("/events")}
        now = time.monotonic()
        for a in self.models("/attempts"):
            if a["code"] == "expired":
                assert a["status"] == "failed", a
                self.expired.add(a["event_id"])
        for event in set(self.born) - present - self.gone:
            most = (now - self.born[event]) * self.clock.speed + JUMP_COUNTS * self.jumps
            assert most >= self.retention, f"{event} left after {most} s: {self.g.log_text()}"
            if event in self.owed:
                assert event in self.expired, f"{event} left without an attempt"
                assert self.g.log_has(f"delivery.expired .*event={event} "), "no line says so"
            self.gone.add(event)
        return len(present)

    def run(self, seconds):
        end = time.monotonic() + seconds
        while True:
            self.check()
            if time.monotonic() >= end:
                return
            time.sleep(0.05)


def some_step(rng):
    return rng.choice([-1, 1]) * rng.choice(
        [rng.randrange(1, 300), rng.randrange(300, DAY), rng.randrange(DAY, 30 * DAY), 700 * DAY]
    )


def random_history(h, rng):
    for _ in range(12):
        for _ in range(rng.randrange(3)):
            h.publish(rng.choice(["good", "bad"]))
        act = rng.random()
        if act < 0.4 and h.clock.with_monotonic:
            # Nothing that waits with a timer would go on if that one went back.
            h.step(h.clock.ahead_s + abs(some_step(rng)))
        elif act < 0.4:
            h.step(rng.choice([0, some_step(rng)]))
        elif act < 0.8:
            if rng.random() < 0.5:
                h.g.stop()
            else:
                h.g.kill9()
            h.step(rng.choice([0, some_step(rng)]))
            h.g.start()
        h.run(rng.random() * 1.2)
    if h.clock.with_monotonic:  # it runs fast enough to see the end
        wait_until(lambda: h.check() == 0, "all that is old is gone", deadline=60)
        assert h.owed <= h.expired
    else:
        assert h.check() == len(h.born), h.g.log_text()
    h.g.stop()


@pytest.mark.timeout((60 + 30 * HISTORIES) * PATIENCE)
def test_random_histories(make_gateway, tmp_path):
    print(f"seed {SEED}, {HISTORIES} histories")

    def one(i):
        rng = random.Random(SEED + i)
        # The one or the other: only where all clocks lie alike can time be made to run faster.
        with_monotonic = i % 2 == 0
        clock = FakeClock(tmp_path / f"clock{i}", with_monotonic, 100 if with_monotonic else 1)
        retention = 600 if with_monotonic else 600000
        g = make_gateway({**SETTINGS, "store.retention": f"{retention}s"}, env=clock.env())
        with Receiver() as receiver:
            random_history(History(g, clock, receiver, retention), rng)

    with concurrent.futures.ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        for done in [pool.submit(one, i) for i in range(HISTORIES)]:
            done.result()


@pytest.mark.parametrize("with_monotonic", [False, True], ids=["wall", "both"])
@pytest.mark.parametrize("end", ["stop", "kill"])
def test_fast_then_back_then_right(make_gateway, receiver, tmp_path, end, with_monotonic):
    """Five minutes fast, eight days back, right again, with a retention of seven days."""
    clock = FakeClock(tmp_path / "clock", with_monotonic)
    clock.set(5 * MINUTE)
    g = make_gateway({**SETTINGS, "store.retention": "7d"}, env=clock.env())
    h = History(g, clock, receiver, 7 * DAY)

    def go_on(ahead):
        h.run(1)
        if end == "stop":
            h.g.stop()
        else:
            h.g.kill9()
        h.step(ahead)
        h.g.start()

    for _ in range(23):
        h.publish("bad")
    h.publish("good")
    h.hooks["bad"].wait_for(23)
    go_on(-8 * DAY)
    h.publish("good")
    go_on(0)
    h.publish("good")
    stays_true(lambda: h.check() == 26, 3, "everything is there")
    assert g.metric("longline_pending") == 23
    assert not h.expired
