# SPDX-License-Identifier: Apache-2.0
"""One measured run: load against a target, what it cost, and whether the books balance."""

import os
import time

from . import machine
from .actors import Load, books
from .procs import BenchError

DRAIN_S = 120


class Snapshot:
    """Everything that is counted, at one moment."""

    def __init__(self, target, sink, load, device):
        # First, because a busy sink may take its time to answer.
        self.unique = sink.counts()["unique"]
        self.time = time.monotonic()
        self.cpu = {name: machine.process_cpu_us(pid) for name, pid in
                    (("target", target.pid), ("sink", sink.pid), ("load", load.pid),
                     ("bench", os.getpid()))}
        self.threads = machine.thread_cpu_us(target.pid)
        self.machine = machine.busy_us()
        self.disk = machine.disk_written(device)
        self.switches = machine.context_switches(target.pid)


def by_thread(before, after, events):
    """Microseconds per event and thread name."""
    out = {}
    for tid, (name, us) in after.items():
        start = before.get(tid, (name, 0.0))[1]
        out[name] = out.get(name, 0.0) + (us - start)
    return {name: round(us / events, 2) for name, us in sorted(out.items()) if us / events >= 0.01}


def costs(before, after, load_cpu_us, accepted):
    """Per event: delivered since the window began, or all accepted ones where none arrives."""
    events = max(1, accepted if accepted is not None else after.unique - before.unique)
    spent = {name: after.cpu[name] - before.cpu[name] for name in ("target", "sink", "bench")}
    spent["load"] = max(0, load_cpu_us - before.cpu["load"])
    busy = after.machine["busy"] - before.machine["busy"]
    seconds = after.time - before.time
    foreign = busy - sum(spent.values())
    disk = None
    if before.disk and after.disk:
        disk = {key: round((after.disk[key] - before.disk[key]) / events, 3) for key in after.disk}
    return {
        "events": events,
        "cpu_us": {name: round(us / events, 2) for name, us in spent.items()},
        "threads_us": by_thread(before.threads, after.threads, events),
        "machine_us": round(busy / events, 2),
        "foreign_percent": round(100 * foreign / 1e6 / seconds, 1),
        "steal_percent": round(100 * (after.machine["steal"] - before.machine["steal"]) / 1e6 /
                               seconds, 1),
        "switches": round((after.switches - before.switches) / events, 3),
        "disk": disk,
    }


def wait_drained(target, sink, wanted):
    """Until the sink has all, or nothing has moved for ten seconds, or time is up."""
    deadline = time.monotonic() + DRAIN_S
    last, moved = -1, time.monotonic()
    while True:
        unique = sink.counts()["unique"]
        now = time.monotonic()
        if unique != last:
            last, moved = unique, now
        if unique >= wanted or now > deadline or now - moved > 10 or not target.is_running():
            return
        time.sleep(0.05)


def numbers_in(bits, most):
    """The positions of the first bits that are set."""
    out = []
    while bits and len(out) < most:
        low = bits & -bits
        out.append(low.bit_length() - 1)
        bits ^= low
    return out


def check_sets(load, sink, excused):
    """Compares what was accepted with what arrived, number by number."""
    accepted, unknown = load.sets()
    delivered = sink.ledger()
    lost = accepted & ~delivered
    if excused:
        for number in numbers_in(lost, 1_000_000):
            if excused(number):
                lost &= ~(1 << number)
    strange = delivered & ~(accepted | unknown)
    return {
        "accepted": accepted.bit_count(),
        "arrived": delivered.bit_count(),
        "lost": lost.bit_count(),
        "never_accepted": strange.bit_count(),
        "unknown": unknown.bit_count(),
        "examples": numbers_in(lost, 5) + numbers_in(strange, 5),
    }


def check_books(before, after):
    """accepted = delivered + pending + failed, as the gateway counts; text when it is not so."""
    if before is None or after is None:
        return None, None
    missing = [name for name, value in after.items() if value is None]
    if missing:
        return after, f"/metrics has no {', '.join(missing)}"
    book = {name: after[name] - (before[name] or 0) for name in ("accepted", "delivered", "failed")}
    book["pending"] = after["pending"]
    gap = book["accepted"] - book["delivered"] - book["failed"] - book["pending"]
    gap += before["pending"] or 0
    return book, f"books differ by {gap}" if gap else None


