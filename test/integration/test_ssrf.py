# SPDX-License-Identifier: Apache-2.0
"""
Where deliveries may go. What is forbidden is refused when the destination is made, as far as the
URL tells; and in any case when the connection is made, by the address that is connected to.
"""

import socket

import pytest

from support.dns import NameServer
from support.gateway import FAST_RETRIES
from support.ports import DeadPort
from support.receiver import Receiver, Reply
from support.wait import stays_true, wait_until

ONCE = {**FAST_RETRIES, "delivery.retry_limit": "0", "client.dns_timeout": "30s"}


@pytest.fixture(scope="module")
def names():
    server = NameServer()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def closed(make_gateway, names):
    """As a stranger would run it, but for plain http, so that the canary needs no TLS."""
    g = make_gateway(
        {**ONCE, "egress.allow_http": "true", "egress.dns_servers": names.address}, dev=False
    ).start()
    g.api.tenant("t")
    return g


@pytest.fixture(scope="module")
def dev(make_gateway, names):
    g = make_gateway({**ONCE, "egress.dns_servers": names.address}).start()
    g.api.tenant("t")
    return g


def test_names_are_absolute(make_gateway, names, receiver, tmp_path):
    """A tenant's name is not completed with the machine's search domains, nor is it an alias."""
    aliases = tmp_path / "aliases"
    aliases.write_text("alias target.test\n")
    names.records["target.test"] = names.records["short.corp.test"] = ["127.0.0.1"]
    names.records["two.labels.corp.test"] = ["127.0.0.1"]
    g = make_gateway(
        {**ONCE, "egress.dns_servers": names.address},
        env={
            "LOCALDOMAIN": "corp.test",
            "RES_OPTIONS": "ndots:5",
            "HOSTALIASES": str(aliases),
        },
    ).start()
    g.api.tenant("t")
    hook = receiver.hook()
    del names.questions[:]
    for host in ("short", "two.labels", "alias", "short."):
        d = g.api.destination("t", hook.url.replace("127.0.0.1", host))
        e = g.api.publish("t", destination_id=d["id"])
        a = wait_until(lambda: g.api.attempts(event_id=e["id"]))[0]
        assert a["status"] == "failed" and a["code"] == "dns_error", (host, a)
    assert {name for name, _ in names.questions} == {"short", "two.labels", "alias"}
    d = g.api.destination("t", hook.url.replace("127.0.0.1", "target.test"))
    g.api.publish("t", destination_id=d["id"])
    hook.wait_for(1)


FORBIDDEN = [
    "127.0.0.1",
    "127.1.2.3",
    "localhost",
    "LOCALHOST",
    "foo.localhost",
    "localhost.",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[::ffff:127.0.0.1]",
    "[::ffff:7f00:1]",
    "[::127.0.0.1]",
    "[64:ff9b::7f00:1]",
    "[64:ff9b:1::1]",
    "[2002:7f00:1::]",
    "0.0.0.0",
    "0.1.2.3",
    "[::]",
    "10.0.0.1",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "100.64.0.1",
    "169.254.1.1",
    "169.254.169.254",
    "169.254.170.2",
    "100.100.100.200",
    "168.63.129.16",
    "192.0.0.192",
    "metadata.google.internal",
    "x.internal",
    "printer.local",
    "192.0.2.1",
    "198.18.0.1",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "240.0.0.1",
    "255.255.255.255",
    "[fe80::1]",
    "[fc00::1]",
    "[fd00:ec2::254]",
    "[ff02::1]",
    "[fec0::1]",
    "[2001:db8::1]",
    "[2001::1]",
    "[100::1]",
    "[3fff::1]",
    "[5f00::1]",
    "[4000::1]",
    # odd spellings of 127.0.0.1 that resolvers understand
    "127.1",
    "127.0.1",
    "2130706433",
    "0x7f000001",
    "0x7f.0.0.1",
    "0177.0.0.1",
    "017700000001",
    "127.0.0.01",
    "127.0.0.1.",
    "1",
    "0",
    "0x7f.1",
    "00127.0.0.1",
    "127.0.0.0x1",
    "256.1.1.1",
    # the same in characters that become plain ones before a lookup
    "１２７．０．０．１",
    "127。0。0｡1",
    "１６９．２５４．１６９．２５４",
    "①",
    "0ｘ7f.1",
    "ｌｏｃａｌｈｏｓｔ",
    "foo。localhost",
    "local\u00adhost",
    "x.ｉｎｔｅｒｎａｌ",
    "metadata。google。internal",
    "［::1］",
    "127.0.0.1／.example.com",
    "127.0.0.1＃.example.com",
    "a＠127.0.0.1",
]


