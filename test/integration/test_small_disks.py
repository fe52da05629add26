# SPDX-License-Identifier: Apache-2.0
"""
File systems of 48 to 340 MiB under the worst load there is for them: thousands of events pend at an
endpoint that fails at once, again and again, with responses that are kept; publishes of 1 MB and
tiny ones with ids and topics of their own go on all the while, lists are read and backups written.

The gateway must not end, must leave `store.min_free_disk` alone, must lose nothing that it
acknowledged, and must come back to normal by itself when the endpoint recovers.

LONGLINE_TEST_DISK_SECONDS=60 runs all sizes on both kinds of file system for so long each.
"""

import contextlib
import http.client
import itertools
import os
import pathlib
import shutil
import subprocess
import tempfile
import threading
import time

import pytest

from support.gateway import FAST_RETRIES, binary, environment
from support.sink import Sink
from support.wait import wait_until

MIB = 1 << 20
SECONDS = float(os.environ.get("LONGLINE_TEST_DISK_SECONDS", "0"))
PENDING = 2000
# The log of the gateway and what is measured lie elsewhere; the file system's own bookkeeping,
# such as its table of extents, may take a little that nobody can take ahead of time.
UNCOUNTED = 1 * MIB
# On ext3 no blocks can be taken ahead: commits may take of the reserve until deleting has made room.
UNCOUNTED_EXT3 = 8 * MIB

FAILING = {
    **FAST_RETRIES,
    "delivery.retry_interval": "100ms",
    "delivery.retry_max_delay": "100ms",
    "delivery.retry_limit": "1000",
    "delivery.disable_after_failures": "0",
    "api.max_destinations_per_tenant": "100",
}

QUICK = [
    ("tmpfs", 48, 0, 4000),
    ("ext4", 96, 4, 4000),
    ("ext3", 96, 4, 4000),
    ("tmpfs", 200, 4, 120000),
]
LONG = [
    (kind, size, part, response)
    for kind in ("tmpfs", "ext4")
    for size in (48, 96, 200, 340)
    for part in (0, 4)
    for response in (4000, 120000)
] + [("ext3", 200, 4, 4000)]


def mounted(kind, path, size):
    """Mounts a file system of that size in MiB; None where we may not."""
    path.mkdir()
    if kind == "tmpfs":
        cmd = ["mount", "-t", "tmpfs", "-o", f"size={size}m", "tmpfs", str(path)]
    else:
        image = path.with_suffix(".img")
        with open(image, "wb") as f:
            f.truncate(size * MIB)
        made = subprocess.run([f"mkfs.{kind}", "-q", "-m", "0", str(image)], capture_output=True)
        if made.returncode != 0:
            return None
        cmd = ["mount", "-o", "loop", str(image), str(path)]
    done = subprocess.run(cmd, capture_output=True)
    return path if done.returncode == 0 else None


class Disk:
    """A small file system, or where none can be mounted, that much room on a large one."""

    def __init__(self, kind, directory, size, part):
        path = mounted(kind, directory / "disk", size) if os.geteuid() == 0 else None
        self.is_own = path is not None
        if self.is_own:
            self.path = path
            self.reserve = size * MIB // part if part else 0
        else:
            self.path = pathlib.Path(tempfile.mkdtemp(prefix="longline-"))
            self.reserve = self.free() - size * MIB
        self.least = self.free()

    def free(self):
        fs = os.statvfs(self.path)
        return fs.f_bavail * fs.f_frsize

    def fill(self):
        """Somebody else takes the last byte, or of a large disk what is above the reserve."""
        least = 0 if self.is_own else self.reserve
        with open(self.path / "filler", "wb", buffering=0) as f:
            for block in (MIB, 4096):
                with contextlib.suppress(OSError):
                    while self.free() > least and f.write(b"\0" * block):
                        pass

    def close(self):
        if self.is_own:
            subprocess.run(["umount", "-l", str(self.path)], check=True)
        else:
            shutil.rmtree(self.path)

    def watch(self):
        self.least = min(self.least, self.free())
        time.sleep(0.003)


