# SPDX-License-Identifier: Apache-2.0
"""longline_events_refused_total: also what was refused before its body was read."""

import http.client

from support.gateway import ADMIN_KEY, FAST_RETRIES
from support.receiver import Reply
from support.wait import wait_until

NAME = "longline_events_refused_total"


def publish_head(gw, length, key=ADMIN_KEY):
    """Sends only the head; returns the status."""
    c = http.client.HTTPConnection("127.0.0.1", gw.port, timeout=20)
    c.putrequest("POST", "/api/v1/publish")
    c.putheader("Authorization", "Bearer " + key)
    if length is not None:
        c.putheader("Content-Length", str(length))
    c.endheaders()
    status = c.getresponse().status
    c.close()
    return status


def test_refused_by_the_head(gw):
    before = gw.metric(NAME)
    assert publish_head(gw, 2 << 20) == 413
    assert gw.metric(NAME) == before + 1
    assert publish_head(gw, None) == 411
    assert gw.metric(NAME) == before + 2
    assert publish_head(gw, 2, key="wrong") == 401  # nobody's event
    assert gw.metric(NAME) == before + 2
    gw.api.post("/publish", json={"data": {}}).must(422)
    assert gw.metric(NAME) == before + 3


def test_refused_for_lack_of_room(make_gateway, receiver):
    g = make_gateway({**FAST_RETRIES, "delivery.max_pending": "1000"}).start()
    hook = receiver.hook().script(Reply(503))
    g.api.tenant("t")
    for i in range(20):
        g.api.destination("t", hook.url)
    body = {"tenant_id": "t", "data": {}}

    refused = 0
    for _ in range(200):
        r = g.api.post("/publish", json=body)
        refused += r.status == 503
        if refused == 5:
            break
    assert refused == 5
    wait_until(lambda: g.metric(NAME) >= 5, "the refusals to be counted")
    assert g.metric(NAME) == 5
