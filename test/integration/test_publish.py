# SPDX-License-Identifier: Apache-2.0
"""Publishing: what is accepted, idempotency, matching, and that the receiver gets the publisher's bytes."""

import json
import re
import threading

import pytest

from support.signing import check_v0
from support.wait import stays_true, wait_until


def raw(api, text):
    return api.request("POST", "/api/v1/publish", body=text)


def test_answer(api, tenant, hook):
    dest = api.destination(tenant, hook.url)
    got = api.publish(tenant)
    assert list(got) == ["id", "duplicate", "destination_ids"]
    assert got["duplicate"] is False and got["destination_ids"] == [dest["id"]]
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", got["id"])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"x"',
        b"null",
        b"7",
        b"{}{}",
        b"\xff",
        b'{"tenant_id":"t","data":{},}',
        b'{"tenant_id":7,"data":{}}',
        b'{"tenant_id":"t","data":{},"id":7}',
        b'{"tenant_id":"t","data":{},"topic":7}',
        b'{"tenant_id":"t","data":{},"topic":{}}',
        b'{"tenant_id":"t","data":{},"destination_id":[]}',
        b'{"tenant_id":"t","data":{},"eligible_for_retry":"yes"}',
        b'{"tenant_id":"t","data":{},"eligible_for_retry":1}',
        b'{"tenant_id":"t","data":{},"metadata":{"a":1}}',
        b'{"tenant_id":"t","data":{},"metadata":[]}',
        b'{"tenant_id":"t","data":{},"metadata":"x"}',
        b'{"tenant_id":"t","data":{"a":"\xc3\x28"}}',
        b'{"tenant_id":"t","data":{"a":"\x01"}}',
        b'{"tenant_id":"t","data":{"a":01}}',
        b"{'tenant_id':'t','data':{}}",
        b'{"tenant_id":"t","data":' + b'{"a":' * 5000 + b"1" + b"}" * 5000 + b"}",
        b'\xef\xbb\xbf{"tenant_id":"t","data":{}',
        b'{"tenant_id":"t","data":NaN}',
        b'{"tenant_id":"t","data":{"a":"\\ud800"}}',
        b'{"tenant_id":"t" "data":{}}',
    ],
)
def test_malformed(api, body):
    raw(api, body).error(422, "invalid JSON")


@pytest.mark.parametrize(
    "body, data",
    [
        ({"data": {}}, ["tenant_id is required"]),
        ({"tenant_id": "", "data": {}}, ["tenant_id is required"]),
        ({"tenant_id": "t"}, ["data is required"]),
        ({"tenant_id": "t", "data": None}, ["data is required"]),
        ({}, ["tenant_id is required", "data is required"]),
        ({"tenant_id": "t", "data": []}, ["data must be a valid JSON object"]),
        ({"tenant_id": "t", "data": "x"}, ["data must be a valid JSON object"]),
        ({"tenant_id": "t", "data": 1}, ["data must be a valid JSON object"]),
        ({"tenant_id": "t", "data": True}, ["data must be a valid JSON object"]),
    ],
)
def test_invalid(api, body, data):
    api.post("/publish", json=body).error(422, "validation error", data)


@pytest.mark.parametrize(
    "time",
    [
        "yesterday",
        "2026-01-01",
        "2026-13-01T00:00:00Z",
        "",
        "1767225600",
        "2026-01-01T00:00:00",
        "2026-01-01t00:00:00Z",
        "2026-01-01T00:00:00z",
        "2026-12-31T23:59:60Z",
        "10000-01-01T00:00:00Z",
        "9999-12-31T23:59:59-00:01",
    ],
)
def test_bad_times(api, time):
    r = api.post("/publish", json={"tenant_id": "t", "data": {}, "time": time})
    assert r.status == 422 and r.json["status"] == 422, repr(r)
    assert r.json["message"] != "validation error"


@pytest.mark.parametrize("event_id", ["a b", "a\nb", "ä", "x" * 2000])
def test_ids_that_cannot_travel_in_a_header(api, event_id):
    r = api.post("/publish", json={"tenant_id": "t", "data": {}, "id": event_id})
    assert r.status == 422, repr(r)


def test_refused_events_leave_nothing(api, tenant, hook, fresh):
    api.destination(tenant, hook.url)
    event_id = fresh("never")
    raw(api, b'{"tenant_id":"%s","id":"%s","data":[]}' % (tenant.encode(), event_id.encode()))
    api.get(f"/events/{event_id}").error(404, "event not found")
    marker = api.publish(tenant)
    assert hook.wait_for(1)[0].header("x-outpost-event-id") == marker["id"]
    assert [e["id"] for e in api.events(tenant_id=tenant)] == [marker["id"]]


