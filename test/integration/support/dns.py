# SPDX-License-Identifier: Apache-2.0
"""A name server of a few lines: a table of answers, and a log of the questions."""

import socket
import threading

from dnslib import A, AAAA, QTYPE, RCODE, RR, DNSRecord


class NameServer:
    def __init__(self):
        self.records = {}  # lower-case name -> list of addresses, or an RCODE name, or "silent"
        self.questions = []
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.sock.bind(("127.0.0.1", 0))
        self.address = "127.0.0.1:%d" % self.sock.getsockname()[1]
        self.ended = False
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def _answer(self, query):
        name = str(query.q.qname).rstrip(".").lower()
        kind = QTYPE[query.q.qtype]
        self.questions.append((name, kind))
        found = self.records.get(name, "NXDOMAIN")
        if found == "silent":
            return None
        reply = query.reply()
        if isinstance(found, str):
            reply.header.rcode = getattr(RCODE, found)
            return reply
        for address in found:
            if ":" in address and kind == "AAAA":
                reply.add_answer(RR(query.q.qname, QTYPE.AAAA, rdata=AAAA(address), ttl=0))
            elif ":" not in address and kind == "A":
                reply.add_answer(RR(query.q.qname, QTYPE.A, rdata=A(address), ttl=0))
        return reply

    def _serve(self):
        while not self.ended:
            try:
                data, peer = self.sock.recvfrom(4096)
            except OSError:
                return
            reply = self._answer(DNSRecord.parse(data))
            if reply is not None:
                self.sock.sendto(reply.pack(), peer)

    def stop(self):
        self.ended = True
        waker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        waker.sendto(DNSRecord.question("end.test").pack(), self.sock.getsockname())
        waker.close()
        self.thread.join(5)
        self.sock.close()
