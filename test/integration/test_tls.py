# SPDX-License-Identifier: Apache-2.0
"""Deliveries over TLS: who is believed, and what a connection is good for."""

import socket
import ssl
import threading

import pytest

from support.certs import Authority
from support.dns import NameServer
from support.gateway import FAST_RETRIES
from support.receiver import Receiver, Reply
from support.signing import check_v0
from support.wait import wait_until


@pytest.fixture(scope="module")
def gw(make_gateway, authority):
    return make_gateway(
        {
            **FAST_RETRIES,
            "delivery.retry_limit": "0",
            "egress.ca_file": authority.file,
            "client.tls_timeout": "2m",
            "client.connect_timeout": "2m",
        }
    ).start()


def deliver(api, tenant, url):
    """One attempt; returns its record."""
    dest = api.destination(tenant, url)
    e = api.publish(tenant, {"over": "tls"}, destination_id=dest["id"])
    found = wait_until(lambda: api.attempts(event_id=e["id"], include="response_data"), "a record")
    return dest, found[0]


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_private_authority(api, tenant, authority, version):
    v = getattr(ssl.TLSVersion, version)
    with Receiver(authority.issue(f"good-{version}").context(v, v)) as rx:
        hook = rx.hook()
        dest, attempt = deliver(api, tenant, hook.url)
        assert (attempt["status"], attempt["code"]) == ("success", "200")
        r = hook.wait_for(1)[0]
        check_v0(r.header("x-outpost-signature"), r.body, dest["credentials"]["secret"])
        assert rx.resumed[0][1] == version.replace("_", ".")


def test_name(api, tenant, authority):
    """By name, with SNI: the server has one certificate for each."""
    names = []
    context = authority.issue("by-name", names=["localhost"]).context()
    context.sni_callback = lambda sock, name, ctx: names.append(name)
    with Receiver(context, name="localhost") as rx:
        _, attempt = deliver(api, tenant, rx.hook().url)
        assert attempt["status"] == "success", attempt
        assert names == ["localhost"]


def test_international_name(make_gateway, authority):
    """The ASCII form is what SNI names and the certificate has to hold."""
    server = NameServer()
    g = make_gateway(
        {
            **FAST_RETRIES,
            "delivery.retry_limit": "0",
            "egress.ca_file": authority.file,
            "egress.dns_servers": server.address,
        }
    ).start()
    g.api.tenant("t")
    names = []
    server.records["xn--bcher-kva.example"] = ["127.0.0.1"]
    context = authority.issue("idn", names=["xn--bcher-kva.example"]).context()
    context.sni_callback = lambda sock, name, ctx: names.append(name)
    with Receiver(context, name="bücher.example") as rx:
        _, attempt = deliver(g.api, "t", rx.hook().url)
        assert attempt["status"] == "success", attempt
    assert names == ["xn--bcher-kva.example"]
    g.stop()
    server.stop()


def test_one_name_in_several_spellings(api, tenant, authority):
    """SNI and the certificate have no dot of the root (RFC 6066, 3); one session serves them all."""
    names = []
    context = authority.issue("spelled", names=["localhost"]).context()
    context.sni_callback = lambda sock, name, ctx: names.append(name)
    with Receiver(context, name="localhost") as rx:
        for spelling in ("localhost.", "LOCALHOST", "LocalHost."):
            hook = rx.hook().script(Reply(200, close=True))
            _, attempt = deliver(api, tenant, hook.url.replace("localhost", spelling))
            assert attempt["status"] == "success", attempt
            assert hook.requests[0].header("host") == f"{spelling}:{rx.port}"
        assert names and set(names) == {"localhost"}
        assert [resumed for resumed, _ in rx.resumed] == [False, True, True]


@pytest.mark.parametrize("name", ["wrong-name", "expired", "not-yet", "self-signed", "other-ca"])
def test_what_is_not_believed(api, tenant, authority, tmp_path, name):
    cert = {
        "wrong-name": lambda: authority.issue(name, names=["example.com"]),
        "expired": lambda: authority.issue(name, start=-10, end=-1),
        "not-yet": lambda: authority.issue(name, start=2, end=10),
        "self-signed": lambda: authority.issue(name, self_signed=True),
        "other-ca": lambda: Authority(tmp_path, "Another CA").issue(name),
    }[name]()
    with Receiver(cert.context()) as rx:
        hook = rx.hook()
        _, attempt = deliver(api, tenant, hook.url)
        assert (attempt["status"], attempt["code"]) == ("failed", "tls_error")
        assert "response_data" not in attempt
        assert hook.requests == []


