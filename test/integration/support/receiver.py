# SPDX-License-Identifier: Apache-2.0
"""
A webhook endpoint that does what it is told.

    rx = Receiver()
    hook = rx.hook()                      # a path of its own, answers 200
    hook.script(Reply(503), Reply(200))   # one after the other; the last one is repeated
    hook.wait_for(2)[1].body

Each connection has a thread. Whatever waits, waits on the event that ends the receiver.
"""

import itertools
import socket
import ssl
import struct
import threading
import time
from dataclasses import dataclass, field

from .wait import wait_until


@dataclass
class Request:
    method: str
    path: str
    headers: list  # (name as sent, value)
    body: bytes
    time: float  # time.monotonic() when it was complete
    conn: int
    wall: float = field(default_factory=time.time)
    status: int = 0  # what it was answered; 0: not in the usual way

    def header(self, name, default=None):
        for key, value in self.headers:
            if key.lower() == name.lower():
                return value
        return default

    def all(self, name):
        return [v for k, v in self.headers if k.lower() == name.lower()]


class Reply:
    """A well-formed answer."""

    def __init__(self, status=200, body=b"ok", headers=None, delay=0.0, close=False, before=b""):
        self.status = status
        self.body = body
        self.headers = headers or {}
        self.delay = delay
        self.close = close
        self.before = before  # sent ahead of the answer, such as a 1xx

    def run(self, c):
        if self.delay and c.receiver.ended.wait(self.delay):
            return False
        head = f"HTTP/1.1 {self.status} X\r\nContent-Length: {len(self.body)}\r\n"
        for name, value in self.headers.items():
            head += f"{name}: {value}\r\n"
        if self.close:
            head += "Connection: close\r\n"
        c.sock.sendall(self.before + head.encode() + b"\r\n" + self.body)
        return not self.close


class Held:
    """Keeps the request until it is let go, and then does what the other action does."""

    def __init__(self, then=None):
        self.then = then or Reply()
        self.status = getattr(self.then, "status", 0)
        self.may_go = threading.Event()
        self.n_done = 0

    def let_go(self):
        self.may_go.set()

    def run(self, c):
        while not self.may_go.wait(0.2):
            if c.receiver.ended.is_set():
                return False
        keep = self.then.run(c)
        with c.receiver.lock:
            self.n_done += 1
        return keep


class Raw:
    """Bytes as they are, and the end of the connection unless keep is set."""

    def __init__(self, data, keep=False):
        self.data = data
        self.keep = keep

    def run(self, c):
        c.sock.sendall(self.data)
        return self.keep


class Hang:
    """Takes the request and never answers."""

    def run(self, c):
        c.receiver.ended.wait()
        return False


class Close:
    """Closes without an answer."""

    def run(self, c):
        return False


class Reset:
    """Sends something, perhaps, and then RST."""

    def __init__(self, data=b""):
        self.data = data

    def run(self, c):
        if self.data:
            c.sock.sendall(self.data)
        c.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False


class Dribble:
    """The answer byte by byte."""

    def __init__(self, data, interval):
        self.data = data
        self.interval = interval

    def run(self, c):
        for i in range(len(self.data)):
            c.sock.sendall(self.data[i : i + 1])
            if c.receiver.ended.wait(self.interval):
                break
        return False


class Endless:
    """
    A head, and then a body without end: only the peer ends it, which is noted. How much was sent by
    then says little, for most of it may be in the buffers of the system.
    """

    def __init__(self, head=b"HTTP/1.1 200 X\r\n\r\n", block=b"x" * 65536):
        self.head = head
        self.block = block
        self.was_cut = False

    def run(self, c):
        try:
            c.sock.sendall(self.head)
            while not c.receiver.ended.is_set():
                c.sock.sendall(self.block)
        except OSError:
            self.was_cut = True
            raise
        return False


