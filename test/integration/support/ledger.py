# SPDX-License-Identifier: Apache-2.0
"""
What was promised against what arrived.

Publishers note each event before they send it and what they were answered. The receiver's record
is compared with that:

I1  every event answered 202 arrives;
I2  what was refused does not;
I3  an event that the receiver took arrives again only when the outcome of an attempt was lost,
    which only a death of the process does here: once in a life, told apart by the User-Agent;
I4  the bytes are the publisher's, and the signature is over them.
"""

import http.client
import json
import threading

from .signing import check_v0
from .wait import wait_until


class Ledger:
    def __init__(self, hook, secret):
        self.hook = hook
        self.secret = secret
        self.lock = threading.Lock()
        self.bodies = {}  # event id -> data as sent
        self.accepted = set()
        self.refused = set()
        self.unknown = set()

    def publish(self, api, tenant, event_id, size=200):
        data = json.dumps({"id": event_id, "pad": "x" * size}).encode()
        body = b'{"id":"%s","tenant_id":"%s","topic":"t","data":%s}' % (
            event_id.encode(),
            tenant.encode(),
            data,
        )
        with self.lock:
            self.bodies[event_id] = data
        try:
            r = api.request("POST", "/api/v1/publish", body=body)
        except (OSError, http.client.HTTPException):
            with self.lock:
                self.unknown.add(event_id)
            raise
        with self.lock:
            if r.status == 202:
                self.accepted.add(event_id)
            else:
                self.refused.add(event_id)
        return r.status

    def arrived(self):
        """event id -> number of deliveries that were answered with success"""
        counts = {}
        for r in self.hook.requests:
            if 200 <= r.status < 300:
                event_id = r.header("x-outpost-event-id")
                counts[event_id] = counts.get(event_id, 0) + 1
        return counts

    def missing(self):
        return self.accepted - self.arrived().keys()

    def settle(self, deadline=30):
        """Waits until everything that was accepted has arrived (I1)."""
        try:
            wait_until(
                lambda: not self.missing(),
                "every accepted event has arrived",
                deadline=deadline,
                interval=0.05,
            )
        except AssertionError:
            missing = sorted(self.missing())
            raise AssertionError(
                f"I1: {len(missing)} of {len(self.accepted)} accepted events did not arrive: "
                f"{missing[:10]}"
            )

    def check(self):
        requests = self.hook.requests
        sent = {r.header("x-outpost-event-id") for r in requests}
        strangers = sent - self.bodies.keys()
        assert not strangers, f"never published: {sorted(strangers)[:10]}"
        wrong = self.refused & sent
        assert not wrong, f"I2: refused, and yet delivered: {sorted(wrong)[:10]}"
        lives = {}
        for r in requests:
            event_id = r.header("x-outpost-event-id")
            if 200 <= r.status < 300:
                key = (event_id, r.header("user-agent"))
                lives[key] = lives.get(key, 0) + 1
        twice = {k: n for k, n in lives.items() if n > 1}
        assert not twice, f"I3: taken, and sent again in the same life: {twice}"
        for r in requests:
            event_id = r.header("x-outpost-event-id")
            assert r.body == self.bodies[event_id], f"I4: {event_id}: {r.body[:200]!r}"
            check_v0(r.header("x-outpost-signature"), r.body, self.secret)


class Load:
    """Threads that publish until told to stop. Errors of the connection end a thread's turn."""

    def __init__(self, ledger, api, tenant, prefix, threads=4, size=200):
        self.ended = threading.Event()
        self.threads = []
        for i in range(threads):
            t = threading.Thread(
                target=self._run, args=(ledger, api, tenant, f"{prefix}-{i}", size), daemon=True
            )
            self.threads.append(t)
            t.start()

    def _run(self, ledger, api, tenant, prefix, size):
        n = 0
        while not self.ended.is_set():
            n += 1
            try:
                ledger.publish(api, tenant, f"{prefix}-{n}", size)
            except (OSError, http.client.HTTPException):
                return
        api.close()

    def stop(self):
        self.ended.set()
        for t in self.threads:
            t.join(30)
            assert not t.is_alive(), "a publisher hangs"
