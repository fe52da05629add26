# SPDX-License-Identifier: Apache-2.0
"""The path of README's tour: tenant, destination, publish, a verified delivery, its record."""

import json
import subprocess

from support.gateway import binary, environment
from support.signing import check_v0
from support.wait import DEADLINE, wait_until


def test_tour(gw, api, receiver):
    tenant = api.put("/tenants/acme").must(201)
    assert tenant["id"] == "acme"

    hook = receiver.hook()
    dest = api.destination("acme", hook.url, topics=["order.created"])
    secret = dest["credentials"]["secret"]

    answer = api.publish("acme", {"order_id": "ord_1", "amount": 1500}, topic="order.created")
    assert answer["duplicate"] is False
    assert answer["destination_ids"] == [dest["id"]]

    got = hook.wait_for(1)[0]
    assert got.method == "POST"
    assert json.loads(got.body) == {"order_id": "ord_1", "amount": 1500}
    assert got.header("content-type") == "application/json"
    assert got.header("x-outpost-event-id") == answer["id"]
    assert got.header("x-outpost-topic") == "order.created"
    check_v0(got.header("x-outpost-signature"), got.body, secret)

    event = api.get(f"/events/{answer['id']}").must(200)
    assert event["data"] == {"order_id": "ord_1", "amount": 1500}
    attempt = wait_until(lambda: api.attempts(event_id=answer["id"]), "the attempt's record")[0]
    assert (attempt["status"], attempt["code"], attempt["attempt_number"]) == ("success", "200", 1)


def test_tour_with_our_own_receiver(gw, api):
    """The tour itself needs no more than the binary: `longline receive` verifies."""
    api.put("/tenants/tour").must(201)
    secret = "whsec_" + "ab" * 32
    receive = subprocess.Popen(
        [
            binary(),
            "receive",
            "--listen",
            "127.0.0.1:0",
            "--secret",
            secret,
            "--count",
            "1",
            "--json",
        ],
        stdout=subprocess.PIPE,
        env=environment(),
        text=True,
    )
    try:
        ready = json.loads(receive.stdout.readline())
        api.destination("tour", ready["listen"] + "/hook", credentials={"secret": secret})
        api.publish("tour", {"hello": "world"}, topic="greeting")
        got = json.loads(receive.stdout.readline())
        assert got["signature"] == "valid"
        assert json.loads(got["body"]) == {"hello": "world"}
        assert receive.wait(DEADLINE) == 0
    finally:
        receive.kill()
        receive.wait()
        receive.stdout.close()
