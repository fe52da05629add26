# SPDX-License-Identifier: Apache-2.0
"""`longline receive`: shows what arrives and says whether its signature is valid."""

import json
import signal
import ssl
import subprocess
import time
import urllib.request

import pytest

from support.gateway import FAST_RETRIES, binary, environment, run_command
from support.signing import v0, v1
from support.wait import DEADLINE, wait_until

SECRET = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="


class Receive:
    def __init__(self, *args, json_lines=True):
        cmd = [binary(), "receive", "--listen", "127.0.0.1:0", *args]
        if json_lines:
            cmd.append("--json")
        self.proc = subprocess.Popen(
            cmd, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(), text=True
        )
        self.first = self.proc.stdout.readline()
        self.url = json.loads(self.first)["listen"] if json_lines else self.first.split()[-1]

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        if self.proc.poll() is None:
            self.proc.terminate()
        self.proc.wait(DEADLINE)
        self.proc.stdout.close()
        self.proc.stderr.close()

    def line(self):
        return json.loads(self.proc.stdout.readline())

    def end(self):
        return self.proc.wait(DEADLINE)


def send(url, body=b'{"a":1}', headers=None, context=None):
    rq = urllib.request.Request(url + "/x?y=1", data=body, headers=headers or {}, method="POST")
    try:
        with urllib.request.urlopen(rq, timeout=DEADLINE, context=context) as r:
            return r.status
    except urllib.error.HTTPError as e:
        e.close()
        return e.code


def good_v0(body=b'{"a":1}', secret=SECRET):
    return {"X-Outpost-Signature": "v0=" + v0(secret, body), "X-Outpost-Event-Id": "e"}


def good_v1(body=b'{"a":1}', when=None):
    when = int(time.time()) if when is None else when
    return {
        "webhook-id": "e",
        "webhook-timestamp": str(when),
        "webhook-signature": v1(SECRET, "e", when, body),
    }


@pytest.mark.parametrize(
    "headers, verdict",
    [
        (good_v0, "valid"),
        (good_v1, "valid"),
        (lambda: {**good_v0(), **good_v1()}, "valid"),
        (lambda: good_v0(b"other"), "invalid"),
        (lambda: good_v0(secret="another"), "invalid"),
        (lambda: good_v1(b"other"), "invalid"),
        (lambda: good_v1(when=int(time.time()) - 3600), "invalid"),
        (lambda: {**good_v0(), **good_v1(b"other")}, "invalid"),
        (lambda: {}, "missing"),
    ],
)
def test_verdicts(headers, verdict):
    with Receive("--secret", SECRET, "--count", "1") as r:
        assert send(r.url, headers=headers()) == 200
        got = r.line()
        assert got["signature"] == verdict, got
        assert (got["method"], got["target"], got["body"]) == ("POST", "/x?y=1", '{"a":1}')
        assert r.end() == (0 if verdict == "valid" else 1)


def test_several_secrets_and_requests():
    with Receive("--secret", "one", "--secret", "two", "--count", "3") as r:
        for secret in ("one", "two", "one"):
            send(r.url, headers=good_v0(secret=secret))
            assert r.line()["signature"] == "valid"
        assert r.end() == 0


def test_without_a_secret():
    with Receive("--count", "1") as r:
        send(r.url, headers=good_v0())
        assert r.line()["signature"] == "unchecked"
        assert r.end() == 0


def test_status():
    with Receive("--status", "503", "--count", "1") as r:
        assert send(r.url) == 503


def test_text_for_people():
    with Receive("--secret", SECRET, "--count", "1", json_lines=False) as r:
        send(r.url, body=b'{"a":"\x1b[31mred"}', headers=good_v0(b'{"a":"\x1b[31mred"}'))
        assert r.end() == 0
        text = r.proc.stdout.read()
    assert "valid" in text and "POST /x?y=1" in text
    assert "\x1b" not in text, "a terminal must not be told what to do"


def test_it_stops_on_a_signal():
    with Receive() as r:
        r.proc.send_signal(signal.SIGINT)
        assert r.end() == 0


@pytest.mark.parametrize(
    "args",
    [
        ["--status", "abc"],
        ["--status", "99"],
        ["--count", "x"],
        ["--listen", "nonsense"],
        ["--tls-cert", "/none", "--tls-key", "/none"],
        ["--tls-cert", "/none"],
    ],
)
def test_wrong_options(args):
    r = run_command("receive", *args)
    assert r.returncode != 0 and r.stderr.startswith("longline:"), r


def test_https_from_the_gateway(make_gateway, authority):
    """The tour's second half: a private authority on both sides."""
    cert = authority.issue("receive")
    g = make_gateway({**FAST_RETRIES, "egress.ca_file": authority.file}).start()
    g.api.tenant("t")
    with Receive(
        "--secret", SECRET, "--tls-cert", cert.cert_file, "--tls-key", cert.key_file, "--count", "2"
    ) as r:
        assert r.url.startswith("https://")
        g.api.destination("t", r.url + "/hook", credentials={"secret": SECRET})
        e = g.api.publish("t", {"over": "tls"}, topic="x")
        got = r.line()
        assert got["signature"] == "valid" and json.loads(got["body"]) == {"over": "tls"}
        context = ssl.create_default_context(cafile=authority.file)
        assert send(r.url, headers=good_v0(), context=context) == 200
        assert r.end() == 0
    a = wait_until(lambda: g.api.attempts(event_id=e["id"]))[0]
    assert a["status"] == "success"
