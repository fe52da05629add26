# SPDX-License-Identifier: Apache-2.0
"""Hostile callers of the API: odd ids, forged tokens and cursors, other tenants' things, replies
that are made to grow."""

import base64
import hashlib
import hmac
import json
import time

import pytest

from support.client import seg
from support.dns import NameServer
from support.gateway import ADMIN_KEY, JWT_SECRET
from support.receiver import Reply
from support.wait import wait_until

# ---- ids ----


@pytest.mark.parametrize("tenant_id", ["a:b", "a b", "\u00e9", "a%b", 'q"\\', "*", "x" * 255])
def test_any_text_is_a_tenant(api, receiver, tenant_id):
    api.tenant(tenant_id)
    hook = receiver.hook()
    api.destination(tenant_id, hook.url)
    own = api.with_token(api.token_of(tenant_id))
    assert own.get(f"/tenants/{seg(tenant_id)}").must(200)["id"] == tenant_id
    event = api.publish(tenant_id)
    hook.wait_for(1)
    assert own.get(f"/events/{event['id']}").must(200)["tenant_id"] == tenant_id


@pytest.mark.parametrize("tenant_id", ["x" * 256, "x" * 2000, "a\nb", "\x7f", "a\u0085b"])
def test_what_no_token_could_name_is_no_tenant(api, tenant_id):
    api.put(f"/tenants/{seg(tenant_id)}").error(
        422, "validation error", ["tenant_id failed pattern validation"])
    api.get(f"/tenants/{seg(tenant_id)}").error(404, "tenant not found")


@pytest.mark.parametrize("path", ["%ff", "%c0%80", "%ed%a0%80"])
def test_paths_are_text(api, path):
    api.request("PUT", f"/api/v1/tenants/{path}").error(400, "invalid path")


# ---- tokens ----


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def forge(header, claims, key=JWT_SECRET, signature=None):
    if not isinstance(claims, bytes):
        claims = json.dumps(claims).encode()
    text = b64(json.dumps(header).encode()) + "." + b64(claims)
    mac = hmac.new(key.encode(), text.encode(), hashlib.sha256).digest()
    return text + "." + (b64(mac) if signature is None else signature)


def test_forged_tokens(api, tenant):
    now = int(time.time())
    good = {"iss": "outpost", "sub": tenant, "iat": now, "exp": now + 100}
    hs256 = {"alg": "HS256", "typ": "JWT"}
    path = f"/tenants/{tenant}"
    assert api.with_token(forge(hs256, good)).get(path).status == 200
    twice = json.dumps(good)[:-1].encode() + b',"sub":"%s"}' % tenant.encode()
    for token in [
        forge({"alg": "none"}, good, signature=""),
        forge({"alg": "none"}, good),
        forge({"alg": "HS512"}, good),
        forge({"alg": "RS256"}, good),
        forge({"alg": "HS256", "crit": ["x"]}, good),
        forge(hs256, good, key=ADMIN_KEY),
        forge(hs256, good, key=""),
        forge(hs256, {**good, "exp": now - 1000}),
        forge(hs256, {**good, "exp": str(now + 100)}),
        forge(hs256, {**good, "exp": 1e300}),
        forge(hs256, {**good, "nbf": now + 1000}),
        forge(hs256, {**good, "iss": "x"}),
        forge(hs256, {**good, "sub": [tenant]}),
        forge(hs256, {k: v for k, v in good.items() if k != "exp"}),
        forge(hs256, twice),
        forge(hs256, good) + "=",
        forge(hs256, good) + ".x",
        forge(hs256, {**good, "x": "y" * 9000}),
        "", ".", "..", "a.b.c",
    ]:
        api.with_token(token).get(path).empty(401)


# ---- other tenants ----


