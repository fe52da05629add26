# SPDX-License-Identifier: Apache-2.0
"""Retries, by the clock and by hand."""

import email.utils
import time

import pytest

from support.gateway import FAST_RETRIES
from support.receiver import Hang, Held, Reply
from support.signing import check_v0
from support.wait import stays_true, wait_until


def attempts_of(api, event_id):
    return sorted(api.attempts(event_id=event_id), key=lambda a: a["attempt_number"])


def wait_attempts(api, event_id, n):
    wait_until(lambda: len(attempts_of(api, event_id)) >= n, f"{n} attempts")
    return attempts_of(api, event_id)


def retry(api, event_id, dest_id):
    return api.post("/retry", json={"event_id": event_id, "destination_id": dest_id})


# ---- by the clock ----


def test_until_it_succeeds(api, tenant, hook):
    hook.script(Reply(500), Reply(404), Reply(200))
    dest = api.destination(tenant, hook.url)
    e = api.publish(tenant, {"x": 1})
    got = hook.wait_for(3)
    assert [r.body for r in got] == [b'{"x": 1}'] * 3
    assert {r.header("x-outpost-event-id") for r in got} == {e["id"]}
    for r in got:
        check_v0(r.header("x-outpost-signature"), r.body, dest["credentials"]["secret"])
    # 100 ms, then 200 ms
    assert got[1].time - got[0].time >= 0.09
    assert got[2].time - got[1].time >= 0.19
    rows = wait_attempts(api, e["id"], 3)
    assert [(a["attempt_number"], a["status"], a["code"], a["manual"]) for a in rows] == [
        (1, "failed", "500", False),
        (2, "failed", "404", False),
        (3, "success", "200", False),
    ]
    stays_true(lambda: len(hook.requests) == 3, 0.5)


def test_limit(api, tenant, hook):
    hook.script(Reply(500))
    api.destination(tenant, hook.url)
    e = api.publish(tenant)
    hook.wait_for(4)
    stays_true(lambda: len(hook.requests) == 4, 1.0, "no fifth attempt")
    assert [a["attempt_number"] for a in wait_attempts(api, e["id"], 4)] == [1, 2, 3, 4]


def test_not_eligible(api, tenant, hook):
    hook.script(Reply(500))
    api.destination(tenant, hook.url)
    e = api.publish(tenant, eligible_for_retry=False)
    wait_attempts(api, e["id"], 1)
    stays_true(lambda: len(hook.requests) == 1, 0.5)
    assert len(attempts_of(api, e["id"])) == 1


@pytest.mark.parametrize(
    "status", [301, 302, 304, 307, 400, 401, 404, 409, 422, 429, 500, 502, 503]
)
def test_every_failure_is_retried(api, tenant, hook, status):
    headers = {"Location": hook.receiver.base + "/elsewhere"} if status in (301, 302, 307) else None
    body = b"" if status == 304 else b"no"
    hook.script(Reply(status, body, headers), Reply(200))
    api.destination(tenant, hook.url)
    e = api.publish(tenant)
    rows = wait_attempts(api, e["id"], 2)
    assert [(a["code"], a["status"]) for a in rows] == [(str(status), "failed"), ("200", "success")]
    assert [r.path for r in hook.receiver.requests if r.path == "/elsewhere"] == []


@pytest.mark.parametrize("status", [200, 201, 202, 204, 206])
def test_success_is_2xx(api, tenant, hook, status):
    hook.script(Reply(status, b""))
    api.destination(tenant, hook.url)
    e = api.publish(tenant)
    assert wait_attempts(api, e["id"], 1)[0]["status"] == "success"


def test_gone_is_not_retried(api, tenant, hook):
    hook.script(Reply(410))
    api.destination(tenant, hook.url)
    e = api.publish(tenant)
    wait_attempts(api, e["id"], 1)
    stays_true(lambda: len(hook.requests) == 1, 0.6)
    assert [a["code"] for a in attempts_of(api, e["id"])] == ["410"]


