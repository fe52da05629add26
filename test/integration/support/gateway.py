# SPDX-License-Identifier: Apache-2.0
"""
The gateway as a process: settings, start, ready line, signals, logs, restart on the same data.

Only processes that were started here are ever signalled, by their id.
"""

import json
import os
import pathlib
import re
import resource
import signal
import subprocess
import threading

from .client import Api
from .wait import DEADLINE, PATIENCE, wait_until

ROOT = pathlib.Path(__file__).resolve().parents[3]
ADMIN_KEY = "test-admin-key-0123456789"
JWT_SECRET = "test-jwt-secret-0123456789abcdef"

# What an instrumented build writes when it has found something.
FINDINGS = re.compile(
    r"(ERROR: AddressSanitizer|ERROR: LeakSanitizer|WARNING: ThreadSanitizer|runtime error:"
    r"|assertion failed|Assertion)"
)

# What a refused start ends with (src/app/exit_status.h).
EXIT_FAIL = 1
EXIT_DATA = 65
EXIT_CONFIG = 78

FAST_RETRIES = {
    "delivery.retry_interval": "100ms",
    "delivery.retry_jitter": "0",
    "delivery.retry_limit": "3",
    "delivery.breaker_failures": "0",
}


def binary():
    return os.environ.get("LONGLINE_BIN", str(ROOT / "build" / "release" / "longline"))


def environment(extra=None):
    env = {k: v for k, v in os.environ.items() if not k.startswith("LONGLINE_")}
    env.setdefault("ASAN_OPTIONS", "abort_on_error=1:detect_leaks=1")
    env.setdefault("UBSAN_OPTIONS", "halt_on_error=1:print_stacktrace=1")
    env.update(extra or {})
    return env


def run_command(*args, env=None, timeout=60, **kw):
    """One of the short commands: check-config, version, backup …"""
    return subprocess.run(
        [binary(), *map(str, args)],
        env=environment(env),
        capture_output=True,
        text=True,
        timeout=timeout * PATIENCE,
        **kw,
    )


