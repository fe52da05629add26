# SPDX-License-Identifier: Apache-2.0
"""
Journal and index are damaged at random, and the gateway is started on them.

LONGLINE_DAMAGE_TRIALS sets the number for each of the two (15), LONGLINE_DAMAGE_SEED repeats a run,
LONGLINE_DAMAGE_ONLY=n runs trial n of it alone.
"""

import os
import random

import pytest

from support.damage import SETTINGS, Table, Template, Trial, command, file_of
from support.gateway import EXIT_DATA
from support.receiver import Hang
from support.wait import PATIENCE, wait_until

TRIALS = int(os.environ.get("LONGLINE_DAMAGE_TRIALS", "15"))
SEED = int(os.environ.get("LONGLINE_DAMAGE_SEED", str(random.randrange(1 << 30))))
ONLY = int(os.environ.get("LONGLINE_DAMAGE_ONLY", "-1"))


@pytest.fixture(scope="module")
def template(make_gateway, receiver):
    return Template(make_gateway(SETTINGS), receiver)


@pytest.mark.timeout((120 + 3 * TRIALS) * PATIENCE)
@pytest.mark.parametrize("which", ["journal", "index"])
def test_random_damage(template, tmp_path, which):
    print(f"seed {SEED}, {TRIALS} trials")
    table = Table()
    failures = []
    for n in range(TRIALS):
        if ONLY >= 0 and n != ONLY:
            continue
        trial = Trial(template, tmp_path / "trial", which, random.Random(f"{SEED} {which} {n}"))
        try:
            end = trial.supervise()
            if which == "journal":
                trial.salvage()
        except AssertionError as e:
            end = "FAILED"
            failures.append(f"trial {n}, {trial.what}: {str(e)[:3000]}")
        table.add(trial.way.__name__, end)
    print(table)
    assert not failures, f"seed {SEED}: {len(failures)} of {TRIALS}\n" + "\n".join(failures[:5])


def change(path, needle, to):
    """Overwrites every copy of some bytes, as many."""
    data = path.read_bytes()
    assert needle in data
    path.write_bytes(data.replace(needle, to))


@pytest.fixture
def fresh_event(make_gateway, receiver):
    """A gateway that was killed while a delivery was under way, with a mark in the event's data."""
    g = make_gateway(SETTINGS).start()
    hook = receiver.hook()
    hook.script(Hang())
    g.api.tenant("t")
    g.api.tenant("other")
    g.api.destination("t", hook.url, id="d")
    g.api.publish("other", data={"not": "delivered"})
    g.event = g.api.publish("t", topic="damaged-topic", data={"x": "y" * 40})["id"]
    hook.wait_for(1)
    wait_until(lambda: g.metric("longline_store_index_lag_rows") == 0, "the index")
    g.kill9()
    return g


def test_fresh_event_is_recorded_as_failed(fresh_event):
    """Its record is damaged while nothing but that record says that it is owed."""
    g = fresh_event
    change(file_of(g.data_dir, "journal"), b"damaged-topic", b"damaged-TOPIC")
    g.start()
    wait_until(lambda: g.api.attempts(destination_id="d"), "the record of its end")
    rows = g.api.attempts(destination_id="d")
    assert [(a["status"], a["code"], a["tenant_id"]) for a in rows] == [
        ("failed", "event_corrupt", "t")
    ]
    assert g.metric("longline_pending") == 0 and g.metric("longline_store_damaged_records") == 1
    assert g.log_has("event.damaged")

    # The list names it, the rest is served; alone it is 500, and not "not found".
    page = g.api.get("/events").must(200)
    assert len(page["models"]) == 1
    (named,) = page["damaged"]
    assert named["kind"] == "event"
    reply = g.api.get(f"/events/{g.event}")
    assert reply.status == 500 and "damaged" in reply.json["message"], reply
    assert g.api.get(f"/events/{named['id']}").status == 500

    # Tenants are told of their own only.
    seen = {}
    for tenant in ("t", "other"):
        token = g.api.get(f"/tenants/{tenant}/token").must(200)["token"]
        api = g.api.with_token(token)
        seen[tenant] = len(api.get("/events").must(200).get("damaged", []))
        assert api.get(f"/events/{g.event}").status == (500 if tenant == "t" else 404)
    assert seen == {"t": 1, "other": 0}

    # Once: another start adds nothing.
    g.kill9()
    g.start()
    assert len(g.api.attempts(destination_id="d")) == 1
    g.stop()


def test_backup_of_a_damaged_journal(fresh_event, tmp_path):
    g = fresh_event
    path = file_of(g.data_dir, "journal")
    good = path.read_bytes()
    change(path, b"damaged-topic", b"damaged-TOPIC")
    r = command("backup", "--data-dir", g.data_dir, tmp_path / "record")
    assert r.returncode == EXIT_DATA and "keep older backups" in r.stderr, r
    for page in range(len(good) // 4096):
        data = bytearray(good)
        data[page * 4096 : (page + 1) * 4096] = bytes(4096)
        path.write_bytes(data)
        r = command("backup", "--data-dir", g.data_dir, tmp_path / f"page-{page}")
        assert r.returncode in (0, EXIT_DATA), r
        if r.returncode == 0:  # a page that is free
            c = command("check", "--data-dir", tmp_path / f"page-{page}")
            assert c.returncode == 0, c


def test_check_names_what_is_damaged(fresh_event):
    g = fresh_event
    assert command("check", "--data-dir", g.data_dir).returncode == 0
    change(file_of(g.data_dir, "journal"), b"damaged-topic", b"damaged-TOPIC")
    r = command("check", "--data-dir", g.data_dir)
    assert r.returncode == EXIT_DATA
    assert "event " in r.stdout and "checksum" in r.stdout, r.stdout
    assert "longline salvage OLD NEW" in r.stderr
    g.start()
    r = command("check", "--data-dir", g.data_dir)
    assert r.returncode == 1 and "stop it first" in r.stderr, r
    g.stop()
