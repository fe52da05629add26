# SPDX-License-Identifier: Apache-2.0
"""README's tour, typed as written: the blocks marked "sh tour", in one shell, on a clean directory."""

import os
import pathlib
import re
import signal
import subprocess

import pytest
from support.gateway import environment
from support.ports import DeadPort
from support.wait import PATIENCE

ROOT = pathlib.Path(__file__).resolve().parents[2]
BLOCK = re.compile(r"^```sh tour\n(.*?)^```$", re.MULTILINE | re.DOTALL)
DEADLINE = 300 * PATIENCE


def run_tour(script, extra):
    """The tour's output. It has a session of its own, so that a failed one leaves nothing running."""
    shell = subprocess.Popen(
        ["bash", "-eu", "-o", "pipefail", "-c", script],
        cwd=ROOT, env=environment(extra), start_new_session=True, text=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    try:
        out, _ = shell.communicate(timeout=DEADLINE)
    finally:
        try:
            os.killpg(shell.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        shell.wait()
    return shell.returncode, out


@pytest.mark.timeout(DEADLINE + 60)
def test_tour_as_written(tmp_path):
    blocks = BLOCK.findall((ROOT / "README.md").read_text())
    assert len(blocks) > 5
    lent = [DeadPort(lendable=True) for _ in range(3)]
    port, hook, tls = (str(p.port) for p in lent)

    code, out = run_tour("".join(blocks), {
        "PORT": port, "HOOK_PORT": hook, "TLS_PORT": tls, "TOUR": str(tmp_path),
        "NO_PROXY": "127.0.0.1,localhost"})
    for p in lent:
        p.close()

    log = tmp_path / "log"
    assert code == 0, out + (log.read_text() if log.exists() else "")
    plain, _, secure = out.partition(f"receiving on https://127.0.0.1:{tls}")
    assert plain.count(f"receiving on http://127.0.0.1:{hook}") == 2
    assert plain.count("signature v0: valid") == 2
    assert secure.count("signature v0: valid") == 1
    assert '"status":"failed"' in plain and '"code":"500"' in plain
    assert '"attempt_number":2,"manual":true' in plain
    assert "INVALID" not in out
