# SPDX-License-Identifier: Apache-2.0
"""What the API's clients share: memory for their requests, and the turns of the loop."""

import pathlib
import re
import select
import signal
import socket

from support.gateway import ADMIN_KEY
from support.wait import DEADLINE, wait_until

MANY = {"server.max_connections_per_ip": "0"}  # all clients of these tests have one address
MIB = 1 << 20
# SERVER_MAX_HELD, and a quarter for what no count sees: the allocator, structs, the kernel's pages.
HELD_MAX_MIB = 256 * 5 / 4


class Memory:
    """The most that a gateway's memory (without files) grew by, looked at again and again."""

    def __init__(self, g):
        self.path = pathlib.Path(f"/proc/{g.pid}/status")
        self.start = self._now()
        self.most = 0

    def _now(self):
        return int(re.search(r"RssAnon:\s+(\d+) kB", self.path.read_text()).group(1)) / 1024

    def look(self):
        self.most = max(self.most, self._now() - self.start)


def begin_publish(g, length, body):
    s = socket.create_connection(("127.0.0.1", g.port), timeout=DEADLINE)
    s.sendall(
        f"POST /api/v1/publish HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {ADMIN_KEY}\r\n"
        f"Content-Length: {length}\r\n\r\n".encode()
    )
    try:
        for i in range(0, len(body), 65536):
            s.sendall(body[i : i + 65536])
    except OSError:
        pass  # it was cut off already
    return s


def test_memory_of_unfinished_bodies(make_gateway):
    """Just over half of each is there, where a buffer that doubles wastes most."""
    g = make_gateway(MANY).start()
    g.api.get("/topics").must(200)
    memory = Memory(g)
    clients = []
    try:
        for i in range(700):
            clients.append(begin_publish(g, MIB, b" " * (MIB // 2 + 1)))
            if i % 10 == 0:
                memory.look()

        def reached():
            memory.look()
            return g.metric("longline_http_timeouts_total") > 50

        wait_until(reached, "clients that are cut off")
        assert memory.most < HELD_MAX_MIB, memory.most
    finally:
        for s in clients:
            s.close()


def test_memory_of_bodies_that_are_parsed(make_gateway):
    """A list of numbers takes many times its text once parsed; such requests wait for each other."""
    g = make_gateway(MANY).start()
    g.api.tenant("t")
    body = b'{"tenant_id":"t","topic":"x","data":{"a":[' + b"1," * 250000 + b"1]}}"
    clients = [begin_publish(g, len(body), body[:-1]) for _ in range(100)]
    memory = Memory(g)
    g.signal(signal.SIGSTOP)
    for s in clients:
        s.sendall(body[-1:])
    g.signal(signal.SIGCONT)
    for s in clients:
        while not select.select([s], [], [], 0.005)[0]:
            memory.look()
        assert s.recv(4096).startswith(b"HTTP/1.1 202")
        memory.look()
        s.close()
    assert memory.most < HELD_MAX_MIB, memory.most


def test_long_lists_leave_room_for_publishes(make_gateway):
    """All lists are asked for before the publish; most are answered after it."""
    g = make_gateway(MANY).start()
    g.api.tenant("t")
    for _ in range(3):
        g.api.publish("t", {"x": "y" * 900000})
    get = (
        "GET /api/v1/events?tenant_id=t&limit=3&include=event.data&dir=asc HTTP/1.1\r\nHost: x\r\n"
        f"Authorization: Bearer {ADMIN_KEY}\r\nConnection: close\r\n\r\n"
    ).encode()
    body = b'{"tenant_id":"t","topic":"x","data":{}}'
    overtaken = 0
    for _ in range(5):  # once is enough: this client may be slow to look
        lists = [socket.create_connection(("127.0.0.1", g.port)) for _ in range(60)]
        publish = begin_publish(g, len(body), body[:-1])
        g.signal(signal.SIGSTOP)
        for s in lists:
            s.sendall(get)
        publish.sendall(body[-1:])
        g.signal(signal.SIGCONT)
        assert publish.recv(4096).startswith(b"HTTP/1.1 202")
        ready, _, _ = select.select(lists, [], [], 0)
        for s in lists:
            s.settimeout(DEADLINE)
            size = 0
            while piece := s.recv(MIB):
                size += len(piece)
            assert size > 2700000
            s.close()
        publish.close()
        overtaken = max(overtaken, len(lists) - len(ready))
        if overtaken > 20:
            break
    assert overtaken > 20
