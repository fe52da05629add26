# SPDX-License-Identifier: Apache-2.0
"""TLS from clients: what those without a key can ask for, and what the others notice of it."""

import signal
import socket
import ssl
import subprocess
import threading

import pytest

from support.client import Api
from support.gateway import ADMIN_KEY
from support.wait import DEADLINE, wait_until


def client_hello(version=None):
    context = ssl.create_default_context()
    if version is not None:
        context.maximum_version = version
    into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        context.wrap_bio(into, out, server_hostname="localhost").do_handshake()
    except ssl.SSLWantReadError:
        pass
    return out.read()


class Crowd:
    """Plain connections from addresses of this machine, closed at the end."""

    def __init__(self, port):
        self.port = port
        self.socks = []

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        for s in self.socks:
            s.close()

    def add(self, source="127.0.0.1", data=b""):
        s = socket.socket()
        s.settimeout(DEADLINE)
        s.bind((source, 0))
        self.socks.append(s)
        s.connect(("127.0.0.1", self.port))
        try:
            s.sendall(data)
        except OSError:
            pass  # it was refused already
        return s


def ended(s):
    try:
        while s.recv(65536):
            pass
    except ConnectionResetError:
        pass
    return True


@pytest.fixture
def https(make_gateway, authority):
    def start(settings=None, label="inbound"):
        cert = authority.issue(label)
        g = make_gateway(
            {
                "server.tls_cert": cert.cert_file,
                "server.tls_key": cert.key_file,
                **(settings or {}),
            }
        ).start()
        g.context = ssl.create_default_context(cafile=authority.file)
        g.api = Api(g.url, ADMIN_KEY, context=g.context)
        g.api.tenant("t")
        return g

    return start


def connect(g, source="127.0.0.1", context=None):
    s = socket.create_connection(
        ("127.0.0.1", g.port), timeout=DEADLINE, source_address=(source, 0)
    )
    return (context or g.context).wrap_socket(s, server_hostname="127.0.0.1")


HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def test_caps_per_address_and_in_all(https):
    g = https({"server.max_handshakes": "40"})
    with Crowd(g.port) as crowd:
        for _ in range(10):
            crowd.add()
        wait_until(lambda: g.metric("longline_http_tls_in_progress") == 10)
        assert ended(crowd.add())  # an eleventh of this address
        assert g.metric("longline_http_tls_refused_total") == 1
        assert "tls.refused" in g.log_text() and "peer=127.0.0.1" in g.log_text()
        for n in range(200):
            crowd.add(f"127.0.{2 + n // 100}.{1 + n % 100}")
        wait_until(lambda: g.metric("longline_http_tls_refused_total") == 171)
        assert g.metric("longline_http_tls_in_progress") == 40
        # An honest newcomer takes the place of whoever has been silent longest.
        connect(g, "127.0.9.9").close()
        assert g.api.publish("t")["duplicate"] is False
    wait_until(lambda: g.metric("longline_http_tls_in_progress") == 0)
    connect(g).close()


@pytest.mark.parametrize("said", ["nothing", "hello"])
def test_silent_handshakes_do_not_use_up_the_connections(https, said):
    """A server for few connections has more places at its gate than connections."""
    g = https({"server.max_connections": "20"})
    with Crowd(g.port) as crowd:
        for _ in range(80):
            crowd.add(data=client_hello() if said == "hello" else b"")
        wait_until(lambda: g.metric("longline_http_tls_refused_total") > 0)
        for n in range(5):
            connect(g, f"127.0.5.{1 + n}").close()
        assert g.api.publish("t")["duplicate"] is False
        assert 20 < g.metric("longline_http_connections") + g.metric(
            "longline_http_tls_in_progress"
        ) <= 20 + 32 + 64  # and those of one turn of accepting
    wait_until(lambda: g.metric("longline_http_tls_in_progress") == 0)
    connect(g).close()


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_hellos_do_no_harm(https, version):
    """Said and not read, said and gone, cut in pieces, and no hellos at all."""
    g = https()
    hello = client_hello(getattr(ssl.TLSVersion, version))
    before = g.metric("longline_http_tls_failed_total")
    with Crowd(g.port) as crowd:
        for n in range(50):
            crowd.add(data=hello)
            crowd.add(data=hello).close()
            crowd.add("127.0.3.1", data=hello[: 7 * n])
            crowd.add("127.0.3.2", data=bytes(range(n, n + 100)))
            assert g.api.publish("t")["duplicate"] is False
    wait_until(lambda: g.metric("longline_http_tls_in_progress") == 0)
    assert g.metric("longline_http_tls_failed_total") == before + 200
    assert g.metric("longline_http_tls_refused_total") == 0
    assert g.api.publish("t")["duplicate"] is False


def s_client(g, *args, text=b""):
    return subprocess.run(
        ["openssl", "s_client", "-connect", f"127.0.0.1:{g.port}", *args],
        input=text,
        capture_output=True,
        timeout=DEADLINE,
    ).stdout


@pytest.mark.parametrize("group", ["ffdhe2048", "ffdhe8192"])
def test_dear_key_exchanges_are_refused(https, group):
    g = https()
    assert b"New, TLSv1.3" in s_client(g, "-groups", "P-256")
    assert b"(NONE)" in s_client(g, "-groups", group)


def test_renegotiation_is_refused(https):
    g = https()
    # "R" at the start of a line asks for it.
    out = s_client(g, "-tls1_2", "-legacy_server_connect", text=b"R\n")
    assert b"New, TLSv1.2" in out
    assert g.metric("longline_http_tls_handshakes_total") == 2  # this one, and the API's
    assert g.api.publish("t")["duplicate"] is False


def test_renewal_while_handshakes_run(https, authority, tmp_path):
    g = https(label="old-one")
    fresh = authority.issue("new-one")
    cert_file, key_file = g.settings["server.tls_cert"], g.settings["server.tls_key"]
    stop = threading.Event()
    names = set()
    failures = []

    def visit():
        while not stop.is_set():
            try:
                with connect(g) as s:
                    names.add(s.getpeercert()["subject"][0][0][1])
            except OSError as e:
                failures.append(e)

    visitors = [threading.Thread(target=visit) for _ in range(3)]
    for v in visitors:
        v.start()
    try:
        wait_until(lambda: names == {"old-one"}, "the old certificate")
        for source, target in ((fresh.cert_file, cert_file), (fresh.key_file, key_file)):
            with open(source, "rb") as f, open(target, "wb") as to:
                to.write(f.read())
        g.signal(signal.SIGHUP)
        wait_until(lambda: "new-one" in names, "the new certificate")
    finally:
        stop.set()
        for v in visitors:
            v.join()
    assert failures == []
    assert g.api.publish("t")["duplicate"] is False


def test_stops_with_handshakes_under_way(https):
    g = https()
    hello = client_hello()
    with Crowd(g.port) as crowd:
        for n in range(40):
            crowd.add(data=hello if n % 2 else hello[:40])
        g.stop()


def test_connections_of_one_address_over_tls(https):
    g = https({"server.max_connections_per_ip": "3"})
    g.api.close()
    wait_until(lambda: g.is_running())
    held = [connect(g) for _ in range(3)]
    try:
        for s in held:
            s.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b" 200 " in s.recv(100)
        with connect(g) as s:
            s.sendall(HEALTH)
            assert b" 429 " in s.recv(100)
        with connect(g, "127.0.4.4") as s:
            s.sendall(HEALTH)
            assert b" 200 " in s.recv(100)
    finally:
        for s in held:
            s.close()
