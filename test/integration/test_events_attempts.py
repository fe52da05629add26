# SPDX-License-Identifier: Apache-2.0
"""GET /events and /attempts: shapes, filters, includes, pages."""

import datetime
import threading

import pytest

from support.receiver import Reply
from support.times import parse, show
from support.wait import wait_until


class World:
    """Two tenants, three destinations, and a history that does not change any more."""

    def __init__(self, g, receiver):
        self.api = g.api
        self.good = receiver.hook()
        self.bad = receiver.hook().script(Reply(500, b"broken"))
        self.other = receiver.hook()
        for t in ("ta", "tb"):
            self.api.tenant(t)
        self.d_good = self.api.destination("ta", self.good.url)["id"]
        self.d_bad = self.api.destination("ta", self.bad.url, topics=["x"])["id"]
        self.d_other = self.api.destination("tb", self.other.url)["id"]
        self.events = {"ta": [], "tb": []}
        for i in range(30):
            tenant = "tb" if i % 3 == 0 else "ta"
            topic = "x" if i % 2 == 0 else "y"
            e = self.api.publish(
                tenant,
                {"i": i},
                id=f"e{i:02}",
                topic=topic,
                metadata={"n": str(i)},
                eligible_for_retry=False,
            )
            self.events[tenant].append(e["id"])
        self.n_attempts = sum(
            1 + (e in self.events["ta"] and int(e[1:]) % 2 == 0)
            for e in self.events["ta"] + self.events["tb"]
        )
        wait_until(lambda: len(self.api.attempts(limit=1000)) == self.n_attempts, "all attempts")


@pytest.fixture(scope="module")
def world(gw, receiver):
    return World(gw, receiver)


def event_ids(world, **query):
    return [e["id"] for e in world.api.events(**query)]


def attempt_keys(world, **query):
    return [(a["event_id"], a["destination_id"]) for a in world.api.attempts(**query)]


# ---- shapes ----


def test_event_shape(world):
    e = world.api.get("/events/e01").must(200)
    assert list(e) == [
        "id",
        "tenant_id",
        "matched_destination_ids",
        "topic",
        "time",
        "eligible_for_retry",
        "metadata",
        "data",
    ]
    assert e["matched_destination_ids"] == [world.d_good]
    assert (e["topic"], e["metadata"], e["data"]) == ("y", {"n": "1"}, {"i": 1})
    assert [x for x in world.api.events(tenant_id="ta") if x["id"] == "e01"] == [e]


def test_attempt_shape(world):
    a = [a for a in world.api.attempts(event_id="e02") if a["destination_id"] == world.d_bad][0]
    # Ours are "error", in words and only where something went wrong, and "duration_ms".
    assert [k for k in a if k not in ("error", "duration_ms")] == [
        "id",
        "tenant_id",
        "status",
        "time",
        "code",
        "attempt_number",
        "manual",
        "destination_type",
        "event_id",
        "destination_id",
    ]
    assert "error" not in world.api.attempts(event_id="e01")[0]
    assert (a["status"], a["code"], a["attempt_number"], a["manual"], a["destination_type"]) == (
        "failed",
        "500",
        1,
        False,
        "webhook",
    )
    assert world.api.get(f"/attempts/{a['id']}").must(200) == a
    p = f"/tenants/ta/destinations/{world.d_bad}/attempts"
    assert world.api.get(f"{p}/{a['id']}").must(200) == a
    assert a in world.api.get(p).must(200)["models"]


def test_page_shape(world):
    page = world.api.get("/events").must(200)
    assert list(page) == ["models", "pagination"]
    assert page["pagination"] == {
        "order_by": "time",
        "dir": "desc",
        "limit": 100,
        "next": None,
        "prev": None,
    }


# ---- includes ----


