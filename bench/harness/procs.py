# SPDX-License-Identifier: Apache-2.0
"""Child processes: every one is started here, talks JSON lines, and is ended by its own id."""

import json
import queue
import signal
import subprocess
import threading
import time


class BenchError(Exception):
    """A run that cannot go on; the message is for the reader of the table."""


class Child:
    alive = []

    def __init__(self, name, argv, stderr_path, cwd=None):
        self.name = name
        self.stderr_path = stderr_path
        self.lines = queue.Queue()
        with open(stderr_path, "ab") as stderr:
            # pylint: disable-next=consider-using-with
            self.process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                            stderr=stderr, cwd=cwd, text=True)
        self.pid = self.process.pid
        Child.alive.append(self)
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put(None)

    def next_event(self, deadline):
        """The next JSON line as a dict; other lines are passed over."""
        while True:
            try:
                line = self.lines.get(timeout=max(0.01, deadline - time.monotonic()))
            except queue.Empty:
                raise BenchError(f"{self.name} said nothing in time") from None
            if line is None:
                raise BenchError(f"{self.name} ended early: {self.last_words()}")
            if line.startswith("{"):
                return json.loads(line)

    def wait_event(self, name, deadline):
        while True:
            event = self.next_event(deadline)
            if event.get("event") == name:
                return event

    def last_words(self):
        with open(self.stderr_path, encoding="utf-8", errors="replace") as file:
            return " | ".join(file.read().strip().splitlines()[-3:])[-400:]

    def is_running(self):
        return self.process.poll() is None

    def stop(self, sig=signal.SIGTERM, timeout=10.0):
        """Seconds the process took to end after the signal; killed when it takes too long."""
        start = time.monotonic()
        if self.is_running():
            self.process.send_signal(sig)
            try:
                self.process.wait(timeout)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(10)
        if self in Child.alive:
            Child.alive.remove(self)
        self.process.stdout.close()
        return time.monotonic() - start

    @classmethod
    def stop_all(cls):
        for child in list(cls.alive):
            child.stop(signal.SIGKILL, 5)
