# SPDX-License-Identifier: Apache-2.0
"""
A full quota and a full disk. Publishing is refused with 503 and Retry-After before the cliff; what
was accepted is delivered and recorded all the same; room that comes back is used without a restart.
"""

import os
import resource
import shutil
import signal
import subprocess

import pytest

from support.gateway import FAST_RETRIES
from support.ledger import Ledger, Load
from support.ports import DeadPort
from support.receiver import Receiver, Reply
from support.wait import wait_until

MIB = 1 << 20


def fill(g, tenant, ledger, size=20000, most=5000):
    """Publishes until it is refused; returns the refusal."""
    for _ in range(most):
        body = b'{"pad":"%s"}' % (b"x" * size)
        event_id = f"fill-{g.starts}-{ledger.n}"
        ledger.n += 1
        ledger.bodies[event_id] = body
        r = g.api.request(
            "POST",
            "/api/v1/publish",
            body=(
                b'{"id":"%s","tenant_id":"%s","topic":"t","data":%s}'
                % (event_id.encode(), tenant.encode(), body)
            ),
        )
        if r.status != 202:
            ledger.refused.add(event_id)
            return r
        ledger.accepted.add(event_id)
    raise AssertionError("it was never refused")


def assert_refusal(r):
    assert r.status == 503, repr(r)
    assert int(r.headers["retry-after"]) >= 1
    assert r.json["status"] == 503 and "full" in r.json["message"]


def with_destination(g, url):
    g.api.tenant("t")
    d = g.api.destination("t", url)
    ledger = Ledger(None, d["credentials"]["secret"])
    ledger.n = 0
    return d, ledger


def accepts(g):
    """With an event that nobody wants."""
    return g.api.post("/publish", json={"tenant_id": "nobody", "data": {}}).status == 202


def test_quota(make_gateway):
    """Pending events fill it: they may not be purged."""
    conf = "[store]\nmax_size = {}\n"
    g = make_gateway(
        {
            **FAST_RETRIES,
            "delivery.retry_interval": "300ms",
            "delivery.retry_max_delay": "300ms",
            "delivery.retry_limit": "1000",
        },
        config=conf.format("8MiB"),
    ).start()
    with Receiver() as rx:
        hook = rx.hook().script(Reply(503))
        d, ledger = with_destination(g, hook.url)
        ledger.hook = hook
        r = fill(g, "t", ledger)
        assert_refusal(r)
        assert len(ledger.accepted) > 50
        size = sum(f.stat().st_size for f in g.data_dir.rglob("data.mdb"))
        assert size < 16 * MIB

        # Reading, health and attempts go on.
        assert g.api.get("/topics").status == 200
        assert g.api.events(limit=1)
        ready = g.api.request("GET", "/readyz").json
        assert ready["store"] in ("high", "full")
        assert g.api.request("GET", "/healthz").status == 200
        before = g.metric('longline_attempts_total{status="failed"}')
        wait_until(lambda: g.metric('longline_attempts_total{status="failed"}') > before + 20)

        # A restart changes nothing.
        g.restart()
        assert_refusal(fill(g, "t", ledger))

        # More room by a reload.
        g.write_config(conf.format("64MiB"))
        g.signal(signal.SIGHUP)
        wait_until(lambda: accepts(g), "room after the reload")

        hook.script(Reply(200))
        ledger.settle(deadline=60)
        ledger.check()


def test_delivered_events_make_room(make_gateway, receiver):
    """At the high mark the oldest that are done with go; there is no refusal at all."""
    g = make_gateway({**FAST_RETRIES, "store.max_size": "8MiB"}).start()
    hook = receiver.hook()
    d, ledger = with_destination(g, hook.url)
    ledger.hook = hook
    refused = 0
    while len(ledger.accepted) < 1500:
        body = b'{"pad":"%s"}' % (b"x" * 20000)
        event_id = f"roll-{ledger.n}"
        ledger.n += 1
        ledger.bodies[event_id] = body
        r = g.api.request(
            "POST",
            "/api/v1/publish",
            body=(b'{"id":"%s","tenant_id":"t","topic":"t","data":%s}' % (event_id.encode(), body)),
        )
        if r.status == 202:
            ledger.accepted.add(event_id)
        else:
            assert_refusal(r)
            ledger.refused.add(event_id)
            refused += 1
            wait_until(lambda: accepts(g), "room by purging")
    assert 1500 * 20000 > 3 * 8 * MIB
    ledger.settle()
    ledger.check()
    assert g.metric("longline_store_purged_events_total") > 0
    assert sum(f.stat().st_size for f in g.data_dir.rglob("data.mdb")) < 24 * MIB
    ids = [e["id"] for e in g.api.events(limit=10)]
    assert ids, "the newest are still there"


def test_deleting_helps_a_full_store(make_gateway):
    """Configuration can be taken away when nothing fits in any more."""
    g = make_gateway(
        {**FAST_RETRIES, "delivery.retry_interval": "1h", "store.max_size": "8MiB"}
    ).start()
    dead = DeadPort()
    d, ledger = with_destination(g, dead.url)
    assert_refusal(fill(g, "t", ledger))
    assert g.api.delete(f"/tenants/t/destinations/{d['id']}").status == 200
    wait_until(lambda: accepts(g), "room, now that nothing waits for them", deadline=30)
    dead.close()