def test_includes(world):
    def one(*include):
        query = {"include": list(include)} if include else {}
        found = world.api.attempts(event_id="e02", destination_id=world.d_bad, **query)
        assert len(found) == 1
        return found[0]

    assert not {"event", "response_data", "destination"} & set(one())
    event = one("event")["event"]
    assert set(event) == {"id", "tenant_id", "topic", "time", "eligible_for_retry", "metadata"}
    assert one("event.data")["event"] == {**event, "data": {"i": 2}}
    assert one("response_data")["response_data"] == {"status": 500, "body": "broken"}
    dest = one("destination")["destination"]
    assert dest["id"] == world.d_bad and dest["config"] == {"url": world.bad.url}
    assert {"event", "response_data", "destination"} <= set(
        one("event", "response_data", "destination", "nonsense")
    )
    a = one()
    full = world.api.get(f"/attempts/{a['id']}", include=["event.data", "response_data"]).must(200)
    assert full["event"]["data"] == {"i": 2} and full["response_data"]["status"] == 500


def test_no_destination_once_it_is_deleted(world, fresh):
    t = fresh("gone")
    world.api.tenant(t)
    hook = world.good.receiver.hook()
    d = world.api.destination(t, hook.url)["id"]
    e = world.api.publish(t)["id"]
    wait_until(lambda: world.api.attempts(event_id=e))
    world.api.delete(f"/tenants/{t}/destinations/{d}").must(200)
    a = world.api.attempts(event_id=e, include="destination")[0]
    assert "destination" not in a and a["destination_id"] == d
    world.api.delete(f"/tenants/{t}").must(200)


# ---- filters ----


@pytest.mark.parametrize(
    "query, want",
    [
        ({"tenant_id": "ta"}, lambda i: i % 3 != 0),
        ({"tenant_id": "tb"}, lambda i: i % 3 == 0),
        ({"tenant_id": ["ta", "tb"]}, lambda i: True),
        ({"tenant_id[0]": "ta", "tenant_id[1]": "tb"}, lambda i: True),
        ({"tenant_id[]": ["tb"]}, lambda i: i % 3 == 0),
        ({"tenant_id": "nobody"}, lambda i: False),
        ({"topic": "x"}, lambda i: i % 2 == 0),
        ({"topic": ["x", "y"]}, lambda i: True),
        ({"topic": "z"}, lambda i: False),
        ({"id": ["e01", "e29", "nothing"]}, lambda i: i in (1, 29)),
        ({"id": "e01", "tenant_id": "tb"}, lambda i: False),
        ({"tenant_id": "ta", "topic": "x"}, lambda i: i % 3 != 0 and i % 2 == 0),
    ],
)
def test_event_filters(world, query, want):
    query.setdefault("tenant_id", ["ta", "tb"])
    if any(k.startswith("tenant_id[") for k in query):
        query.pop("tenant_id")
    assert event_ids(world, limit=1000, **query) == [
        f"e{i:02}" for i in reversed(range(30)) if want(i)
    ]


def test_event_filter_by_destination(world):
    assert event_ids(world, destination_id=world.d_bad) == [
        f"e{i:02}" for i in reversed(range(30)) if i % 3 != 0 and i % 2 == 0
    ]
    assert event_ids(world, destination_id=[world.d_bad, world.d_other]) == [
        f"e{i:02}" for i in reversed(range(30)) if i % 3 == 0 or i % 2 == 0
    ]
    assert event_ids(world, destination_id="unknown") == []


def test_attempt_filters(world):
    failed = world.api.attempts(status="failed", limit=1000)
    assert {a["destination_id"] for a in failed} == {world.d_bad}
    succeeded = world.api.attempts(status="success", limit=1000, tenant_id=["ta", "tb"])
    assert len(failed) + len(succeeded) == world.n_attempts
    assert all(a["status"] == "success" for a in succeeded)
    assert world.api.attempts(status="nonsense") == []
    assert sorted(attempt_keys(world, event_id=["e01", "e03"])) == [
        ("e01", world.d_good),
        ("e03", world.d_other),
    ]
    assert {k[1] for k in attempt_keys(world, destination_id=world.d_other)} == {world.d_other}
    assert {a["tenant_id"] for a in world.api.attempts(tenant_id="tb")} == {"tb"}
    assert len(world.api.attempts(topic="x", tenant_id="ta", limit=1000)) == 20
    assert len(world.api.attempts(destination_type="webhook", limit=1000)) >= world.n_attempts
    assert world.api.attempts(destination_type="kafka") == []