def test_a_token_reaches_its_own_tenant_only(api, receiver, fresh):
    a, b, same = fresh("a"), fresh("b"), fresh("same")
    hook = receiver.hook()
    for t in (a, b):
        api.tenant(t)
        api.destination(t, hook.url, id=same)
        api.publish(t, {"of": t}, id=same)
    secret = api.publish(a, {"only": "a"})["id"]
    hook.wait_for(3)
    wait_until(lambda: len(api.attempts(tenant_id=a)) == 2, "attempts of a")
    wait_until(lambda: len(api.attempts(tenant_id=b)) == 1, "attempts of b")
    attempt = api.attempts(tenant_id=a, event_id=secret)[0]["id"]
    own_attempt = api.attempts(tenant_id=b)[0]["id"]
    own = api.with_token(api.token_of(b))

    own.get(f"/events/{secret}").error(404, "event not found")
    own.get(f"/attempts/{attempt}").error(404, "attempt not found")
    own.get(f"/tenants/{b}/destinations/{same}/attempts/{attempt}").error(404, "attempt not found")
    own.post("/retry", json={"event_id": secret, "destination_id": same}).error(
        404, "event not found")
    assert own.get(f"/events/{same}").must(200)["data"] == {"of": b}
    assert own.events(id=secret) == []
    assert own.attempts(event_id=secret) == []
    for model in own.attempts(destination_id=same, include=["event.data", "destination"]):
        assert model["event"]["data"] == {"of": b}
        assert model["destination"]["tenant_id"] == b
    for query in [f"tenant_id={a}", f"tenant_id[0]={a}", f"tenant_id[]={a}",
                  f"tenant_id={b}&tenant_id={a}", f"tenant_id%5B0%5D={a}"]:
        for path in ["/events", "/attempts"]:
            own.request("GET", f"/api/v1{path}?{query}").error(
                403, "tenant_id query parameter does not match authenticated tenant")
        # One row is the token's tenant's, whatever the query says.
        assert own.get(f"/events/{same}?{query}").must(200)["data"] == {"of": b}
        assert own.get(f"/attempts/{own_attempt}?{query}").must(200)["tenant_id"] == b
        own.get(f"/events/{secret}?{query}").error(404, "event not found")
        own.get(f"/attempts/{attempt}?{query}").error(404, "attempt not found")
    for method, path in [("GET", ""), ("PUT", ""), ("DELETE", ""), ("GET", "/token"),
                         ("GET", "/destinations"), ("POST", "/destinations"),
                         ("GET", f"/destinations/{same}"), ("PATCH", f"/destinations/{same}"),
                         ("DELETE", f"/destinations/{same}"),
                         ("PUT", f"/destinations/{same}/disable"),
                         ("GET", f"/destinations/{same}/attempts")]:
        own.request(method, f"/api/v1/tenants/{a}{path}").empty(403)
    own.get(f"/tenants/{b}/token").empty(403)
    own.post("/publish", json={"tenant_id": b, "data": {}}).empty(403)


# ---- cursors ----

DIGITS = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"


def cursor(data):
    n = int.from_bytes(data, "big")
    text = ""
    while n:
        n, rest = divmod(n, 62)
        text = DIGITS[rest] + text
    return text


@pytest.mark.parametrize("text", [
    "!!", "0", "Z" * 600, "Z" * 5000, cursor(b"attv01:5"), cursor(b"tntv01:5::x"),
    cursor(b"evtv1:5"), cursor(b"evtv01:"), cursor(b"evtv01:0"), cursor(b"evtv01:-5"),
    cursor(b"evtv01: 5"), cursor(b"evtv01:5\0"), cursor(b"evtv01:18446744073709551616"),
])
def test_forged_cursors(api, text):
    for side in ("next", "prev"):
        api.get("/events", **{side: text}).error(400, "invalid cursor")


def test_cursors_at_the_edges(api):
    for position in (b"1", b"9223372036854775807", b"18446744073709551615"):
        for side in ("next", "prev"):
            for order in ("asc", "desc"):
                api.get("/events", dir=order, **{side: cursor(b"evtv01:" + position)}).must(200)


# ---- replies that are made to grow ----


def pages(api, path, **query):
    models, sizes = [], []
    while True:
        r = api.get(path, **query)
        page = r.must(200)
        sizes.append(len(r.body))
        models += page["models"]
        if page["pagination"]["next"] is None:
            return models, sizes
        query["next"] = page["pagination"]["next"]


def test_one_large_event_with_many_attempts(api, tenant, hook):
    dest = api.destination(tenant, hook.url)
    event = api.publish(tenant, {"x": "y" * 1000000})
    hook.wait_for(1)
    for n in range(12):
        api.post("/retry", json={"event_id": event["id"], "destination_id": dest["id"]}).must(202)
        hook.wait_for(n + 2)
    wait_until(lambda: len(api.attempts(tenant_id=tenant)) == 13, "all attempts")
    models, sizes = pages(api, "/attempts", tenant_id=tenant, include="event.data")
    assert len({m["id"] for m in models}) == len(models) == 13
    assert all(len(m["event"]["data"]["x"]) == 1000000 for m in models)
    assert max(sizes) < 6 << 20


def test_responses_that_grow_when_escaped(api, tenant, hook):
    hook.script(Reply(500, body=b"\x01" * 4096))
    api.destination(tenant, hook.url)
    for n in range(400):
        api.publish(tenant, {"n": n}, eligible_for_retry=False)
    wait_until(lambda: len(api.attempts(tenant_id=tenant, limit=1000)) == 400, "all attempts")
    models, sizes = pages(
        api, "/attempts", tenant_id=tenant, include="response_data", limit=1000)
    assert len(models) == 400
    assert all(m["response_data"]["body"] == "\x01" * 4096 for m in models)
    assert max(sizes) < 6 << 20


def test_objects_have_a_size(api, tenant, hook):
    api.put(f"/tenants/{tenant}", json={"metadata": {"k": "x" * 70000}}).error(
        422, "tenant id or metadata is too long")
    api.put(f"/tenants/{tenant}", json={"metadata": {"k": "x" * 60000}}).must(200)
    body = {"type": "webhook", "topics": "*", "config": {"url": hook.url}}
    api.post(f"/tenants/{tenant}/destinations",
             json={**body, "metadata": {"k": "x" * 270000}}).error(422, "destination is too large")
    for _ in range(20):
        api.post(f"/tenants/{tenant}/destinations",
                 json={**body, "metadata": {"k": "x" * 250000}}).must(201)
    assert len(api.get(f"/tenants/{tenant}/destinations").must(200)) == 20