def test_retry_after_seconds(api, tenant, hook):
    hook.script(Reply(503, headers={"Retry-After": "2"}), Reply(200))
    api.destination(tenant, hook.url)
    api.publish(tenant)
    got = hook.wait_for(2)
    assert got[1].time - got[0].time >= 1.9


class UntilADate(Reply):
    """Names a date, which has whole seconds, when it answers: between one and two from then."""

    def run(self, c):
        self.when = int(time.time()) + 2
        self.headers["Retry-After"] = email.utils.formatdate(self.when, usegmt=True)
        return super().run(c)


def test_retry_after_date(api, tenant, hook):
    busy = UntilADate(503)
    hook.script(busy, Reply(200))
    api.destination(tenant, hook.url)
    api.publish(tenant)
    got = hook.wait_for(2)
    assert got[1].wall >= busy.when - 0.1


@pytest.mark.parametrize("value", ["-5", "soon", "1.5", "Mon, 01 Jan 1990 00:00:00 GMT", "0", ""])
def test_retry_after_that_says_nothing(api, tenant, hook, value):
    hook.script(Reply(503, headers={"Retry-After": value}), Reply(200))
    api.destination(tenant, hook.url)
    api.publish(tenant)
    got = hook.wait_for(2)
    assert got[1].time - got[0].time >= 0.09


def test_schedule(make_gateway, receiver):
    g = make_gateway({**FAST_RETRIES, "delivery.retry_schedule": "50ms, 300ms"}).start()
    g.api.tenant("t")
    hook = receiver.hook().script(Reply(500))
    g.api.destination("t", hook.url)
    g.api.publish("t")
    got = hook.wait_for(3)
    assert got[1].time - got[0].time >= 0.045
    assert got[2].time - got[1].time >= 0.29
    stays_true(lambda: len(hook.requests) == 3, 0.6)


def test_pending_retries_survive_restarts(make_gateway, receiver):
    g = make_gateway({**FAST_RETRIES, "delivery.retry_interval": "1500ms"}).start()
    g.api.tenant("t")
    hook = receiver.hook().script(Reply(500), Reply(500), Reply(200))
    g.api.destination("t", hook.url)
    e = g.api.publish("t")
    hook.wait_for(1)
    wait_attempts(g.api, e["id"], 1)
    g.restart()
    got = hook.wait_for(2)
    assert got[1].time - got[0].time >= 1.3, "not before it was due"
    wait_attempts(g.api, e["id"], 2)
    g.kill9()
    g.start()
    hook.wait_for(3)
    rows = wait_attempts(g.api, e["id"], 3)
    assert [a["attempt_number"] for a in rows] == [1, 2, 3]
    stays_true(lambda: len(hook.requests) == 3, 0.3)


def test_a_changed_destination_counts_for_the_next_attempt(api, tenant, receiver):
    held = Held(Reply(500))
    old, new = receiver.hook().script(held), receiver.hook()
    d = api.destination(tenant, old.url)
    e = api.publish(tenant)
    old.wait_for(1)
    p = f"/tenants/{tenant}/destinations/{d['id']}"
    changed = api.patch(
        p,
        json={
            "config": {"url": new.url},
            "credentials": {"secret": "second"},
            "delivery_metadata": {"v": "2"},
        },
    ).must(200)
    held.let_go()
    got = new.wait_for(1)[0]
    assert len(old.requests) == 1
    assert changed["target"] == new.url and got.header("x-outpost-v") == "2"
    check_v0(got.header("x-outpost-signature"), got.body, "second")
    assert wait_until(lambda: [a for a in attempts_of(api, e["id"]) if a["status"] == "success"])


# ---- disabled and deleted ----


def test_disabled_destinations_get_nothing(api, tenant, hook):
    d = api.destination(tenant, hook.url)
    p = f"/tenants/{tenant}/destinations/{d['id']}"
    api.put(p + "/disable").must(200)
    assert api.publish(tenant)["destination_ids"] == []
    api.put(p + "/enable").must(200)
    e = api.publish(tenant)
    assert e["destination_ids"] == [d["id"]]
    assert hook.wait_for(1)[0].header("x-outpost-event-id") == e["id"]


