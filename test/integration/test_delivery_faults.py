# SPDX-License-Identifier: Apache-2.0
"""Endpoints that misbehave. Each attempt ends, in time, with a record that says why."""

import socket
import threading

import pytest

from support.gateway import FAST_RETRIES
from support.ports import DeadPort
from support.receiver import Close, Dribble, Endless, Hang, Raw, Receiver, Reply, Reset
from support.wait import stays_true, wait_until

LIMITS = {
    **FAST_RETRIES,
    "delivery.retry_limit": "0",
    "client.max_response_head": "8KiB",
    "client.max_response_body": "16KiB",
    "client.keep_response_body": "1KiB",
}
# Longer than any test waits: what ends in time was not ended by these.
PATIENT = {
    "client.total_timeout": "5m",
    "client.first_byte_timeout": "5m",
    "client.connect_timeout": "5m",
    "client.write_timeout": "5m",
}
# Only for what must run into them: a machine may be slow enough for others to do so, too.
HASTY = {
    "client.total_timeout": "3s",
    "client.first_byte_timeout": "800ms",
    "client.connect_timeout": "800ms",
    "client.write_timeout": "800ms",
}


@pytest.fixture(scope="module")
def gw(make_gateway):
    return make_gateway({**LIMITS, **PATIENT}).start()


@pytest.fixture(scope="module")
def hasty(make_gateway):
    g = make_gateway({**LIMITS, **HASTY, "api.max_destinations_per_tenant": "1000"}).start()
    g.api.tenant("t")
    return g


def attempt(api, tenant, url, data=None):
    d = api.destination(tenant, url)
    e = api.publish(tenant, data, destination_id=d["id"])
    found = wait_until(lambda: api.attempts(event_id=e["id"], include="response_data"), "a record")
    return found[0]


def is_well(api, tenant, receiver):
    """The next delivery, elsewhere, is not disturbed."""
    assert attempt(api, tenant, receiver.hook().url)["status"] == "success"


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