def test_a_full_store_can_be_put_right(make_gateway, receiver):
    """What exists can be changed: disabled, or pointed at an endpoint that works."""
    g = make_gateway(
        {**FAST_RETRIES, "delivery.retry_interval": "1h", "store.max_size": "8MiB"}
    ).start()
    dead = DeadPort()
    d, ledger = with_destination(g, dead.url)
    assert_refusal(fill(g, "t", ledger))
    path = f"/tenants/t/destinations/{d['id']}"
    new = {"type": "webhook", "topics": "*", "config": {"url": receiver.hook().url}}

    def refused(make):
        """An object is small: it may still fit in what was too little for an event."""
        return fill(g, "t", ledger, size=100) and make().status == 503

    wait_until(lambda: refused(lambda: g.api.post("/tenants/t/destinations", new)))
    wait_until(lambda: refused(lambda: g.api.put(f"/tenants/other-{ledger.n}")))
    assert g.api.put("/tenants/t", {"metadata": {"state": "full"}}).must(200)["metadata"]
    assert g.api.put(f"{path}/disable").must(200)["disabled_at"]
    hook = receiver.hook()
    changed = g.api.patch(path, {"config": {"url": hook.url}}).must(200)
    assert changed["config"]["url"] == hook.url
    assert g.api.put(f"{path}/enable").must(200)["disabled_at"] is None
    dead.close()


def mount_small(path, size):
    path.mkdir()
    r = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(path)], capture_output=True
    )
    return r.returncode == 0


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 96 MiB where we may mount one; else a directory whose rest is filled up."""
    path = tmp_path / "disk"
    mounted = os.geteuid() == 0 and mount_small(path, "96m")
    path.mkdir(exist_ok=True)
    yield path if mounted else None
    if mounted:
        subprocess.run(["umount", "-l", str(path)], check=True)


def test_full_disk(make_gateway, small_disk, tmp_path, receiver):
    patient = {
        **FAST_RETRIES,
        "delivery.retry_interval": "2s",
        "delivery.retry_max_delay": "2s",
        "delivery.retry_limit": "1000",
    }
    if small_disk is None:
        # Without the right to mount, the same marks are reached by asking for more free space
        # than there is.
        free = shutil.disk_usage(tmp_path).free // MIB
        conf = "[store]\nmin_free_disk = {}MiB\n"
        g = make_gateway(patient, config=conf.format(free // 2)).start()

        def set_reserve(mib):
            g.write_config(conf.format(mib))
            g.signal(signal.SIGHUP)

        occupy, vacate = (lambda: set_reserve(free * 2)), (lambda: set_reserve(free // 2))
    else:
        g = make_gateway({**patient, "store.min_free_disk": "16MiB"})
        g.data_dir = small_disk / "data"
        g.start()
        filler = small_disk / "filler"

        def occupy():
            left = os.statvfs(small_disk)
            with open(filler, "wb") as f:
                f.write(b"\0" * (left.f_bavail * left.f_frsize - 12 * MIB))

        vacate = filler.unlink

    hook = receiver.hook().script(Reply(500))
    d, ledger = with_destination(g, hook.url)
    ledger.hook = hook
    ledger.publish(g.api, "t", "before")
    hook.wait_for(1)
    free_before = g.metric("longline_store_free_disk_bytes")
    occupy()
    if small_disk is not None:  # it looks once a second; the reserve is for what comes in between
        wait_until(lambda: g.metric("longline_store_free_disk_bytes") < free_before - 16 * MIB)
    # Nothing that waits for its delivery may go, so this ends in a refusal.
    assert_refusal(fill(g, "t", ledger))
    assert g.is_running()
    # Attempts go on and are recorded.
    wait_until(lambda: len(g.api.attempts(event_id="before")) >= 2)
    assert_refusal(fill(g, "t", ledger))
    vacate()
    wait_until(lambda: accepts(g), "room again, without a restart")
    hook.script(Reply(200))
    ledger.publish(g.api, "t", "after")
    ledger.settle()
    ledger.check()


def test_the_cliff(make_gateway, tmp_path, receiver):
    """
    The reserve is off and writing really fails (a limit on the size of files stands for the disk).
    Then it is fail-stop: no 202 without the disk, and nothing lost when room is back.
    """
    g = make_gateway(
        {**FAST_RETRIES, "store.min_free_disk": "0"},
        limits={resource.RLIMIT_FSIZE: (6 * MIB, 6 * MIB)},
    ).start()
    hook = receiver.hook()
    d, ledger = with_destination(g, hook.url)
    ledger.hook = hook
    load = Load(ledger, g.api, "t", "cliff", threads=3, size=30000)
    wait_until(lambda: not g.is_running(), "it stops", deadline=60)
    load.stop()
    code = g.wait_exit()
    assert code not in (0, None)
    assert g.log_has("store.fatal") or code < 0
    g.limits = {}
    g.start()
    ledger.settle(deadline=40)
    ledger.check()
    assert len(ledger.accepted) > 20
