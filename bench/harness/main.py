# SPDX-License-Identifier: Apache-2.0
"""Command line of the bench."""

import argparse
import datetime
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from . import machine, report, scenarios
from .procs import BenchError, Child

FLOOR_LIBRARIES = ["-luv", "-lllhttp", "-llmdb", "-lmbedcrypto", "-lpthread"]


def parse(argv, root):
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measures the gateway against the floor; see bench/README.md.")
    parser.add_argument("--quick", action="store_true", help="short runs, smaller states")
    parser.add_argument("--only", action="append", default=[], metavar="NAME",
                        help="run only this scenario (may be repeated, or a comma list): " +
                        ", ".join(scenarios.SCENARIOS))
    parser.add_argument("--runs", type=int, default=1, help="interleaved runs; medians are shown")
    parser.add_argument("--json", metavar="FILE", help="everything, with raw histograms")
    parser.add_argument("--dir", default=str(root / "build" / "bench"), help="where the data goes")
    parser.add_argument("--floor-src", default=os.environ.get(
        "LONGLINE_FLOOR_SRC", str(root / ".." / "shared" / "bench" / "floor.c")))
    parser.add_argument("--floor-connections", type=int, default=64, metavar="N",
                        help="outbound connections of the floor")
    parser.add_argument("--gateway", default=str(root / "build" / "release" / "longline"))
    parser.add_argument("--programs", default=str(root / "build" / "release" / "bench"),
                        help="folder of bench_load and bench_sink")
    parser.add_argument("--set", action="append", default=[], metavar="SECTION.KEY=VALUE",
                        help="passed to the gateway")
    parser.add_argument("--ca-setting", help="config key that takes the sink's CA")
    parser.add_argument("--tenants", type=int, default=16)
    parser.add_argument("--connections", type=int, default=256)
    parser.add_argument("--size", type=int, default=1024, help="bytes of a publish body")
    parser.add_argument("--rate", type=int, default=10_000, help="events/s of half and floor_half")
    parser.add_argument("--isolation-rate", type=int, default=5000)
    parser.add_argument("--tls-new-rate", type=int, default=200)
    parser.add_argument("--verify", type=int, default=1000, help="check 1 in N signatures; 0: none")
    parser.add_argument("--warmup", type=float)
    parser.add_argument("--duration", type=float)
    args = parser.parse_args(argv)
    args.only = [name for text in args.only for name in text.split(",") if name]
    for name in args.only:
        if name not in scenarios.SCENARIOS:
            parser.error(f"no scenario {name!r}")
    return args


def find_programs(args):
    return {
        "gateway": args.gateway,
        "load": os.path.join(args.programs, "bench_load"),
        "sink": os.path.join(args.programs, "bench_sink"),
        "floor": None,
    }


def build_floor(args, folder):
    """The floor as a program, or None without its source."""
    if not os.path.exists(args.floor_src):
        return None
    out = os.path.join(folder, "floor")
    compiler = os.environ.get("CC", "cc")
    done = subprocess.run([compiler, "-O2", "-w", "-o", out, args.floor_src, *FLOOR_LIBRARIES],
                          capture_output=True, text=True, timeout=120, check=False)
    if done.returncode != 0:
        print(f"bench: the floor does not compile: {done.stderr[-300:]}", file=sys.stderr)
        return None
    return out


def gateway_version(program):
    if not os.access(program, os.X_OK):
        return None
    done = subprocess.run([program, "version"], capture_output=True, text=True, timeout=10,
                          check=False)
    return " ".join(done.stdout.split())


def failed_row(name, error):
    none = {"p50": None, "p99": None, "p999": None, "max": None, "count": 0}
    return {
        "scenario": name, "target": "", "options": {}, "rate": 0.0, "publish_ms": none,
        "delivery_ms": none, "memory_kb": {}, "statuses": {}, "unsent": 0, "duplicates": 0,
        "sets": {"arrived": 0, "accepted": 0}, "books": None, "metrics": {}, "void": [str(error)],
        "costs": {"cpu_us": {"target": None, "load": None, "sink": None}, "foreign_percent": None,
                  "switches": None, "threads_us": {}, "disk": None},
    }


def wanted_scenarios(args, programs):
    names = [n for n in scenarios.SCENARIOS if not args.only or n in args.only]
    have_gateway = os.access(programs["gateway"], os.X_OK)
    out = []
    for name in names:
        if name in scenarios.NEEDS_FLOOR and programs["floor"] is None:
            print(f"bench: no floor source at {args.floor_src}: {name} left out", file=sys.stderr)
        elif name not in scenarios.NEEDS_FLOOR and not have_gateway:
            print(f"bench: no gateway at {programs['gateway']}: {name} left out", file=sys.stderr)
        else:
            out.append(name)
    return out


def run_all(args, context, names):
    """Every scenario once per run, in turn (A B A B): drift of the machine hits all alike."""
    rows = []
    for number in range(args.runs):
        for name in names:
            if number > 0 and name in scenarios.ONCE:
                continue
            print(f"bench: {name} ({number + 1} of {args.runs})", file=sys.stderr, flush=True)
            begin = time.monotonic()
            try:
                found = scenarios.SCENARIOS[name](context)
            except (BenchError, OSError, subprocess.SubprocessError) as error:
                found = [failed_row(name, error)]
            finally:
                Child.stop_all()
            for row in found:
                row["run"] = number + 1
                row["took_s"] = round(time.monotonic() - begin, 1)
                print(f"bench:   {row['scenario']}: {row['rate']:,.0f} events/s, CPU "
                      f"{row['costs']['cpu_us']['target']} µs/event"
                      f"{', VOID: ' + '; '.join(row['void']) if row['void'] else ''}",
                      file=sys.stderr, flush=True)
            rows += found
    return rows


def on_signal(number, _frame):
    raise KeyboardInterrupt(f"signal {number}")


def write_json(path, args, info, rows, merged):
    out = {
        "taken_at": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "arguments": {k: v for k, v in vars(args).items() if k not in ("dir", "floor_src", "json",
                                                                       "gateway", "programs")},
        "machine": info,
        "bars": [{"bar": t, "value": v, "met": p} for t, v, p in report.bars(merged)],
        "rows": rows,
    }
    pathlib.Path(path).write_text(json.dumps(out) + "\n", encoding="utf-8")


def main(argv, root):
    args = parse(argv, root)
    signal.signal(signal.SIGTERM, on_signal)
    programs = find_programs(args)
    for name in ("load", "sink"):
        if not os.access(programs[name], os.X_OK):
            print(f"bench: {programs[name]} is missing: run scripts/build release", file=sys.stderr)
            return 2
    os.makedirs(args.dir, exist_ok=True)
    folder = tempfile.mkdtemp(prefix="run-", dir=args.dir)
    try:
        programs["floor"] = build_floor(args, folder)
        info = machine.describe(folder)
        info["gateway"] = gateway_version(programs["gateway"])
        context = scenarios.Context(args, str(root), programs, folder,
                                    machine.block_device(folder))
        names = wanted_scenarios(args, programs)
        if not names:
            return 2
        rows = run_all(args, context, names)
    except KeyboardInterrupt:
        print("bench: interrupted", file=sys.stderr)
        return 130
    finally:
        Child.stop_all()
        shutil.rmtree(folder, ignore_errors=True)
    merged = report.merge(rows)
    print(report.machine_text(info), report.table(merged), report.details(merged),
          "Bars:\n" + report.bars_text(merged), sep="\n\n")
    if args.json:
        write_json(args.json, args, info, rows, merged)
    return 1 if any(row["void"] for row in rows) else 0
