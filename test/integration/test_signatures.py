# SPDX-License-Identifier: Apache-2.0
"""Signatures, checked by independent code: v0=, Standard Webhooks, rotation."""

import base64

import pytest
from standardwebhooks import Webhook
from standardwebhooks.webhooks import WebhookVerificationError

from support.gateway import FAST_RETRIES
from support.receiver import Held, Reply
from support.signing import check_v0, v0
from support.times import after, show
from support.wait import wait_until

RAW_KEY = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="


@pytest.fixture(scope="module")
def standard(make_gateway):
    g = make_gateway({**FAST_RETRIES, "webhook.mode": "standard"}).start()
    g.api.tenant("t")
    return g.api


@pytest.fixture(scope="module")
def both(make_gateway):
    g = make_gateway({**FAST_RETRIES, "webhook.mode": "both"}).start()
    g.api.tenant("t")
    return g.api


def verify(secret, request):
    headers = {k.lower(): v for k, v in request.headers}
    return Webhook(secret).verify(request.body, headers)


# ---- v0 ----


def test_the_golden_vector():
    """The check itself, against an example with a known result."""
    body = b'{"order_id":"ord_1","amount":1500}'
    assert v0("whsec_" + "0123456789abcdef" * 4, body) == (
        "e9e09be283ceef94a20dbd562a83a3840953c72f84febca13483d91cd0855de5"
    )


def test_the_golden_delivery(api, tenant, hook):
    api.destination(
        tenant,
        hook.url,
        credentials={
            "secret": "whsec_" + "0123456789abcdef" * 4,
            "previous_secret": "whsec_" + "f" * 64,
            "previous_secret_invalid_at": show(after(600)),
        },
    )
    api.request(
        "POST",
        "/api/v1/publish",
        body=(
            b'{"id":"evt_1","tenant_id":"%s","topic":"order.created","metadata":{"source":"web"},'
            b'"data":{"order_id":"ord_1","amount":1500}}' % tenant.encode()
        ),
    ).must(202)
    r = hook.wait_for(1)[0]
    assert r.body == b'{"order_id":"ord_1","amount":1500}'
    assert r.header("x-outpost-signature") == (
        "v0=e9e09be283ceef94a20dbd562a83a3840953c72f84febca13483d91cd0855de5,"
        "1916580f460bb39017f94fe6176847ea76ee54c6b489a4ab795838e056403c52"
    )
    assert (
        r.header("x-outpost-event-id"),
        r.header("x-outpost-topic"),
        r.header("x-outpost-source"),
    ) == ("evt_1", "order.created", "web")


def test_rotation_signs_with_both(api, tenant, hook):
    d = api.destination(tenant, hook.url)
    old = d["credentials"]["secret"]
    p = f"/tenants/{tenant}/destinations/{d['id']}"
    api.publish(tenant)
    r = hook.wait_for(1)[0]
    check_v0(r.header("x-outpost-signature"), r.body, old)
    new = api.patch(p, json={"credentials": {"rotate_secret": True}}).must(200)["credentials"]
    # At once, and not after a cache has gone cold.
    api.publish(tenant)
    r = hook.wait_for(2)[1]
    check_v0(r.header("x-outpost-signature"), r.body, new["secret"], old)


def test_the_old_secret_ends_in_time(api, tenant, hook):
    d = api.destination(tenant, hook.url)
    p = f"/tenants/{tenant}/destinations/{d['id']}"
    new = api.patch(
        p,
        json={
            "credentials": {"rotate_secret": True, "previous_secret_invalid_at": show(after(3600))}
        },
    ).must(200)
    new = new["credentials"]
    api.publish(tenant)
    r = hook.wait_for(1)[0]
    check_v0(r.header("x-outpost-signature"), r.body, new["secret"], d["credentials"]["secret"])
    soon = {"previous_secret_invalid_at": show(after(1))}
    api.patch(p, json={"credentials": soon}).must(200)

    def only_new():
        n = len(hook.requests)
        api.publish(tenant)
        last = hook.wait_for(n + 1)[-1]
        return last.header("x-outpost-signature") == "v0=" + v0(new["secret"], last.body)

    wait_until(only_new, "the old secret is out of use", interval=0.1)
    assert "previous_secret" not in api.get(p).must(200)["credentials"]


def test_rotation_between_attempts(api, tenant, hook):
    held = Held(Reply(500))
    hook.script(held, Reply(200))
    d = api.destination(tenant, hook.url)
    api.publish(tenant)
    hook.wait_for(1)
    new = api.patch(
        f"/tenants/{tenant}/destinations/{d['id']}", json={"credentials": {"rotate_secret": True}}
    ).must(200)["credentials"]
    held.let_go()
    r = hook.wait_for(2)[1]
    check_v0(r.header("x-outpost-signature"), r.body, new["secret"], d["credentials"]["secret"])


def test_metadata_cannot_forge(api, tenant, hook):
    d = api.destination(
        tenant,
        hook.url,
        delivery_metadata={"signature": "forged"},
        config={"custom_headers": {"X-Outpost-Signature": "forged"}},
    )
    api.publish(tenant, metadata={"signature": "v0=forged"})
    r = hook.wait_for(1)[0]
    assert len(r.all("x-outpost-signature")) == 1
    check_v0(r.header("x-outpost-signature"), r.body, d["credentials"]["secret"])