def percentiles(hist):
    """Milliseconds; a percentile that too few samples support is left out."""
    out = {"p50": None, "p99": None, "p999": None, "max": None, "count": hist["count"]}
    for name, needed in (("p50", 1), ("p99", 1000), ("p999", 10_000), ("max", 1)):
        if hist["count"] >= needed:
            out[name] = round(hist[name] / 1000, 2)
    return out


class Run:
    """Publishes to a target, waits for the deliveries, returns the row of the table."""

    def __init__(self, context, target, sink):
        self.context, self.target, self.sink = context, target, sink
        self.excused = None        # sequence numbers that need not arrive
        self.expects_arrivals = True

    def go(self, scenario, **options):
        metrics = self.target.metrics()
        before_books = books(metrics) if metrics is not None else None
        self.sink.reset()
        load = Load(self.context.programs, self.context.folder, self.target.port, **options)
        deadline = time.monotonic() + load.limit_s
        try:
            load.wait_event("measure", deadline)
            self.target.forget_peaks()
            before = Snapshot(self.target, self.sink, load, self.context.device)
            done = load.wait_event("done", deadline)
        finally:
            load.stop()
        if not self.target.is_running():
            raise BenchError("the target ended during the run")
        if self.expects_arrivals:
            wait_drained(self.target, self.sink, done["accepted"])
        metrics = self.settle()
        after = Snapshot(self.target, self.sink, load, self.context.device)
        return self.row(scenario, options, done, before, after,
                        (before_books, books(metrics) if metrics is not None else None, metrics),
                        load)

    def settle(self):
        """The last attempts are recorded a commit after they arrived."""
        if self.target.metrics() is None:
            time.sleep(0.3)
            return None
        if self.excused is None and self.expects_arrivals:
            self.target.wait_pending(lambda pending: pending == 0, 15)
        return self.target.metrics()

    def row(self, scenario, options, done, before, after, counted, load):
        stats = self.sink.stats()
        book, wrong = check_books(counted[0], counted[1])
        sets = check_sets(load, self.sink, self.excused)
        reasons = [wrong] if wrong else []
        if self.expects_arrivals and sets["lost"]:
            reasons.append(f"{sets['lost']} accepted events did not arrive")
        if sets["never_accepted"]:
            reasons.append(f"{sets['never_accepted']} events arrived that were never accepted")
        if stats["bad_signatures"]:
            reasons.append(f"{stats['bad_signatures']} bad signatures")
        if done["measured_accepted"] == 0:
            reasons.append("nothing was accepted")
        if book and counted[0]["accepted"] is not None and not sets["unknown"] and \
                book["accepted"] != sets["accepted"]:
            reasons.append(f"gateway accepted {book['accepted']}, generator {sets['accepted']}")
        seconds = max(stats["last_ns"], done["last_answer_ns"]) - done["measure_start_ns"]
        delivered = stats["measured"] if self.expects_arrivals else done["measured_accepted"]
        return {
            "scenario": scenario,
            "target": self.target.name_in_table,
            "options": {k: v for k, v in options.items() if isinstance(v, (int, float, str))},
            "rate": round(delivered / max(1e-9, seconds / 1e9), 1),
            "publish_ms": percentiles(done["publish_us"]),
            "delivery_ms": percentiles(stats["delivery_us"]),
            "costs": costs(before, after, done["cpu_us"],
                           None if self.expects_arrivals else done["accepted"]),
            "memory_kb": machine.process_memory_kb(self.target.pid),
            "statuses": done["statuses"],
            "unsent": done["unsent"],
            "sets": sets,
            "books": book,
            "metrics": {k: v for k, v in (counted[2] or {}).items()
                        if "_bucket" not in k and not k.startswith("#")},
            "void": reasons,
            "duplicates": stats["duplicates"],
            "verified": stats["verified"],
            "sink": stats,
            "load": done,
        }