@pytest.mark.parametrize("host", FORBIDDEN)
def test_refused_when_it_is_made(closed, host):
    r = closed.api.post(
        "/tenants/t/destinations",
        json={"type": "webhook", "topics": "*", "config": {"url": f"http://{host}:8080/x"}},
    )
    assert r.status == 422 and r.json["message"] == "validation error", repr(r)
    assert r.json["data"][0].startswith("config.url"), repr(r)


@pytest.mark.parametrize(
    "url",
    [
        "http://user:pass@example.com/",
        "http://example.com@127.0.0.1/",
        "http://127.0.0.1#@example.com/",
        "http://example.com\\@127.0.0.1/",
        "http://[fe80::1%25eth0]/",
        "http://127.0.0.1%00.example.com/",
        "http://%31%32%37.0.0.1/",
        "http://１２７.0.0.1/",
        "http://①/",
    ],
)
def test_urls_that_mean_two_things(closed, url):
    r = closed.api.post(
        "/tenants/t/destinations", json={"type": "webhook", "topics": "*", "config": {"url": url}}
    )
    assert r.status == 422, repr(r)


def test_public_addresses_are_fine(closed):
    for host in (
        "example.com",
        "93.184.216.34",
        "[2606:2800:220:1::1]",
        "1.1.1.1",
        "172.32.0.1",
        "11.0.0.1",
        "x1.example",
        "internal.example",
        "bücher.example",
        "例え.テスト",
        "faß.example",
    ):
        closed.api.post(
            "/tenants/t/destinations",
            json={
                "type": "webhook",
                "topics": ["never"],
                "config": {"url": f"http://{host}/x"},
                "disabled_at": "2024-01-01T00:00:00Z",
            },
        ).must(201)


@pytest.mark.parametrize(
    "url, ok",
    [
        ("https://x.internal/", True),
        ("https://printer.local/", True),
        ("https://10.1.2.3/", True),
        ("https://192.168.1.1/", False),
        ("https://localhost/", False),
        ("https://metadata.google.internal/", False),
    ],
)
def test_names_of_an_allowed_network(make_gateway, url, ok):
    g = make_gateway({"egress.allow": "10.0.0.0/8"}, dev=False).start()
    g.api.tenant("t")
    new = {"type": "webhook", "topics": ["never"], "config": {"url": url}}
    r = g.api.post("/tenants/t/destinations", json=new)
    assert r.status == (201 if ok else 422), repr(r)
    g.stop()


def test_private_networks_that_are_allowed(make_gateway):
    g = make_gateway({"egress.allow_private": "true"}, dev=False).start()
    g.api.tenant("t")
    for url in ("https://x.internal/", "https://10.1.2.3/", "https://[fd00::1]/"):
        g.api.destination("t", url, topics=["never"])


def test_the_case_of_the_scheme(closed):
    for url in ("HTTPS://example.com/a", "HttP://example.com/a"):
        d = closed.api.destination("t", url, topics=["never"])
        assert (d["config"]["url"], d["target"]) == (url, url)


def test_changing_the_url_is_checked_too(closed):
    d = closed.api.destination("t", "http://example.com/", topics=["never"])
    r = closed.api.patch(
        f"/tenants/t/destinations/{d['id']}", json={"config": {"url": "http://127.0.0.1/"}}
    )
    assert r.status == 422, repr(r)