# ---- Standard Webhooks ----


def test_standard(standard, receiver):
    hook = receiver.hook()
    d = standard.destination("t", hook.url)
    secret = d["credentials"]["secret"]
    assert secret.startswith("whsec_") and len(base64.b64decode(secret[6:])) == 32
    e = standard.publish("t", {"hello": "wörld"}, topic="greeting", metadata={"source": "web"})
    r = hook.wait_for(1)[0]
    assert verify(secret, r) == {"hello": "wörld"}
    assert r.header("webhook-id") == e["id"]
    assert abs(int(r.header("webhook-timestamp")) - r.wall) < 60
    assert r.header("webhook-topic") == "greeting"
    assert r.header("webhook-source") == "web"
    assert r.header("source") == "web"
    assert r.header("x-outpost-signature") is None
    with pytest.raises(WebhookVerificationError):
        verify(RAW_KEY, r)


def test_standard_rotation(standard, receiver):
    hook = receiver.hook()
    d = standard.destination("t", hook.url)
    new = standard.patch(
        f"/tenants/t/destinations/{d['id']}", json={"credentials": {"rotate_secret": True}}
    ).must(200)["credentials"]
    standard.publish("t")
    r = hook.wait_for(1)[0]
    assert len(r.header("webhook-signature").split(" ")) == 2
    verify(new["secret"], r)
    verify(d["credentials"]["secret"], r)


def test_standard_retries_are_signed_anew(standard, receiver):
    hook = receiver.hook().script(Reply(503, headers={"Retry-After": "2"}), Reply(200))
    d = standard.destination("t", hook.url, credentials={"secret": RAW_KEY})
    standard.publish("t")
    first, second = hook.wait_for(2)
    assert first.header("webhook-id") == second.header("webhook-id")
    assert int(second.header("webhook-timestamp")) > int(first.header("webhook-timestamp"))
    for r in (first, second):
        verify(d["credentials"]["secret"], r)


def test_standard_ids_may_not_hold_dots(standard):
    r = standard.post("/publish", json={"tenant_id": "t", "id": "a.b", "data": {}})
    assert r.status == 422, repr(r)


def test_standard_metadata_cannot_forge(standard, receiver):
    hook = receiver.hook()
    d = standard.destination("t", hook.url)
    standard.publish(
        "t",
        metadata={"id": "forged", "timestamp": "1", "signature": "v1,xxxx", "webhook-id": "forged"},
    )
    r = hook.wait_for(1)[0]
    for name in ("webhook-id", "webhook-timestamp", "webhook-signature"):
        assert len(r.all(name)) == 1
    verify(d["credentials"]["secret"], r)


WRONG = ["plain", "whsec_", "whsec_not base64", "whsec_AAA", "AAECAwQFBgc="]
REFUSED = (422, "validation error", ["credentials.secret failed pattern validation"])


@pytest.mark.parametrize("secret", WRONG)
@pytest.mark.parametrize("mode", ["standard", "both"])
def test_standard_secrets_of_the_wrong_form(request, mode, secret):
    api = request.getfixturevalue(mode)
    config = {"url": "https://example.invalid/"}
    new = {"type": "webhook", "topics": ["never"], "config": config}
    new["credentials"] = {"secret": secret}
    api.post("/tenants/t/destinations", json=new).error(*REFUSED)
    d = api.destination("t", config["url"], topics=["never"])
    p = f"/tenants/t/destinations/{d['id']}"
    api.patch(p, json={"credentials": {"secret": secret}}).error(*REFUSED)
    assert api.get(p).must(200)["credentials"] == d["credentials"]
    api.patch(p, json={"credentials": {"secret": RAW_KEY}}).must(200)


def test_stored_secrets_of_the_wrong_form_go_on_working(make_gateway, receiver):
    """From another mode: they sign as before, and do not stand in the way of a change."""
    hook = receiver.hook()
    g = make_gateway(FAST_RETRIES).start()
    g.api.tenant("t")
    d = g.api.destination("t", hook.url, credentials={"secret": "plain"})
    p = f"/tenants/t/destinations/{d['id']}"
    g.settings["webhook.mode"] = "standard"
    g.restart()
    g.api.publish("t", {"n": 1})
    r = hook.wait_for(1)[0]
    plain = "whsec_" + base64.b64encode(b"plain").decode()
    verify(plain, r)
    g.api.patch(p, json={"config": {"url": hook.url, "x": "y"}}).must(200)
    new = g.api.patch(p, json={"credentials": {"rotate_secret": True}}).must(200)["credentials"]
    assert new["previous_secret"] == "plain"
    g.api.publish("t", {"n": 2})
    r = hook.wait_for(2)[1]
    verify(plain, r)
    verify(new["secret"], r)


def test_both(both, receiver):
    hook = receiver.hook()
    d = both.destination("t", hook.url)
    both.publish("t", {"a": 1}, metadata={"source": "web"})
    r = hook.wait_for(1)[0]
    assert (r.header("x-outpost-source"), r.header("source")) == ("web", "web")
    verify(d["credentials"]["secret"], r)
    check_v0(r.header("x-outpost-signature"), r.body, d["credentials"]["secret"])
