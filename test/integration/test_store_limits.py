# SPDX-License-Identifier: Apache-2.0
"""
A full quota and a full disk. Publishing is refused with 503 and Retry-After before the cliff; what
was accepted is delivered and recorded all the same; room that comes back is used without a restart.
"""

import os
import pathlib
import resource
import shutil
import signal
import subprocess
import tempfile

import pytest

from support.gateway import FAST_RETRIES
from support.ledger import Ledger, Load
from support.ports import DeadPort
from support.receiver import Held, Receiver, Reply
from support.wait import wait_until

MIB = 1 << 20
PATIENT = {"client.total_timeout": "10m", "client.first_byte_timeout": "10m"}


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


def with_bulk(g, receiver):
    """
    A tenant whose events wait for an answer, and so cannot be purged. There are no records of
    attempts at them either: those would take the rest of the room, and then attempts stop.
    """
    held = Held(Reply(200))
    hook = receiver.hook().script(held)
    g.api.tenant("bulk")
    ledger = Ledger(hook, g.api.destination("bulk", hook.url)["credentials"]["secret"])
    ledger.n = 0
    return held, ledger


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
            **PATIENT,
            "process.shutdown_timeout": "100ms",
        },
        config=conf.format("8MiB"),
    ).start()
    with Receiver() as rx:
        hook = rx.hook().script(Reply(503))
        d, ledger = with_destination(g, hook.url)
        ledger.hook = hook
        held, bulk = with_bulk(g, rx)
        ledger.publish(g.api, "t", "before")
        assert_refusal(fill(g, "bulk", bulk))
        assert len(bulk.accepted) > 50
        size = sum(f.stat().st_size for f in g.data_dir.rglob("data.mdb"))
        assert size < 16 * MIB

        # Reading, health and attempts go on.
        assert g.api.get("/topics").status == 200
        assert g.api.events(limit=1)
        ready = g.api.request("GET", "/readyz").json
        assert ready["store"] in ("high", "full")
        assert g.api.request("GET", "/healthz").status == 200
        n = len(hook.requests)
        wait_until(lambda: len(hook.requests) >= n + 3, "further attempts")

        # A restart changes nothing.
        g.restart()
        assert_refusal(fill(g, "bulk", bulk))

        # More room by a reload.
        g.write_config(conf.format("64MiB"))
        g.signal(signal.SIGHUP)
        wait_until(lambda: accepts(g), "room after the reload")

        hook.script(Reply(200))
        held.let_go()
        for each in (ledger, bulk):
            each.settle(deadline=60)
            each.check()


def test_a_failing_endpoint_does_not_stop_deliveries(make_gateway, receiver):
    """
    Its attempts are kept with up to 4 KiB each. With nothing else to delete they make room for one
    another, so that the store never comes to where no attempt may start.
    """
    g = make_gateway(
        {
            **FAST_RETRIES,
            "delivery.retry_interval": "200ms",
            "delivery.retry_max_delay": "200ms",
            "delivery.retry_limit": "1000",
            "store.max_size": "12MiB",
        }
    ).start()
    hook = receiver.hook().script(Reply(500, b"e" * 8000))
    d, ledger = with_destination(g, hook.url)
    ledger.hook = hook
    assert_refusal(fill(g, "t", ledger, size=3000))
    name = "longline_store_purged_attempts_total"
    wait_until(lambda: g.metric(name) * 4096 > 2 * 12 * MIB, "attempts that went", deadline=60)
    n = len(hook.requests)
    wait_until(lambda: len(hook.requests) > n + 100, "further attempts")
    hook.script(Reply(200))
    ledger.settle(deadline=60)
    ledger.check()
    wait_until(lambda: accepts(g), "room for new events")