def test_plain_http_is_refused_by_default(make_gateway):
    g = make_gateway(dev=False).start()
    g.api.tenant("t")
    r = g.api.post(
        "/tenants/t/destinations",
        json={"type": "webhook", "topics": "*", "config": {"url": "http://example.com/"}},
    )
    assert r.status == 422 and "https" in r.json["data"][0], repr(r)
    g.api.destination("t", "https://example.com/")


# ---- at connect ----


def one_attempt(g, url):
    d = g.api.destination("t", url)
    try:
        e = g.api.publish("t", destination_id=d["id"])
        return wait_until(lambda: g.api.attempts(event_id=e["id"]), "a record")[0]
    finally:
        g.api.delete(f"/tenants/t/destinations/{d['id']}").must(200)


@pytest.mark.parametrize(
    "addresses",
    [
        ["127.0.0.1"],
        ["10.0.0.1"],
        ["169.254.169.254"],
        ["::1"],
        ["::ffff:127.0.0.1"],
        ["0.0.0.0"],
        ["127.0.0.1", "::1"],
    ],
)
def test_names_that_lead_inside(closed, names, receiver, addresses):
    names.records["inside.example"] = addresses
    hook = receiver.hook()
    a = one_attempt(closed, f"http://inside.example:{receiver.port}{hook.path}")
    assert (a["status"], a["code"]) == ("failed", "blocked_address"), a
    assert hook.requests == []


def test_a_name_that_moves_inside(closed, names, receiver):
    """DNS rebinding: what was allowed a moment ago is judged anew."""
    names.records["moving.example"] = ["93.184.216.34"]
    hook = receiver.hook()
    d = closed.api.destination("t", f"http://moving.example:{receiver.port}{hook.path}")
    names.records["moving.example"] = ["127.0.0.1"]
    e = closed.api.publish("t", destination_id=d["id"])
    a = wait_until(lambda: closed.api.attempts(event_id=e["id"]))[0]
    assert a["code"] == "blocked_address" and hook.requests == []
    closed.api.delete(f"/tenants/t/destinations/{d['id']}").must(200)


def beside(host, make):
    """A receiver at the host, and what is made with the same port: by chance it may be in use."""
    for _ in range(20):
        rx = Receiver(host=host)
        try:
            return rx, make(rx.port)
        except OSError:
            rx.stop()
    raise AssertionError("no port is free at both addresses")


def test_only_the_allowed_address_of_several(make_gateway, names):
    g = make_gateway(
        {
            **ONCE,
            "egress.allow_http": "true",
            "egress.dns_servers": names.address,
            "egress.allow": "127.0.0.2/32",
        },
        dev=False,
    ).start()
    g.api.tenant("t")
    rx, canary = beside("127.0.0.2", lambda port: Receiver(port=port))
    with rx, canary:
        names.records["both.example"] = ["127.0.0.1", "127.0.0.2"]
        for _ in range(5):
            a = one_attempt(g, f"http://both.example:{rx.port}/x")
            assert a["status"] == "success", a
        assert canary.requests == [] and len(rx.requests) == 5


def test_denied_networks(make_gateway, receiver):
    g = make_gateway({**ONCE, "egress.deny": "127.0.0.0/8"}).start()
    g.api.tenant("t")
    r = g.api.post(
        "/tenants/t/destinations",
        json={"type": "webhook", "topics": "*", "config": {"url": receiver.hook().url}},
    )
    assert r.status == 422, repr(r)


def test_the_gateway_itself(dev):
    a = one_attempt(dev, f"http://127.0.0.1:{dev.port}/api/v1/publish")
    assert (a["status"], a["code"]) == ("failed", "blocked_address"), a


