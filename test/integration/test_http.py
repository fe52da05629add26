# SPDX-License-Identifier: Apache-2.0
"""
The HTTP server against bytes that no good client sends. After an error in the framing the
connection must be closed: what follows cannot be told apart from another request.
"""

import json
import resource
import socket
import ssl
import threading

import pytest

from support.client import Api
from support.gateway import ADMIN_KEY
from support.raw import RawConnection, exchange
from support.wait import PATIENCE, wait_until

AUTH = f"Authorization: Bearer {ADMIN_KEY}\r\n"
HEALTH = "GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


def get(path="/healthz", headers="", version="HTTP/1.1", method="GET", host="Host: x\r\n"):
    return f"{method} {path} {version}\r\n{host}{headers}\r\n"


def publish(body, headers="", length=None):
    if isinstance(body, str):
        body = body.encode()
    n = len(body) if length is None else length
    head = f"POST /api/v1/publish HTTP/1.1\r\nHost: x\r\n{AUTH}Content-Length: {n}\r\n{headers}\r\n"
    return head.encode() + body


def chunked(pieces, headers="", end="0\r\n\r\n"):
    out = (
        f"POST /api/v1/publish HTTP/1.1\r\nHost: x\r\n{AUTH}Transfer-Encoding: chunked\r\n"
        f"{headers}\r\n"
    ).encode()
    for p in pieces:
        out += b"%x\r\n%s\r\n" % (len(p), p)
    return out + end.encode()


BODY = '{"tenant_id":"nobody","data":{"a":1}}'