def test_pending_work_waits_while_disabled(api, tenant, hook):
    held = Held(Reply(500))
    hook.script(held, Reply(200))
    d = api.destination(tenant, hook.url)
    p = f"/tenants/{tenant}/destinations/{d['id']}"
    e = api.publish(tenant)
    hook.wait_for(1)
    api.put(p + "/disable").must(200)  # while the attempt is under way, so no retry can be first
    held.let_go()
    wait_attempts(api, e["id"], 1)
    stays_true(lambda: len(hook.requests) == 1, 0.6, "held")
    api.put(p + "/enable").must(200)
    hook.wait_for(2)


def test_deleting_ends_the_retries(api, tenant, hook):
    held = Held(Reply(500))
    hook.script(held)
    d = api.destination(tenant, hook.url)
    e = api.publish(tenant)
    hook.wait_for(1)
    api.delete(f"/tenants/{tenant}/destinations/{d['id']}").must(200)
    held.let_go()
    wait_attempts(api, e["id"], 1)
    stays_true(lambda: len(hook.requests) == 1, 0.8)
    api.destination(tenant, hook.url, id=d["id"])  # another one, of the same name
    stays_true(lambda: len(hook.requests) == 1, 0.3)


def test_automatic_disabling(make_gateway, receiver):
    g = make_gateway(
        {
            **FAST_RETRIES,
            "delivery.retry_limit": "0",
            "delivery.disable_after_failures": "3",
            "delivery.disable_after": "0",
        }
    ).start()
    g.api.tenant("t")
    hook = receiver.hook().script(Reply(500))
    d = g.api.destination("t", hook.url)
    p = f"/tenants/t/destinations/{d['id']}"

    def fail_once():
        n = len(hook.requests)
        e = g.api.publish("t")
        hook.wait_for(n + 1)
        wait_attempts(g.api, e["id"], 1)

    fail_once()
    fail_once()
    assert g.api.get(p).must(200)["disabled_at"] is None
    fail_once()
    wait_until(lambda: g.api.get(p).must(200)["disabled_at"] is not None, "it is disabled")
    assert g.api.publish("t")["destination_ids"] == []
    # Enabling starts the count anew.
    g.api.put(p + "/enable").must(200)
    fail_once()
    fail_once()
    assert g.api.get(p).must(200)["disabled_at"] is None
    # A success, too.
    hook.script(Reply(200), Reply(500))
    e = g.api.publish("t")
    assert wait_attempts(g.api, e["id"], 1)[0]["status"] == "success"
    fail_once()
    fail_once()
    assert g.api.get(p).must(200)["disabled_at"] is None


# ---- by hand ----


def test_manual_retry_of_a_success(api, tenant, hook):
    d = api.destination(tenant, hook.url)
    e = api.publish(tenant)
    wait_attempts(api, e["id"], 1)
    assert retry(api, e["id"], d["id"]).must(202) == {"success": True}
    hook.wait_for(2)
    rows = wait_attempts(api, e["id"], 2)
    assert [(a["attempt_number"], a["manual"]) for a in rows] == [(1, False), (2, True)]


def test_manual_retry_after_the_limit(api, tenant, hook):
    hook.script(*[Reply(500)] * 4, Reply(200))
    d = api.destination(tenant, hook.url)
    e = api.publish(tenant)
    wait_attempts(api, e["id"], 4)
    retry(api, e["id"], d["id"]).must(202)
    rows = wait_attempts(api, e["id"], 5)
    assert (rows[4]["manual"], rows[4]["status"], rows[4]["attempt_number"]) == (True, "success", 5)


def test_a_manual_failure_after_the_limit_stays_single(api, tenant, hook):
    hook.script(Reply(500))
    d = api.destination(tenant, hook.url)
    e = api.publish(tenant)
    wait_attempts(api, e["id"], 4)
    retry(api, e["id"], d["id"]).must(202)
    hook.wait_for(5)
    stays_true(lambda: len(hook.requests) == 5, 0.6)