@pytest.fixture
def make_disk(tmp_path):
    with contextlib.ExitStack() as all_of_them:

        def make(kind, size, part=0):
            disk = Disk(kind, tmp_path, size, part)
            all_of_them.callback(disk.close)
            return disk

        yield make


class Load:
    """Threads that do one thing each until they are stopped; failures of the network count."""

    def __init__(self, g):
        self.g = g
        self.stop_event = threading.Event()
        self.lock = threading.Lock()
        self.accepted = set()
        self.refused = 0
        self.broken = []
        self.threads = []

    def start(self, *jobs):
        for job in jobs:
            self.threads.append(threading.Thread(target=self.repeat, args=(job,)))
            self.threads[-1].start()

    def repeat(self, job):
        try:
            while not self.stop_event.is_set():
                job()
        except (OSError, http.client.HTTPException) as e:
            self.broken.append(repr(e))

    def stop(self):
        self.stop_event.set()
        for t in self.threads:
            t.join()

    def publish(self, tenant, event_id, topic, body):
        r = self.g.api.request(
            "POST",
            "/api/v1/publish",
            body=b'{"id":"%s","tenant_id":"%s","topic":"%s","data":{"pad":"%s"}}'
            % (event_id.encode(), tenant.encode(), topic.encode(), body),
        )
        with self.lock:
            if r.status == 202:
                self.accepted.add(event_id)
            else:
                assert r.status == 503, repr(r)
                self.refused += 1
        if r.status == 503:
            self.stop_event.wait(0.02)
        return r.status


def jobs_of(load, backups):
    numbers = itertools.count()
    count = numbers.__next__

    def large():
        load.publish("t", f"large-{count()}", "t", b"x" * 1000000)

    def tiny():
        n = count()
        load.publish("t", f"tiny-{n}", f"topic-{n}", b"")

    def many():
        n = count()
        load.publish("many", f"many-{n}", f"topic-{n}", b"y" * 300)

    def lists():
        load.g.api.request("GET", "/api/v1/attempts?tenant_id=t&limit=100")
        load.g.api.request("GET", "/api/v1/events?tenant_id=many&limit=100")
        load.stop_event.wait(0.05)

    def backup():
        to = backups / f"backup-{count()}"
        cmd = [binary(), "backup", "--data-dir", str(load.g.data_dir), str(to)]
        subprocess.run(cmd, env=environment(), capture_output=True, timeout=300)
        shutil.rmtree(to, ignore_errors=True)
        load.stop_event.wait(1)

    return large, tiny, many, lists, backup


def gateway_on(make_gateway, disk, sink, response, **settings):
    g = make_gateway(
        {
            **FAILING,
            "store.min_free_disk": str(disk.reserve),
            "client.keep_response_body": "128KiB" if response > 4096 else "4KiB",
            "client.max_response_body": "1MiB",
            **settings,
        }
    )
    g.data_dir = disk.path / "data"
    g.start()
    g.api.tenant("t")
    g.api.destination("t", sink.url + "/hook")
    g.api.tenant("many")
    for i in range(20):
        g.api.destination("many", f"{sink.url}/hook-{i}")
    sink.answer_with(500, response)
    return g


def is_normal(g):
    ready = g.api.request("GET", "/readyz")
    return (
        ready.status == 200
        and ready.json["store"] in ("ok", "high")
        and g.api.post("/publish", json={"tenant_id": "nobody", "data": {}}).status == 202
    )


def assert_recovers(g, sink, accepted, deadline=120):
    sink.answer_with(200)
    g.api.close()
    wait_until(lambda: accepted <= sink.seen()[1], "every event arrives", deadline=deadline)
    wait_until(lambda: is_normal(g), "normal again", deadline=60)


def sizes(g):
    return [f"{f.parent.name} {f.stat().st_size / MIB:.1f}" for f in g.data_dir.rglob("data.mdb")]


