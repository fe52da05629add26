# SPDX-License-Identifier: Apache-2.0
"""The programs of a run: the gateway, the floor, the sink and the load generator."""

import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import tempfile
import threading
import time
import urllib.parse

from . import machine
from .procs import BenchError, Child

ADMIN_KEY = "bench-admin-key-0123456789abcdef"
SECRET = "whsec_bench_0123456789abcdef0123456789abcdef"
TENANT = "t{:06d}"
READY_S = 60


def call(port, method, path, body=None, timeout=30):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        headers = {"Authorization": f"Bearer {ADMIN_KEY}", "Content-Type": "application/json"}
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


class Sink(Child):
    def __init__(self, programs, folder, verify=1000):
        self.ca_file = os.path.join(folder, "ca.pem")
        argv = [programs["sink"], "--ca-out", self.ca_file, "--secret", SECRET,
                "--verify", str(verify)]
        super().__init__("sink", argv, os.path.join(folder, "sink.err"))
        ready = self.wait_event("ready", time.monotonic() + 10)
        self.port, self.tls_port = ready["port"], ready["tls_port"]
        self.control_port = ready["control_port"]

    def ask(self, method, path):
        status, body = call(self.control_port, method, path)
        if status != 200:
            raise BenchError(f"sink: {method} {path} answered {status}")
        return body

    def counts(self):
        return json.loads(self.ask("GET", "/counts"))

    def stats(self):
        return json.loads(self.ask("GET", "/stats"))

    def ledger(self):
        return int.from_bytes(self.ask("GET", "/ledger"), "little")

    def reset(self):
        self.ask("POST", "/reset")

    def mode(self, status=200, delay_ms=0, close=0):
        self.ask("POST", f"/mode?status={status}&delay_ms={delay_ms}&close={close}")


class Load(Child):
    """One run of the load generator; options as on its command line, without the dashes."""

    def __init__(self, programs, folder, port, **options):
        self.accepted_file = os.path.join(folder, "accepted.bits")
        self.unknown_file = os.path.join(folder, "unknown.bits")
        argv = [programs["load"], "--port", str(port), "--key", ADMIN_KEY,
                "--ledger", self.accepted_file, "--unknown", self.unknown_file]
        self.limit_s = 60.0
        for name, value in options.items():
            argv += ["--" + name.replace("_", "-"), str(value)]
            if name in ("warmup", "duration", "grace"):
                self.limit_s += float(value)
        super().__init__("load", argv, os.path.join(folder, "load.err"))

    def sets(self):
        out = []
        for path in (self.accepted_file, self.unknown_file):
            out.append(int.from_bytes(pathlib.Path(path).read_bytes(), "little"))
        return out


class Floor(Child):
    """The least a durable gateway can do; it has no API, and every path publishes."""

    name_in_table = "floor"

    def __init__(self, programs, folder, sink, connections):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.data_dir = tempfile.mkdtemp(prefix="floor-", dir=folder)
        argv = [programs["floor"], str(self.port), str(sink.port), self.data_dir, str(connections)]
        super().__init__("floor", argv, os.path.join(folder, "floor.err"))
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                if time.monotonic() > deadline or not self.is_running():
                    raise BenchError(f"floor did not start: {self.last_words()}") from None
                time.sleep(0.02)

    def metrics(self):
        return None

    def forget_peaks(self):
        pass

    def close(self):
        self.stop(signal.SIGKILL)
        shutil.rmtree(self.data_dir, ignore_errors=True)


def parse_metrics(text):
    """{name{labels}: value} of a Prometheus text; labels as they stand."""
    out = {}
    for line in text.splitlines():
        match = re.match(r"^([a-zA-Z_:][\w:]*(?:\{[^}]*\})?)\s+(\S+)", line)
        if match and not line.startswith("#"):
            try:
                out[match.group(1)] = float(match.group(2))
            except ValueError:
                continue
    return out


def pick(metrics, *patterns):
    """Sum of the samples that match the first pattern that matches any; None when none does."""
    for pattern in patterns:
        found = [v for k, v in metrics.items() if re.fullmatch(pattern, k)]
        if found:
            return int(sum(found))
    return None


def books(metrics):
    """accepted, delivered, failed and pending as the gateway counts them."""
    return {
        "accepted": pick(metrics, r"longline_events_accepted_total(\{.*\})?"),
        "delivered": pick(metrics, r'longline_deliveries_total\{.*status="success".*\}',
                          r"longline_deliveries_succeeded_total(\{.*\})?"),
        "failed": pick(metrics, r'longline_deliveries_total\{.*status="failed".*\}',
                       r"longline_deliveries_failed_total(\{.*\})?"),
        "pending": pick(metrics, r"longline_pending(\{.*\})?",
                        r"longline_deliveries_pending(\{.*\})?"),
    }