class _Connection:
    def __init__(self, receiver, sock, number):
        self.receiver = receiver
        self.sock = sock
        self.number = number
        self.data = b""

    def more(self):
        piece = self.sock.recv(65536)
        self.data += piece
        return piece != b""

    def read_request(self):
        while b"\r\n\r\n" not in self.data:
            if not self.more():
                return None
        head, self.data = self.data.split(b"\r\n\r\n", 1)
        lines = head.decode("latin-1").split("\r\n")
        method, path, _ = lines[0].split(" ")
        headers = []
        for line in lines[1:]:
            name, value = line.split(":", 1)
            headers.append((name, value.strip(" ")))
        rq = Request(method, path, headers, b"", 0.0, self.number)
        length = int(rq.header("content-length", "0"))
        while len(self.data) < length:
            if not self.more():
                return None
        rq.body, self.data = self.data[:length], self.data[length:]
        rq.time = time.monotonic()
        return rq

    def serve(self):
        try:
            self.sock.settimeout(None)
            self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.receiver.context is not None:
                self.sock = self.receiver.context.wrap_socket(self.sock, server_side=True)
                self.receiver.note_tls(self.sock)
            while (rq := self.read_request()) is not None:
                if not self.receiver.take(rq).run(self):
                    break
        except (OSError, ssl.SSLError, ValueError):
            pass
        finally:
            self.receiver.forget(self)
            try:
                self.sock.close()
            except OSError:
                pass


class Hook:
    def __init__(self, receiver, path):
        self.receiver = receiver
        self.path = path
        self.actions = [Reply()]

    @property
    def url(self):
        return self.receiver.base + self.path

    def script(self, *actions):
        with self.receiver.lock:
            self.actions = list(actions)
        return self

    @property
    def requests(self):
        with self.receiver.lock:
            return list(self.receiver.by_path.get(self.path, []))

    def wait_for(self, n, deadline=None):
        wait_until(
            lambda: len(self.requests) >= n, f"{n} requests at {self.path}", deadline=deadline
        )
        return self.requests

    def bodies(self):
        return [r.body for r in self.requests]


class Receiver:
    def __init__(self, context=None, host="127.0.0.1", name=None, port=0):
        self.context = context
        self.lock = threading.Lock()
        self.ended = threading.Event()
        self.by_path = {}
        self.hooks = {}
        self.count = 0
        self.numbers = itertools.count(1)
        self.connections = set()
        self.accepted = 0
        self.resumed = []
        self.listener = socket.socket(
            socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM
        )
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.listener.bind((host, port))
        self.listener.listen(1024)
        self.port = self.listener.getsockname()[1]
        scheme = "https" if context is not None else "http"
        shown = name or (f"[{host}]" if ":" in host else host)
        self.base = f"{scheme}://{shown}:{self.port}"
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.stop()

    def _accept(self):
        while not self.ended.is_set():
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            with self.lock:
                self.accepted += 1
                c = _Connection(self, sock, self.accepted)
                self.connections.add(c)
            threading.Thread(target=c.serve, daemon=True).start()

    def note_tls(self, sock):
        with self.lock:
            self.resumed.append((sock.session_reused, sock.version()))

    def forget(self, c):
        with self.lock:
            self.connections.discard(c)

    def hook(self, path=None):
        path = path or f"/hook/{next(self.numbers)}"
        hook = Hook(self, path)
        with self.lock:
            self.hooks[path] = hook
        return hook

    def take(self, rq):
        with self.lock:
            self.count += 1
            self.by_path.setdefault(rq.path, []).append(rq)
            hook = self.hooks.get(rq.path)
            if hook is None:
                action = Reply()
            else:
                action = hook.actions.pop(0) if len(hook.actions) > 1 else hook.actions[0]
            rq.status = getattr(action, "status", 0)
            return action

    @property
    def requests(self):
        with self.lock:
            return [r for v in self.by_path.values() for r in v]

    def drop_connections(self):
        with self.lock:
            connections = list(self.connections)
        for c in connections:
            try:
                c.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def stop(self):
        self.ended.set()
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        self.drop_connections()
        self.thread.join(5)
