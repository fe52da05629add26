# SPDX-License-Identifier: Apache-2.0
"""Lists and objects that are as large as they may be: every one still fits into an answer."""

import pytest

from support.gateway import FAST_RETRIES
from support.receiver import Reply
from support.wait import wait_until

TOPIC_MAX = 255
TOPICS_MAX = 512
QUIET_URL = "http://127.0.0.1:9/"


@pytest.fixture(scope="module")
def wide(make_gateway):
    """A gateway that allows as many destinations as can be configured."""
    return make_gateway({**FAST_RETRIES, "api.max_destinations_per_tenant": "4096"}).start()


@pytest.fixture(scope="module")
def large_tenants(make_gateway):
    """Four tenants whose topics could not stand in one reply together."""
    api = make_gateway(FAST_RETRIES).start().api
    names = [f"large-{i}" for i in range(4)]
    for tenant in ["small-0", *names, "small-1"]:
        api.tenant(tenant)
    for tenant in names:
        for k in range(20):
            topics = [f"{tenant}.{k}.{i}.".ljust(TOPIC_MAX, "x") for i in range(TOPICS_MAX)]
            api.destination(tenant, QUIET_URL, topics=topics)
    return api, ["small-0", *names, "small-1"]


def walk(api, cursor, **query):
    pages = [api.get("/tenants", **query).must(200)]
    while pages[-1]["pagination"][cursor]:
        at = {cursor: pages[-1]["pagination"][cursor]}
        pages.append(api.get("/tenants", **{**query, **at}).must(200))
        assert len(pages) < 50
    return pages


def ids_of(page):
    return [t["id"] for t in page["models"]]


@pytest.mark.parametrize("direction", ["asc", "desc"])
def test_a_page_of_large_tenants_ends_early(large_tenants, direction):
    api, names = large_tenants
    pages = walk(api, "next", dir=direction, limit=100)
    assert len(pages) > 1
    assert all(p["models"] and p["count"] == len(names) for p in pages)
    seen = [i for p in pages for i in ids_of(p)]
    assert seen == (names if direction == "asc" else names[::-1])


def test_large_tenants_page_by_page_backward(large_tenants):
    api, names = large_tenants
    last = walk(api, "next", dir="asc", limit=100)[-1]
    seen = ids_of(last)
    prev = last["pagination"]["prev"]
    for _ in range(50):
        if prev is None:
            break
        page = api.get("/tenants", dir="asc", limit=100, prev=prev).must(200)
        seen = ids_of(page) + seen
        prev = page["pagination"]["prev"]
    assert (seen, prev) == (names, None)


def test_a_large_tenant_by_itself(large_tenants):
    api, _ = large_tenants
    tenant = api.get("/tenants/large-0").must(200)
    assert (tenant["destinations_count"], len(tenant["topics"])) == (20, 20 * TOPICS_MAX)
    assert api.put("/tenants/large-0", json={"metadata": {"a": "b"}}).must(200)["topics"]
    assert len(api.get("/tenants/large-0/destinations").must(200)) == 20
    own = api.with_token(api.token_of("large-0")).get("/tenants").must(200)
    assert ids_of(own) == ["large-0"]
    assert own["pagination"]["next"] is None


def test_the_default_number_of_the_largest_destinations(make_gateway):
    api = make_gateway(FAST_RETRIES).start().api
    api.tenant("t")
    for i in range(20):
        api.destination("t", QUIET_URL, id=f"d{i}", metadata={"a": "x" * 260_000})
    assert len(api.get("/tenants/t/destinations").must(200)) == 20


def fill(api, tenant, prefix="d", **fields):
    """Creates destinations until one is refused; returns how many there are and the refusal."""
    body = {"type": "webhook", "topics": "*", "config": {"url": QUIET_URL}, **fields}
    for n in range(4096):
        r = api.post(f"/tenants/{tenant}/destinations", json={**body, "id": f"{prefix}{n}"})
        if r.status != 201:
            return n, r
    raise AssertionError("none was refused")


TOO_LARGE = "the tenant's destinations are too large together"


def test_many_large_destinations(wide):
    api = wide.api
    api.tenant("heavy")
    n, refusal = fill(api, "heavy", metadata={"a": '"' * 100_000})
    refusal.error(422, TOO_LARGE)
    assert n > 20
    small, refusal = fill(api, "heavy", metadata={"a": "x" * 40_000}, prefix="small")
    refusal.error(422, TOO_LARGE)
    n += small
    assert len(api.get("/tenants/heavy/destinations").must(200)) == n
    # What does not grow goes through, and a change that does is refused and changes nothing.
    assert api.put("/tenants/heavy/destinations/d0/disable").must(200)["disabled_at"]
    assert api.put("/tenants/heavy/destinations/d0/enable").must(200)["disabled_at"] is None
    api.patch("/tenants/heavy/destinations/d0", json={"metadata": {"b": "x" * 41_000}}).error(
        422, TOO_LARGE
    )
    assert list(api.get("/tenants/heavy/destinations/d0").must(200)["metadata"]) == ["a"]
    # Room that was made can be used, after a restart as well.
    api.patch("/tenants/heavy/destinations/d0", json={"metadata": None}).must(200)
    wide.restart()
    api = wide.api
    assert len(api.get("/tenants/heavy/destinations").must(200)) == n
    api.destination("heavy", QUIET_URL, metadata={"a": '"' * 90_000})
    _, refusal = fill(api, "heavy", metadata={"a": '"' * 100_000}, prefix="more")
    refusal.error(422, TOO_LARGE)


