# SPDX-License-Identifier: Apache-2.0
"""Ports where nothing answers."""

import socket


class DeadPort:
    """A port that is bound but not listened on: it refuses, and no one else gets it."""

    def __init__(self):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self.sock.bind(("127.0.0.1", 0))
        self.port = self.sock.getsockname()[1]

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/dead"

    def close(self):
        self.sock.close()