def test_manual_retry_goes_ahead_of_a_pending_one(make_gateway, receiver):
    g = make_gateway({**FAST_RETRIES, "delivery.retry_interval": "1h"}).start()
    g.api.tenant("t")
    hook = receiver.hook().script(Reply(500), Reply(200))
    d = g.api.destination("t", hook.url)
    e = g.api.publish("t")
    wait_attempts(g.api, e["id"], 1)
    retry(g.api, e["id"], d["id"]).must(202)
    rows = wait_attempts(g.api, e["id"], 2)
    assert (rows[1]["manual"], rows[1]["status"]) == (True, "success")
    g.wait_metric("longline_pending", 0)


def test_manual_retry_of_one_that_was_not_eligible(api, tenant, hook):
    hook.script(Reply(500), Reply(200))
    d = api.destination(tenant, hook.url)
    e = api.publish(tenant, eligible_for_retry=False)
    wait_attempts(api, e["id"], 1)
    retry(api, e["id"], d["id"]).must(202)
    assert wait_attempts(api, e["id"], 2)[1]["status"] == "success"


def test_two_manual_retries_both_run(api, tenant, hook):
    d = api.destination(tenant, hook.url)
    e = api.publish(tenant)
    wait_attempts(api, e["id"], 1)
    for n in (2, 3):
        retry(api, e["id"], d["id"]).must(202)
        rows = wait_attempts(api, e["id"], n)
        assert rows[-1]["attempt_number"] == n


def test_manual_retry_survives_a_kill(make_gateway, receiver):
    g = make_gateway(FAST_RETRIES).start()
    g.api.tenant("t")
    hook = receiver.hook().script(Reply(200), Hang(), Reply(200))
    d = g.api.destination("t", hook.url)
    e = g.api.publish("t")
    wait_attempts(g.api, e["id"], 1)
    retry(g.api, e["id"], d["id"]).must(202)
    hook.wait_for(2)
    g.kill9()
    g.start()
    hook.wait_for(3)
    rows = wait_attempts(g.api, e["id"], 2)
    assert (rows[1]["attempt_number"], rows[1]["manual"]) == (2, True)


def test_refusals(api, tenant, hook, receiver, fresh):
    d = api.destination(tenant, hook.url, topics=["a"], filter={"data": {"x": 1}})
    p = f"/tenants/{tenant}/destinations/{d['id']}"
    e = api.publish(tenant, {"x": 1}, topic="a")
    wait_attempts(api, e["id"], 1)

    retry(api, "nothing", d["id"]).error(404, "event not found")
    never = api.destination(tenant, receiver.hook().url)
    retry(api, e["id"], never["id"]).error(404, "event not found")
    api.put(p + "/disable").must(200)
    retry(api, e["id"], d["id"]).error(
        400, "Destination is disabled", {"error": "destination_disabled"}
    )
    api.put(p + "/enable").must(200)
    api.patch(p, json={"topics": ["b"]}).must(200)
    retry(api, e["id"], d["id"]).error(400, "destination does not match event")
    api.patch(p, json={"topics": ["a"], "filter": {"data": {"x": 2}}}).must(200)
    retry(api, e["id"], d["id"]).error(400, "destination does not match event")
    api.delete(p).must(200)
    retry(api, e["id"], d["id"]).error(404, "destination not found")


def test_bodies(api):
    api.post("/retry", json={}).error(
        422, "validation error", ["event_id is required", "destination_id is required"]
    )
    api.post("/retry", json={"event_id": "x"}).error(
        422, "validation error", ["destination_id is required"]
    )
    for raw in (b"", b"{", b"[]", b'{"event_id":1,"destination_id":"x"}'):
        api.post("/retry", body=raw).error(422, "invalid JSON")


def test_tenants_retry_their_own_only(api, tenant, hook, fresh):
    d = api.destination(tenant, hook.url)
    e = api.publish(tenant)
    wait_attempts(api, e["id"], 1)
    other = fresh("other")
    api.tenant(other)
    stranger = api.with_token(api.token_of(other))
    retry(stranger, e["id"], d["id"]).error(404, "event not found")
    own = api.with_token(api.token_of(tenant))
    retry(own, e["id"], d["id"]).must(202)
    hook.wait_for(2)
