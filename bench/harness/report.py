# SPDX-License-Identifier: Apache-2.0
"""Medians, the bars, and the Markdown table."""

import statistics

BARS = {"rate": 20_000, "cpu_ratio": 1.6, "publish_p99_ms": 5, "delivery_p99_ms": 20,
        "tls_ratio": 0.5, "loop_ms": 1, "retries_mb": 250, "retries_ready_s": 2,
        "destinations_mb": 200, "isolation_ratio": 2}


def median_of(values):
    known = [v for v in values if v is not None]
    return round(statistics.median(known), 2) if known else None


def merge(rows):
    """One row per scenario: medians over its runs, and the range of the rate."""
    merged = {}
    for row in rows:
        merged.setdefault(row["scenario"], []).append(row)
    out = {}
    for name, group in merged.items():
        good = [row for row in group if not row["void"]] or group
        out[name] = {
            "runs": len(group),
            "void": [reason for row in group for reason in row["void"]],
            "rate": median_of([row["rate"] for row in good]),
            "rate_range": [min(row["rate"] for row in good), max(row["rate"] for row in good)],
            "publish": {p: median_of([row["publish_ms"][p] for row in good])
                        for p in ("p50", "p99", "p999")},
            "delivery": {p: median_of([row["delivery_ms"][p] for row in good])
                         for p in ("p50", "p99", "p999")},
            "cpu": median_of([row["costs"]["cpu_us"]["target"] for row in good]),
            "cpu_load": median_of([row["costs"]["cpu_us"]["load"] for row in good]),
            "cpu_sink": median_of([row["costs"]["cpu_us"]["sink"] for row in good]),
            "foreign": median_of([row["costs"]["foreign_percent"] for row in good]),
            "switches": median_of([row["costs"]["switches"] for row in good]),
            "threads": good[-1]["costs"]["threads_us"],
            "rss": median_of([row["memory_kb"].get("VmRSS", 0) / 1024 for row in good]),
            "hwm": median_of([row["memory_kb"].get("VmHWM", 0) / 1024 for row in good]),
            "anon": median_of([row["memory_kb"].get("RssAnon", 0) / 1024 for row in good]),
            "disk": median_of([(row["costs"]["disk"] or {}).get("bytes") for row in good]),
            "flushes": median_of([(row["costs"]["disk"] or {}).get("flushes") for row in good]),
            "last": good[-1],
        }
    return out


def show(value, digits=2):
    if value is None:
        return "–"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.{digits}f}"


def trio(values):
    return " / ".join(show(values[p]) for p in ("p50", "p99", "p999"))


def ledger_cell(row):
    if row["void"]:
        return "VOID"
    last = row["last"]
    cell = f"{last['sets']['arrived']:,} of {last['sets']['accepted']:,}"
    if last["duplicates"]:
        cell += f", {last['duplicates']} twice"
    if last["books"] and last["books"]["pending"]:
        cell += f", {last['books']['pending']:,} pending"
    return cell


def table(merged):
    base = (merged.get("floor") or {}).get("cpu")
    head = ["scenario", "runs", "events/s", "publish ms p50 / p99 / p99.9",
            "delivery ms p50 / p99 / p99.9", "CPU µs/event", "× floor", "RSS MB (anon) / peak",
            "disk B/event", "flushes/event", "generator + sink µs", "other CPU %", "ledger"]
    lines = ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    for name, row in merged.items():
        ratio = row["cpu"] / base if base and row["cpu"] else None
        lines.append("| " + " | ".join([
            name, str(row["runs"]), show(row["rate"], 0), trio(row["publish"]),
            trio(row["delivery"]), show(row["cpu"], 1), show(ratio),
            f"{show(row['rss'], 0)} ({show(row['anon'], 0)}) / {show(row['hwm'], 0)}",
            show(row["disk"], 0), show(row["flushes"], 3),
            f"{show(row['cpu_load'], 1)} + {show(row['cpu_sink'], 1)}", show(row["foreign"], 0),
            ledger_cell(row)]) + " |")
    return "\n".join(lines)


