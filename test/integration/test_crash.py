# SPDX-License-Identifier: Apache-2.0
"""
kill -9 at random moments under load, again and again on the same data.

LONGLINE_CRASH_LOOPS sets the number of kills (10), LONGLINE_CRASH_SEED repeats a run.
"""

import http.client
import os
import random
import threading
import time

import pytest

from support.gateway import FAST_RETRIES
from support.ledger import Ledger, Load
from support.receiver import Reply
from support.wait import PATIENCE, wait_until

LOOPS = int(os.environ.get("LONGLINE_CRASH_LOOPS", "10"))
SEED = int(os.environ.get("LONGLINE_CRASH_SEED", str(random.randrange(1 << 30))))


class Lives:
    """A gateway that is started over and over, and the ledger of all that went through it."""

    def __init__(self, make_gateway, receiver, settings=None, **kw):
        self.g = make_gateway(
            {**FAST_RETRIES, "delivery.retry_limit": "50", **(settings or {})}, **kw
        )
        self.hook = receiver.hook()
        self.begin()
        self.g.api.tenant("t")
        dest = self.g.api.destination("t", self.hook.url)
        self.ledger = Ledger(self.hook, dest["credentials"]["secret"])

    def begin(self):
        start = time.monotonic()
        self.g.start()
        return time.monotonic() - start

    def check(self):
        self.ledger.settle(deadline=60)
        self.ledger.check()


@pytest.mark.timeout((120 + 5 * LOOPS) * PATIENCE)
def test_kill_9_at_random_moments(make_gateway, receiver):
    print(f"seed {SEED}, {LOOPS} kills")
    rng = random.Random(SEED)
    lives = Lives(make_gateway, receiver)
    ledger = lives.ledger
    slowest = 0.0
    for loop in range(LOOPS):
        load = Load(
            ledger, lives.g.api, "t", f"k{loop}", threads=4, size=rng.choice([100, 1000, 9000])
        )
        if rng.random() < 0.3:
            lives.hook.script(Reply(500), Reply(500), Reply(503), Reply(200))
        moment = threading.Event()
        n = len(ledger.accepted)
        moment.wait(rng.uniform(0.03, 0.6))  # the moment is what is tested
        if loop % 2 == 0:  # and a slow disk gets the time that it needs
            wait_until(lambda: len(ledger.accepted) >= n + 20, "some events", interval=0.002)
        lives.g.kill9()
        load.stop()
        slowest = max(slowest, lives.begin())
    lives.check()
    lives.g.wait_metric("longline_pending", 0, deadline=60)
    print(
        f"{len(ledger.accepted)} accepted, {len(ledger.unknown)} unknown, "
        f"{len(lives.hook.requests)} deliveries, slowest start {slowest:.2f} s"
    )

    # What is on record agrees with what happened: each accepted event has one success at the end.
    api = lives.g.api
    wait_until(lambda: api.get("/events").status == 200)
    for event_id in rng.sample(sorted(ledger.accepted), 20):
        rows = api.attempts(event_id=event_id)
        assert [a["status"] for a in rows][0] == "success", rows
        assert api.publish("t", id=event_id)["duplicate"] is True


def test_kill_during_the_start(make_gateway, receiver):
    """Recovery is interrupted by the next crash, several times."""
    lives = Lives(make_gateway, receiver)
    load = Load(lives.ledger, lives.g.api, "t", "x")
    wait_until(lambda: len(lives.ledger.accepted) > 100)
    lives.g.kill9()
    load.stop()
    rng = random.Random(SEED)
    for _ in range(8):
        lives.g.launch()
        threading.Event().wait(rng.uniform(0.0, 0.08))
        lives.g.kill9()
    lives.begin()
    lives.check()


def test_configuration_survives_what_was_answered(make_gateway):
    """Tenants and destinations: an answer is a promise too."""
    rng = random.Random(SEED)
    g = make_gateway({"api.max_destinations_per_tenant": "1000"}).start()
    promised = {}
    for loop in range(4):
        ended = threading.Event()

        def write(loop=loop, api=g.api):
            n = 0
            try:
                while not ended.is_set():
                    n += 1
                    t = f"c{loop}-{n}"
                    api.tenant(t, metadata={"n": str(n)})
                    promised[t] = None
                    d = api.destination(t, "https://example.com/")
                    promised[t] = d
                    promised[t] = api.put(f"/tenants/{t}/destinations/{d['id']}/disable").must(200)
            except (OSError, http.client.HTTPException):  # the latter: a half-read answer
                pass

        thread = threading.Thread(target=write)
        thread.start()
        n = len(promised)
        threading.Event().wait(rng.uniform(0.1, 0.3))
        wait_until(lambda: len(promised) >= n + 4, "some promises", interval=0.002)
        g.kill9()
        ended.set()
        thread.join(20)
        g.start()
    for t, d in promised.items():
        assert g.api.get(f"/tenants/{t}").must(200)["metadata"] == {"n": t.split("-")[1]}
        if d is not None:
            got = g.api.get(f"/tenants/{t}/destinations/{d['id']}").must(200)
            assert got["id"] == d["id"] and got["credentials"] == d["credentials"]
            if d["disabled_at"] is not None:
                assert got["disabled_at"] == d["disabled_at"]
    assert len(promised) >= 16