def test_many_destinations_with_many_topics(wide):
    api = wide.api
    api.tenant("topics")
    body = {"type": "webhook", "config": {"url": QUIET_URL}}
    for n in range(4096):
        topics = [f"{n}.{i}.".ljust(TOPIC_MAX, "x") for i in range(TOPICS_MAX)]
        r = api.post("/tenants/topics/destinations", json={**body, "topics": topics})
        if r.status != 201:
            break
    r.error(422, TOO_LARGE)
    assert n > 20
    for reply in (api.get("/tenants/topics"), api.put("/tenants/topics", json={"metadata": {}})):
        got = reply.must(200)
        assert (got["destinations_count"], len(got["topics"])) == (n, n * TOPICS_MAX)
    assert len(api.get("/tenants/topics/destinations").must(200)) == n


def test_pages_of_the_largest_events(make_gateway):
    settings = {**FAST_RETRIES, "server.max_body": "4MiB", "server.max_publish_body": "4MiB"}
    api = make_gateway(settings).start().api
    api.tenant("t")
    api.destination("t", QUIET_URL)
    for i in range(3):
        api.publish("t", {"x": "y" * 4_190_000}, id=f"e{i}")
    seen = []
    query = {}
    for _ in range(10):
        page = api.get("/events", **query).must(200)
        seen += ids_of(page)
        if not page["pagination"]["next"]:
            break
        query = {"next": page["pagination"]["next"]}
    assert seen == ["e2", "e1", "e0"]


@pytest.mark.parametrize("byte", [b"\xff", b"\x01"])
def test_attempts_with_responses_that_grow_in_json(make_gateway, receiver, byte):
    settings = {
        **FAST_RETRIES,
        "server.max_publish_body": "4MiB",
        "client.max_response_body": "1MiB",
        "client.keep_response_body": "1MiB",
    }
    api = make_gateway(settings).start().api
    hook = receiver.hook().script(Reply(200, byte * (1 << 20)))
    api.tenant("t")
    api.destination("t", hook.url)
    n = 4
    for _ in range(n):
        api.publish("t", {"x": "y" * 4_000_000})
    wait_until(lambda: len(api.attempts()) == n, "the attempts")
    include = ["event.data", "response_data"]
    seen = []
    query = {}
    for _ in range(n):
        page = api.get("/attempts", include=include, **query).must(200)
        seen += page["models"]
        if not page["pagination"]["next"]:
            break
        query = {"next": page["pagination"]["next"]}
    assert len({a["id"] for a in seen}) == n
    for attempt in seen:
        response = attempt["response_data"]
        assert response.get("truncated") or len(response["body"]) == 1 << 20
        one = api.get(f"/attempts/{attempt['id']}", include=include).must(200)
        assert one == attempt


# ---- ids that no URL can name ----


@pytest.mark.parametrize("dots", [".", ".."])
def test_ids_of_dots_alone_are_refused(gw, api, tenant, dots):
    body = {"type": "webhook", "topics": "*", "id": dots, "config": {"url": QUIET_URL}}
    r = api.post(f"/tenants/{tenant}/destinations", json=body)
    r.error(422, "validation error", ["id failed pattern validation"])
    r = api.post("/publish", json={"tenant_id": tenant, "id": dots, "data": {}})
    r.error(422, "validation error", ["id failed pattern validation"])
    r = api.post("/publish", json={"tenant_id": dots, "data": {}})
    r.error(422, "validation error", ["tenant_id failed pattern validation"])


def test_ids_that_only_begin_with_dots(api, tenant):
    dest = api.destination(tenant, QUIET_URL, id="...")
    assert api.get(f"/tenants/{tenant}/destinations/{dest['id']}").must(200) == dest
    assert api.publish(tenant, id="..a")["id"] == "..a"


# ---- small things ----


def test_empty_event_metadata_is_left_out(api, tenant, hook):
    api.destination(tenant, hook.url)
    for metadata in ({}, {"a": "b"}, None):
        event = api.publish(tenant, metadata=metadata)
        hook.wait_for(1)
        shown = api.get(f"/events/{event['id']}").must(200)
        assert shown.get("metadata") == (metadata or None)
        assert ("metadata" in shown) == bool(metadata)
