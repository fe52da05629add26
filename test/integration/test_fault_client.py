# SPDX-License-Identifier: Apache-2.0
"""Faults of the machine and of endpoints that an attempt must not be blamed for, or pay for."""

import resource
import signal
import time

from support.gateway import FAST_RETRIES
from support.receiver import Endless, Held, Receiver, Reply
from support.wait import stays_true, wait_until


FIRST_BYTE = 2  # seconds


def n_arrived(hooks):
    return sum(len(h.requests) for h in hooks)


def test_an_endless_body_is_not_read_on(gw, api, tenant, hook):
    endless = Endless()
    hook.script(endless)
    api.destination(tenant, hook.url)
    api.publish(tenant, id="endless-body")
    a = wait_until(lambda: api.attempts(event_id="endless-body"), "the attempt")[0]
    assert (a["status"], a["code"]) == ("success", "200")
    wait_until(lambda: endless.was_cut, "the connection has gone")


def test_without_file_descriptors_attempts_wait(make_gateway):
    settings = dict(FAST_RETRIES)
    settings["delivery.initial_inflight"] = "64"
    settings["client.total_timeout"] = "10m"
    settings["client.first_byte_timeout"] = "10m"
    limit = 30  # below what it needs beside its own files, whatever it leaves to endpoints
    g = make_gateway(settings, limits={resource.RLIMIT_NOFILE: (limit, limit)}).start()
    g.api.tenant("t")
    with Receiver() as rx:
        held = Held(Reply())
        hooks = [rx.hook().script(held) for _ in range(10)]
        for h in hooks:
            g.api.destination("t", h.url)
        for i in range(15):
            g.api.publish("t", id=f"e{i}")
        g.wait_log("client.no_files")
        held.let_go()
        wait_until(lambda: n_arrived(hooks) >= 150, "everything has arrived", deadline=40)
        g.wait_metric("longline_pending", 0)
        assert n_arrived(hooks) == 150
        assert g.metric('longline_attempts_total{status="failed"}') == 0


def stand_still(g, rx, name):
    """Stops the process while answers are under way; False: so late that it may have noticed."""
    held = Held(Reply())
    hook = rx.hook().script(held)
    g.api.tenant(name)
    g.api.destination(name, hook.url)
    failed = g.metric('longline_attempts_total{status="failed"}')
    begin = time.monotonic()
    for i in range(5):
        g.api.publish(name, id=f"e{i}")
    hook.wait_for(5)
    g.signal(signal.SIGSTOP)
    in_time = time.monotonic() - begin < 0.7 * FIRST_BYTE
    try:
        held.let_go()
        wait_until(lambda: held.n_done == 5, "all answers")
        if in_time:
            time.sleep(FIRST_BYTE + 2)  # past the deadline, and past what passes for a stall
    finally:
        g.signal(signal.SIGCONT)
    g.wait_metric("longline_pending", 0)
    if in_time:
        assert len(hook.requests) == 5
        assert g.metric('longline_attempts_total{status="failed"}') == failed
    return in_time


def test_answers_that_came_while_the_process_stood_still(make_gateway):
    g = make_gateway({**FAST_RETRIES, "client.first_byte_timeout": f"{FIRST_BYTE}s"}).start()
    with Receiver() as rx:
        assert any(stand_still(g, rx, f"t{n}") for n in range(8)), "no try was quick enough"


def test_large_events_under_way_are_bounded(make_gateway):
    g = make_gateway(
        {
            "delivery.inflight_memory": "1MiB",
            "client.total_timeout": "10m",
            "client.first_byte_timeout": "10m",
        }
    ).start()
    g.api.tenant("big")
    g.api.tenant("small")
    with Receiver() as rx:
        held = Held(Reply())
        slow = rx.hook().script(held)
        quick = rx.hook()
        g.api.destination("big", slow.url)
        g.api.destination("small", quick.url)
        for _ in range(8):
            g.api.publish("big", {"pad": "x" * 200_000})
        slow.wait_for(2)  # a quarter of the bound, passed by one
        stays_true(lambda: len(slow.requests) == 2, 0.3, "no more of them")
        assert g.metric("longline_inflight") == 2
        g.api.publish("small")
        quick.wait_for(1)
        assert len(slow.requests) == 2
        held.let_go()
        slow.wait_for(8)
        g.wait_metric("longline_pending", 0)