def test_unknown_fields_are_ignored(api, tenant):
    api.post("/publish", json={"tenant_id": tenant, "data": {}, "colour": "red"}).must(202)


def test_defaults_and_given_fields(api, tenant):
    got = api.publish(tenant)
    e = api.get(f"/events/{got['id']}").must(200)
    assert e["eligible_for_retry"] is True and e["topic"] == "" and "metadata" not in e
    given = {
        "id": "given-1",
        "topic": "a.b",
        "eligible_for_retry": False,
        "time": "2026-01-01T12:30:00.25Z",
        "metadata": {"k": "v"},
    }
    api.publish(tenant, {"x": 1}, **given)
    e = api.get("/events/given-1").must(200)
    assert e == {
        "id": "given-1",
        "tenant_id": tenant,
        "matched_destination_ids": [],
        "topic": "a.b",
        "time": "2026-01-01T12:30:00.25Z",
        "eligible_for_retry": False,
        "metadata": {"k": "v"},
        "data": {"x": 1},
    }


@pytest.mark.parametrize(
    "time, shown",
    [
        ("2262-04-12T00:00:00Z", "2262-04-12T00:00:00Z"),
        ("9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z"),
        ("9999-12-31T23:59:59+00:01", "9999-12-31T23:58:59Z"),
        ("0001-01-02T00:00:00Z", "0001-01-02T00:00:00Z"),
        ("1969-12-31T23:59:59.9999Z", "1969-12-31T23:59:59.999Z"),
    ],
)
def test_times_of_any_year(api, tenant, hook, time, shown):
    api.destination(tenant, hook.url, filter={"time": {"$eq": shown.split(".")[0].rstrip("Z") + "Z"}})
    e = api.publish(tenant, time=time)
    hook.wait_for(1)
    assert api.get(f"/events/{e['id']}").must(200)["time"] == shown
    found = {"tenant_id": tenant, "time[gte]": shown, "time[lte]": shown}
    assert [x["id"] for x in api.events(**found)] == [e["id"]]
    assert api.events(**{"tenant_id": tenant, "time[gt]": shown}) == []
    assert api.events(**{"tenant_id": tenant, "time[lt]": shown}) == []


def test_null_in_metadata_is_the_empty_text(api, tenant, hook):
    """Clients that read the event expect nothing but text."""
    filters = [{"metadata": {"k": ""}}, {"metadata": {"k": None}}]
    for wanted in filters:
        api.destination(tenant, hook.url, filter=wanted)
    e = api.publish(tenant, metadata={"k": None, "m": "v\u00e9\n", "n": None})
    assert len(e["destination_ids"]) == 1
    got = api.get(f"/events/{e['id']}").must(200)
    assert got["metadata"] == {"k": "", "m": "v\u00e9\n", "n": ""}
    request = hook.wait_for(1)[0]
    assert request.header("x-outpost-k") == "" and request.header("x-outpost-n") == ""
    for bad in (1, True, [], {}):
        api.post(
            "/publish", json={"tenant_id": tenant, "data": {}, "metadata": {"k": None, "m": bad}}
        ).error(422, "invalid JSON")


def test_unknown_tenant_is_accepted(api):
    assert api.publish("who-is-that")["destination_ids"] == []


# ---- whom it reaches ----


def test_destination_id_narrows(api, tenant, receiver):
    hooks = [receiver.hook() for _ in range(4)]
    one = api.destination(tenant, hooks[0].url, topics=["a"])["id"]
    two = api.destination(tenant, hooks[1].url, topics=["a"])["id"]
    off = api.destination(tenant, hooks[2].url, disabled_at="2024-01-01T00:00:00Z")["id"]
    picky = api.destination(tenant, hooks[3].url, filter={"data": {"x": 1}})["id"]
    assert api.publish(tenant, topic="a")["destination_ids"] == [one, two]
    assert api.publish(tenant, topic="a", destination_id=two)["destination_ids"] == [two]
    assert api.publish(tenant, topic="b", destination_id=two)["destination_ids"] == []
    assert api.publish(tenant, destination_id=off)["destination_ids"] == []
    assert api.publish(tenant, destination_id=picky)["destination_ids"] == []
    assert api.publish(tenant, {"x": 1}, destination_id=picky)["destination_ids"] == [picky]
    assert api.publish(tenant, destination_id="unknown")["destination_ids"] == []
    hooks[0].wait_for(1)
    hooks[1].wait_for(2)
    hooks[3].wait_for(1)
    assert hooks[2].requests == []


