# SPDX-License-Identifier: Apache-2.0
"""Where each row of an LMDB file lies: an independent reader, to know what a damage has hit."""

import struct

PAGE = 4096
BRANCH, LEAF, OVERFLOW = 1, 2, 4
NONE = (1 << 64) - 1


class Row:
    def __init__(self, key, value, page, spans):
        self.key = key
        self.value = value
        self.page = page
        self.spans = spans  # bytes of the file: (from, to)


class Lmdb:
    """The newest snapshot of the file, which must be sound."""

    def __init__(self, data):
        self.data = data
        metas = [struct.unpack_from("<QQ", data, i * PAGE + 16 + 120) for i in (0, 1)]
        self.newest = max((0, 1), key=lambda i: metas[i][1])
        self.last = metas[self.newest][0]
        base = self.newest * PAGE + 16 + 24
        self.trees = {"free": self._tree(base), "main": self._tree(base + 48)}
        self.pages = {}  # page -> (tree, kind)
        self.rows = {}
        for row in self._walk("main", self.trees["main"]):
            at = row.spans[0][1] - 48 if len(row.value) == 48 else None
            self.trees[row.key.decode()] = self._tree(at)
        for name, root in self.trees.items():
            if name != "main":
                self.rows[name] = {r.key: r for r in self._walk(name, root)}

    def _tree(self, at):
        return struct.unpack_from("<Q", self.data, at + 40)[0]

    def _walk(self, name, root):
        if root == NONE:
            return
        stack = [root]
        while stack:
            page = stack.pop()
            base = page * PAGE
            number, _, flags, lower, _ = struct.unpack_from("<QHHHH", self.data, base)
            assert number == page, (name, page, number)
            self.pages[page] = (name, flags)
            children = []
            for i in range((lower - 16) // 2):
                (off,) = struct.unpack_from("<H", self.data, base + 16 + 2 * i)
                lo, hi, fl, ksize = struct.unpack_from("<HHHH", self.data, base + off)
                key = self.data[base + off + 8 : base + off + 8 + ksize]
                if flags == BRANCH:
                    children.append(lo | hi << 16 | fl << 32)
                    continue
                size = lo | hi << 16
                at = base + off + 8 + ksize
                spans = [(base + off, at + (8 if fl & 1 else size))]
                if fl & 1:
                    (run,) = struct.unpack_from("<Q", self.data, at)
                    n = (size + 16 + PAGE - 1) // PAGE
                    for k in range(n):
                        self.pages[run + k] = (name, OVERFLOW)
                    at = run * PAGE + 16
                    spans.append((run * PAGE, at + size))
                yield Row(key, self.data[at : at + size], page, spans)
            stack += reversed(children)

    def records(self):
        """(tree, key) -> spans of the file, with all chunks of a large record."""
        out = {}
        for tree in ("ev", "at", "rt", "cf", "ik"):
            for key, row in self.rows[tree].items():
                out[tree, key] = list(row.spans)
        for key, row in self.rows["bd"].items():
            for tree in ("ev", "at"):
                if (tree, key[:8]) in out:
                    out[tree, key[:8]] += row.spans
        return out