class Gateway:
    name_in_table = "longline"

    def __init__(self, programs, folder, settings=()):
        self.programs, self.folder, self.settings = programs, folder, list(settings)
        self.data_dir = tempfile.mkdtemp(prefix="data-", dir=folder)
        self.child = None
        self.peaks = {}
        self.port = self.ready_s = None
        self.start()

    def start(self):
        argv = [self.programs["gateway"], "serve", "--data-dir", self.data_dir, "--dev",
                "--set", "server.listen=127.0.0.1:0", "--set", f"auth.admin_key={ADMIN_KEY}"]
        for setting in self.settings:
            argv += ["--set", setting]
        begin = time.monotonic()
        self.child = Child("gateway", argv, os.path.join(self.folder, "gateway.err"))
        ready = self.child.wait_event("ready", begin + READY_S)
        self.ready_s = time.monotonic() - begin
        self.port = urllib.parse.urlsplit(ready["listen"]).port

    def restart(self):
        """Stops with SIGTERM and starts again; seconds for either."""
        stop_s = self.child.stop(signal.SIGTERM, 60)
        self.start()
        return {"stop_s": round(stop_s, 3), "ready_s": round(self.ready_s, 3)}

    @property
    def pid(self):
        return self.child.pid

    def is_running(self):
        return self.child.is_running()

    def metrics(self):
        status, body = call(self.port, "GET", "/metrics")
        if status != 200:
            raise BenchError(f"/metrics answered {status}")
        found = parse_metrics(body.decode())
        # A maximum starts again at every scrape; here it is that since forget_peaks().
        for name in (name for name in found if "_max_" in name):
            self.peaks[name] = found[name] = max(found[name], self.peaks.get(name, 0))
        return found

    def forget_peaks(self):
        self.metrics()
        self.peaks.clear()

    def create(self, requests, threads=8):
        """Sends (method, path, body) over a few kept-alive connections; all must succeed."""
        todo, errors = iter(list(requests)), []
        lock = threading.Lock()

        def work():
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
            headers = {"Authorization": f"Bearer {ADMIN_KEY}", "Content-Type": "application/json"}
            while not errors:
                with lock:
                    item = next(todo, None)
                if item is None:
                    break
                try:
                    connection.request(item[0], item[1], item[2], headers)
                    answer = connection.getresponse()
                    text = answer.read()
                    if answer.status not in (200, 201):
                        errors.append(f"{item[0]} {item[1]}: {answer.status} {text[:200]!r}")
                except (OSError, http.client.HTTPException) as error:
                    errors.append(f"{item[0]} {item[1]}: {error!r}")
            connection.close()

        workers = [threading.Thread(target=work, daemon=True) for _ in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        if errors:
            raise BenchError(errors[0])

    def create_tenants(self, count, threads=8):
        self.create((("PUT", f"/api/v1/tenants/{TENANT.format(i)}", "{}") for i in range(count)),
                    threads)

    def create_destinations(self, urls, threads=8):
        """urls: (tenant number, url, topics)."""
        def body(url, topics):
            return json.dumps({"type": "webhook", "topics": topics, "config": {"url": url},
                               "credentials": {"secret": SECRET}})
        self.create((("POST", f"/api/v1/tenants/{TENANT.format(tenant)}/destinations",
                      body(url, topics)) for tenant, url, topics in urls), threads)

    def wait_pending(self, wanted, seconds):
        """Waits until the gateway says so many are pending; the last number seen."""
        deadline = time.monotonic() + seconds
        while True:
            pending = books(self.metrics())["pending"]
            if pending is None or wanted(pending) or time.monotonic() > deadline:
                return pending
            time.sleep(0.1)

    def memory_kb(self):
        return machine.process_memory_kb(self.pid)

    def close(self):
        self.child.stop(signal.SIGKILL)
        shutil.rmtree(self.data_dir, ignore_errors=True)


def known_settings(root):
    """section.key of everything in the generated configuration file, commented out or not."""
    section, out = "", []
    for line in machine.read(os.path.join(root, "conf", "longline.conf")).splitlines():
        header = re.match(r"^\s*\[(\w+)\]", line)
        key = re.match(r"^\s*[;#]?\s?(\w+)\s*=", line)
        if header:
            section = header.group(1)
        elif key:
            out.append(f"{section}.{key.group(1)}")
    return out


def setting_for_ca(root):
    """The key that takes a private CA for deliveries, or None."""
    for key in known_settings(root):
        if re.search(r"\.(\w+_)?ca(_?(file|bundle|cert|certs|path))?$", key):
            return key
    return None