FAILURES = {
    "closes": (Close(), ["network_error"]),
    "resets": (Reset(), ["connection_reset"]),
    # When both come at once, libuv takes the reset for the end.
    "resets in the head": (Reset(b"HTTP/1.1 200"), ["connection_reset", "network_error"]),
    "closes in the head": (
        Raw(b"HTTP/1.1 200 OK\r\nContent-"),
        ["network_error", "protocol_error"],
    ),
    "garbage": (Raw(b"\x00\x01\x02 this is no HTTP at all\r\n\r\n"), ["protocol_error"]),
    "another protocol": (Raw(b"220 smtp.example ESMTP\r\n"), ["protocol_error"]),
    "http 0.9": (Raw(b"<html>hello</html>"), ["protocol_error"]),
    "http 2": (Raw(b"HTTP/2.0 200 OK\r\nContent-Length: 0\r\n\r\n"), ["protocol_error"]),
    "status is text": (Raw(b"HTTP/1.1 abc OK\r\n\r\n"), ["protocol_error"]),
    "status is 99": (Raw(b"HTTP/1.1 99 OK\r\nContent-Length: 0\r\n\r\n"), ["protocol_error", "99"]),
    "head without end": (
        Endless(b"HTTP/1.1 200 OK\r\n", b"A: " + b"b" * 1000 + b"\r\n"),
        ["protocol_error"],
    ),
    "line without end": (Endless(b"HTTP/1.1 200 ", b"x" * 1000), ["protocol_error"]),
    "a million headers": (Endless(b"HTTP/1.1 200 OK\r\n", b"A: b\r\n" * 100), ["protocol_error"]),
    "interim answers without end": (
        Endless(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
        ["protocol_error"],
    ),
    "switches protocols": (
        Raw(b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
        ["protocol_error", "101"],
    ),
    "length and chunked": (
        Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        ["protocol_error"],
    ),
    "two lengths": (
        Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nokx"),
        ["protocol_error"],
    ),
    "bad length": (Raw(b"HTTP/1.1 200 OK\r\nContent-Length: abc\r\n\r\n"), ["protocol_error"]),
    "redirects": (Reply(302, b"", {"Location": "/elsewhere"}), ["302"]),
    "errors": (Reply(500, b"oh"), ["500"]),
}


@pytest.mark.parametrize("name", FAILURES)
def test_failures(api, tenant, receiver, name):
    action, codes = FAILURES[name]
    with Receiver() as rx:  # of its own: on a reused connection one request may be repeated
        hook = rx.hook().script(action)
        a = attempt(api, tenant, hook.url)
        assert a["status"] == "failed" and a["code"] in codes, a
        assert len(hook.requests) == 1
    assert ("response_data" in a) == a["code"].isdigit()
    is_well(api, tenant, receiver)


TOO_SLOW = {
    "hangs": Hang(),
    "dribbles its head": Dribble(OK, 0.25),
    "dribbles its body": Dribble(
        b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n" + b"x" * 100, 0.08
    ),
}


@pytest.mark.parametrize("name", TOO_SLOW)
def test_slowness_has_an_end(hasty, name):
    with Receiver() as rx:
        hook = rx.hook().script(TOO_SLOW[name])
        a = attempt(hasty.api, "t", hook.url)
        assert (a["status"], a["code"]) == ("failed", "timeout"), a
        assert len(hook.requests) <= 1  # it may have been too slow to read it


AFTER_THE_HEAD = {
    "closes in the body": Raw(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc"),
    "resets in the body": Reset(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nabc"),
    "bad chunk": Raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n"),
    "closes in a chunk": Raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"),
}


@pytest.mark.parametrize("name", AFTER_THE_HEAD)
def test_a_broken_body_is_no_success_in_disguise(api, tenant, receiver, name):
    """The answer was never complete: the attempt failed, and will be repeated."""
    hook = receiver.hook().script(AFTER_THE_HEAD[name])
    a = attempt(api, tenant, hook.url)
    assert a["status"] == "failed", a
    assert a["code"] in ("network_error", "connection_reset", "protocol_error"), a
    is_well(api, tenant, receiver)


def test_refused_connections(api, tenant, receiver):
    dead = DeadPort()
    a = attempt(api, tenant, dead.url)
    assert (a["status"], a["code"]) == ("failed", "connection_refused")
    dead.close()


@pytest.mark.parametrize("size", [131071, 131072, 131073, 200000])
def test_a_response_as_large_as_outpost_keeps(make_gateway, receiver, size):
    """One setting is enough to keep as much; a longer one is cut and says so."""
    g = make_gateway({"client.keep_response_body": "128KiB"}).start()
    g.api.tenant("t")
    text = ("0123456789abcdef" * 13000)[:size]
    hook = receiver.hook().script(Reply(200, text.encode()))
    a = attempt(g.api, "t", hook.url)
    assert (a["status"], a["code"]) == ("success", "200")
    got = a["response_data"]
    assert got["body"] == text[:131072]
    assert got.get("truncated", False) == (size > 131072)


SUCCESSES = {
    "interim answer": Reply(200, before=b"HTTP/1.1 100 Continue\r\n\r\n"),
    "early hints": Reply(200, before=b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n"),
    "until close": Raw(b"HTTP/1.1 200 OK\r\n\r\nhello"),
    "http 1.0": Raw(b"HTTP/1.0 200 OK\r\n\r\nhello"),
    "no reason": Raw(b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n"),
    "chunked": Raw(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n", keep=True
    ),
    "trailer": Raw(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nA: b\r\n\r\n"
    ),
    "no content": Raw(b"HTTP/1.1 204 No Content\r\n\r\n", keep=True),
    "odd header values": Reply(200, headers={"X-Odd": "\xe4\xf6", "X-Long": "y" * 2000}),
    "slow but in time": Reply(200, delay=0.4),
    "resets afterwards": Reset(OK),
}


@pytest.mark.parametrize("name", SUCCESSES)
def test_successes(api, tenant, receiver, name):
    hook = receiver.hook().script(SUCCESSES[name])
    a = attempt(api, tenant, hook.url)
    assert a["status"] == "success", a
    assert len(hook.requests) == 1
    is_well(api, tenant, receiver)


def test_endless_body(gw, api, tenant, receiver):
    before = gw.rss_kib()
    action = Endless()
    a = attempt(api, tenant, receiver.hook().script(action).url)
    assert a["code"] == "200", a
    assert len(a["response_data"]["body"]) <= 1024
    wait_until(lambda: action.was_cut, "it is cut off")
    assert gw.rss_kib() - before < 40_000


def test_large_bodies_are_kept_in_part(api, tenant, receiver):
    hook = receiver.hook().script(Reply(500, b"r" * 10000))
    a = attempt(api, tenant, hook.url)
    assert a["response_data"]["status"] == 500
    assert a["response_data"]["body"] == "r" * 1024


@pytest.mark.parametrize(
    "body",
    [
        b"\xff\xfe\x00 binary",
        "ü".encode() * 512 + b"x",
        b'"quotes" \\ and \x01 controls',
        "é".encode()[:1] * 3,
    ],
)
def test_any_body_can_be_shown(api, tenant, receiver, body):
    a = attempt(api, tenant, receiver.hook().script(Reply(500, body)).url)
    assert isinstance(a["response_data"]["body"], str)


def test_two_answers_to_one_request(api, tenant, receiver):
    """The second one must not become the answer to the next request."""
    hook = receiver.hook().script(
        Raw(OK + b"HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n", keep=True), Reply(200)
    )
    a = attempt(api, tenant, hook.url)
    assert a["status"] == "success", a
    e = api.publish(tenant)
    rows = wait_until(lambda: api.attempts(event_id=e["id"]))
    assert rows[0]["status"] == "success", rows


def test_an_answer_before_the_body_was_read(api, tenant, receiver):
    """A server that refuses at once and closes: its status counts where it can be read."""
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    s.listen(8)

    def serve():
        c, _ = s.accept()
        c.recv(1000)
        c.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        c.shutdown(socket.SHUT_WR)
        try:
            while c.recv(65536):
                pass
        except ConnectionResetError:
            pass
        c.close()

    t = threading.Thread(target=serve, daemon=True)
    t.start()
    a = attempt(api, tenant, f"http://127.0.0.1:{s.getsockname()[1]}/", {"x": "y" * 900_000})
    assert (a["status"], a["code"]) == ("failed", "413"), a
    s.close()


def test_an_endpoint_that_does_not_read(hasty):
    """Accepts, and takes not a byte."""
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    s.bind(("127.0.0.1", 0))
    s.listen(8)
    a = attempt(hasty.api, "t", f"http://127.0.0.1:{s.getsockname()[1]}/", {"x": "y" * 900_000})
    assert (a["status"], a["code"]) == ("failed", "timeout"), a
    s.close()


def test_kept_connections_that_die(api, tenant):
    """The server closes between two requests. That costs no attempt."""
    with Receiver() as rx:
        hook = rx.hook()
        api.destination(tenant, hook.url)
        for n in range(1, 21):
            e = api.publish(tenant)
            hook.wait_for(n)
            wait_until(lambda: api.attempts(event_id=e["id"]))
            rx.drop_connections()
        rows = api.attempts(tenant_id=tenant, limit=1000)
        assert [a["status"] for a in rows] == ["success"] * 20
        assert rx.accepted == 20


def test_a_reused_connection_that_dies_is_replaced_once(api, tenant):
    """The request may have met a connection that was just being closed: one more try, no more."""
    with Receiver() as rx:
        hook = rx.hook().script(Reply(200), Reset(), Reply(200))
        api.destination(tenant, hook.url)
        for n in (1, 3):
            e = api.publish(tenant)
            hook.wait_for(n)
            rows = wait_until(lambda: api.attempts(event_id=e["id"]))
            assert [a["status"] for a in rows] == ["success"]
        hook.script(Reset())
        e = api.publish(tenant)
        rows = wait_until(lambda: api.attempts(event_id=e["id"]))
        assert (rows[0]["status"], rows[0]["code"]) == ("failed", "connection_reset")
        assert len(hook.requests) == 5


@pytest.mark.parametrize("size", [2, 5000])
def test_connections_are_reused(api, tenant, size):
    """Also when of a body only a part is kept."""
    with Receiver() as rx:
        hook = rx.hook().script(Reply(200, b"x" * size))
        api.destination(tenant, hook.url)
        for _ in range(30):
            e = api.publish(tenant)
            wait_until(lambda: api.attempts(event_id=e["id"]), "the answer has been taken")
        assert len(hook.requests) == 30 and rx.accepted == 1


def test_close_is_honoured(api, tenant):
    with Receiver() as rx:
        hook = rx.hook().script(Reply(200, close=True))
        api.destination(tenant, hook.url)
        for n in range(1, 6):
            api.publish(tenant)
            hook.wait_for(n)
        assert rx.accepted == 5


BREAKER = {
    **LIMITS,
    **PATIENT,
    "delivery.breaker_failures": "3",
    "delivery.retry_limit": "10",
    "delivery.retry_interval": "50ms",
    "delivery.retry_max_delay": "50ms",
    "delivery.initial_inflight": "1",
}


def test_the_breaker_opens(make_gateway):
    """Unanswered attempts in a row pause the destination; the work waits."""
    g = make_gateway(
        {**BREAKER, "delivery.breaker_open": "1h", "delivery.breaker_max": "1h"}
    ).start()
    g.api.tenant("t")
    with Receiver() as rx:
        hook = rx.hook().script(Reset())
        g.api.destination("t", hook.url)
        e = g.api.publish("t")
        wait_until(lambda: g.metric("longline_paused_destinations") == 1, "the pause")
        stays_true(lambda: len(hook.requests) == 3, 0.4, "paused")
        wait_until(lambda: len(g.api.attempts(event_id=e["id"])) == 3, "three records")
        assert g.metric("longline_pending") == 1


def test_the_breaker_closes(make_gateway, receiver):
    """After the pause the work goes on where it was: the pause has used up no attempt."""
    g = make_gateway(
        {**BREAKER, "delivery.breaker_open": "700ms", "delivery.breaker_max": "700ms"}
    ).start()
    g.api.tenant("t")
    hook = receiver.hook().script(Reset(), Reset(), Reset(), Reply(200))
    g.api.destination("t", hook.url)
    e = g.api.publish("t")
    got = hook.wait_for(4)
    assert got[3].time - got[2].time >= 0.65
    rows = wait_until(
        lambda: [a for a in g.api.attempts(event_id=e["id"]) if a["status"] == "success"]
    )
    assert rows[0]["attempt_number"] == 4
    assert g.metric("longline_paused_destinations") == 0


def test_no_descriptor_is_lost(gw, api, receiver):
    """After all these, what is open is what the pool keeps."""
    receiver.drop_connections()
    wait_until(lambda: gw.n_fds() < 60, "descriptors back to normal")