# ---- filters ----


def nested(depth):
    filter_ = {"x": 1}
    for _ in range(depth):
        filter_ = {"x": filter_}
    return filter_


def test_filters_that_would_never_be_evaluated_are_refused(api, tenant, hook):
    path = f"/tenants/{tenant}/destinations"
    body = {"type": "webhook", "topics": "*", "config": {"url": hook.url}}
    dest = api.destination(tenant, hook.url)
    for filter_ in [nested(40), {"data": {"x": list(range(5000))}}]:
        for reply in [api.post(path, json={**body, "filter": filter_}),
                      api.patch(f"{path}/{dest['id']}", json={"filter": filter_})]:
            reply.error(422, "validation error", ["filter failed maxlength validation"])
    api.post(path, json={**body, "filter": nested(25)}).must(201)
    api.patch(f"{path}/{dest['id']}", json={"filter": {"data": {"x": list(range(4000))}}}).must(200)
    api.patch(f"{path}/{dest['id']}", json={"metadata": {"a": "b"}}).must(200)


def test_costly_filters_hold_nobody_up(gw, api, tenant, hook):
    """Were each of 26 billion comparisons made, the client would have given up long before."""
    for _ in range(20):
        api.destination(tenant, hook.url, filter={"data": {"x": [7] * 4000}})
    api.publish(tenant, {"x": [1] * 330000})


# ---- names that lead inside ----


def test_a_name_does_not_tell_what_it_stands_for(make_gateway, receiver):
    ns = NameServer()
    try:
        inside = {"loop.test": "127.0.0.1", "private.test": "10.0.0.1",
                  "meta.test": "169.254.169.254", "v6.test": "::1"}
        ns.records.update({name: [ip] for name, ip in inside.items()})
        g = make_gateway({"egress.dns_servers": ns.address, "egress.allow_http": "true",
                          "delivery.retry_limit": "0"}, dev=False).start()
        hook = receiver.hook()
        port = hook.url.split(":")[2].split("/")[0]
        g.api.tenant("t")
        for name in inside:
            g.api.destination("t", f"http://{name}:{port}/")
        g.api.publish("t")
        wait_until(lambda: len(g.api.attempts()) == len(inside), "all attempts")
        for attempt in g.api.attempts():
            assert attempt["code"] == "blocked_address"
            assert attempt["error"] == "the address is not allowed"
        assert hook.requests == []
    finally:
        ns.stop()


def test_the_gateway_does_not_call_itself(gw, api, tenant):
    for host in ["127.0.0.1", "[::ffff:127.0.0.1]"]:
        api.destination(tenant, f"http://{host}:{gw.port}/healthz")
    api.publish(tenant, eligible_for_retry=False)
    wait_until(lambda: len(api.attempts(tenant_id=tenant)) == 2, "both attempts")
    assert {a["code"] for a in api.attempts(tenant_id=tenant)} == {"blocked_address"}


# ---- dates ----


def test_dates_beyond_the_calendar_are_in_the_future(api, tenant, hook):
    body = {"type": "webhook", "topics": "*", "config": {"url": hook.url}}
    for field in ("created_at", "updated_at", "disabled_at"):
        api.post(f"/tenants/{tenant}/destinations",
                 json={**body, field: "9999-12-31T00:00:00Z"}).error(
            422, f"{field} cannot be in the future")
    dest = api.destination(tenant, hook.url)
    api.patch(f"/tenants/{tenant}/destinations/{dest['id']}",
              json={"disabled_at": "9999-12-31T00:00:00Z"}).error(
        422, "disabled_at cannot be in the future")


# ---- secrets ----


def test_secrets_stay_out_of_the_logs(make_gateway, receiver):
    g = make_gateway({"log.level": "debug", "delivery.retry_limit": "0"}).start()
    hook = receiver.hook()
    hook.script(Reply(500))
    g.api.tenant("t")
    token = g.api.token_of("t")
    dest = g.api.destination("t", hook.url, config={"custom_headers": '{"X-Key":"hush-hush"}'},
                             delivery_metadata={"k": "hush-hush"})
    g.api.with_token(token).patch(f"/tenants/t/destinations/{dest['id']}",
                                  json={"credentials": {"rotate_secret": True}}).must(200)
    g.api.with_token(token + "x").get("/topics").empty(401)
    g.api.post("/publish", body=b'{"secret":"hush-hush"').error(422, "invalid JSON")
    g.api.publish("t", {"card": "hush-hush"})
    hook.wait_for(1)
    g.stop()
    log = g.log_text()
    for secret in (ADMIN_KEY, JWT_SECRET, token.split(".")[2], "whsec_", "hush-hush"):
        assert secret not in log
    for path in g.data_dir.rglob("*"):
        assert path.stat().st_mode & 0o077 == 0, path
        if path.is_file():
            assert dest["credentials"]["secret"].encode() not in path.read_bytes(), path
