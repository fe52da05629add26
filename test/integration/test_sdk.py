# SPDX-License-Identifier: Apache-2.0
"""The official Outpost SDK for Python, unchanged, against this gateway."""

import pytest
from outpost_sdk import Outpost, errors

from support.gateway import ADMIN_KEY
from support.signing import check_v0
from support.wait import wait_until


@pytest.fixture(scope="module")
def sdk(gw):
    with Outpost(server_url=gw.url + "/api/v1", api_key=ADMIN_KEY) as client:
        yield client


def webhook(url, topics="*", **more):
    return {"type": "webhook", "topics": topics, "config": {"url": url}, **more}


def test_health(sdk):
    assert sdk.health.check()


def test_tenants(sdk):
    t = sdk.tenants.upsert(tenant_id="sdk-1", body={"metadata": {"plan": "pro"}})
    assert (t.id, t.destinations_count, t.topics) == ("sdk-1", 0, [])
    assert sdk.tenants.get(tenant_id="sdk-1").metadata == {"plan": "pro"}
    sdk.tenants.upsert(tenant_id="sdk-2")
    ids, cursor = [], {}
    while True:
        page = sdk.tenants.list(request={"limit": 1, **cursor})
        ids += [m.id for m in page.models]
        if page.pagination.next_cursor is None:
            break
        cursor = {"next": page.pagination.next_cursor}
    assert page.count == len(ids)
    assert {"sdk-1", "sdk-2"} <= set(ids) and len(ids) == len(set(ids))
    token = sdk.tenants.get_token(tenant_id="sdk-1")
    assert token.tenant_id == "sdk-1" and token.token.count(".") == 2
    assert sdk.tenants.delete(tenant_id="sdk-2").success is True


def test_destinations(sdk):
    sdk.tenants.upsert(tenant_id="sdk-d")
    d = sdk.destinations.create(
        tenant_id="sdk-d", body=webhook("https://example.com/a", ["a", "b"])
    )
    assert d.topics == ["a", "b"] and d.config.url == "https://example.com/a"
    assert d.disabled_at is None and d.credentials.secret.startswith("whsec_")
    got = sdk.destinations.get(tenant_id="sdk-d", destination_id=d.id)
    assert got == d
    changed = sdk.destinations.update(
        tenant_id="sdk-d",
        destination_id=d.id,
        body={"type": "webhook", "topics": ["c"], "metadata": {"x": "y"}},
    )
    assert changed.topics == ["c"] and changed.metadata == {"x": "y"}
    off = sdk.destinations.disable(tenant_id="sdk-d", destination_id=d.id)
    assert off.disabled_at is not None
    assert sdk.destinations.enable(tenant_id="sdk-d", destination_id=d.id).disabled_at is None
    assert [x.id for x in sdk.destinations.list(tenant_id="sdk-d")] == [d.id]
    assert sdk.destinations.delete(tenant_id="sdk-d", destination_id=d.id).success is True
    assert sdk.destinations.list(tenant_id="sdk-d") == []


def test_publish_and_read_back(sdk, hook):
    sdk.tenants.upsert(tenant_id="sdk-p")
    d = sdk.destinations.create(tenant_id="sdk-p", body=webhook(hook.url))
    got = sdk.publish(
        request={
            "tenant_id": "sdk-p",
            "topic": "order.created",
            "id": "sdk-evt-1",
            "data": {"order": 1},
            "metadata": {"source": "sdk"},
        }
    )
    assert got.id == "sdk-evt-1" and got.duplicate is False and got.destination_ids == [d.id]
    r = hook.wait_for(1)[0]
    check_v0(r.header("x-outpost-signature"), r.body, d.credentials.secret)

    event = sdk.events.get(event_id="sdk-evt-1")
    assert event.topic == "order.created" and event.data == {"order": 1}
    page = sdk.events.list(request={"tenant_id": "sdk-p"})
    assert [e.id for e in page.models] == ["sdk-evt-1"]

    def attempts():
        return sdk.attempts.list(
            request={"event_id": "sdk-evt-1", "include": ["event", "response_data"]}
        ).models

    a = wait_until(attempts)[0]
    assert (a.status, a.code, a.attempt_number) == ("success", "200", 1)
    assert sdk.attempts.get(attempt_id=a.id).id == a.id
    below = sdk.destinations.list_attempts(request={"tenant_id": "sdk-p", "destination_id": d.id})
    assert [x.id for x in below.models] == [a.id]

    assert sdk.retry(request={"event_id": "sdk-evt-1", "destination_id": d.id}).success is True
    hook.wait_for(2)
    wait_until(lambda: len(attempts()) == 2)
    assert {x.manual for x in attempts()} == {True, False}


def test_pages(sdk):
    sdk.tenants.upsert(tenant_id="sdk-pages")
    for i in range(7):
        sdk.publish(request={"tenant_id": "sdk-pages", "topic": "t", "data": {"i": i}})
    sizes, cursor = [], {}
    while True:
        page = sdk.events.list(request={"tenant_id": "sdk-pages", "limit": 3, **cursor})
        sizes.append(len(page.models))
        if page.pagination.next_cursor is None:
            break
        cursor = {"next": page.pagination.next_cursor}
    assert sizes == [3, 3, 1]


def test_types_and_topics(sdk):
    assert "webhook" in [t.type for t in sdk.schemas.list_destination_types()]
    assert sdk.schemas.get_destination_type(type_="webhook").type == "webhook"
    assert sdk.topics.list() == []


def test_errors_are_typed(sdk, gw):
    with pytest.raises(errors.NotFoundError) as e:
        sdk.tenants.get(tenant_id="sdk-nobody")
    assert "tenant not found" in str(e.value)
    sdk.tenants.upsert(tenant_id="sdk-e")
    with pytest.raises(errors.NotFoundError):
        sdk.destinations.get(tenant_id="sdk-e", destination_id="nothing")
    with pytest.raises(errors.OutpostError) as e:
        sdk.destinations.create(tenant_id="sdk-e", body=webhook("nonsense"))
    assert e.value.status_code == 422 and "validation error" in str(e.value)
    with Outpost(server_url=gw.url + "/api/v1", api_key="wrong") as stranger:
        with pytest.raises(errors.OutpostError) as e:
            stranger.tenants.get(tenant_id="sdk-e")
        assert e.value.status_code == 401


def test_as_a_tenant(sdk, gw):
    sdk.tenants.upsert(tenant_id="sdk-own")
    token = sdk.tenants.get_token(tenant_id="sdk-own").token
    with Outpost(server_url=gw.url + "/api/v1", api_key=token) as own:
        page = own.tenants.list(request={})
        assert [t.id for t in page.models] == ["sdk-own"]
        own.destinations.create(tenant_id="sdk-own", body=webhook("https://example.com/"))
        assert len(own.destinations.list(tenant_id="sdk-own")) == 1
        assert own.events.list(request={}).models == []