def test_without_the_authority(make_gateway, authority):
    g = make_gateway({**FAST_RETRIES, "delivery.retry_limit": "0"}).start()
    g.api.tenant("t")
    with Receiver(authority.issue("unknown").context()) as rx:
        hook = rx.hook()
        _, attempt = deliver(g.api, "t", hook.url)
        assert attempt["code"] == "tls_error" and hook.requests == []


def test_plain_http_behind_an_https_url(api, tenant):
    """It answers a ClientHello with what it answers to all nonsense. No fallback to plain text."""
    s = socket.socket()
    s.bind(("127.0.0.1", 0))
    s.listen(8)
    seen = []

    def serve():
        c, _ = s.accept()
        seen.append(c.recv(65536))
        c.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        try:
            while piece := c.recv(65536):
                seen.append(piece)
        except ConnectionResetError:
            pass
        c.close()

    threading.Thread(target=serve, daemon=True).start()
    _, attempt = deliver(api, tenant, f"https://127.0.0.1:{s.getsockname()[1]}/")
    assert (attempt["status"], attempt["code"]) == ("failed", "tls_error"), attempt
    assert seen[0][0] == 22 and not [x for x in seen if b"POST" in x]
    s.close()


def test_tls_behind_a_plain_url(api, tenant, authority):
    with Receiver(authority.issue("plain").context()) as rx:
        hook = rx.hook()
        _, attempt = deliver(api, tenant, hook.url.replace("https://", "http://"))
        assert attempt["status"] == "failed" and hook.requests == []


def test_client_certificate_wanted(api, tenant, authority):
    context = authority.issue("mutual").context()
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(authority.file)
    with Receiver(context) as rx:
        hook = rx.hook()
        _, attempt = deliver(api, tenant, hook.url)
        assert attempt["status"] == "failed"
        assert attempt["code"] in ("tls_error", "connection_reset") and hook.requests == []


def test_connections_are_kept(api, tenant, authority):
    with Receiver(authority.issue("kept").context()) as rx:
        hook = rx.hook()
        api.destination(tenant, hook.url)
        for n in range(20):
            e = api.publish(tenant, {"n": n})
            wait_until(lambda: api.attempts(event_id=e["id"]), "the answer has been taken")
        assert len(hook.requests) == 20 and rx.accepted == 1


@pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
def test_sessions_are_resumed(api, tenant, authority, version):
    v = getattr(ssl.TLSVersion, version)
    with Receiver(authority.issue(f"resumed-{version}").context(v, v)) as rx:
        hook = rx.hook().script(Reply(200, close=True))
        api.destination(tenant, hook.url)
        for _ in range(5):
            e = api.publish(tenant)
            wait_until(lambda: api.attempts(event_id=e["id"]), "the connection has ended")
        assert len(hook.requests) == 5 and rx.accepted == 5
        assert [r for r, _ in rx.resumed][1:] == [True] * 4, rx.resumed


def test_many_new_connections_at_once(api, tenant, authority):
    with Receiver(authority.issue("crowd").context()) as rx:
        hooks = [rx.hook().script(Reply(200, close=True)) for _ in range(20)]
        for h in hooks:
            api.destination(tenant, h.url)
        for _ in range(5):
            api.publish(tenant, {"x": "y" * 20000})
        for h in hooks:
            h.wait_for(5, deadline=40)
        assert {a["status"] for a in api.attempts(tenant_id=tenant, limit=1000)} <= {"success"}


def test_a_large_body_over_tls(api, tenant, authority):
    with Receiver(authority.issue("large").context()) as rx:
        hook = rx.hook().script(Reply(200, b"z" * 50000))
        api.destination(tenant, hook.url)
        api.publish(tenant, {"x": "y" * 900_000})
        assert len(hook.wait_for(1)[0].body) > 900_000
