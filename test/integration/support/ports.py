# SPDX-License-Identifier: Apache-2.0
"""Ports where nothing answers."""

import socket


class DeadPort:
    """
    A port that is bound but not listened on: it refuses, and no one else gets it. One that is
    lendable goes to nobody by chance either, but a server that asks for it by number can listen.
    """

    def __init__(self, port=0, lendable=False):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if lendable:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.sock.bind(("127.0.0.1", port))
        self.port = self.sock.getsockname()[1]

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/dead"

    def close(self):
        self.sock.close()