def test_unmatched_events_are_kept(api, tenant):
    got = api.publish(tenant, {"a": 1}, topic="lost")
    e = api.get(f"/events/{got['id']}").must(200)
    assert e["matched_destination_ids"] == [] and e["data"] == {"a": 1}
    assert api.attempts(event_id=got["id"]) == []


def test_each_matching_destination_gets_it(api, tenant, receiver):
    hooks = [receiver.hook() for _ in range(10)]
    ids = [api.destination(tenant, h.url)["id"] for h in hooks]
    assert api.publish(tenant)["destination_ids"] == ids
    for h in hooks:
        h.wait_for(1)


# ---- bytes ----

DATA = [
    b"{}",
    b'{"b":1,"a":2,"B":3}',
    b'{ "spaced" :\t[ 1 ,2,  3 ],\n\n "x" : { } }',
    b'{"n":[1.0,1e5,1E+05,0.10,-0,12345678901234567890,1.7976931348623157e308]}',
    b'{"u":"\\u00e9\xc3\xa9\\/\\"<>&\xe2\x80\xa8 \xf0\x9f\x9a\x80","\\u0061":1}',
    b'{"id":"inner","data":{"data":{}},"tenant_id":"inner"}',
    b'{"twice":1,"twice":2}',
    b'{"long":"' + b"x" * 200000 + b'"}',
]


@pytest.mark.parametrize("data", DATA, ids=range(len(DATA)))
def test_the_receiver_gets_the_publishers_bytes(api, tenant, hook, data):
    dest = api.destination(tenant, hook.url)
    raw(api, b'{"tenant_id":"%s", "data": %s , "topic":"t"}' % (tenant.encode(), data)).must(202)
    got = hook.wait_for(1)[0]
    assert got.body == data
    check_v0(got.header("x-outpost-signature"), data, dest["credentials"]["secret"])
    event = raw_event(api, tenant)
    assert data in event


def raw_event(api, tenant):
    return api.get("/events", tenant_id=tenant).body


def test_numbers_that_no_double_holds(api, tenant, hook):
    """Either refused or passed on as they are, never changed."""
    api.destination(tenant, hook.url)
    r = raw(api, b'{"tenant_id":"%s","data":{"n":1e400}}' % tenant.encode())
    if r.status == 202:
        assert hook.wait_for(1)[0].body == b'{"n":1e400}'
    else:
        r.error(422, "invalid JSON")


def test_bytes_survive_a_restart(make_gateway, receiver):
    g = make_gateway().start()
    g.api.tenant("t")
    hook = receiver.hook()
    dest = g.api.destination("t", hook.url, disabled_at="2024-01-01T00:00:00Z")
    data = b'{ "k" : "\\u00e9",\n"big":"' + b"z" * 20000 + b'" }'
    raw(g.api, b'{"tenant_id":"t","id":"e","data":%s}' % data).must(202)
    g.restart()
    assert data in g.api.get("/events/e").body
    assert dest["id"]


def test_a_top_level_field_twice(api, tenant):
    """Which of the two would be sent, and which one matched? Neither."""
    r = raw(api, b'{"tenant_id":"%s","data":{"a":1},"data":{"a":2}}' % tenant.encode())
    assert r.status == 422 and r.json["message"].startswith("invalid JSON"), repr(r)


def test_request_headers(api, tenant, hook):
    api.destination(
        tenant,
        hook.url,
        delivery_metadata={"region": "eu", "both": "dest"},
        config={"custom_headers": {"X-Custom": "c", "Authorization": "Bearer z"}},
    )
    got = api.publish(
        tenant,
        topic="t",
        metadata={"source": "web", "both": "event", "bad name": "x", "crlf": "a\r\nb: c"},
    )
    r = hook.wait_for(1)[0]
    assert r.header("x-outpost-event-id") == got["id"]
    assert r.header("x-outpost-topic") == "t"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", r.header("x-outpost-timestamp"))
    assert r.header("x-outpost-region") == "eu"
    assert r.header("x-outpost-source") == "web"
    assert r.header("x-outpost-both") == "event"
    assert (r.header("x-custom"), r.header("authorization")) == ("c", "Bearer z")
    assert r.header("content-type") == "application/json"
    assert r.header("user-agent")
    assert r.header("host") == hook.receiver.base.split("//")[1]
    assert r.header("b") is None
    for name in ("x-outpost-event-id", "x-outpost-signature", "content-type", "content-length"):
        assert len(r.all(name)) == 1


# ---- sizes ----


