# SPDX-License-Identifier: Apache-2.0
"""What a hostile client may try below the API: framing, smuggling, slowness, ambiguous headers."""

import socket
import time

import pytest

from support.gateway import ADMIN_KEY
from support.raw import RawConnection, exchange

AUTH = f"Authorization: Bearer {ADMIN_KEY}\r\n"
HOST = "Host: x\r\n"
PLAIN = "GET /healthz HTTP/1.1\r\n" + HOST + "\r\n"


def post(headers, body):
    return "POST /api/v1/retry HTTP/1.1\r\n" + HOST + AUTH + headers + "\r\n" + body


CHUNKED = "Transfer-Encoding: chunked\r\n"

FRAMING = [
    (post("Content-Length: 2\r\n" + CHUNKED, "2\r\n{}\r\n0\r\n\r\n"), 400),
    (post(CHUNKED + "Content-Length: 2\r\n", "2\r\n{}\r\n0\r\n\r\n"), 400),
    (post("Content-Length: 2\r\nContent-Length: 2\r\n", "{}"), 400),
    (post("Content-Length: 2, 2\r\n", "{}"), 400),
    (post("Content-Length: +2\r\n", "{}"), 400),
    (post("Content-Length: 0x2\r\n", "{}"), 400),
    (post("Content-Length: 18446744073709551618\r\n", "{}"), 400),
    (post("Transfer-Encoding : chunked\r\n", "2\r\n{}\r\n0\r\n\r\n"), 400),
    (post("Transfer-Encoding: \x0bchunked\r\n", "2\r\n{}\r\n0\r\n\r\n"), 400),
    (post("Transfer-Encoding: chunked, identity\r\n", "{}"), 501),
    (post("Transfer-Encoding: xchunked\r\n", "{}"), 501),
    (post(CHUNKED + CHUNKED, "2\r\n{}\r\n0\r\n\r\n"), 501),
    (post(CHUNKED, "2\n{}\n0\n\n"), 400),
    (post(CHUNKED, "2 \r\n{}\r\n0\r\n\r\n"), 400),
    (post(CHUNKED, "0x2\r\n{}\r\n0\r\n\r\n"), 400),
    (post(CHUNKED, "2\r\n{}x\r\n0\r\n\r\n"), 400),
    (post(CHUNKED, "fffffffffffffffff\r\n{}"), 400),
    (post(CHUNKED, "ffffffffffffffff\r\n{}"), 413),  # at once, not when the client gives up
    (post(CHUNKED, "7fffffff\r\n{}"), 413),
    (post(CHUNKED, "2\r\n{}\r\n100000\r\n"), 413),  # the second chunk is one too many
    (post(CHUNKED, "2;" + "x" * 300 + "\r\n{}\r\n0\r\n\r\n"), 400),
    (post(CHUNKED, "2\r\n{}\r\n0\r\nContent-Length: 5\r\n\r\n"), 400),
    (post("X: a\r\n b\r\nContent-Length: 2\r\n", "{}"), 400),
    (post("X: a\x00b\r\nContent-Length: 2\r\n", "{}"), 400),
    (post("X: a\rY: b\r\nContent-Length: 2\r\n", "{}"), 400),
]


@pytest.mark.parametrize("request_text,status", FRAMING)
def test_bad_framing_ends_the_connection(gw, request_text, status):
    with RawConnection(gw.port) as c:
        c.send(request_text + PLAIN)
        a = c.answer()
        assert a.status == status
        assert a.header("connection") == "close"
        assert c.at_end()  # what follows is never taken for a request


def test_two_authorization_headers_are_none(gw):
    for first, second in [(AUTH, "Authorization: Bearer x\r\n"),
                          ("Authorization: Bearer x\r\n", AUTH), (AUTH, AUTH)]:
        a = exchange(gw.port, "GET /api/v1/topics HTTP/1.1\r\n" + HOST + first + second + "\r\n")
        assert (a.status, a.body) == (401, b"")


def test_absolute_form_must_name_the_host(gw):
    for target, status in [("http://x/healthz", 200), ("http://y/healthz", 400),
                           ("http://x@y/healthz", 400), ("ftp://x/healthz", 400),
                           ("//healthz", 400), ("/%2e%2e/healthz", 400), ("/healthz%00", 400)]:
        assert exchange(gw.port, f"GET {target} HTTP/1.1\r\n{HOST}\r\n").status == status, target


@pytest.fixture(scope="module")
def hasty(make_gateway):
    return make_gateway({"server.head_timeout": "500ms", "server.body_timeout": "1s"}).start()


@pytest.mark.parametrize("start,drip", [
    ("GET /healthz HTTP/1.1\r\nX: ", "a"),
    ("\r\n", "\r\n"),
    (post("Content-Length: 1000\r\n", ""), "x"),
    (post(CHUNKED, ""), "1\r\nx\r\n"),
    (post(CHUNKED, "2\r\n{}\r\n0\r\n"), "X: y\r\n"),
    (post(CHUNKED, "2;"), "a"),
])
def test_dripping_does_not_keep_a_connection(hasty, start, drip):
    begin = time.monotonic()
    with RawConnection(hasty.port) as c:
        c.send(start)
        c.sock.settimeout(0.1)
        while time.monotonic() - begin < 20:
            try:
                got = c.sock.recv(4096)
                assert got == b"" or b" 408 " in got, got
                return
            except TimeoutError:
                pass
            except ConnectionResetError:
                return
            try:
                c.send(drip)
            except OSError:
                return
    raise AssertionError("still open")


def test_a_reader_that_takes_nothing_is_cut_off(make_gateway):
    """Also where the system's buffers take more than a whole reply: then it is idle, or asks on."""
    g = make_gateway({"server.write_timeout": "1s", "server.idle_timeout": "1s"}).start()
    g.api.tenant("slow")
    for _ in range(4):
        g.api.publish("slow", {"x": "y" * 1000000})
    socks = []
    for _ in range(8):
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        s.connect(("127.0.0.1", g.port))
        s.sendall(f"GET /api/v1/events HTTP/1.1\r\n{HOST}{AUTH}\r\n".encode() * 40)
        socks.append(s)
    g.wait_metric("longline_http_connections", 1.0, deadline=60)  # the one that asks
    for s in socks:
        s.close()
