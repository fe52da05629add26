# SPDX-License-Identifier: Apache-2.0
"""The log's audit lines: one for each change of the configuration, without what must stay out."""

import re

import pytest

from support.gateway import FAST_RETRIES
from support.wait import wait_until

URL = "http://127.0.0.1:9/hidden-path"
BURST = 50  # lines of one second


@pytest.fixture(scope="module")
def gw(make_gateway):
    return make_gateway(FAST_RETRIES).start()


def audit_lines(gw, tenant):
    lines = [x for x in gw.log_text().splitlines() if " audit action=" in x]
    return [x.split(" audit ")[1] for x in lines if f"tenant={tenant} " in x]


def test_every_change_is_logged_once(gw):
    api = gw.api
    api.tenant("acme")
    api.tenant("acme", metadata={"plan": "hidden-plan"})
    token = api.with_token(api.token_of("acme"))
    dest = token.destination("acme", URL, id="d1")
    path = "/tenants/acme/destinations/d1"
    token.put(path + "/disable").must(200)
    api.put(path + "/enable").must(200)
    api.patch(path, json={"topics": ["a"]}).must(200)
    rotated = token.patch(path, json={"credentials": {"rotate_secret": True}}).must(200)
    # Neither a refusal nor reading is a change.
    api.post("/tenants/acme/destinations", json={"type": "webhook"})
    api.post("/tenants/acme/destinations", json={"id": "d1", **DEST}).error(
        400, "destination already exists"
    )
    api.get(path).must(200)
    api.publish("acme")
    api.delete(path).must(200)
    api.delete(path).error(404, "destination not found")
    api.delete("/tenants/acme").must(200)
    want = [
        "action=tenant.put tenant=acme detail=created by=admin",
        "action=tenant.put tenant=acme detail=updated by=admin",
        'action=destination.create tenant=acme destination=d1 by="tenant token"',
        'action=destination.disable tenant=acme destination=d1 by="tenant token"',
        "action=destination.enable tenant=acme destination=d1 by=admin",
        "action=destination.update tenant=acme destination=d1 by=admin",
        "action=destination.update tenant=acme destination=d1 "
        'detail="credentials changed" by="tenant token"',
        "action=destination.delete tenant=acme destination=d1 by=admin",
        "action=tenant.delete tenant=acme by=admin",
    ]
    wait_until(lambda: len(audit_lines(gw, "acme")) >= len(want), "the audit lines")
    assert audit_lines(gw, "acme") == want
    text = gw.log_text()
    secrets = [d["credentials"]["secret"] for d in (dest, rotated)]
    for hidden in ("hidden-path", "hidden-plan", *secrets):
        assert hidden not in text


DEST = {"type": "webhook", "topics": "*", "config": {"url": URL}}


def test_a_flood_of_changes_is_held_back_and_counted(gw):
    """Only so many lines in a second; the next one says how many there would have been."""
    n = 400
    for _ in range(n):
        gw.api.tenant("flood")

    def counted():
        gw.api.tenant("flood-end")
        lines = audit_lines(gw, "flood") + audit_lines(gw, "flood-end")
        held = sum(int(m) for x in lines for m in re.findall(r"held_back=(\d+)", x))
        return len(lines), held

    lines, held = counted()
    total = n + 1
    while lines + held < total:
        lines, held = counted()
        total += 1
        assert total < n + 2000
    assert held > 0