def test_attempts_below_a_destination(world):
    p = f"/tenants/ta/destinations/{world.d_bad}/attempts"
    assert len(world.api.get(p).must(200)["models"]) == 10
    page = world.api.get("/tenants/ta/destinations/unknown/attempts").must(200)
    assert page["models"] == []
    foreign = world.api.attempts(destination_id=world.d_other)[0]["id"]
    world.api.get(f"{p}/{foreign}").error(404, "attempt not found")


def test_time_filters(world):
    api = world.api
    for i in range(5):
        api.publish("times", id=f"time-{i}", time=f"2026-01-0{i + 1}T00:00:00Z")

    # Events are filtered by when they were taken in, or by their own time? Outpost lists by
    # `time`, the event's own.
    def ids(**query):
        return sorted(event_ids(world, tenant_id="times", **query))

    assert ids(**{"time[gte]": "2026-01-03T00:00:00Z"}) == ["time-2", "time-3", "time-4"]
    assert ids(**{"time[gt]": "2026-01-03T00:00:00Z"}) == ["time-3", "time-4"]
    assert ids(**{"time[lte]": "2026-01-03"}) == ["time-0", "time-1", "time-2"]
    assert ids(**{"time[lt]": "2026-01-03"}) == ["time-0", "time-1"]
    assert ids(**{"time[gte]": "2026-01-02", "time[lt]": "2026-01-04"}) == ["time-1", "time-2"]


