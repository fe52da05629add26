# SPDX-License-Identifier: Apache-2.0
"""The scenarios. Each is a function (context) -> rows; SCENARIOS gives their order."""

import contextlib
import time

from . import actors
from .actors import Floor, Gateway, Sink
from .measure import Run
from .procs import BenchError


class Context:
    """What all scenarios of one invocation share."""

    def __init__(self, args, root, programs, folder, device):
        self.args, self.root, self.programs = args, root, programs
        self.folder, self.device = folder, device
        self.capacity = None       # events/s of the last saturated run
        quick = args.quick
        self.warmup = args.warmup if args.warmup is not None else (1 if quick else 5)
        self.duration = args.duration if args.duration is not None else (4 if quick else 20)

    def timed(self, **options):
        return {"warmup": self.warmup, "duration": self.duration,
                "connections": self.args.connections, "size": self.args.size, **options}

    @contextlib.contextmanager
    def sink(self, verify=None):
        sink = Sink(self.programs, self.folder, self.args.verify if verify is None else verify)
        try:
            yield sink
        finally:
            sink.stop()

    @contextlib.contextmanager
    def floor(self, sink):
        target = Floor(self.programs, self.folder, sink, self.args.floor_connections)
        try:
            yield target
        finally:
            target.close()

    @contextlib.contextmanager
    def gateway(self, *settings):
        gateway = Gateway(self.programs, self.folder, list(self.args.set) + list(settings))
        try:
            yield gateway
        finally:
            gateway.close()


def plain_url(sink, tenant, number=0):
    return f"http://127.0.0.1:{sink.port}/h/{tenant}/{number}"


def tls_url(sink, tenant, number=0):
    return f"https://localhost:{sink.tls_port}/h/{tenant}/{number}"


def set_up(context, gateway, sink, url=plain_url):
    count = context.args.tenants
    gateway.create_tenants(count)
    gateway.create_destinations([(i, url(sink, i), ["*"]) for i in range(count)])


def with_floor(context, name, **options):
    with context.sink(verify=0) as sink, context.floor(sink) as target:
        return [Run(context, target, sink).go(name, tenants=context.args.tenants, **options)]


def with_gateway(context, name, **options):
    with context.sink() as sink, context.gateway() as gateway:
        set_up(context, gateway, sink)
        return [Run(context, gateway, sink).go(name, tenants=context.args.tenants, **options)]


def floor(context):
    return with_floor(context, "floor", **context.timed(rate=0))


def floor_half(context):
    return with_floor(context, "floor_half", **context.timed(rate=context.args.rate))


def saturated(context):
    rows = with_gateway(context, "saturated", **context.timed(rate=0))
    context.capacity = rows[0]["rate"]
    return rows


def half(context):
    return with_gateway(context, "half", **context.timed(rate=context.args.rate))


def latency_grid(context):
    if context.capacity is None:
        saturated(context)
    rows = []
    with context.sink() as sink, context.gateway() as gateway:
        set_up(context, gateway, sink)
        for percent in (25, 50, 75, 90):
            rate = max(1, round(context.capacity * percent / 100))
            rows += [Run(context, gateway, sink).go(
                f"grid_{percent}", tenants=context.args.tenants, **context.timed(rate=rate))]
    return rows


def ids(context):
    return with_gateway(context, "ids", id_prefix="bench-", **context.timed(rate=0))


@contextlib.contextmanager
def tls_gateway(context, sink):
    key = context.args.ca_setting or actors.setting_for_ca(context.root)
    if not key:
        raise BenchError("no config key for a private CA found; name it with --ca-setting")
    with context.gateway(f"{key}={sink.ca_file}") as gateway:
        set_up(context, gateway, sink, tls_url)
        yield gateway


def tls(context):
    with context.sink() as sink, tls_gateway(context, sink) as gateway:
        row = Run(context, gateway, sink).go("tls", tenants=context.args.tenants,
                                             **context.timed(rate=0))
        row["notes"] = [f"{row['sink']['handshakes']} handshakes, "
                        f"{row['sink']['connections']} connections"]
        return [row]


def tls_new(context):
    """The sink closes after every answer, so that every delivery is a new connection."""
    rate = min(context.args.tls_new_rate, context.args.rate)
    with context.sink() as sink, tls_gateway(context, sink) as gateway:
        sink.mode(close=1)
        row = Run(context, gateway, sink).go("tls_new", tenants=context.args.tenants,
                                             **context.timed(rate=rate, connections=64))
        turns = {k: v for k, v in row["metrics"].items() if "loop" in k}
        row["notes"] = [f"{row['sink']['handshakes']} handshakes; " +
                        (", ".join(f"{k} {v:g}" for k, v in sorted(turns.items())) or
                         "no loop metric")]
        return [row]


def mb(kb):
    return round(kb / 1024, 1)


