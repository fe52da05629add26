# SPDX-License-Identifier: Apache-2.0
"""
A data directory worth damaging, ways to damage it, and what may come of it: all is there; the start
is refused, with a status and a remedy; or what is missing is named. Never a loop, never silence.
"""

import bisect
import collections
import json
import re
import shutil
import subprocess

from .client import Api
from .gateway import EXIT_DATA, Gateway, binary, environment
from .lmdb_file import PAGE, Lmdb
from .receiver import Reply
from .wait import PATIENCE, wait_until

# Nothing is due while a trial runs.
SETTINGS = {
    "delivery.retry_interval": "1h",
    "delivery.retry_max_delay": "2h",
    "delivery.breaker_failures": "0",
    "log.level": "info",
}
TENANTS = 4
EVENTS = 40  # of each tenant
REMEDY = re.compile(r"restore the backup|delete journal/ and index/|is rebuilt")
NAMED = re.compile(r"journal/data.mdb|the journal|a stored (tenant|destination)|index/data.mdb")
LOST = re.compile(r"store\.retries_lost n=(\d+)")


def file_of(directory, which):
    return directory / which / "data.mdb"


class Template:
    """Events that are delivered, that failed and wait, that are large; and an older state."""

    def __init__(self, g, receiver):
        self.g = g
        self.good = receiver.hook()
        self.bad = receiver.hook()
        self.bad.script(Reply(500))
        g.start()
        for name in ("gone", "gone-and-back"):
            g.api.tenant(name)
            g.api.delete(f"/tenants/{name}").must(200)
        g.api.tenant("gone-and-back")
        self.fill(0)
        g.stop()
        self.old = {w: file_of(g.data_dir, w).read_bytes() for w in ("journal", "index")}
        g.start()
        self.fill(1)
        self.ledger = Ledger(g.api)
        g.stop()
        self.bytes = {w: file_of(g.data_dir, w).read_bytes() for w in ("journal", "index")}
        self.lmdb = Lmdb(self.bytes["journal"])

    def fill(self, part):
        api = self.g.api
        sizes = [10, 300, 1500, 3000, 5000, 20000]
        for t in range(TENANTS):
            tenant = f"tenant-{t}"
            if part == 0:
                api.tenant(tenant)
                api.destination(tenant, self.good.url, id=f"good-{t}", topics=["a", "c"])
                api.destination(tenant, self.bad.url, id=f"bad-{t}", topics=["b", "c"])
            for i in range(EVENTS // 2):
                own = {"id": f"own-{t}-{part}-{i}"} if i % 3 == 0 else {}
                api.publish(
                    tenant, topic="abcd"[i % 4], data={"x": "y" * sizes[(i + t) % 6]}, **own
                )
        wait_until(
            lambda: self.g.metric("longline_pending")
            == self.g.metric("longline_store_retries")
            == (part + 1) * TENANTS * EVENTS // 4,
            "every first attempt",
        )
        wait_until(lambda: self.g.metric("longline_store_index_lag_rows") == 0, "the index")


def list_all(api, path, **query):
    rows, damaged, cursor = [], [], {}
    while True:
        page = api.get(path, **query, limit="1000", **cursor).must(200)
        rows += page["models"]
        damaged += page.get("damaged", [])
        if page["pagination"]["next"] is None:
            return rows, damaged
        cursor = {"next": page["pagination"]["next"]}


class Ledger:
    """What the API shows, by the ways to ask for it."""

    def __init__(self, api, ids=None):
        """ids: events to ask for one by one; a sample of what is there when not given."""
        self.seen = {}
        self.damaged = {}
        self.ask(api, "events", "/events")
        self.ask(api, "attempts", "/attempts")
        for t in range(TENANTS):
            self.ask(api, f"events of {t}", "/events", tenant_id=f"tenant-{t}")
            self.ask(api, f"attempts of {t}", "/attempts", tenant_id=f"tenant-{t}")
            self.ask(api, f"events for {t}", "/events", destination_id=f"good-{t}")
            self.ask(api, f"attempts to {t}", "/attempts", destination_id=f"bad-{t}")
            self.ask(api, f"events on b of {t}", "/events", tenant_id=f"tenant-{t}", topic="b")
        self.ask(api, "failed attempts", "/attempts", status="failed")
        self.ids = sorted(self.seen["events"])[::20] if ids is None else ids
        for i in self.ids:
            self.ask(api, f"attempts of event {i}", "/attempts", event_id=i)
            self.ask(api, f"event {i}", "/events", id=i)
        tenants = api.get("/tenants", limit="100").must(200)["models"]
        self.seen["tenants"] = {t["id"] for t in tenants}
        for t in range(TENANTS):
            rows = api.get(f"/tenants/tenant-{t}/destinations")
            self.seen[f"destinations of {t}"] = (
                {d["id"] for d in rows.json} if rows.status == 200 else set()
            )
        self.pending = api.metrics()["longline_pending"]

    def ask(self, api, name, path, **query):
        rows, damaged = list_all(api, path, **query)
        self.seen[name] = {r["id"] for r in rows}
        self.damaged[name] = {r["id"] for r in damaged}
        self.failed = getattr(self, "failed", 0)
        if name == "attempts":
            self.failed = sum(
                r.get("code") in ("event_corrupt", "event_missing") for r in rows
            )

    lost = 0  # retries that the log names

    def silent(self, before):
        """What is missing in an answer and not named in it."""
        out = []
        for name, rows in before.seen.items():
            missing = rows - self.seen.get(name, set())
            if len(missing) > len(self.damaged.get(name, ())):
                out.append((name, sorted(missing)[:3], len(self.damaged.get(name, ()))))
        if self.pending + self.failed + self.lost < before.pending:
            out.append(("pending", before.pending, self.pending, self.failed))
        return out


# ---- ways to damage a file: each changes a bytearray, and returns what it did ----


def flip(rng, data, old):
    n = rng.choice([1, 1, 1, 4, 32])
    for _ in range(n):
        at = rng.randrange(len(data))
        data[at] ^= 1 << rng.randrange(8)
    return f"flip {n}"


def flip_in_page(rng, data, old):
    page = rng.randrange(len(data) // PAGE)
    for _ in range(rng.choice([1, 2, 8])):
        data[page * PAGE + rng.randrange(PAGE)] ^= 1 << rng.randrange(8)
    return f"flips in page {page}"


def flip_in_head(rng, data, old):
    page = rng.randrange(len(data) // PAGE)
    data[page * PAGE + rng.randrange(64)] ^= 1 << rng.randrange(8)
    return f"flip in the head of page {page}"


def zero(rng, data, old):
    first = rng.randrange(len(data) // PAGE)
    n = min(rng.choice([1, 1, 2, 8]), len(data) // PAGE - first)
    data[first * PAGE : (first + n) * PAGE] = bytes(n * PAGE)
    return f"zero {n} from page {first}"


def noise(rng, data, old):
    page = rng.randrange(len(data) // PAGE)
    data[page * PAGE : (page + 1) * PAGE] = rng.randbytes(PAGE)
    return f"noise in page {page}"


def truncate(rng, data, old):
    n = rng.randrange(len(data))
    n -= n % rng.choice([1, PAGE])
    del data[n:]
    return f"truncate to {n}"


def swap(rng, data, old):
    n = len(data) // PAGE
    a, b = rng.randrange(2, n), rng.randrange(2, n)
    pa, pb = slice(a * PAGE, (a + 1) * PAGE), slice(b * PAGE, (b + 1) * PAGE)
    data[pa], data[pb] = data[pb], data[pa]
    return f"swap {a} and {b}"


def meta(rng, data, old):
    which = rng.choice([[0], [1], [0, 1]])
    kind = rng.choice(["flip", "zero", "noise"])
    for i in which:
        base = i * PAGE
        if kind == "flip":
            data[base + rng.randrange(152)] ^= 1 << rng.randrange(8)
        elif kind == "zero":
            data[base : base + PAGE] = bytes(PAGE)
        else:
            data[base : base + 152] = rng.randbytes(152)
    return f"{kind} meta {which}"


def stale(rng, data, old):
    first = rng.randrange(len(old) // PAGE)
    n = min(rng.choice([1, 1, 4]), len(old) // PAGE - first)
    data[first * PAGE : (first + n) * PAGE] = old[first * PAGE : (first + n) * PAGE]
    return f"old content of {n} from page {first}"


WAYS = [flip, flip_in_page, flip_in_head, zero, noise, truncate, swap, meta, stale]


# ---- one trial ----


class Trial:
    def __init__(self, template, directory, which, rng):
        self.template = template
        self.dir = directory
        self.which = which
        shutil.rmtree(directory, ignore_errors=True)
        directory.mkdir(parents=True)
        self.data_dir = directory / "data"
        shutil.copytree(template.g.data_dir, self.data_dir)
        data = bytearray(template.bytes[which])
        self.way = rng.choice(WAYS)
        self.what = self.way(rng, data, template.old[which])
        self.damaged = bytes(data)
        file_of(self.data_dir, which).write_bytes(data)

    def supervise(self, starts=3):
        """Starts it again when it dies, as a supervisor would. One word for how that ended."""
        g = Gateway(self.dir / "run", SETTINGS)
        g.data_dir = self.data_dir
        died = 0
        try:
            for _ in range(starts):
                g.launch()
                wait_until(lambda: g.out or g.proc.poll() is not None, "the start", interval=0.005)
                if not g.out:
                    code = g.proc.wait(20 * PATIENCE)
                    g.reader.join(5)
                    g.proc = None
                    if code == EXIT_DATA:
                        text = g.log_text()
                        assert REMEDY.search(text) and NAMED.search(text), text
                        return "refused"
                    died += 1
                    assert died < 2, f"it died twice ({code}): {g.log_text()[-2000:]}"
                    continue
                try:
                    g.ready = True
                    return self.look(g)
                except (ConnectionError, OSError) as e:
                    code = g.proc.wait(20 * PATIENCE)
                    g.reader.join(5)
                    g.proc = None
                    if code == EXIT_DATA:
                        return "refused while running"
                    died += 1
                    assert died < 2, f"it died twice ({code}, {e}): {g.log_text()[-2000:]}"
            raise AssertionError(f"it does not come up: {g.log_text()[-2000:]}")
        finally:
            if g.proc is not None:
                g.kill9()

    def look(self, g):
        g.ready = json.loads(g.out[0])
        api = Api(g.ready["listen"], g.admin_key)
        g.api = api
        wait_until(
            lambda: g.metric("longline_store_index_lag_rows") == 0
            and api.get("/events").status == 200,
            "the index",
            interval=0.01,
        )
        after = Ledger(api, self.template.ledger.ids)
        after.lost = sum(map(int, LOST.findall(g.log_text())))
        silent = after.silent(self.template.ledger)
        assert not silent, f"missing without a word: {silent}"
        named = any(after.damaged.values()) or after.failed
        g.stop(deadline=20)
        return "served, damage named" if named else "recovered"

    def changed(self):
        """Ranges of the file whose bytes are not what they were."""
        before, after = self.template.bytes[self.which], self.damaged
        out = []
        for page in range(len(before) // PAGE):
            a = before[page * PAGE : (page + 1) * PAGE]
            b = after[page * PAGE : (page + 1) * PAGE].ljust(PAGE, b"\0")
            if len(after) < (page + 1) * PAGE:
                out.append((max(page * PAGE, len(after)), (page + 1) * PAGE))
            if a != b:
                out += [
                    (page * PAGE + i, page * PAGE + i + 1) for i in range(PAGE) if a[i] != b[i]
                ]
        return out

    def salvage(self):
        """Every record that is not damaged itself is back. Of a fresh copy of the damaged file."""
        old, new = self.dir / "old", self.dir / "new"
        shutil.rmtree(old, ignore_errors=True)
        shutil.rmtree(new, ignore_errors=True)
        shutil.copytree(self.template.g.data_dir, old)
        file_of(old, self.which).write_bytes(self.damaged)
        r = command("salvage", old, new)
        if not self.damaged:
            assert r.returncode == 1 and "holds no journal" in r.stderr, r
            return
        assert r.returncode == 0, f"{r.returncode} {r.stdout[-1500:]} {r.stderr}"
        c = command("check", "--data-dir", new)
        assert c.returncode == 0, f"{c.returncode} {c.stdout[-1500:]} {c.stderr}"
        data = file_of(new, "journal").read_bytes()
        got = Lmdb(data).records().keys()
        hit = self.changed() if self.which == "journal" else []
        starts = [a for a, _ in hit]
        missing = []
        for record, spans in self.template.lmdb.records().items():
            if record in got:
                continue
            if not any(touches(hit, starts, lo, hi) for lo, hi in spans):
                missing.append((record[0], record[1].hex()))
        assert not missing, f"not back: {missing[:5]} of {len(missing)}\n{r.stdout[-3000:]}"


def touches(hit, starts, lo, hi):
    i = bisect.bisect_left(starts, hi)
    return i > 0 and hit[i - 1][1] > lo


def command(*args):
    return subprocess.run(
        [binary(), *map(str, args)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=60 * PATIENCE,
    )


class Table:
    """Ways by ends, to be read."""

    def __init__(self):
        self.n = collections.Counter()

    def add(self, way, end):
        self.n[way, end] += 1

    def __str__(self):
        ends = sorted({e for _, e in self.n})
        ways = sorted({w for w, _ in self.n})
        lines = [" ".join([f"{'':14}"] + [f"{e:>22}" for e in ends])]
        for w in ways:
            lines.append(" ".join([f"{w:14}"] + [f"{self.n[w, e]:22}" for e in ends]))
        return "\n".join(lines)