def test_redirects_are_not_followed(dev, receiver):
    inside = receiver.hook()
    for status in (301, 302, 303, 307, 308):
        hook = receiver.hook().script(Reply(status, b"", {"Location": inside.url}))
        a = one_attempt(dev, hook.url)
        assert (a["status"], a["code"]) == ("failed", str(status))
    stays_true(lambda: inside.requests == [], 0.2)


# ---- names ----


def test_names_work(dev, names, receiver):
    names.records["good.example"] = ["127.0.0.1"]
    hook = receiver.hook()
    a = one_attempt(dev, f"http://good.example:{receiver.port}{hook.path}")
    assert a["status"] == "success"
    assert hook.requests[0].header("host") == f"good.example:{receiver.port}"


def test_international_names_and_paths(dev, names, receiver):
    """Shown as given, sent in ASCII."""
    names.records["xn--bcher-kva.example"] = ["127.0.0.1"]
    hook = receiver.hook("/hook/%C3%A9/%e4?q=%E2%9C%93&r=%20")
    url = f"http://Bücher。example:{receiver.port}/hook/é/%e4?q=✓&r=%20"
    d = dev.api.destination("t", url)
    assert (d["config"]["url"], d["target"]) == (url, url)
    e = dev.api.publish("t", destination_id=d["id"])
    a = wait_until(lambda: dev.api.attempts(event_id=e["id"]), "a record")[0]
    dev.api.delete(f"/tenants/t/destinations/{d['id']}").must(200)
    assert a["status"] == "success", a
    assert hook.requests[0].header("host") == f"xn--bcher-kva.example:{receiver.port}"


def test_a_query_without_a_path(dev, receiver):
    hook = receiver.hook("/?a=b")
    a = one_attempt(dev, f"http://127.0.0.1:{receiver.port}?a=b")
    assert a["status"] == "success" and len(hook.requests) == 1


def test_international_names_that_lead_inside(closed, names, receiver):
    names.records["xn--bcher-kva.example"] = ["127.0.0.1"]
    hook = receiver.hook()
    a = one_attempt(closed, f"http://bücher.example:{receiver.port}{hook.path}")
    assert (a["status"], a["code"]) == ("failed", "blocked_address"), a
    assert hook.requests == []


@pytest.mark.parametrize(
    "what, codes",
    [
        ("NXDOMAIN", ["dns_error"]),
        ("SERVFAIL", ["dns_error"]),
        ("REFUSED", ["dns_error"]),
        ([], ["dns_error"]),
    ],
)
def test_names_that_do_not(dev, names, what, codes):
    name = f"bad-{what if what else 'empty'}.example".lower()
    names.records[name] = what
    a = one_attempt(dev, f"http://{name}:1/x")
    assert a["status"] == "failed" and a["code"] in codes, a


def test_a_name_server_that_says_nothing(make_gateway, names):
    g = make_gateway(
        {**ONCE, "client.dns_timeout": "500ms", "egress.dns_servers": names.address}
    ).start()
    g.api.tenant("t")
    names.records["silent.example"] = "silent"
    a = one_attempt(g, "http://silent.example:1/x")
    assert a["status"] == "failed" and a["code"] in ("dns_error", "timeout"), a


def has_ipv6():
    with socket.socket(socket.AF_INET6) as s:
        try:
            s.bind(("::1", 0))
        except OSError:
            return False
    return True


@pytest.mark.skipif(not has_ipv6(), reason="this machine has no address ::1")
def test_ipv6(dev, names):
    with Receiver(host="::1") as rx:
        assert one_attempt(dev, rx.hook().url)["status"] == "success"
        names.records["six.example"] = ["::1"]
        assert one_attempt(dev, f"http://six.example:{rx.port}/x")["status"] == "success"


def test_the_second_address_is_tried(dev, names):
    """One address refuses, the other answers."""
    rx, dead = beside("127.0.0.3", DeadPort)
    with rx:
        names.records["two.example"] = ["127.0.0.1", "127.0.0.3"]
        for _ in range(4):
            assert one_attempt(dev, f"http://two.example:{rx.port}/x")["status"] == "success"
        dead.close()