def memory_note(when, memory):
    return (f"{when}: RSS {mb(memory.get('VmRSS', 0))} MB (anonymous "
            f"{mb(memory.get('RssAnon', 0))}, file {mb(memory.get('RssFile', 0))}), "
            f"peak {mb(memory.get('VmHWM', 0))}")


def retries_1m(context):
    """Every attempt is refused until a million events wait for their retry; then a restart."""
    wanted = 100_000 if context.args.quick else 1_000_000
    tenants = 1000
    # The retries are to wait: with the default they would come due while the rest is published.
    waiting = [f"{key}=10m" for key in actors.known_settings(context.root)
               if key == "delivery.retry_interval"]
    with context.sink() as sink, context.gateway(*waiting) as gateway:
        gateway.create_tenants(tenants)
        gateway.create_destinations([(i, plain_url(sink, i), ["*"]) for i in range(tenants)])
        sink.mode(status=503)
        run = Run(context, gateway, sink)
        run.expects_arrivals = False
        row = run.go("retries_1m", accepted=wanted, warmup=0, duration=600, rate=0,
                     connections=context.args.connections, tenants=tenants, size=context.args.size)
        full = gateway.memory_kb()
        restart = gateway.restart()
        ready = gateway.memory_kb()
        pending = gateway.wait_pending(lambda n: n is not None and n >= wanted, 10)
        time.sleep(5)
        later = gateway.memory_kb()
        row["memory_kb"] = full
        row["restart"] = {**restart, "pending": pending, "memory_kb": ready, "later_kb": later}
        row["is_full_size"] = not context.args.quick
        row["notes"] = [memory_note("full", full), memory_note("restarted", ready),
                        memory_note("5 s later", later),
                        f"stopped in {restart['stop_s']} s, ready in {restart['ready_s']} s, "
                        f"{pending} pending"]
        failed = (row["books"] or {}).get("failed") or 0
        if pending is not None and pending + failed != row["sets"]["accepted"]:
            row["void"].append(f"{pending} pending after the restart")
        return [row]


def destinations_100k(context):
    """10,000 tenants with 10 destinations each, one of which wants what is published."""
    tenants = 1000 if context.args.quick else 10_000
    with context.sink() as sink, context.gateway() as gateway:
        begin = time.monotonic()
        gateway.create_tenants(tenants, 32)
        gateway.create_destinations(
            ((t, plain_url(sink, t, n), ["order.created"] if n == 0 else [f"other.{n}"])
             for t in range(tenants) for n in range(10)), 32)
        created_s = time.monotonic() - begin
        idle = gateway.memory_kb()
        row = Run(context, gateway, sink).go(
            "destinations_100k", tenants=tenants, warmup=1, duration=min(10, context.duration),
            rate=min(2000, context.args.rate), connections=64, size=context.args.size)
        restart = gateway.restart()
        row["restart"] = {**restart, "memory_kb": gateway.memory_kb()}
        row["idle_kb"] = idle
        row["is_full_size"] = not context.args.quick
        row["notes"] = [memory_note("created", idle), memory_note("after publishing",
                                                                  row["memory_kb"]),
                        memory_note("restarted", row["restart"]["memory_kb"]),
                        f"{tenants * 11} objects created in {created_s:.1f} s, ready in "
                        f"{restart['ready_s']} s"]
        return [row]


DEAD, SLOW = 0, 1


def isolated_run(context, name, bad):
    tenants = 1000

    def url(sink, tenant):
        if bad and tenant == DEAD:
            return f"http://127.0.0.1:{sink.port}/dead/{tenant}"
        if bad and tenant == SLOW:
            return f"http://127.0.0.1:{sink.port}/slow/10000/{tenant}"
        return plain_url(sink, tenant)

    with context.sink() as sink, context.gateway() as gateway:
        gateway.create_tenants(tenants)
        gateway.create_destinations([(i, url(sink, i), ["*"]) for i in range(tenants)])
        run = Run(context, gateway, sink)
        if bad:
            run.excused = lambda number: number % tenants in (DEAD, SLOW)
        return run.go(name, tenants=tenants,
                      **context.timed(rate=context.args.isolation_rate,
                                      duration=max(context.duration, 8)))


def isolation(context):
    """The same load on 1,000 destinations, without and with a dead and a ten-second one."""
    return [isolated_run(context, "isolation_none", False),
            isolated_run(context, "isolation", True)]


SCENARIOS = {
    "floor": floor, "saturated": saturated, "floor_half": floor_half, "half": half,
    "latency_grid": latency_grid, "tls": tls, "tls_new": tls_new, "ids": ids,
    "isolation": isolation, "destinations_100k": destinations_100k, "retries_1m": retries_1m,
}

# Run once, however many runs were asked for: they measure states, not rates.
ONCE = {"retries_1m", "destinations_100k"}
NEEDS_FLOOR = {"floor", "floor_half"}