class Gateway:
    def __init__(
        self,
        directory,
        settings=None,
        dev=True,
        config=None,
        env=None,
        wrap=None,
        admin_key=ADMIN_KEY,
        jwt_secret=JWT_SECRET,
        args=(),
        limits=None,
    ):
        self.directory = pathlib.Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.data_dir = self.directory / "data"
        self.settings = dict(settings or {})
        self.dev = dev
        self.config = config
        self.env = env
        self.wrap = list(wrap or [])
        self.admin_key = admin_key
        self.jwt_secret = jwt_secret
        self.args = list(args)
        self.limits = limits or {}
        self.port = 0
        self.proc = None
        self.ready = None
        self.starts = 0
        self.log_files = []

    # ---- life ----

    def command(self, port=0):
        cmd = [*self.wrap, binary(), "serve", "--data-dir", str(self.data_dir)]
        # Each life of the process is known at the receiver by its User-Agent (see ledger.py).
        settings = {
            "server.listen": f"127.0.0.1:{port}",
            "webhook.user_agent": f"Longline life-{self.starts}",
        }
        if self.admin_key is not None:
            settings["auth.admin_key"] = self.admin_key
        if self.jwt_secret is not None:
            settings["auth.jwt_secret"] = self.jwt_secret
        settings.update(self.settings)
        for key, value in settings.items():
            cmd += ["--set", f"{key}={value}"]
        if self.dev:
            cmd.append("--dev")
        if self.config is not None:
            cmd += ["--config", str(self.config_file())]
        return cmd + self.args

    def config_file(self):
        path = self.directory / "longline.conf"
        if self.config is not None and not path.exists():
            path.write_text(self.config)
        return path

    def write_config(self, text):
        self.config = text
        (self.directory / "longline.conf").write_text(text)

    def _apply_limits(self):
        for which, value in self.limits.items():
            resource.setrlimit(which, value)

    def launch(self, port=0):
        """Starts the process without waiting for anything."""
        assert self.proc is None, "it is running already"
        self.starts += 1
        log = self.directory / f"log.{self.starts}"
        self.log_files.append(log)
        with open(log, "wb") as err:
            self.proc = subprocess.Popen(
                self.command(port),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=err,
                env=environment(self.env),
                preexec_fn=self._apply_limits if self.limits else None,
            )
        self.ready = None
        self.out = []
        self.reader = threading.Thread(target=self._read_stdout, args=(self.proc,), daemon=True)
        self.reader.start()
        return self

    def _read_stdout(self, proc):
        for line in proc.stdout:
            self.out.append(line.decode())
        proc.stdout.close()

    def start(self, port=0, deadline=30):
        self.launch(port)
        wait_until(
            lambda: self.out or self.proc.poll() is not None, "the ready line", deadline=deadline
        )
        assert self.out, f"no ready line, exit {self.proc.wait()}: {self.log_text()}"
        self.ready = json.loads(self.out[0])
        assert self.ready["event"] == "ready", self.ready
        self.url = self.ready["listen"]
        self.port = int(self.url.rsplit(":", 1)[1])
        self.api = Api(self.url, self.admin_key)
        return self

    @property
    def pid(self):
        """The gateway's own id, also below a wrapper such as strace."""
        if not self.wrap:
            return self.proc.pid
        path = f"/proc/{self.proc.pid}/task/{self.proc.pid}/children"
        return int(wait_until(lambda: pathlib.Path(path).read_text().split(), "the child")[0])

    def is_running(self):
        return self.proc is not None and self.proc.poll() is None

    def signal(self, which):
        os.kill(self.pid, which)

    def wait_exit(self, deadline=None):
        code = self.proc.wait(DEADLINE * 3 if deadline is None else deadline * PATIENCE)
        self.reader.join(5)
        self.proc = None
        self.check_findings()
        return code

    def stop(self, deadline=None):
        """SIGTERM; the exit status must be 0."""
        if self.proc is None:
            return
        if self.ready is not None:
            self.api.close()  # an open connection would be given a second to end politely
        self.signal(signal.SIGTERM)
        code = self.wait_exit(deadline)
        assert code == 0, f"exit status {code}: {self.log_text()[-3000:]}"

    def kill9(self):
        if self.is_running():
            self.signal(signal.SIGKILL)
        self.proc.wait(DEADLINE)
        self.reader.join(5)
        self.proc = None
        self.check_findings()

    def restart(self, same_port=False):
        port = self.port if same_port else 0
        self.stop()
        return self.start(port)

    def cleanup(self):
        """For fixtures: whatever state a failed test left it in."""
        if self.proc is None:
            return
        if not self.is_running():
            self.proc.wait()
            self.reader.join(5)
            self.proc = None
            self.check_findings()
            return
        try:
            self.stop(deadline=40)
        except subprocess.TimeoutExpired:
            self.kill9()
            raise AssertionError(f"it did not stop after SIGTERM: {self.log_text()[-3000:]}")

    # ---- looking at it ----

    def log_text(self):
        return "".join(f.read_text(errors="replace") for f in self.log_files)

    def log_has(self, pattern):
        return re.search(pattern, self.log_text()) is not None

    def wait_log(self, pattern, deadline=None):
        wait_until(lambda: self.log_has(pattern), f"a log line {pattern!r}", deadline=deadline)

    def check_findings(self):
        text = self.log_text()
        found = FINDINGS.search(text)
        assert found is None, text[max(0, found.start() - 500) : found.start() + 6000]

    def rss_kib(self):
        text = pathlib.Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", text).group(1))

    def n_fds(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def metric(self, name):
        return self.api.metrics()[name]

    def wait_metric(self, name, value, deadline=None):
        wait_until(lambda: self.metric(name) == value, f"{name} = {value}", deadline=deadline)
