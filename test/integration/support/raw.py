# SPDX-License-Identifier: Apache-2.0
"""Raw HTTP over a socket: bytes in, answers out, nothing helpful in between."""

import socket

from .wait import DEADLINE


class Answer:
    def __init__(self, status, headers, body, text):
        self.status = status
        self.headers = headers  # list of (lower-case name, value)
        self.body = body
        self.text = text  # the head as it came

    def header(self, name, default=None):
        for key, value in self.headers:
            if key == name.lower():
                return value
        return default

    def __repr__(self):
        return f"<Answer {self.status} {self.body[:200]!r}>"


class RawConnection:
    def __init__(self, port, host="127.0.0.1", timeout=DEADLINE):
        self.sock = socket.create_connection((host, port), timeout=timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.data = b""

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        self.close()

    def close(self):
        self.sock.close()

    def send(self, data):
        if isinstance(data, str):
            data = data.encode("latin-1")
        self.sock.sendall(data)

    def half_close(self):
        self.sock.shutdown(socket.SHUT_WR)

    def _more(self):
        try:
            piece = self.sock.recv(65536)
        except ConnectionResetError:
            piece = b""
        self.data += piece
        return piece != b""

    def answer(self, head_request=False):
        """One answer, or None when the peer closed instead."""
        while b"\r\n\r\n" not in self.data:
            if not self._more():
                assert self.data == b"", f"closed in the middle of a head: {self.data!r}"
                return None
        head, self.data = self.data.split(b"\r\n\r\n", 1)
        lines = head.decode("latin-1").split("\r\n")
        status = int(lines[0].split(" ")[1])
        headers = []
        for line in lines[1:]:
            name, value = line.split(":", 1)
            headers.append((name.lower(), value.strip()))
        fields = dict(headers)
        body = b""
        if not head_request and status >= 200 and status != 204:
            length = int(fields["content-length"])
            while len(self.data) < length:
                assert self._more(), "closed in the middle of a body"
            body, self.data = self.data[:length], self.data[length:]
        return Answer(status, headers, body, head.decode("latin-1"))

    def at_end(self):
        """True when the peer has closed and sent nothing more. Waits for that."""
        while self._more():
            pass
        return self.data == b""


def exchange(port, data, **kw):
    """Sends the bytes on a new connection and returns the first answer."""
    with RawConnection(port, **kw) as c:
        try:
            c.send(data)
        except (BrokenPipeError, ConnectionResetError):
            pass  # refused before it had read everything
        return c.answer()
