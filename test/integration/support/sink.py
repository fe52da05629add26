# SPDX-License-Identifier: Apache-2.0
"""
An endpoint in a process of its own that answers thousands of requests a second: all of them with
one status and a body of one size, which can be changed while it runs. It remembers the ids of the
events that it took.
"""

import asyncio
import json
import subprocess
import sys
import urllib.request


class Endpoint(asyncio.Protocol):
    """Requests of keep-alive connections; `state` is shared by all of them."""

    def __init__(self, state):
        self.state = state
        self.data = b""

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.data += data
        while True:
            end = self.data.find(b"\r\n\r\n")
            if end < 0:
                return
            head = self.data[:end].decode("latin-1").split("\r\n")
            fields = dict(line.lower().split(": ", 1) for line in head[1:] if ": " in line)
            n = end + 4 + int(fields.get("content-length", 0))
            if len(self.data) < n:
                return
            self.data = self.data[n:]
            self.transport.write(self.answer(head[0].split(" ")[1], fields))

    def answer(self, path, fields):
        state = self.state
        if path.startswith("/control/"):
            status, size = path.split("/")[2:]
            state["status"] = int(status)
            state["body"] = b"e" * int(size)
            return self.reply(200, b"")
        if path == "/seen":
            body = {"n": state["n"], "ids": sorted(state["ids"])}
            return self.reply(200, json.dumps(body).encode())
        state["n"] += 1
        if state["status"] < 300:
            state["ids"].add(fields["x-outpost-event-id"])
        return self.reply(state["status"], state["body"])

    @staticmethod
    def reply(status, body):
        return b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n\r\n%s" % (status, len(body), body)


async def serve():
    state = {"status": 500, "body": b"", "n": 0, "ids": set()}
    server = await asyncio.get_running_loop().create_server(
        lambda: Endpoint(state), "127.0.0.1", 0, backlog=1024
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)  # ends with the process that started it


class Sink:
    def __enter__(self):
        self.process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.url = f"http://127.0.0.1:{int(self.process.stdout.readline())}"
        return self

    def __exit__(self, *exc):
        self.process.communicate(timeout=30)

    def ask(self, path):
        with urllib.request.urlopen(self.url + path, timeout=60) as r:
            return r.read()

    def answer_with(self, status, size=0):
        self.ask(f"/control/{status}/{size}")

    def seen(self):
        """How many requests came, and the ids of the events that were answered with success."""
        state = json.loads(self.ask("/seen"))
        return state["n"], set(state["ids"])


if __name__ == "__main__":
    asyncio.run(serve())