def details(merged):
    lines = []
    for name, row in merged.items():
        threads = ", ".join(f"{n} {us:g}" for n, us in
                            sorted(row["threads"].items(), key=lambda item: -item[1]))
        lines.append(f"* {name}: µs/event by thread: {threads or '–'}; context switches/event "
                     f"{show(row['switches'])}; rate {show(row['rate_range'][0], 0)} to "
                     f"{show(row['rate_range'][1], 0)}")
        for note in row["last"].get("notes", []):
            lines.append(f"  * {note}")
        statuses = {k: v for k, v in row["last"]["statuses"].items() if k != "202"}
        if statuses or row["last"]["unsent"]:
            lines.append(f"  * other answers {statuses}, not sent in time {row['last']['unsent']}")
        for reason in row["void"]:
            lines.append(f"  * VOID: {reason}")
    return "\n".join(lines)


def loop_hold_ms(row):
    """Most processor time that one step of a TLS handshake took on the loop. The notes show the
    longest whole turns as well: they hold other work, and interrupts that the kernel serves in the
    loop's thread."""
    value = row["last"]["metrics"].get("longline_tls_loop_max_microseconds")
    return None if value is None else value / 1000


def bars(merged):
    """(text, measured, passed); passed is None when it was not measured."""
    def get(name):
        row = merged.get(name)
        if row is None or row["void"] or not row["last"].get("is_full_size", True):
            return None
        return row

    def line(text, value, limit, at_least=False):
        passed = None if value is None else (value >= limit if at_least else value <= limit)
        return text, value, passed

    sat, base, mid = get("saturated"), get("floor"), get("half")
    if mid and mid["last"]["options"]["rate"] < BARS["rate"] / 2:
        mid = None
    out = [line("saturated: at least 20,000 events/s", sat and sat["rate"], BARS["rate"], True),
           line("saturated: CPU per event at most 1.6 × floor",
                sat["cpu"] / base["cpu"] if sat and base and base["cpu"] else None,
                BARS["cpu_ratio"]),
           line("half: publish p99 under 5 ms", mid and mid["publish"]["p99"],
                BARS["publish_p99_ms"]),
           line("half: delivery p99 under 20 ms", mid and mid["delivery"]["p99"],
                BARS["delivery_p99_ms"])]
    tls_row, new = get("tls"), get("tls_new")
    out.append(line("tls: at least half of the plain rate",
                    tls_row["rate"] / sat["rate"] if tls_row and sat else None,
                    BARS["tls_ratio"], True))
    out.append(line("tls_new: loop never held longer than 1 ms", loop_hold_ms(new) if new else None,
                    BARS["loop_ms"]))
    retries, many = get("retries_1m"), get("destinations_100k")
    out.append(line("retries_1m: RSS under 250 MB", retries and retries["rss"], BARS["retries_mb"]))
    out.append(line("retries_1m: ready within 2 s",
                    retries and retries["last"]["restart"]["ready_s"], BARS["retries_ready_s"]))
    out.append(line("destinations_100k: RSS under 200 MB", many and many["rss"],
                    BARS["destinations_mb"]))
    with_bad, without = get("isolation"), get("isolation_none")
    ratio = None
    if with_bad and without and with_bad["delivery"]["p99"] and without["delivery"]["p99"]:
        ratio = with_bad["delivery"]["p99"] / without["delivery"]["p99"]
    out.append(line("isolation: delivery p99 at most twice that without", ratio,
                    BARS["isolation_ratio"]))
    return out


def bars_text(merged):
    words = {True: "met", False: "MISSED", None: "not measured"}
    return "\n".join(f"* {text}: {show(value)} – {words[passed]}"
                     for text, value, passed in bars(merged))


def machine_text(info):
    flush = info["flush"]
    return (f"Machine: {info['cpu']['name']}, {info['cpu']['cores']} cores (SHA "
            f"{'yes' if info['cpu']['sha_ni'] else 'no'}, AES "
            f"{'yes' if info['cpu']['aes'] else 'no'}), "
            f"{info['memory_mb']} MB, Linux {info['kernel']} {info['arch']}, device "
            f"{info['device'] or 'unknown'}; flush of 4 KiB p50 {flush['p50_us']} µs, p99 "
            f"{flush['p99_us']} µs (n = {flush['n']}). Gateway {info['gateway'] or 'absent'}.")
