# SPDX-License-Identifier: Apache-2.0
"""
Clocks that lie to one process, by libfaketime: a step of the wall clock at any moment, and of the
monotonic one with it or not, and time that runs faster.
"""

import glob
import os


def library():
    found = sorted(glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1"))
    assert found, "libfaketime is missing: scripts/deps test installs it"
    return found[0]


class FakeClock:
    def __init__(self, path, with_monotonic=False, speed=1):
        self.path = path
        self.with_monotonic = with_monotonic
        self.speed = speed
        self.set(0)

    def set(self, ahead_s):
        """The wall clock runs ahead by so many seconds from now on."""
        self.ahead_s = ahead_s
        text = f"{ahead_s:+d}s" + (f" x{self.speed}" if self.speed != 1 else "")
        new = f"{self.path}.new"
        with open(new, "w", encoding="ascii") as f:
            f.write(text + "\n")
        os.replace(new, self.path)

    def env(self):
        return {
            "LD_PRELOAD": library(),
            "FAKETIME_TIMESTAMP_FILE": str(self.path),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "0" if self.with_monotonic else "1",
        }
