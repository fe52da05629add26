# SPDX-License-Identifier: Apache-2.0
"""
Damage and interference from outside: the index is rebuilt whatever happened to it, what cannot be
rebuilt refuses the start and says what to do, and a backup that takes long fills nothing up.
"""

import os
import pathlib
import shutil
import signal
import subprocess

import pytest

from support.gateway import EXIT_DATA, EXIT_FAIL, FAST_RETRIES, binary, environment
from support.receiver import Reply
from support.wait import wait_until

PAGE = 4096
RETRIES = {**FAST_RETRIES, "delivery.retry_interval": "1s", "delivery.retry_limit": "1000"}
ANSWER = 20


def index(g):
    return g.data_dir / "index" / "data.mdb"


def journal(g):
    return g.data_dir / "journal" / "data.mdb"


def n_rebuilds(g):
    return g.log_text().count("store.index.rebuild")


def is_indexed(g):
    return g.metric("longline_store_index_lag_rows") == 0


def refusal(g, status=EXIT_DATA):
    """The start fails in good order; returns what it says."""
    g.launch()
    code = g.wait_exit(30)
    assert code == status, code
    return g.log_files[-1].read_text()


@pytest.fixture
def filled(make_gateway, hook):
    """A stopped gateway with ANSWER events that are pending."""
    hook.script(Reply(500))
    g = make_gateway(RETRIES).start()
    g.api.tenant("t")
    g.destination = g.api.destination("t", hook.url)
    for i in range(ANSWER):
        g.api.publish("t", id=f"evt-{i}")
    wait_until(lambda: len(g.api.attempts(tenant_id="t", limit=100)) >= ANSWER, "the attempts")
    wait_until(lambda: is_indexed(g), "the index")
    g.stop()
    return g


def assert_right(g):
    assert len(g.api.events(tenant_id="t", limit=100)) == ANSWER
    assert len(g.api.attempts(event_id="evt-3", limit=100)) >= 1
    assert g.metric("longline_pending") == ANSWER


def test_damaged_index_pages(filled):
    g = filled
    for page in range(index(g).stat().st_size // PAGE):
        with open(index(g), "r+b") as f:
            f.seek(page * PAGE)
            f.write(os.urandom(PAGE))
        g.launch()
        wait_until(lambda: g.out or g.proc.poll() is not None, "the start")
        if not g.out:  # once is allowed
            g.proc.wait()
            g.proc = None
            g.start()
        else:
            g.reader.join(0.1)
            g.kill9()
            g.start()
        assert_right(g)
        g.stop()


@pytest.mark.parametrize("which", [signal.SIGSEGV, signal.SIGBUS, signal.SIGABRT])
def test_crash_rebuilds_once(filled, which):
    g = filled
    g.start()
    before = n_rebuilds(g)
    g.signal(which)
    assert g.proc.wait(30) != 0
    g.reader.join(5)
    g.proc = None
    assert (g.data_dir / ".index-crashed").exists()
    g.log_files.clear()  # a sanitizer has reported the signal
    g.start()
    assert n_rebuilds(g) == 1, before
    assert not (g.data_dir / ".index-crashed").exists()
    assert_right(g)
    g.restart()
    assert n_rebuilds(g) == 1
    g.stop()


def test_kill_does_not_rebuild(filled):
    g = filled
    for _ in range(3):
        g.start()
        g.kill9()
    g.start()
    assert_right(g)
    assert n_rebuilds(g) == 0
    g.stop()


@pytest.mark.parametrize("what", ["dangling link", "file"])
def test_index_is_no_directory(filled, what):
    g = filled
    shutil.rmtree(index(g).parent)
    if what == "file":
        index(g).parent.write_text("x")
    else:
        os.symlink("/nowhere/at/all", index(g).parent)
    assert "delete it" in refusal(g)
    os.remove(index(g).parent)
    g.start()
    assert_right(g)
    g.stop()


def test_damaged_destination(filled):
    g = filled
    good = journal(g).read_bytes()
    bad = bytearray(good)
    needle = b'"id":"' + g.destination["id"].encode()
    at = bad.find(needle)
    assert at > 0
    while at > 0:
        bad[at + 7] ^= 1
        at = bad.find(needle, at + 1)
    journal(g).write_bytes(bad)
    said = refusal(g)
    assert g.destination["id"] in said and "tenant t" in said and "backup" in said, said
    journal(g).write_bytes(good)
    g.start()
    assert_right(g)
    g.stop()


def test_journal_cut_to_nothing(filled):
    g = filled
    good = journal(g).read_bytes()
    os.truncate(journal(g), 0)
    for _ in range(2):
        assert "journal is empty" in refusal(g)
    journal(g).write_bytes(good)
    g.start()
    assert_right(g)
    g.stop()


def test_lock_file_deleted(filled, make_gateway):
    g = filled
    g.start()
    (g.data_dir / "lock").unlink()
    other = make_gateway(RETRIES)
    other.data_dir = g.data_dir
    assert "in use by another process" in refusal(other, EXIT_FAIL)
    assert_right(g)
    g.stop()


def start_backup(g, to):
    """A backup that has begun and is held; None when it was too quick for that."""
    env = environment()
    p = subprocess.Popen(
        [binary(), "backup", "--data-dir", str(g.data_dir), str(to)],
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    copy = pathlib.Path(to) / "journal" / "data.mdb"
    while p.poll() is None:
        try:
            if copy.stat().st_size > 0:
                p.send_signal(signal.SIGSTOP)
                return p if p.poll() is None and copy.stat().st_size < 8 << 20 else p.kill()
        except FileNotFoundError:
            pass
    return None


def test_backup_that_takes_long(make_gateway, tmp_path):
    """Pages that it reads cannot be used again: 503 before the map is full, and it recovers."""
    g = make_gateway({**RETRIES, "store.map_size": "64MiB", "store.min_free_disk": "0"}).start()
    body = {"tenant_id": "nobody", "data": {"pad": "x" * 20000}}

    def publish(n):
        return [g.api.post("/publish", json=body).status for _ in range(n)]

    assert set(publish(1200)) == {202}
    held = None
    for i in range(20):
        held = start_backup(g, tmp_path / f"copy-{i}")
        if held is not None:
            break
    if held is None:
        pytest.skip("every backup was too quick to be held")
    statuses = []
    for _ in range(12):
        statuses += publish(200)
    assert set(statuses) == {202, 503}, set(statuses)
    assert g.is_running()
    held.send_signal(signal.SIGCONT)
    assert held.wait(60) == 0
    wait_until(lambda: set(publish(20)) == {202}, "room again")
    g.stop()


def test_journal_unlinked_while_running(make_gateway, receiver):
    """What is written to a file without a name is lost: it stops, and the next start refuses."""
    g = make_gateway(FAST_RETRIES).start()
    g.api.tenant("t")
    assert g.api.post("/publish", json={"tenant_id": "t", "data": {}}).status == 202
    (g.data_dir / "journal" / "data.mdb").unlink()
    wait_until(lambda: not g.is_running(), "it stops", deadline=10)
    assert g.wait_exit() not in (0, None)
    assert g.log_has("store.fatal.*deleted, replaced or moved away")
    g.launch()
    assert g.wait_exit() not in (0, None)
    assert g.log_has("restore journal/ from the backup")
