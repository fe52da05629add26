# SPDX-License-Identifier: Apache-2.0
"""What all tenants share (name lookups, handshakes) is not for one of them to use up."""

import base64
import os
import random
import ssl

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from support.certs import Authority
from support.dns import NameServer
from support.gateway import FAST_RETRIES
from support.receiver import Dribble, Raw, Receiver, Reply
from support.wait import wait_until

STALLED = 240  # more than lookups that may be under way


class StallingServer(NameServer):
    """Silent about everything below stall.test."""

    def _answer(self, query):
        name = str(query.q.qname).rstrip(".").lower()
        if not name.endswith("stall.test"):
            return super()._answer(query)
        self.questions.append((name, ""))
        return None


@pytest.fixture(scope="module")
def names():
    server = StallingServer()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def trust(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("trust"))


@pytest.fixture(scope="module")
def gw(make_gateway, names, trust):
    return make_gateway(
        {
            **FAST_RETRIES,
            "delivery.retry_limit": "10",
            "egress.dns_servers": names.address,
            "egress.ca_file": trust.file,
            "api.max_destinations_per_tenant": "1000",
        }
    ).start()


def only_attempts(api, event):
    return wait_until(lambda: api.attempts(event_id=event["id"]), "a record")


def test_stalled_names_of_one_tenant(gw, api, fresh, names):
    bad, good = fresh("bad"), fresh("good")
    api.tenant(bad)
    api.tenant(good)
    for i in range(STALLED):
        api.destination(bad, f"http://n{i}.stall.test:8099/")
    names.records["good.test"] = ["127.0.0.1"]
    with Receiver() as rx:
        hook = rx.hook().script(Reply(200, close=True))
        api.destination(good, f"http://good.test:{rx.port}{hook.path}")
        api.publish(bad)
        wait_until(
            lambda: sum("stall.test" in name for name, _ in list(names.questions)) > 20,
            "lookups that nobody answers",
        )
        for _ in range(5):
            for a in only_attempts(api, api.publish(good)):
                assert (a["status"], a["code"]) == ("success", "200"), a


def _len(n):
    return bytes([n]) if n < 128 else (lambda b: bytes([0x80 | len(b)]) + b)(n.to_bytes(2, "big"))


def _der(tag, *parts):
    body = b"".join(parts)
    return bytes([tag]) + _len(len(body)) + body


def _int(v):
    return _der(2, v.to_bytes(v.bit_length() // 8 + 1, "big"))


def _name(text):
    return _der(0x30, _der(0x31, _der(0x30, b"\x06\x03\x55\x04\x03", _der(0x0C, text.encode()))))


SHA256_RSA = b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b\x05\x00"
RSA = b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01\x05\x00"


def _cert(subject, issuer, spki, is_ca, signature):
    basic = _der(0x30, b"\x06\x03\x55\x1d\x13", _der(4, _der(0x30, b"\x01\x01\xff" if is_ca else b"")))
    tbs = _der(
        0x30,
        _der(0xA0, _int(2)),
        _int(random.getrandbits(60)),
        SHA256_RSA,
        _name(issuer),
        _der(0x30, _der(0x17, b"200101000000Z"), _der(0x17, b"400101000000Z")),
        _name(subject),
        spki,
        _der(0xA3, _der(0x30, basic)),
    )
    der = _der(0x30, tbs, SHA256_RSA, _der(3, b"\0" + signature))
    text = base64.encodebytes(der).decode()
    return f"-----BEGIN CERTIFICATE-----\n{text}-----END CERTIFICATE-----\n"


def _dear_key(bits=8192):
    """As long an exponent as can be: one use takes about a second."""
    n = random.getrandbits(bits) | 3 << (bits - 2) | 1
    e = random.getrandbits(bits - 2) | 1 << (bits - 3) | 1
    return _der(0x30, RSA, _der(3, b"\0" + _der(0x30, _int(n), _int(e))))


def dear_context(directory):
    key = ec.generate_private_key(ec.SECP256R1())
    public = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    chain = _cert("localhost", "X", public, False, b"\x01" + os.urandom(1023))
    chain += "".join(_cert("X", "Y", _dear_key(), True, os.urandom(64)) for _ in range(6))
    (directory / "dear.crt").write_text(chain)
    (directory / "dear.key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(directory / "dear.crt", directory / "dear.key")
    return context


def cpu_seconds(gw):
    with open(f"/proc/{gw.pid}/stat", encoding="ascii") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_dear_certificates(gw, api, fresh, tmp_path):
    bad = fresh("dear")
    api.tenant(bad)
    with Receiver(dear_context(tmp_path), name="localhost") as rx:
        for i in range(4):
            api.destination(bad, f"{rx.base}/{i}")
        before = cpu_seconds(gw)
        event = api.publish(bad)
        wait_until(lambda: len(api.attempts(event_id=event["id"])) >= 4, "a record of each")
        used = cpu_seconds(gw) - before
        for a in api.attempts(event_id=event["id"]):
            assert a["code"] == "tls_error"
            assert "key of an unusual kind or size" in a["error"]
        assert used < 2  # 20 and more, were they used


@pytest.mark.parametrize("action", ["stalls", "trickles"])
def test_a_late_body_does_not_undo_the_answer(api, tenant, receiver, action):
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n"
    slow = Raw(head + b"some", keep=True) if action == "stalls" else Dribble(head + b"b" * 500, 0.1)
    hook = receiver.hook().script(slow)
    api.destination(tenant, hook.url)
    found = only_attempts(api, api.publish(tenant))
    assert [(a["status"], a["code"]) for a in found] == [("success", "200")]
    assert len(hook.requests) == 1


@pytest.mark.parametrize(
    "interim", [b"HTTP/1.1 100 Continue\r\nConnection: close\r\n\r\n", b"HTTP/1.0 100 Go on\r\n\r\n"]
)
def test_an_interim_answer_that_ends_the_connection(api, tenant, receiver, interim):
    final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    api.destination(tenant, receiver.hook().script(Raw(interim + final)).url)
    found = only_attempts(api, api.publish(tenant))
    assert [(a["status"], a["code"]) for a in found] == [("success", "200")]
