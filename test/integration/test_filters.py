# SPDX-License-Identifier: Apache-2.0
"""
The filter language through the API. The cases are those of the unit tests; here they
show that the filter which was stored, and the event that was published, are the ones compared.
"""

import json
import pathlib

import pytest

CASES = json.loads(
    (pathlib.Path(__file__).parents[1] / "data" / "filter" / "cases.json").read_text()
)


@pytest.fixture(scope="module")
def gw(make_gateway):
    return make_gateway({"api.max_destinations_per_tenant": "4096"}).start()


def create(api, tenant, filter_):
    return api.post(
        f"/tenants/{tenant}/destinations",
        json={
            "type": "webhook",
            "topics": "*",
            "filter": filter_,
            "config": {"url": "https://example.invalid/"},
            "disabled_at": None,
        },
    ).must(201)["id"]


def publish(api, tenant, event):
    body = {
        "tenant_id": tenant,
        "topic": "order.created",
        "time": "2026-01-01T00:00:00Z",
        "data": {},
    }
    body.update(event)
    return api.post("/publish", json=body).must(202)["destination_ids"]


def test_the_conformance_cases(api, fresh):
    wrong = []
    for case in CASES:
        tenant = fresh("f")
        api.tenant(tenant)
        filter_ = case.get("filter", {"data": {"x": case.get("pattern")}})
        if "event" in case:
            event = dict(case["event"])
        else:
            event = {"data": {"x": case["value"]} if "value" in case else {}}
        event.setdefault("id", "evt_1")
        if not isinstance(filter_, dict) or not isinstance(event.get("data", {}), dict):
            continue
        made = api.post(
            f"/tenants/{tenant}/destinations",
            json={
                "type": "webhook",
                "topics": "*",
                "filter": filter_,
                "id": "d",
                "config": {"url": "https://example.invalid/"},
            },
        )
        if made.status != 201:
            wrong.append((case["name"], repr(made)))
            continue
        if (publish(api, tenant, event) == ["d"]) != case["match"]:
            wrong.append(case["name"])
        api.delete(f"/tenants/{tenant}").must(200)
    assert wrong == []


def test_one_event_many_destinations(api, tenant):
    eu = create(api, tenant, {"data": {"region": "eu"}})
    big = create(api, tenant, {"data": {"amount": {"$gte": 1000}}})
    not_eu = create(api, tenant, {"$not": {"data": {"region": "eu"}}})
    everyone = create(api, tenant, {})
    assert publish(api, tenant, {"data": {"region": "eu", "amount": 10}}) == [eu, everyone]
    assert publish(api, tenant, {"data": {"region": "us", "amount": 1000}}) == [
        big,
        not_eu,
        everyone,
    ]
    assert publish(api, tenant, {"data": {}}) == [not_eu, everyone]


@pytest.mark.parametrize(
    "filter_, event, matches",
    [
        ({"topic": "order.created"}, {}, True),
        ({"topic": {"$startsWith": "user"}}, {}, False),
        ({"metadata": {"source": "web"}}, {"metadata": {"source": "web"}}, True),
        ({"metadata": {"source": "web"}}, {}, False),
        ({"id": {"$startsWith": "flt-"}}, {"id": "flt-1"}, True),
        ({"time": "2026-01-01T00:00:00Z"}, {}, True),
        ({"body": {"x": 1}}, {"data": {"x": 1}}, False),
    ],
)
def test_the_whole_event_is_the_document(api, tenant, filter_, event, matches):
    dest = create(api, tenant, filter_)
    assert publish(api, tenant, event) == ([dest] if matches else [])


def test_a_changed_filter_counts_at_once(api, tenant):
    dest = create(api, tenant, {"data": {"x": 1}})
    assert publish(api, tenant, {"data": {"x": 2}}) == []
    api.patch(f"/tenants/{tenant}/destinations/{dest}", json={"filter": {"data": {"x": 2}}}).must(
        200
    )
    assert publish(api, tenant, {"data": {"x": 2}}) == [dest]
    api.patch(f"/tenants/{tenant}/destinations/{dest}", json={"filter": None}).must(200)
    assert publish(api, tenant, {"data": {"x": 3}}) == [dest]
