# SPDX-License-Identifier: Apache-2.0
"""Paths: a slash too many, methods that a path does not know, escaped slashes, ignored parameters."""

import json

import pytest

from support.client import Api
from support.gateway import ADMIN_KEY
from support.raw import RawConnection, exchange

V1 = "/api/v1"
READS = [
    "/healthz",
    V1 + "/healthz",
    "/readyz",
    "/metrics",
    V1 + "/topics",
    V1 + "/tenants",
    V1 + "/tenants/x",
    V1 + "/tenants/a%20b%2Fc/destinations",
    V1 + "/events",
    V1 + "/events/e",
    V1 + "/tenants/x/destinations/d/attempts/a",
]
WRITES = [
    ("POST", V1 + "/publish"),
    ("POST", V1 + "/retry"),
    ("PUT", V1 + "/tenants/x"),
    ("DELETE", V1 + "/tenants/x"),
    ("POST", V1 + "/tenants/x/destinations"),
    ("PATCH", V1 + "/tenants/x/destinations/d"),
    ("PUT", V1 + "/tenants/x/destinations/d/enable"),
]


def moved(r, status, to):
    assert (r.status, r.headers["location"], r.body) == (status, to, b""), repr(r)


@pytest.mark.parametrize("path", READS)
def test_a_slash_too_many_when_reading(api, path):
    for client in (api, Api(api.base)):  # a redirect tells nothing that needs a key
        moved(client.request("GET", path + "/"), 301, path)
        moved(client.request("HEAD", path + "/"), 301, path)
        moved(client.request("GET", path + "/?a=%2F&b[]=/"), 301, path + "?a=%2F&b[]=/")


@pytest.mark.parametrize("method, path", WRITES)
def test_a_slash_too_many_when_writing(api, method, path):
    """307: the same request again, with its body."""
    moved(api.request(method, path + "/", json={"a": 1}), 307, path)
    moved(api.request(method, path + "/?q=1"), 307, path + "?q=1")


def test_what_follows_the_redirect(gw, api, tenant):
    """The connection is usable, or closed; the body is never taken for a request."""
    body = json.dumps({"tenant_id": tenant, "data": {}})
    with RawConnection(gw.port) as c:
        c.send(
            f"POST {V1}/publish/ HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ADMIN_KEY}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        )
        a = c.answer()
        assert (a.status, a.header("location")) == (307, V1 + "/publish")
        if a.header("connection") != "close":
            c.send("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert c.answer().status == 200
    api.post("/publish", body=body).must(202)


@pytest.mark.parametrize(
    "method, path",
    [
        ("GET", "/"),
        ("GET", "//"),
        ("GET", V1 + "/"),
        ("GET", V1 + "/nothing/"),
        ("GET", V1 + "/tenants//"),
        ("GET", V1 + "/tenants//destinations/"),
        ("GET", "//evil.example/"),
        ("GET", "//evil.example/%2f.."),
        ("POST", V1 + "/tenants/"),  # a POST to /tenants would not be redirected, but refused
        ("DELETE", V1 + "/tenants/x/destinations/"),
        ("PUT", V1 + "/tenants/"),
    ],
)
def test_no_redirect_to_nowhere(gw, method, path):
    a = exchange(gw.port, f"{method} {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n")
    assert a.status == (400 if "//" in path else 404) and a.header("location") is None


def test_a_location_is_always_a_path_of_ours(gw):
    a = exchange(gw.port, f"GET http://evil.example{V1}/topics/ HTTP/1.1\r\nHost: evil.example\r\n\r\n")
    assert (a.status, a.header("location")) == (301, V1 + "/topics")


def test_an_unknown_method_on_a_known_path(api):
    r = api.request("DELETE", V1 + "/publish")
    r.error(405, "method not allowed")
    assert r.headers["allow"] == "POST, OPTIONS"


@pytest.mark.parametrize("name", ["a%2Fb", "a%2fb", "%2F", "a%2F..%2Fb", "a%2Fdestinations"])
def test_a_tenant_cannot_have_a_slash(api, name):
    n = api.get("/tenants").must(200)["count"]
    api.request("PUT", f"{V1}/tenants/{name}").error(404, "not found")
    assert api.get("/tenants").must(200)["count"] == n


def test_the_order_of_tenants_cannot_be_chosen(api, tenant):
    plain = api.get("/tenants").must(200)
    assert api.get("/tenants", order_by="x").must(200) == plain
    assert plain["pagination"]["order_by"] == "created_at"
    assert [t["id"] for t in plain["models"]]