def test_time_filters_of_attempts(world):
    times = sorted(parse(a["time"]) for a in world.api.attempts(tenant_id="ta", limit=1000))
    middle = times[len(times) // 2]
    n = len(world.api.attempts(tenant_id="ta", limit=1000, **{"time[gte]": show(middle)}))
    assert n == sum(t >= middle for t in times)
    later = show(times[-1] + datetime.timedelta(seconds=1))
    assert world.api.attempts(tenant_id="ta", **{"time[gt]": later}) == []


# ---- errors ----


@pytest.mark.parametrize("path", ["/events", "/attempts"])
class TestErrors:
    @pytest.mark.parametrize(
        "query, data",
        [
            ({"dir": "up"}, {"query.dir": "must be 'asc' or 'desc'"}),
            ({"order_by": "name"}, {"query.order_by": "must be one of: [time]"}),
        ],
    )
    def test_validation(self, world, path, query, data):
        world.api.get(path, **query).error(422, "validation error", data)

    @pytest.mark.parametrize("op", ["gte", "lte", "gt", "lt"])
    @pytest.mark.parametrize(
        "text", ["yesterday", "2026-13-01", "2026-01-01T00:00:00", "1767225600"]
    )
    def test_dates(self, world, path, op, text):
        r = world.api.get(path, **{f"time[{op}]": text})
        assert r.status == 422 and r.json["message"] == "validation error", repr(r)
        assert list(r.json["data"]) == [f"query.time[{op}]"]
        assert r.json["data"][f"query.time[{op}]"].startswith("invalid format, expected RFC3339")

    @pytest.mark.parametrize(
        "query, message",
        [
            ({"next": "a", "prev": "b"}, "cannot specify both 'next' and 'prev' cursors"),
            (
                {"time[any]": "2026-01-01"},
                "operator 'any' is not supported, use 'gte', 'lte', 'gt', or 'lt'",
            ),
            ({"next": "nonsense"}, "invalid cursor"),
            ({"prev": "!"}, "invalid cursor"),
            ({"next": "z" * 5000}, "invalid cursor"),
        ],
    )
    def test_bad_requests(self, world, path, query, message):
        world.api.get(path, **query).error(400, message)

    @pytest.mark.parametrize(
        "limit, used",
        [
            ("5", 5),
            ("1000", 1000),
            ("5000", 1000),
            ("x", 100),
            ("0", 100),
            ("-3", 100),
            ("99999999999999999999", None),
        ],
    )
    def test_limits(self, world, path, limit, used):
        page = world.api.get(path, limit=limit).must(200)
        if used is not None:
            assert page["pagination"]["limit"] == used
        assert len(page["models"]) <= (used or 1000)


def test_not_found(world):
    world.api.get("/events/nothing").error(404, "event not found")
    world.api.get("/attempts/nothing").error(404, "attempt not found")
    world.api.get("/events/e00", tenant_id="ta").error(404, "event not found")
    assert world.api.get("/events/e00", tenant_id="tb").must(200)["tenant_id"] == "tb"


def test_cursors_of_other_lists_are_refused(world):
    cursor = world.api.get("/events", limit=1).must(200)["pagination"]["next"]
    world.api.get("/attempts", next=cursor).error(400, "invalid cursor")
    world.api.get("/tenants", next=cursor).error(400, "invalid cursor")


def test_cursor_of_another_version(world):
    digits = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
    number = int.from_bytes(b"evtv02:1767225600000::evt_1", "big")
    text = ""
    while number:
        number, rest = divmod(number, 62)
        text = digits[rest] + text
    world.api.get("/events", next=text).error(400, "cursor version mismatch: expected version 01")


# ---- pages ----


def walk(api, path, **query):
    """All pages forwards; returns them and the last page."""
    pages, cursor = [], {}
    while True:
        page = api.get(path, **query, **cursor).must(200)
        pages.append(page["models"])
        assert len(page["models"]) <= query["limit"]
        assert (page["pagination"]["prev"] is None) == (cursor == {})
        if page["pagination"]["next"] is None:
            return pages, page
        cursor = {"next": page["pagination"]["next"]}


@pytest.mark.parametrize("path", ["/events", "/attempts"])
@pytest.mark.parametrize("direction", ["asc", "desc"])
@pytest.mark.parametrize("limit", [1, 7, 30])
@pytest.mark.parametrize("extra", [{}, {"topic": "x"}])
def test_forwards_and_back(world, path, direction, limit, extra):
    query = {"limit": limit, "dir": direction, "tenant_id": ["ta", "tb"], **extra}
    whole = world.api.get(path, **{**query, "limit": 1000}).must(200)["models"]
    assert len(whole) >= 15
    pages, last = walk(world.api, path, **query)
    assert [x for p in pages for x in p] == whole
    page = last
    for expected in reversed(pages[:-1]):
        page = world.api.get(path, **query, prev=page["pagination"]["prev"]).must(200)
        assert page["models"] == expected
        assert page["pagination"]["next"] is not None
    assert page["pagination"]["prev"] is None


def test_order(world):
    down = event_ids(world, tenant_id=["ta", "tb"])
    assert down == sorted(down, reverse=True)
    assert event_ids(world, tenant_id=["ta", "tb"], dir="asc") == down[::-1]


def test_new_rows_do_not_disturb_a_walk(world):
    world.api.tenant("moving")
    for i in range(10):
        world.api.publish("moving", id=f"old{i}")
    first = world.api.get("/events", tenant_id="moving", limit=4).must(200)
    for i in range(10):
        world.api.publish("moving", id=f"new{i}")
    seen = [e["id"] for e in first["models"]]
    cursor = first["pagination"]["next"]
    while cursor:
        page = world.api.get("/events", tenant_id="moving", limit=4, next=cursor).must(200)
        seen += [e["id"] for e in page["models"]]
        cursor = page["pagination"]["next"]
    assert seen == [f"old{i}" for i in reversed(range(10))]


def test_one_sees_ones_own_writes(world):
    """Also what the index has not taken in yet."""
    world.api.tenant("own-writes")
    for i in range(100):
        world.api.publish("own-writes", id=f"own{i}")
        assert event_ids(world, tenant_id="own-writes", limit=1) == [f"own{i}"]
        assert world.api.get(f"/events/own{i}").status == 200


def test_lists_while_writing(world):
    world.api.tenant("busy")
    ended = threading.Event()

    def publish():
        n = 0
        while not ended.is_set() and n < 2000:
            world.api.publish("busy", id=f"b{n:05}")
            n += 1
        world.api.close()

    t = threading.Thread(target=publish)
    t.start()
    try:
        for _ in range(20):
            got = event_ids(world, tenant_id="busy", limit=50)
            assert got == sorted(got, reverse=True) and len(set(got)) == len(got)
            numbers = [int(x[1:]) for x in got]
            if numbers:
                assert numbers == list(range(numbers[0], numbers[0] - len(numbers), -1))
    finally:
        ended.set()
        t.join(30)


# ---- tenants ----


class TestAsTenant:
    def test_own_rows_only(self, world):
        own = world.api.with_token(world.api.token_of("tb"))
        assert {e["tenant_id"] for e in own.events(limit=1000)} == {"tb"}
        assert {a["tenant_id"] for a in own.attempts(limit=1000)} == {"tb"}
        assert {e["tenant_id"] for e in own.events(tenant_id="tb")} == {"tb"}
        own.get("/events/e00").must(200)
        own.get("/events/e01").error(404, "event not found")
        foreign = world.api.attempts(tenant_id="ta")[0]["id"]
        own.get(f"/attempts/{foreign}").error(404, "attempt not found")

    @pytest.mark.parametrize("path", ["/events", "/attempts"])
    def test_foreign_tenant(self, world, path):
        own = world.api.with_token(world.api.token_of("tb"))
        own.get(path, tenant_id="ta").error(
            403, "tenant_id query parameter does not match authenticated tenant"
        )

    @pytest.mark.parametrize("query", ["tenant_id=ta", "tenant_id=", "tenant_id[]=ta", "tenant_id[0]=ta"])
    def test_one_row_is_the_tokens_whatever_the_query_says(self, world, query):
        own = world.api.with_token(world.api.token_of("tb"))
        assert own.get(f"/events/e00?{query}").must(200)["tenant_id"] == "tb"
        own.get(f"/events/e01?{query}").error(404, "event not found")
        mine, foreign = (world.api.attempts(tenant_id=t)[0]["id"] for t in ("tb", "ta"))
        assert own.get(f"/attempts/{mine}?{query}").must(200)["tenant_id"] == "tb"
        own.get(f"/attempts/{foreign}?{query}").error(404, "attempt not found")

    def test_foreign_destination(self, world):
        own = world.api.with_token(world.api.token_of("tb"))
        assert own.events(destination_id=world.d_good) == []
        assert own.attempts(destination_id=world.d_bad) == []
        own.get(f"/tenants/ta/destinations/{world.d_bad}/attempts").empty(403)


def test_lists_survive_a_restart_and_a_lost_index(make_gateway, receiver):
    g = make_gateway().start()
    g.api.tenant("t")
    hook = receiver.hook()
    g.api.destination("t", hook.url)
    for i in range(50):
        g.api.publish("t", id=f"r{i}", topic="x" if i % 2 else "y")
    wait_until(lambda: len(g.api.attempts(limit=1000)) == 50)
    events, attempts = g.api.events(limit=1000), g.api.attempts(limit=1000)
    g.restart()
    assert g.api.events(limit=1000) == events and g.api.attempts(limit=1000) == attempts
    g.stop()
    index = g.data_dir / "index"
    assert index.is_dir()
    for f in index.iterdir():
        f.unlink()
    g.start()
    wait_until(lambda: g.api.get("/events").status == 200, "the index to be rebuilt")
    assert g.api.events(limit=1000) == events and g.api.attempts(limit=1000) == attempts
    assert len(g.api.events(topic="x", limit=1000)) == 25
    g.stop()
    for f in index.iterdir():
        f.write_bytes(b"\x00garbage" * 1000)
    g.start()
    wait_until(lambda: g.api.get("/events").status == 200, "the index to be rebuilt")
    assert g.api.events(limit=1000) == events and g.api.attempts(limit=1000) == attempts
