# SPDX-License-Identifier: Apache-2.0
"""
One bad endpoint must not be felt at the others (invariant I5). How fast the others are is measured
by the bench; here the bad one is not let go before they are done, however long that takes.
"""

import pytest

from support.gateway import FAST_RETRIES
from support.ports import DeadPort
from support.receiver import Hang, Held, Receiver, Reply
from support.wait import stays_true, wait_until


@pytest.fixture(scope="module")
def gw(make_gateway):
    return make_gateway(
        {
            **FAST_RETRIES,
            "delivery.retry_limit": "10",
            "delivery.breaker_failures": "5",
            "client.total_timeout": "10m",
            "client.first_byte_timeout": "10m",
        }
    ).start()


def n_arrived(hooks):
    return sum(len(h.requests) for h in hooks)


def test_one_dead_and_one_hanging_endpoint(api, fresh):
    rounds = 5
    with Receiver() as rx, Receiver() as bad:
        tenants, hooks = [], []
        dead = DeadPort()
        hanging = bad.hook().script(Hang())
        for n in range(40):
            t = fresh("iso")
            api.tenant(t)
            tenants.append(t)
            hooks.append(rx.hook())
            api.destination(t, hooks[-1].url)
            if n % 2 == 0:  # beside the good destination of the same tenant
                api.destination(t, dead.url)
                api.destination(t, hanging.url)
        for n in range(rounds):
            for t in tenants:
                api.publish(t, {"n": n})
        wait_until(lambda: n_arrived(hooks) == 40 * rounds, "all good deliveries", deadline=60)
        hanging.wait_for(20)  # and none of these has ended meanwhile
        for t in tenants:
            api.delete(f"/tenants/{t}").must(200)
        dead.close()


def test_a_backlog_of_one_tenant(api, fresh):
    """Hundreds of events for an endpoint that takes its time; another tenant's go straight on."""
    with Receiver() as rx, Receiver() as slow:
        one, two = fresh("busy"), fresh("calm")
        api.tenant(one)
        api.tenant(two)
        held = Held(Reply(200))
        stuck = slow.hook().script(held)
        api.destination(one, stuck.url)
        hook = rx.hook()
        api.destination(two, hook.url)
        for i in range(400):
            api.publish(one, {"i": i})
        for i in range(30):
            api.publish(two, {"i": i})
        hook.wait_for(30)
        assert held.n_done == 0
        assert len(stuck.requests) <= 64
        assert slow.accepted <= 64
        held.let_go()
        stuck.wait_for(400, deadline=60)


def test_one_host_has_a_ceiling(make_gateway):
    g = make_gateway(
        {**FAST_RETRIES, "delivery.max_inflight_per_host": "4", "delivery.initial_inflight": "10"}
    ).start()
    with Receiver() as rx:
        held = Held(Reply(200))
        hooks = [rx.hook().script(held) for _ in range(8)]
        for i, h in enumerate(hooks):
            g.api.tenant(f"t{i}")
            g.api.destination(f"t{i}", h.url)
        for _ in range(5):
            for i in range(8):
                g.api.publish(f"t{i}")
        wait_until(lambda: n_arrived(hooks) >= 4, "as many as may be under way")
        stays_true(lambda: n_arrived(hooks) == 4, 0.3, "no more than that")
        held.let_go()
        for h in hooks:
            h.wait_for(5)
        assert rx.accepted <= 5


def test_a_host_is_one_host_however_it_is_spelled(make_gateway):
    """Neither the ceiling nor the connections can be multiplied by other spellings of a name."""
    settings = {"delivery.max_inflight_per_host": "2", "client.max_connections_per_origin": "2"}
    g = make_gateway({**FAST_RETRIES, **settings}).start()
    spellings = ("localhost", "LOCALHOST", "localhost.", "LocalHost.")
    addresses = ("127.0.0.1", "127.0.0.1.", "[::ffff:127.0.0.1]", "[0:0:0:0:0:FFFF:7f00:1]")
    for kind, hosts in (("name", spellings), ("address", addresses)):
        with Receiver() as rx:
            held = Held(Reply(200))
            hooks = [rx.hook().script(held) for _ in hosts]
            for i, (host, h) in enumerate(zip(hosts, hooks)):
                g.api.tenant(f"{kind}{i}")
                g.api.destination(f"{kind}{i}", h.url.replace("127.0.0.1", host))
                for _ in range(5):
                    g.api.publish(f"{kind}{i}")
            wait_until(lambda: n_arrived(hooks) >= 2, "as many as may be under way")
            stays_true(lambda: n_arrived(hooks) == 2, 0.3, "no more than that")
            held.let_go()
            for host, h in zip(hosts, hooks):
                r = h.wait_for(5)[0]
                assert r.header("host") == f"{host}:{rx.port}"  # as the destination has it
            assert rx.accepted <= 3  # a slot of the connection pool is free once it is closed


def test_fresh_events_pass_waiting_retries(api, fresh):
    """A hundred retries are due, and their endpoint takes its time; a new event goes ahead."""
    with Receiver() as rx:
        t = fresh("mix")
        api.tenant(t)
        held = Held(Reply(200))
        good, bad = rx.hook(), rx.hook().script(*[Reply(500)] * 100, held)
        api.destination(t, good.url, topics=["good"])
        api.destination(t, bad.url, topics=["bad"])
        for _ in range(100):
            api.publish(t, topic="bad")
        bad.wait_for(101)
        api.publish(t, topic="good")
        good.wait_for(1)
        assert held.n_done == 0
        held.let_go()
        bad.wait_for(200, deadline=60)
