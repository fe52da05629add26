# SPDX-License-Identifier: Apache-2.0
"""One bad endpoint must not be felt at the others (invariant I5)."""

import time

import pytest

from support.gateway import FAST_RETRIES
from support.ports import DeadPort
from support.receiver import Hang, Receiver, Reply
from support.wait import PATIENCE, wait_until


@pytest.fixture(scope="module")
def gw(make_gateway):
    return make_gateway(
        {
            **FAST_RETRIES,
            "delivery.retry_limit": "10",
            "delivery.breaker_failures": "5",
            "client.total_timeout": "10s",
            "client.first_byte_timeout": "10s",
        }
    ).start()


def latencies(api, tenants, hooks, rounds):
    """Publishes to each tenant in turn; seconds from the publish to the arrival, sorted."""
    sent = {}
    for n in range(rounds):
        for t in tenants:
            event_id = f"{t}-{n}-{time.monotonic_ns()}"
            sent[event_id] = time.monotonic()
            api.publish(t, {"n": n}, id=event_id)
    found = {}

    def all_arrived():
        for h in hooks:
            for r in h.requests:
                found.setdefault(r.header("x-outpost-event-id"), r.time)
        return sent.keys() <= found.keys()

    wait_until(all_arrived, "all deliveries", deadline=30)
    return sorted(found[e] - sent[e] for e in sent)


def p99(values):
    return values[int(len(values) * 0.99) - 1]


def test_one_dead_and_one_hanging_endpoint(api, fresh):
    with Receiver() as rx, Receiver() as bad:
        tenants, hooks = [], []
        for _ in range(40):
            t = fresh("iso")
            api.tenant(t)
            tenants.append(t)
            hooks.append(rx.hook())
            api.destination(t, hooks[-1].url)
        alone = p99(latencies(api, tenants, hooks, 10))

        dead = DeadPort()
        hanging = bad.hook().script(Hang())
        for t in tenants[:20]:  # beside good destinations of the same tenants
            api.destination(t, dead.url)
            api.destination(t, hanging.url)
        together = p99(latencies(api, tenants, hooks, 10))
        print(f"p99 alone {alone * 1000:.1f} ms, beside bad ones {together * 1000:.1f} ms")
        assert together < max(2 * alone, 0.5 * PATIENCE)
        dead.close()


def test_a_backlog_of_one_tenant(api, fresh):
    """Hundreds of events for an endpoint that takes its time; another tenant's go straight on."""
    with Receiver() as rx, Receiver() as slow:
        one, two = fresh("busy"), fresh("calm")
        api.tenant(one)
        api.tenant(two)
        stuck = slow.hook().script(Reply(200, delay=1.0))
        api.destination(one, stuck.url)
        hook = rx.hook()
        api.destination(two, hook.url)
        for i in range(400):
            api.publish(one, {"i": i})
        values = latencies(api, [two], [hook], 30)
        assert p99(values) < 0.5 * PATIENCE
        with slow.lock:
            assert len(slow.connections) <= 64


def test_one_host_has_a_ceiling(make_gateway):
    g = make_gateway(
        {**FAST_RETRIES, "delivery.max_inflight_per_host": "4", "delivery.initial_inflight": "10"}
    ).start()
    with Receiver() as rx:
        hooks = [rx.hook().script(Reply(200, delay=0.1)) for _ in range(8)]
        for i, h in enumerate(hooks):
            g.api.tenant(f"t{i}")
            g.api.destination(f"t{i}", h.url)
        for _ in range(5):
            for i in range(8):
                g.api.publish(f"t{i}")
        for h in hooks:
            h.wait_for(5)
        assert rx.accepted <= 5


def test_fresh_events_pass_waiting_retries(api, fresh):
    """An endpoint that fails one kind of event still gets the others at once."""
    with Receiver() as rx:
        t = fresh("mix")
        api.tenant(t)
        good, bad = rx.hook(), rx.hook().script(Reply(500))
        api.destination(t, good.url, topics=["good"])
        api.destination(t, bad.url, topics=["bad"])
        for _ in range(100):
            api.publish(t, topic="bad")
        start = time.monotonic()
        api.publish(t, topic="good")
        assert good.wait_for(1)[0].time - start < 1.0 * PATIENCE
        api.delete(f"/tenants/{t}").must(200)
