# SPDX-License-Identifier: Apache-2.0
"""Waiting with a deadline. The tests never sleep for a fixed time and hope."""

import os
import time

# A slow machine or an instrumented build may raise this factor.
PATIENCE = float(os.environ.get("LONGLINE_TEST_PATIENCE", "1"))
DEADLINE = 15.0 * PATIENCE


class Timeout(AssertionError):
    pass


def wait_until(check, what="the condition", deadline=None, interval=0.01):
    """Calls check() until it returns something true, and returns that."""
    end = time.monotonic() + (DEADLINE if deadline is None else deadline * PATIENCE)
    while True:
        result = check()
        if result:
            return result
        if time.monotonic() >= end:
            raise Timeout(f"{what} did not come true; last: {result!r}")
        time.sleep(interval)


def stays_true(check, seconds, what="the condition"):
    """For "nothing more happens": check() must hold during the whole time."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert check(), f"{what} did not stay true"
        time.sleep(0.02)
