# SPDX-License-Identifier: Apache-2.0
"""Topics: the list, patterns, events without one."""

import pytest

TOPICS = "user.created, user.deleted, order.paid"


@pytest.fixture(scope="module")
def listed(make_gateway):
    g = make_gateway({"api.topics": TOPICS, "api.topics_allow_wildcards": "true"}).start()
    g.api.tenant("t")
    return g.api


@pytest.fixture(scope="module")
def wild(make_gateway):
    g = make_gateway({"api.topics_allow_wildcards": "true"}).start()
    g.api.tenant("t")
    return g.api


def create(api, tenant, topics):
    return api.post(
        f"/tenants/{tenant}/destinations",
        json={"type": "webhook", "topics": topics, "config": {"url": "https://example.com/"}},
    )


def test_list(api, listed):
    assert listed.get("/topics").must(200) == ["user.created", "user.deleted", "order.paid"]
    assert api.get("/topics").must(200) == []  # never null


@pytest.mark.parametrize(
    "topics",
    [
        ["user.created"],
        ["user.created", "order.paid"],
        "*",
        ["*"],
        ["user.*"],
        ["*.paid"],
        ["*r*"],
        ["user.created", "order.*"],
    ],
)
def test_allowed_with_a_list(listed, topics):
    want = ["*"] if topics == "*" else topics
    assert create(listed, "t", topics).must(201)["topics"] == want


@pytest.mark.parametrize(
    "topics",
    [
        ["nothing"],
        ["user.created", "nothing"],
        ["*", "user.created"],
        ["nothing.*"],
        ["User.created"],
        [""],
        ["user.created "],
    ],
)
def test_refused_with_a_list(listed, topics):
    create(listed, "t", topics).error(422, "validation failed: invalid topics")


@pytest.mark.parametrize("topics", [["a.*"], ["*a"], ["a", "b*c"]])
def test_patterns_are_refused_without_the_setting(api, tenant, topics):
    create(api, tenant, topics).error(422, "validation failed: invalid topics")


@pytest.mark.parametrize("topics", [["a"], ["any thing", "ü"], ["a,b"], "*"])
def test_without_a_list_any_text_is_a_topic(api, tenant, topics):
    want = ["*"] if topics == "*" else topics
    assert create(api, tenant, topics).must(201)["topics"] == want


@pytest.mark.parametrize(
    "given, kept",
    [
        (["user.*", "user.created"], ["user.*"]),
        (["user.created", "user.*"], ["user.*"]),
        (["a", "a", "b"], ["a", "b"]),
        (["b", "a"], ["b", "a"]),
        (["a.*", "a.b.*", "c"], ["a.*", "c"]),
        (["*.x", "a.*"], ["*.x", "a.*"]),
    ],
)
def test_normalised(wild, given, kept):
    assert create(wild, "t", given).must(201)["topics"] == kept


@pytest.mark.parametrize(
    "pattern, topic, matches",
    [
        ("user.*", "user.created", True),
        ("user.*", "user.a.b", True),
        ("user.*", "user.", True),
        ("user.*", "users", False),
        ("*.created", "user.created", True),
        ("*.created", "created", False),
        ("a*c", "abbc", True),
        ("a*c", "ac", True),
        ("a*c", "acb", False),
        ("*b*", "abc", True),
        ("exact", "exact", True),
        ("exact", "Exact", False),
        ("exact", "", True),
        ("exact", "*", True),
        ("*", "anything", True),
        ("a.c", "abc", False),
    ],
)
def test_matching(wild, fresh, pattern, topic, matches):
    tenant = fresh("m")
    wild.tenant(tenant)
    d = create(wild, tenant, [pattern]).must(201)
    got = wild.publish(tenant, topic=topic)["destination_ids"]
    assert got == ([d["id"]] if matches else [])


def test_publishing_with_a_list(listed, fresh):
    tenant = fresh("p")
    listed.tenant(tenant)
    one = create(listed, tenant, ["user.created"]).must(201)["id"]
    two = create(listed, tenant, ["order.*"]).must(201)["id"]
    three = create(listed, tenant, "*").must(201)["id"]

    def publish(**fields):
        return listed.post("/publish", json={"tenant_id": tenant, "data": {}, **fields})

    publish().error(422, "validation error", ["topic is required"])
    publish(topic="").error(422, "validation error", ["topic is required"])
    publish(topic="nothing").error(422, "validation error", ["topic is invalid"])
    publish(topic="user.*").error(422, "validation error", ["topic is invalid"])
    assert publish(topic="user.created").must(202)["destination_ids"] == [one, three]
    assert publish(topic="order.paid").must(202)["destination_ids"] == [two, three]
    assert publish(topic="*").must(202)["destination_ids"] == [one, two, three]


def test_no_topic_goes_to_everyone(api, tenant):
    ids = [create(api, tenant, t).must(201)["id"] for t in (["a"], ["b"], "*")]
    assert api.publish(tenant)["destination_ids"] == ids
    assert api.publish(tenant, topic="a")["destination_ids"] == [ids[0], ids[2]]
