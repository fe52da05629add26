# SPDX-License-Identifier: Apache-2.0
"""Faults of the machine and of endpoints that an attempt must not be blamed for, or pay for."""

import resource
import signal
import time

from support.gateway import FAST_RETRIES
from support.receiver import Endless, Receiver, Reply
from support.wait import wait_until

MIB = 1 << 20


def n_arrived(hooks):
    return sum(len(h.requests) for h in hooks)


def test_an_endless_body_is_not_read_on(gw, api, tenant, hook):
    endless = Endless()
    hook.script(endless)
    api.destination(tenant, hook.url)
    api.publish(tenant, id="endless-body")
    a = wait_until(lambda: api.attempts(event_id="endless-body"), "the attempt")[0]
    assert (a["status"], a["code"]) == ("success", "200")
    wait_until(lambda: not hook.receiver.connections, "the connection has gone")
    assert endless.sent < 64 * MIB  # what the buffers of the two kernels took


def test_without_file_descriptors_attempts_wait(make_gateway):
    settings = dict(FAST_RETRIES)
    settings["delivery.initial_inflight"] = "64"
    limit = 30  # below what it needs beside its own files, whatever it leaves to endpoints
    g = make_gateway(settings, limits={resource.RLIMIT_NOFILE: (limit, limit)}).start()
    g.api.tenant("t")
    with Receiver() as rx:
        hooks = [rx.hook().script(Reply(delay=0.2)) for _ in range(10)]
        for h in hooks:
            g.api.destination("t", h.url)
        for i in range(15):
            g.api.publish("t", id=f"e{i}")
        wait_until(lambda: n_arrived(hooks) >= 150, "everything has arrived")
        g.wait_metric("longline_pending", 0)
        assert n_arrived(hooks) == 150
        assert g.metric('longline_attempts_total{status="failed"}') == 0
        assert g.log_has("client.no_files")


def test_answers_that_came_while_the_process_stood_still(make_gateway):
    settings = dict(FAST_RETRIES)
    settings["client.first_byte_timeout"] = "1s"
    g = make_gateway(settings).start()
    g.api.tenant("t")
    with Receiver() as rx:
        hook = rx.hook().script(Reply(delay=0.5))
        g.api.destination("t", hook.url)
        for i in range(5):
            g.api.publish("t", id=f"e{i}")
        hook.wait_for(5)
        g.signal(signal.SIGSTOP)
        time.sleep(3)  # past the deadline, and past what passes for a stall
        g.signal(signal.SIGCONT)
        g.wait_metric("longline_pending", 0)
        assert len(hook.requests) == 5
        assert g.metric('longline_attempts_total{status="failed"}') == 0


def test_large_events_under_way_are_bounded(make_gateway):
    g = make_gateway({"delivery.inflight_memory": "1MiB"}).start()
    g.api.tenant("big")
    g.api.tenant("small")
    with Receiver() as rx:
        slow = rx.hook().script(Reply(delay=0.3))
        quick = rx.hook()
        g.api.destination("big", slow.url)
        g.api.destination("small", quick.url)
        for _ in range(8):
            g.api.publish("big", {"pad": "x" * 200_000})
        slow.wait_for(2)
        assert g.metric("longline_inflight") == 2  # a quarter of the bound, passed by one
        g.api.publish("small")
        quick.wait_for(1)
        assert len(slow.requests) < 8
        slow.wait_for(8)
        g.wait_metric("longline_pending", 0)