def test_delivered_events_make_room(make_gateway, receiver):
    """At the high mark the oldest that are done with go; there is no refusal at all."""
    g = make_gateway({**FAST_RETRIES, "store.max_size": "8MiB"}).start()
    hook = receiver.hook()
    d, ledger = with_destination(g, hook.url)
    ledger.hook = hook
    refused = 0
    while len(ledger.accepted) < 500:  # few and large: each waits for the disk
        body = b'{"pad":"%s"}' % (b"x" * 60000)
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
    assert 500 * 60000 > 3 * 8 * MIB
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
    """A file system of 96 MiB where we may mount one."""
    path = tmp_path / "disk"
    mounted = os.geteuid() == 0 and mount_small(path, "96m")
    yield path if mounted else None
    if mounted:
        subprocess.run(["umount", "-l", str(path)], check=True)


@pytest.fixture
def quiet_disk(tmp_path):
    """Elsewhere, one that hardly anybody else writes to: what is free there is ours."""
    shm = pathlib.Path("/dev/shm")
    if not os.access(shm, os.W_OK) or shutil.disk_usage(shm).free < 60 * MIB:
        yield None
        return
    path = pathlib.Path(tempfile.mkdtemp(prefix="longline-", dir=shm))
    yield path
    shutil.rmtree(path, ignore_errors=True)


ROOM = 24 * MIB  # left for events by what takes the disk


def on_a_small_disk(make_gateway, settings, disk):
    """The gateway, and what takes and gives back the disk: a file beside its own."""
    g = make_gateway({**settings, "store.min_free_disk": "16MiB"})
    g.data_dir = disk / "data"
    filler = disk / "filler"

    def occupy():
        left = os.statvfs(disk)
        with open(filler, "wb") as f:
            f.write(b"\0" * (left.f_bavail * left.f_frsize - 16 * MIB - ROOM))

    return g, occupy, filler.unlink


def on_a_large_disk(make_gateway, settings, disk):
    """The same marks, reached by asking for nearly as much free space as there is."""
    conf = "[store]\nmin_free_disk = {}\n"
    g = make_gateway(settings, config=conf.format(0))
    g.data_dir = disk / "data"

    def set_reserve(n):
        g.write_config(conf.format(n))
        n_reloads = g.log_text().count("reload.done")
        g.signal(signal.SIGHUP)
        wait_until(lambda: g.log_text().count("reload.done") > n_reloads, "the reload")

    return g, lambda: set_reserve(shutil.disk_usage(disk).free - ROOM), lambda: set_reserve(0)


def test_full_disk(make_gateway, small_disk, quiet_disk, tmp_path, receiver):
    patient = {
        **FAST_RETRIES,
        "delivery.retry_interval": "2s",
        "delivery.retry_max_delay": "2s",
        "delivery.retry_limit": "1000",
        **PATIENT,
    }
    if small_disk is not None:
        g, occupy, vacate = on_a_small_disk(make_gateway, patient, small_disk)
    else:
        g, occupy, vacate = on_a_large_disk(make_gateway, patient, quiet_disk or tmp_path)
    g.start()
    hook = receiver.hook().script(Reply(500))
    d, ledger = with_destination(g, hook.url)
    ledger.hook = hook
    held, bulk = with_bulk(g, receiver)
    ledger.publish(g.api, "t", "before")
    hook.wait_for(1)
    free_before = g.metric("longline_store_free_disk_bytes")
    occupy()
    if small_disk is not None:  # it looks once a second
        wait_until(lambda: g.metric("longline_store_free_disk_bytes") < free_before - 16 * MIB)
    assert_refusal(fill(g, "bulk", bulk, size=60000))
    assert g.is_running()
    if small_disk is not None or quiet_disk is not None:
        # Attempts go on and are recorded; on a disk with others they may take that room, too.
        n = len(hook.requests)
        wait_until(lambda: len(hook.requests) > n, "an attempt")
    assert_refusal(fill(g, "bulk", bulk, size=60000))
    vacate()
    wait_until(lambda: accepts(g), "room again, without a restart")
    hook.script(Reply(200))
    held.let_go()
    ledger.publish(g.api, "t", "after")
    for each in (ledger, bulk):
        each.settle(deadline=60)
        each.check()


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
    assert code == 1 and g.log_has("store.fatal")  # an error of the write, not SIGXFSZ
    g.limits = {}
    g.start()
    ledger.settle(deadline=40)
    ledger.check()
    assert len(ledger.accepted) > 20