def cpu_us(g):
    """Processor time of the process so far; 0 when it has ended."""
    try:
        fields = pathlib.Path(f"/proc/{g.pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return 0
    return (int(fields[11]) + int(fields[12])) * 1000000 // os.sysconf("SC_CLK_TCK")


def rates(counts):
    return [
        (n - m, (us - before) // max(n - m, 1))
        for (m, before), (n, us) in itertools.pairwise(counts)
    ]


@pytest.mark.timeout(1200)
@pytest.mark.parametrize(("kind", "size", "part", "response"), LONG if SECONDS else QUICK)
def test_worst_load(make_gateway, make_disk, tmp_path, kind, size, part, response):
    disk = make_disk(kind, size, part)
    with Sink() as sink:
        g = gateway_on(make_gateway, disk, sink, response)
        load = Load(g)
        for i in range(PENDING):
            load.publish("t", f"pending-{i}", "t", b"z" * 100)
        load.start(disk.watch, *jobs_of(load, tmp_path))
        end = time.monotonic() + (SECONDS or 8)
        counts = [(sink.seen()[0], cpu_us(g))]
        while time.monotonic() < end and g.is_running():
            load.stop_event.wait(5)
            counts.append((sink.seen()[0], cpu_us(g)))
        load.stop()
        print(
            f"{kind} {size} MiB, reserve {disk.reserve / MIB:.0f}, response {response}: "
            f"{len(load.accepted)} accepted, {load.refused} refused; attempts in 5 s, and "
            f"microseconds of processor for one: {rates(counts)}; least free "
            f"{disk.least / MIB:.2f} MiB, running {g.is_running()}, MiB of {sizes(g)}"
        )
        assert g.is_running(), g.log_text()[-2000:]
        assert not load.broken, load.broken
        if disk.is_own:
            uncounted = UNCOUNTED_EXT3 if kind == "ext3" else UNCOUNTED
            assert disk.least >= disk.reserve - uncounted
        assert_recovers(g, sink, load.accepted)
        assert "store.corrupt" not in g.log_text()
        g.stop()


@pytest.mark.parametrize("kind", ["tmpfs", "ext4"])
def test_full_disk_at_the_start(make_gateway, make_disk, kind):
    """Somebody else fills the disk to the last byte; kills and starts change nothing in that."""
    disk = make_disk(kind, 96)
    with Sink() as sink:
        g = gateway_on(make_gateway, disk, sink, 4000)
        load = Load(g)
        for i in range(500):
            assert load.publish("t", f"before-{i}", "t", b"z" * 2000) == 202
        disk.fill()
        n = 0
        for _ in range(6 if not SECONDS else 20):
            before = sink.seen()[0]
            wait_until(lambda: sink.seen()[0] > before + 50, "attempts on a full disk")
            assert disk.free() < MIB or not disk.is_own
            while n < 3000 and load.publish("t", f"full-{n}", "t", b"z" * 20000) == 202:
                n += 1
            assert g.is_running(), g.log_text()[-2000:]
            assert g.api.request("GET", "/readyz").json["store"] in ("high", "full")
            g.api.close()
            g.kill9()
            g.start()
        (disk.path / "filler").unlink()
        wait_until(lambda: is_normal(g), "normal with room", deadline=60)
        assert load.publish("t", "after", "t", b"z" * 20000) == 202
        assert_recovers(g, sink, load.accepted)
        g.stop()


def test_large_journal_on_a_full_disk(make_gateway, make_disk):
    """The index stays as small as it was when others took the rest, and that has to do."""
    disk = make_disk("tmpfs", 200)
    with Sink() as sink:
        g = gateway_on(make_gateway, disk, sink, 120000)
        load = Load(g)
        journal = g.data_dir / "journal" / "data.mdb"
        for i in range(500):
            load.publish("t", f"pending-{i}", "t", b"z" * 100)
        wait_until(lambda: journal.stat().st_size > 120 * MIB, "a large journal")
        disk.fill()
        assert_recovers(g, sink, load.accepted)
        for i in range(2000):
            assert load.publish("t", f"after-{i}", f"topic-{i}", b"") == 202
        assert_recovers(g, sink, load.accepted)
        g.stop()