def test_body_limit(make_gateway, receiver):
    g = make_gateway({"server.max_publish_body": "64KiB"}).start()
    g.api.tenant("t")
    hook = receiver.hook()
    g.api.destination("t", hook.url)
    frame = b'{"tenant_id":"t","data":{"p":"%s"}}'
    room = 64 * 1024 - len(frame % b"")
    assert raw(g.api, frame % (b"x" * room)).status == 202
    r = raw(g.api, frame % (b"x" * (room + 1)))
    assert r.status == 413, repr(r)
    assert raw(g.api, frame % (b"x" * 10_000_000)).status == 413
    assert len(hook.wait_for(1)[0].body) == room + len(b'{"p":""}')


def test_a_megabyte(api, tenant, hook):
    api.destination(tenant, hook.url)
    data = json.dumps({"p": "x" * 1_000_000}).encode()
    raw(api, b'{"tenant_id":"%s","data":%s}' % (tenant.encode(), data)).must(202)
    assert hook.wait_for(1)[0].body == data


def test_many_metadata_keys(api, tenant, hook):
    api.destination(tenant, hook.url)
    api.publish(tenant, metadata={f"k{i}": str(i) for i in range(200)})
    hook.wait_for(1)


# ---- idempotency ----


def test_duplicates(api, tenant, hook, fresh):
    dest = api.destination(tenant, hook.url)
    event_id = fresh("idem")
    assert api.publish(tenant, {"a": 1}, id=event_id)["duplicate"] is False
    again = api.publish(tenant, {"a": 2}, id=event_id)
    assert again == {"id": event_id, "duplicate": True, "destination_ids": [dest["id"]]}
    assert hook.wait_for(1)[0].body == b'{"a": 1}'
    marker = api.publish(tenant, {"marker": 1})
    wait_until(lambda: any(r.header("x-outpost-event-id") == marker["id"] for r in hook.requests))
    assert len(hook.requests) == 2
    assert api.get(f"/events/{event_id}").must(200)["data"] == {"a": 1}


def test_a_duplicate_names_the_destinations_of_now(api, tenant, receiver, fresh):
    event_id = fresh("idem")
    one = api.destination(tenant, receiver.hook().url)["id"]
    assert api.publish(tenant, id=event_id)["destination_ids"] == [one]
    two = api.destination(tenant, receiver.hook().url)["id"]
    got = api.publish(tenant, id=event_id)
    assert got["duplicate"] is True and got["destination_ids"] == [one, two]


def test_ids_belong_to_a_tenant(api, receiver, fresh):
    event_id = fresh("shared")
    hooks = []
    for _ in range(2):
        t = fresh("scope")
        api.tenant(t)
        hooks.append(receiver.hook())
        api.destination(t, hooks[-1].url)
        assert api.publish(t, {"t": t}, id=event_id)["duplicate"] is False
    for h in hooks:
        assert h.wait_for(1)[0].header("x-outpost-event-id") == event_id


def test_unmatched_events_count_as_seen(api, tenant, fresh):
    event_id = fresh("idem")
    assert api.publish(tenant, id=event_id)["duplicate"] is False
    assert api.publish(tenant, id=event_id)["duplicate"] is True


def test_without_an_id_nothing_is_a_duplicate(api, tenant):
    a, b = api.publish(tenant), api.publish(tenant)
    assert a["id"] != b["id"] and not a["duplicate"] and not b["duplicate"]


def test_concurrent_duplicates(api, tenant, hook, fresh):
    api.destination(tenant, hook.url)
    for _ in range(5):
        event_id = fresh("race")
        answers = []
        start = threading.Barrier(16)

        def publish():
            start.wait()
            answers.append(api.publish(tenant, id=event_id))
            api.close()

        threads = [threading.Thread(target=publish) for _ in range(16)]
        for t in threads:
            t.start()
        for t in threads:
            t.join(30)
        assert len(answers) == 16
        assert sum(not a["duplicate"] for a in answers) == 1
        wait_until(lambda: any(r.header("x-outpost-event-id") == event_id for r in hook.requests))
    stays_true(lambda: len(hook.requests) == 5, 0.3, "one delivery for each event")


def test_duplicates_after_a_restart(make_gateway, receiver):
    g = make_gateway().start()
    g.api.tenant("t")
    hook = receiver.hook()
    g.api.destination("t", hook.url)
    g.api.publish("t", id="once")
    hook.wait_for(1)
    g.restart()
    assert g.api.publish("t", id="once")["duplicate"] is True
    g.kill9()
    g.start()
    assert g.api.publish("t", id="once")["duplicate"] is True
    assert g.api.publish("t", id="twice")["duplicate"] is False
    hook.wait_for(2)
    assert sorted({r.header("x-outpost-event-id") for r in hook.requests}) == ["once", "twice"]
