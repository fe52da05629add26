# SPDX-License-Identifier: Apache-2.0
"""
A filter with an empty value asks for rows with an empty field: of none, mostly. A client whose
variable was not set must not be shown everybody's events.
"""

import pytest

from support.wait import wait_until

SPELLINGS = ["{}=", "{}", "{}[]=", "{}[0]=", "{}%5B%5D=", "{}%5B0%5D="]
LISTS = [
    ("/events", "tenant_id"),
    ("/events", "id"),
    ("/events", "destination_id"),
    ("/events", "topic"),
    ("/attempts", "tenant_id"),
    ("/attempts", "event_id"),
    ("/attempts", "destination_id"),
    ("/attempts", "destination_type"),
    ("/attempts", "topic"),
    ("/tenants", "id"),
]
MISMATCH = "tenant_id query parameter does not match authenticated tenant"


class World:
    def __init__(self, gw, receiver):
        self.api = gw.api
        self.api.tenant("ef")
        self.dest = self.api.destination("ef", receiver.hook().url)["id"]
        self.event = self.api.publish("ef", topic="x")["id"]
        wait_until(lambda: len(self.api.attempts(tenant_id="ef")) == 1, "the attempt")
        self.attempt = self.api.attempts(tenant_id="ef")[0]["id"]
        self.own = self.api.with_token(self.api.token_of("ef"))


@pytest.fixture(scope="module")
def world(make_gateway, receiver):
    return World(make_gateway().start(), receiver)


def page(api, path):
    return api.get(path).must(200)


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("path, name", LISTS)
def test_an_empty_filter_matches_nothing(world, path, name, spelling):
    assert len(page(world.api, path)["models"]) == 1
    p = page(world.api, path + "?" + spelling.format(name))
    assert p["models"] == []
    assert (p["pagination"]["next"], p["pagination"]["prev"]) == (None, None)


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_an_empty_type_matches_no_destination(world, spelling):
    path = "/tenants/ef/destinations"
    assert len(page(world.api, path)) == 1
    assert page(world.api, path + "?" + spelling.format("type")) == []
    assert page(world.own, path + "?" + spelling.format("type")) == []


@pytest.mark.parametrize("name", ["event_id", "destination_type", "topic"])
def test_below_a_destination(world, name):
    path = f"/tenants/ef/destinations/{world.dest}/attempts"
    assert len(page(world.api, path)["models"]) == 1
    assert page(world.api, f"{path}?{name}=")["models"] == []


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("path", ["/events", "/attempts"])
def test_a_token_cannot_ask_for_the_empty_tenant(world, path, spelling):
    assert len(page(world.own, path)["models"]) == 1
    world.own.get(path + "?" + spelling.format("tenant_id")).error(403, MISMATCH)


@pytest.mark.parametrize(
    "query, n",
    [
        ("tenant_id=ef", 1),
        ("tenant_id=&tenant_id=ef", 1),  # "or", as ever
        ("tenant_id[]=&tenant_id=ef", 0),  # the spelling with brackets counts
        ("tenant_id[0]=&tenant_id[]=ef", 0),
        ("tenant_id[0]=&tenant_id[1]=ef", 1),
        ("tenant_id=ef&topic=", 0),
        ("&&tenant_id=ef&", 1),
    ],
)
def test_beside_other_values(world, query, n):
    assert len(page(world.api, "/events?" + query)["models"]) == n


def test_a_token_names_its_tenant_once(world):
    assert len(page(world.own, "/events?tenant_id=ef")["models"]) == 1
    for query in ("tenant_id=ef&tenant_id=ef", "tenant_id=ef&tenant_id=", "tenant_id[]=other"):
        world.own.get("/events?" + query).error(403, MISMATCH)


def test_the_empty_topic_is_that_of_events_without_one(world):
    api = world.api
    api.tenant("ef-topic")
    bare = api.publish("ef-topic")["id"]
    api.publish("ef-topic", topic="x")
    assert [e["id"] for e in api.events(tenant_id="ef-topic", topic="")] == [bare]


@pytest.mark.parametrize("what", ["events", "attempts"])
def test_one_row_of_the_empty_tenant(world, what):
    row = world.event if what == "events" else world.attempt
    path = f"/{what}/{row}"
    world.api.get(path).must(200)
    for spelling in SPELLINGS:
        world.api.get(path + "?" + spelling.format("tenant_id")).error(404, f"{what[:-1]} not found")


def test_what_only_shapes_a_list_may_be_empty(world):
    """These narrow nothing that was asked for: without a value they have their default."""
    names = ["limit", "dir", "order_by", "next", "prev", "status", "include"]
    names += [f"time[{op}]" for op in ("gte", "lte", "gt", "lt", "any")]
    plain = page(world.api, "/attempts")
    for name in names:
        assert page(world.api, f"/attempts?{name}=") == plain, name
    assert page(world.api, "/attempts?" + "=&".join(names) + "=") == plain
    assert page(world.api, "/attempts?status=failed")["models"] == []