MALFORMED = {
    "no host": (get(host=""), 400),
    "two hosts": (get(headers="Host: y\r\n"), 400),
    "bad host": (get(host="Host: a b\r\n"), 400),
    "empty method": (" /healthz HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "garbage": ("\x00\x01\x02\x03\r\n\r\n", 400),
    "tls hello": ("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + "\x00" * 32, 400),
    "lower-case method": ("get /healthz HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "http 0.9": ("GET /healthz\r\n\r\n", 400),
    "http 1.2": (get(version="HTTP/1.2"), 505),
    "http 2.0": (get(version="HTTP/2.0"), 505),
    "http 3.0": (get(version="HTTP/3.0"), 505),
    "h2 preface": ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "http 1": (get(version="HTTP/1"), 400),
    "other protocol": (get(version="HTCPCP/1.0"), 400),
    "two blanks": ("GET  /healthz HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "blank in the target": ("GET /hea lthz HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "tab in the line": ("GET\t/healthz HTTP/1.1\r\nHost: x\r\n\r\n", 400),
    "control in the target": (get("/a\x01b"), 400),
    "non-ascii target": (get("/\xe4"), 400),
    "fragment": (get("/healthz#x"), 400),
    "no slash": (get("healthz"), 400),
    "double slash": (get("//healthz"), 400),
    "inner double slash": (get("/api//v1/topics"), 400),
    "dot dot": (get("/api/../healthz"), 400),
    "encoded dot dot": (get("/api/%2e%2E/healthz"), 400),
    "dot": (get("/./healthz"), 400),
    "encoded nul": (get("/health%00z"), 400),
    "half an escape": (get("/healthz%4"), 400),
    "no escape": (get("/health%zz"), 400),
    "foreign authority": (get("http://other/healthz"), 400),
    "odd scheme": (get("ftp://x/healthz"), 400),
    "star": (get("*"), 400),
    "connect": ("CONNECT x:443 HTTP/1.1\r\nHost: x:443\r\n\r\n", 501),
    "no colon": (get(headers="Nonsense\r\n"), 400),
    "blank before the colon": (get(headers="A : b\r\n"), 400),
    "empty name": (get(headers=": b\r\n"), 400),
    "blank in the name": (get(headers="A b: c\r\n"), 400),
    "folded": (get(headers="A: b\r\n c\r\n"), 400),
    "nul in a value": (get(headers="A: b\x00c\r\n"), 400),
    "control in a value": (get(headers="A: b\x01c\r\n"), 400),
    "cr in a value": (get(headers="A: b\rc\r\n"), 400),
    "bare lf": ("GET /healthz HTTP/1.1\nHost: x\n\n", 400),
    "lf among headers": ("GET /healthz HTTP/1.1\r\nHost: x\nA: b\r\n\r\n", 400),
    "length is text": (get(method="POST", headers="Content-Length: abc\r\n"), 400),
    "length is negative": (get(method="POST", headers="Content-Length: -1\r\n"), 400),
    "length with sign": (get(method="POST", headers="Content-Length: +1\r\n"), 400),
    "length in hex": (get(method="POST", headers="Content-Length: 0x1\r\n"), 400),
    "length is a list": (get(method="POST", headers="Content-Length: 1, 1\r\n"), 400),
    "length overflows": (
        get(method="POST", headers="Content-Length: 99999999999999999999\r\n"),
        400,
    ),
    "two lengths": (get(method="POST", headers="Content-Length: 1\r\nContent-Length: 1\r\n"), 400),
    "two different lengths": (
        get(method="POST", headers="Content-Length: 1\r\nContent-Length: 2\r\n"),
        400,
    ),
    "length and chunked": (
        get(method="POST", headers="Content-Length: 3\r\nTransfer-Encoding: chunked\r\n"),
        400,
    ),
    "chunked and length": (
        get(method="POST", headers="Transfer-Encoding: chunked\r\nContent-Length: 3\r\n"),
        400,
    ),
    "gzip coding": (get(method="POST", headers="Transfer-Encoding: gzip\r\n"), 501),
    "gzip, chunked": (get(method="POST", headers="Transfer-Encoding: gzip, chunked\r\n"), 501),
    "chunked twice": (get(method="POST", headers="Transfer-Encoding: chunked, chunked\r\n"), 501),
    "chunked with a mark": (get(method="POST", headers="Transfer-Encoding: chunked;q=1\r\n"), 501),
    "xchunked": (get(method="POST", headers="Transfer-Encoding: xchunked\r\n"), 501),
    "chunked in 1.0": (
        get(method="POST", version="HTTP/1.0", headers="Transfer-Encoding: chunked\r\n"),
        400,
    ),
    "unknown expectation": (get(headers="Expect: a-miracle\r\n"), 417),
    "long target": (get("/" + "a" * 20000), 414),
    "long header": (get(headers="A: " + "b" * 20000 + "\r\n"), 431),
    "many headers": (get(headers="".join(f"H{i}: v\r\n" for i in range(200))), 431),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_heads(gw, name):
    data, status = MALFORMED[name]
    with RawConnection(gw.port) as c:
        c.send(data + HEALTH)
        a = c.answer()
        assert a is not None and a.status == status, repr(a)
        assert a.header("connection") == "close"
        assert json.loads(a.body)["status"] == status
        assert c.at_end(), "something was answered after the error"


CHUNKS = {
    "no number": "x\r\nabc\r\n0\r\n\r\n",
    "empty size": "\r\nabc\r\n0\r\n\r\n",
    "signed size": "+3\r\nabc\r\n0\r\n\r\n",
    "0x size": "0x3\r\nabc\r\n0\r\n\r\n",
    "size overflows": "fffffffffffffffff\r\nabc\r\n0\r\n\r\n",
    "too short": "5\r\nabc\r\n0\r\n\r\n",
    "too long": "2\r\nabc\r\n0\r\n\r\n",
    "lf only": "3\nabc\n0\n\n",
    "blank after the size": "3 \r\nabc\r\n0\r\n\r\n",
    "endless extension": "3;" + "a" * 5000 + "\r\nabc\r\n0\r\n\r\n",
}


@pytest.mark.parametrize("name", CHUNKS)
def test_malformed_chunks(gw, name):
    with RawConnection(gw.port) as c:
        c.send(chunked([], end=CHUNKS[name]).decode("latin-1") + HEALTH)
        a = c.answer()
        assert a is not None and a.status == 400, repr(a)
        assert c.at_end()


def test_the_server_is_well_after_all_that(gw, api):
    assert api.get("/topics").status == 200


# ---- what is fine ----


@pytest.mark.parametrize(
    "data",
    [
        get(),
        get(version="HTTP/1.0"),
        get(version="HTTP/1.0", host=""),
        "\r\n\r\n" + get(),
        get("http://x/healthz"),
        get("/healthz?a=b&c"),
        get(headers="A:b\r\nB: \t c \t\r\n"),
        get(headers="Content-Length: 0\r\n"),
        get(headers="Expect: 100-continue\r\n", version="HTTP/1.0"),
        get(headers="Upgrade: websocket\r\nConnection: Upgrade\r\n"),
        get(headers="X-" + "a" * 1000 + ": b\r\n"),
        get(headers="A: \xe4\xf6\r\n"),
    ],
)
def test_well_formed(gw, data):
    assert exchange(gw.port, data).status == 200


def test_health_over_http_1_0_closes(gw):
    with RawConnection(gw.port) as c:
        c.send(get(version="HTTP/1.0"))
        assert c.answer().status == 200
        assert c.at_end()


def test_keep_alive_of_http_1_0(gw):
    with RawConnection(gw.port) as c:
        for _ in range(2):
            c.send(get(version="HTTP/1.0", headers="Connection: keep-alive\r\n"))
            a = c.answer()
            assert a.status == 200 and a.header("connection") == "keep-alive"


def test_connection_close(gw):
    with RawConnection(gw.port) as c:
        c.send(get(headers="Connection: close\r\n"))
        a = c.answer()
        assert a.status == 200 and a.header("connection") == "close"
        assert c.at_end()


def test_unknown_paths_and_methods(gw, api):
    api.request("GET", "/nothing").error(404, "not found")
    api.request("GET", "/api/v1/nothing").error(404, "not found")
    api.request("GET", "/api/v1/topic/").error(404, "not found")
    r = api.request("DELETE", "/api/v1/topics")
    r.error(405, "method not allowed")
    assert set(r.headers["allow"].split(", ")) == {"GET", "HEAD", "OPTIONS"}
    assert api.request("BREW", "/healthz").status in (400, 405, 501)
    assert api.request("TRACE", "/healthz").status in (405, 501)


def test_head(gw):
    full = exchange(gw.port, get("/readyz"))
    with RawConnection(gw.port) as c:
        for _ in range(2):
            c.send(get("/readyz", method="HEAD"))
            a = c.answer(head_request=True)
            assert a.status == 200 and a.header("content-length") == full.header("content-length")
        c.send(get("/nothing", method="HEAD"))
        assert c.answer(head_request=True).status == 404
        c.send(HEALTH)
        assert c.answer().status == 200


def test_options_without_cors(gw):
    a = exchange(
        gw.port,
        get(
            "/api/v1/publish",
            method="OPTIONS",
            headers=("Origin: https://app.example\r\nAccess-Control-Request-Method: POST\r\n"),
        ),
    )
    assert a.status in (200, 204)
    assert set(a.header("allow").split(", ")) == {"POST", "OPTIONS"}
    assert not [n for n, _ in a.headers if n.startswith("access-control-")]


def test_cors(make_gateway):
    g = make_gateway({"server.cors_origins": "https://app.example, https://b.example"}).start()
    ask = (
        "Origin: {}\r\nAccess-Control-Request-Method: POST\r\n"
        "Access-Control-Request-Headers: authorization, content-type\r\n"
    )
    a = exchange(
        g.port, get("/api/v1/publish", method="OPTIONS", headers=ask.format("https://app.example"))
    )
    assert a.status == 204
    assert a.header("access-control-allow-origin") == "https://app.example"
    assert "POST" in a.header("access-control-allow-methods")
    assert "authorization" in a.header("access-control-allow-headers")
    a = exchange(g.port, get("/healthz", headers="Origin: https://b.example\r\n"))
    assert a.header("access-control-allow-origin") == "https://b.example"
    # An error must be readable as well.
    a = exchange(g.port, get("/api/v1/topics", headers="Origin: https://b.example\r\n"))
    assert a.status == 401 and a.header("access-control-allow-origin") == "https://b.example"
    a = exchange(
        g.port, get("/api/v1/publish", method="OPTIONS", headers=ask.format("https://evil"))
    )
    assert a.header("access-control-allow-origin") is None


# ---- bodies ----


@pytest.mark.parametrize(
    "pieces",
    [[BODY.encode()], [BODY.encode()[:7], BODY.encode()[7:]], [bytes([b]) for b in BODY.encode()]],
)
def test_chunked(gw, pieces):
    assert exchange(gw.port, chunked(pieces)).status == 202


def test_chunked_with_extensions_and_trailer(gw):
    data = chunked([]).replace(b"0\r\n\r\n", b"")
    data += b"%x;a=b\r\n%s\r\n0\r\nX-Trailer: y\r\n\r\n" % (len(BODY), BODY.encode())
    assert exchange(gw.port, data).status == 202


@pytest.mark.parametrize("kind", ["length", "chunked"])
def test_one_byte_at_a_time(gw, kind):
    data = publish(BODY) if kind == "length" else chunked([BODY.encode()[:9], BODY.encode()[9:]])
    with RawConnection(gw.port) as c:
        for i in range(len(data)):
            c.send(data[i : i + 1])
        assert c.answer().status == 202


def test_cut_at_every_byte(gw):
    """Two requests on one connection, divided in two at each place."""
    data = publish(BODY) + chunked([BODY.encode()])
    for cut in range(1, len(data), 7):
        with RawConnection(gw.port) as c:
            c.send(data[:cut])
            c.send(data[cut:])
            assert c.answer().status == 202 and c.answer().status == 202


def test_post_without_any_length(gw):
    a = exchange(gw.port, f"POST /api/v1/publish HTTP/1.1\r\nHost: x\r\n{AUTH}\r\n")
    assert a.status == 411, repr(a)


def test_100_continue(gw):
    with RawConnection(gw.port) as c:
        c.send(publish("", length=len(BODY), headers="Expect: 100-continue\r\n"))
        assert c.answer().status == 100
        c.send(BODY)
        assert c.answer().status == 202
        c.send(HEALTH)
        assert c.answer().status == 200


def test_no_100_for_what_is_refused(gw):
    with RawConnection(gw.port) as c:
        c.send(
            "POST /api/v1/publish HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n"
            "Expect: 100-continue\r\nAuthorization: Bearer wrong\r\n\r\n"
        )
        assert c.answer().status == 401
    with RawConnection(gw.port) as c:
        c.send(publish("", length=100_000_000, headers="Expect: 100-continue\r\n"))
        assert c.answer().status == 413


@pytest.mark.parametrize(
    "data", [publish("x" * 100, length=2_000_000), chunked([b"x" * 500_000] * 3)]
)
def test_too_large(gw, data):
    a = exchange(gw.port, data)
    assert a.status == 413 and a.header("connection") == "close"


def test_closing_in_the_middle(gw, api):
    for data in (get()[:10], publish(BODY)[:-5], publish(BODY)[:30], chunked([b"abc"])[:-3]):
        with RawConnection(gw.port) as c:
            c.send(data)
    before = api.metrics()["longline_events_accepted_total"]
    assert api.metrics()["longline_events_accepted_total"] == before


def test_half_closed(gw):
    """A client that has nothing more to say still gets its answer."""
    with RawConnection(gw.port) as c:
        c.send(publish(BODY))
        c.half_close()
        assert c.answer().status == 202


# ---- pipelining ----


def test_pipelined(gw):
    with RawConnection(gw.port) as c:
        c.send(
            HEALTH.encode()
            + publish(BODY)
            + get("/nothing").encode()
            + publish("{")
            + chunked([BODY.encode()])
            + get("/readyz").encode()
        )
        assert [c.answer().status for _ in range(6)] == [200, 202, 404, 422, 202, 200]


def test_many_pipelined(gw):
    n = 500
    with RawConnection(gw.port) as c:
        sender = threading.Thread(target=c.send, args=(publish(BODY) * n,))
        sender.start()
        assert [c.answer().status for _ in range(n)] == [202] * n
        sender.join(30)


def test_pipelined_after_close(gw):
    with RawConnection(gw.port) as c:
        c.send(get(headers="Connection: close\r\n") + HEALTH)
        assert c.answer().status == 200
        assert c.at_end()


def test_refused_with_a_body_and_more_behind(gw):
    """An answer given before the body was read must not make the body a request."""
    smuggled = publish(BODY).decode()
    with RawConnection(gw.port) as c:
        c.send(
            "POST /api/v1/publish HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer wrong\r\n"
            f"Content-Length: {len(smuggled)}\r\n\r\n{smuggled}" + HEALTH
        )
        assert c.answer().status == 401
        a = c.answer()
        assert a is None or a.status == 200


# ---- limits and slow clients ----


@pytest.fixture(scope="module")
def strict(make_gateway):
    return make_gateway(
        {
            "server.max_headers": "10",
            "server.max_head": "2KiB",
            "server.max_body": "4KiB",
        }
    ).start()


@pytest.fixture(scope="module")
def hasty(make_gateway):
    """For clients that are to be too slow. Others might be it, too."""
    return make_gateway({"server.head_timeout": "400ms", "server.body_timeout": "400ms"}).start()


def test_slow_head(hasty):
    with RawConnection(hasty.port) as c:
        c.send("GET /healthz HTTP/1.1\r\nHo")
        a = c.answer()
        assert a is not None and a.status == 408, repr(a)
        assert c.at_end()


def test_slow_body(make_gateway):
    g = make_gateway({"server.body_timeout": "400ms"}).start()
    with RawConnection(g.port) as c:
        c.send(publish(BODY)[:-1])
        a = c.answer()
        assert a is not None and a.status == 408, repr(a)
        assert c.at_end()


def test_a_drip_does_not_help(hasty):
    """The time for a head is absolute: bytes now and then do not prolong it."""
    with RawConnection(hasty.port) as c:
        ended = threading.Event()

        def drip():
            try:
                for ch in "GET /healthz HTTP/1.1\r\nHost: x\r\nA: " + "b" * 200:
                    if ended.wait(0.02):
                        return
                    c.send(ch)
            except OSError:
                pass

        t = threading.Thread(target=drip)
        t.start()
        try:
            a = c.answer()
            assert a is None or a.status == 408
        finally:
            ended.set()
            t.join(10)


def test_idle_connections_are_closed(make_gateway, hasty):
    with RawConnection(hasty.port) as c:
        assert c.answer() is None
    g = make_gateway({"server.idle_timeout": "400ms"}).start()
    with RawConnection(g.port) as c:
        c.send(HEALTH)
        assert c.answer().status == 200
        assert c.answer() is None


def test_configured_limits(strict):
    assert exchange(strict.port, get(headers="A: b\r\n" * 9)).status == 200
    assert exchange(strict.port, get(headers="A: b\r\n" * 10)).status == 431
    assert exchange(strict.port, get(headers="A: " + "b" * 3000 + "\r\n")).status == 431
    put = "PUT /api/v1/tenants/x HTTP/1.1\r\nHost: x\r\n" + AUTH + "Content-Length: {}\r\n\r\n"
    assert exchange(strict.port, put.format(5000)).status == 413


def test_a_client_that_does_not_read(make_gateway):
    """Its answers pile up to a bound, then it is cut off. It asks on until it sees that."""
    g = make_gateway({"server.write_timeout": "500ms"}).start()
    s = socket.socket()
    s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    s.connect(("127.0.0.1", g.port))
    s.settimeout(60 * PATIENCE)
    with pytest.raises((ConnectionResetError, BrokenPipeError)):
        while True:
            s.send(get("/metrics").encode() * 100)
    s.close()
    assert exchange(g.port, get()).status == 200
    assert g.rss_kib() < 600_000


def test_too_many_connections(make_gateway):
    g = make_gateway({"server.max_connections": "20"}).start()
    held = []
    try:
        for n in range(30):
            c = RawConnection(g.port)
            held.append(c)
            c.send(HEALTH)
            a = c.answer()
            assert a.status == (200 if n < 20 else 503)
            assert n < 20 or a.header("retry-after")
    finally:
        for c in held:
            c.close()

    def fits():
        a = exchange(g.port, get())
        return a is not None and a.status == 200

    wait_until(fits, "room again")


def test_connections_per_address(make_gateway):
    g = make_gateway({"server.max_connections_per_ip": "3"}).start()
    held = [RawConnection(g.port) for _ in range(3)]
    try:
        for c in held:
            c.send(HEALTH)
            assert c.answer().status == 200
        with RawConnection(g.port) as c:
            c.send(HEALTH)
            a = c.answer()
            assert a.status == 429 and a.header("retry-after")
    finally:
        for c in held:
            c.close()

    def fits():
        a = exchange(g.port, get())
        return a is not None and a.status == 200

    wait_until(fits, "room again")


def test_a_thousand_idle_connections(make_gateway):
    g = make_gateway({"server.head_timeout": "10m"}).start()
    assert exchange(g.port, get()).status == 200
    before = g.rss_kib()
    # The gateway keeps half of its descriptors for clients.
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    n = 1000 if limit == resource.RLIM_INFINITY else min(1000, limit // 2 - 20)
    held = []
    try:
        for _ in range(n):
            held.append(RawConnection(g.port))
        wait_until(lambda: g.metric("longline_http_connections") >= n)
        assert exchange(g.port, get()).status == 200
        assert g.rss_kib() - before < 60_000
    finally:
        for c in held:
            c.close()
    wait_until(lambda: g.metric("longline_http_connections") < 20)


def test_https(make_gateway, authority):
    cert = authority.issue("server")
    g = make_gateway({"server.tls_cert": cert.cert_file, "server.tls_key": cert.key_file}).start()
    assert g.url.startswith("https://")
    context = ssl.create_default_context(cafile=authority.file)
    api = Api(g.url, ADMIN_KEY, context=context)
    g.api = api
    api.tenant("t")
    assert api.publish("t")["duplicate"] is False
    for _ in range(20):
        assert api.get("/topics").status == 200
    with RawConnection(g.port) as c:  # no TLS at all
        c.send(HEALTH)
        while c._more():
            pass
        assert b"200 OK" not in c.data
    assert api.get("/topics").status == 200
