# SPDX-License-Identifier: Apache-2.0
"""Running it: health, metrics, keys, shutdown, backup, systemd's notifications."""

import json
import os
import pathlib
import re
import resource
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import threading

import pytest

from support.client import Api
from support.gateway import ADMIN_KEY, EXIT_CONFIG, FAST_RETRIES, binary, environment, run_command
from support.ledger import Ledger, Load
from support.ports import DeadPort
from support.raw import RawConnection
from support.receiver import Hang, Held, Reply
from support.wait import DEADLINE, PATIENCE, wait_until

# ---- health ----


def test_healthz(gw, api):
    for path in ("/healthz", "/api/v1/healthz"):
        body = Api(gw.url).request("GET", path).must(200)
        assert body["status"] == "healthy"
        assert {w["status"] for w in body["workers"].values()} == {"healthy"}
        assert "http-server" in body["workers"] and body["timestamp"].endswith("Z")


def test_readyz(gw):
    assert Api(gw.url).request("GET", "/readyz").must(200)["status"] == "ready"


def test_health_command(gw, make_gateway, authority):
    r = run_command("health", "--url", gw.url)
    assert r.returncode == 0 and "healthy" in r.stdout
    dead = DeadPort()
    assert run_command("health", "--url", dead.url).returncode == 1
    dead.close()
    cert = authority.issue("health")
    g = make_gateway({"server.tls_cert": cert.cert_file, "server.tls_key": cert.key_file}).start()
    r = run_command("health", "--url", g.url, "--ca-file", authority.file, timeout=20)
    assert r.returncode == 0 and "healthy" in r.stdout
    assert run_command("health", "--url", g.url, timeout=20).returncode == 1


# ---- metrics ----

LINE = re.compile(r'^([a-z_:][a-z0-9_:]*)(\{([a-z_]+="[^"\\]*",?)+\})? (-?[0-9.e+-]+|\+Inf|NaN)$')


def test_exposition_format(api):
    text = api.request("GET", "/metrics")
    assert text.headers["content-type"].startswith("text/plain; version=0.0.4")
    types, series, current = {}, set(), None
    for line in text.body.decode().splitlines():
        if line.startswith("# HELP "):
            continue
        if line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name not in types, f"{name} is described twice"
            types[name] = kind
            current = name
            continue
        m = LINE.match(line)
        assert m, line
        key = line.rsplit(" ", 1)[0]
        assert key not in series, f"{key} is there twice"
        series.add(key)
        base = (
            re.sub(r"_(bucket|sum|count)$", "", m.group(1))
            if types[current] == "histogram"
            else m.group(1)
        )
        assert base == current, f"{line} stands below {current}"
    for name, kind in types.items():
        labels = {
            tuple(sorted(re.findall(r'([a-z_]+)="', s)))
            for s in series
            if re.match(rf"{name}(\{{| |$)", s)
        }
        assert len(labels) <= 1, f"{name} has series with different labels: {labels}"
        assert kind in ("counter", "gauge", "histogram")
        assert kind != "counter" or name.endswith("_total")


def test_metrics_count(make_gateway, receiver):
    g = make_gateway({**FAST_RETRIES, "delivery.retry_limit": "1"}).start()
    g.api.tenant("t")
    good, bad = receiver.hook(), receiver.hook().script(Reply(500))
    g.api.destination("t", good.url)
    g.api.destination("t", bad.url)
    for i in range(10):
        g.api.publish("t", id=f"m{i}")
    g.api.publish("t", id="m0")
    g.api.post("/publish", json={"tenant_id": "t"})
    g.wait_metric("longline_pending", 0)
    m = g.api.metrics()
    assert m["longline_events_accepted_total"] == 10
    assert m["longline_events_duplicate_total"] == 1
    assert m["longline_events_refused_total"] == 1
    assert m['longline_deliveries_total{status="success"}'] == 10
    assert m['longline_deliveries_total{status="failed"}'] == 10
    assert m['longline_attempts_total{status="success"}'] == 10
    assert m['longline_attempts_total{status="failed"}'] == 20
    assert m["longline_tenants"] == 1 and m["longline_destinations"] == 2
    assert m["longline_ready"] == 1
    assert m["longline_store_commits_total"] > 0
    assert m["longline_store_commit_seconds_count"] > 0
    assert m["longline_publish_seconds_count"] >= 10
    assert m["longline_http_connections"] >= 1
    assert "longline_oldest_pending_seconds" in m
    wait_until(lambda: g.metric("longline_store_events_total") == 10)
    wait_until(lambda: g.metric("longline_store_attempts_total") == 30)


def test_pending_and_its_age(make_gateway, receiver):
    g = make_gateway({**FAST_RETRIES, "delivery.retry_interval": "1h"}).start()
    g.api.tenant("t")
    hook = receiver.hook().script(Reply(500))
    g.api.destination("t", hook.url)
    g.api.publish("t")
    hook.wait_for(1)
    g.wait_metric("longline_pending", 1)
    wait_until(lambda: g.metric("longline_oldest_pending_seconds") >= 1)
    g.restart()
    assert g.metric("longline_pending") == 1
    assert g.metric("longline_oldest_pending_seconds") >= 1


# ---- keys and files ----


def test_generated_admin_key(make_gateway):
    g = make_gateway(admin_key=None, jwt_secret=None).start()
    path = g.ready["admin_key_file"]
    assert os.path.realpath(path) == os.path.realpath(g.data_dir / "admin.key")
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600
    assert stat.S_IMODE(os.stat(g.data_dir).st_mode) & 0o077 == 0
    key = open(path).read().strip()
    assert len(key) >= 32
    own = Api(g.url, key)
    own.get("/topics").must(200)
    own.tenant("t")
    token = own.token_of("t")
    assert key not in g.log_text()
    g.restart()
    assert open(path).read().strip() == key
    Api(g.url, key).get("/topics").must(200)
    Api(g.url, token).get("/topics").must(200)


def test_all_files_are_private(gw):
    for f in gw.data_dir.rglob("*"):
        assert stat.S_IMODE(f.stat().st_mode) & 0o077 == 0, f


def test_ready_line(gw):
    assert list(gw.ready) == ["event", "listen", "data_dir", "version"]
    assert gw.ready["data_dir"] == str(gw.data_dir)
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", gw.ready["listen"])
    assert len(gw.out) == 1


def test_two_on_one_data_directory(gw):
    r = run_command(
        "serve",
        "--data-dir",
        gw.data_dir,
        "--set",
        "server.listen=127.0.0.1:0",
        "--set",
        f"auth.admin_key={ADMIN_KEY}",
    )
    assert r.returncode == 1 and r.stdout == ""
    assert gw.api.get("/topics").status == 200


def test_a_port_that_is_taken(gw, tmp_path):
    r = run_command(
        "serve", "--data-dir", tmp_path / "d", "--set", f"server.listen=127.0.0.1:{gw.port}"
    )
    assert r.returncode == 1 and "server.listen" in r.stderr and r.stdout == ""


def test_a_data_directory_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("x")
    r = run_command("serve", "--data-dir", tmp_path / "file", "--set", "server.listen=127.0.0.1:0")
    assert r.returncode == 1 and r.stdout == "" and "store" in r.stderr


def test_a_wrong_secrets_key_is_noticed(make_gateway):
    g = make_gateway().start()
    g.api.tenant("t")
    g.api.destination("t", "https://example.com/")
    g.stop()
    key = g.data_dir / "secret.key"
    text = key.read_text()
    key.write_text("0" * 64 + "\n")
    g.launch()
    try:
        wait_until(lambda: not g.is_running() or g.out, "its decision")
        assert not g.out, "it must not start with secrets it cannot open"
        assert g.wait_exit() == EXIT_CONFIG
    finally:
        g.cleanup()
    key.write_text(text)
    g.start()
    assert g.api.get("/tenants/t/destinations").must(200)[0]["credentials"]["secret"]


# ---- shutdown ----


def test_idle_shutdown(make_gateway):
    g = make_gateway({"process.shutdown_timeout": "10m"}).start()
    g.stop()
    for which in (signal.SIGTERM, signal.SIGINT):
        g.start()
        g.signal(which)
        assert g.wait_exit() == 0


def test_shutdown_under_load(make_gateway, receiver):
    """Exit 0; nothing that was accepted is lost; nothing is delivered twice."""
    g = make_gateway(FAST_RETRIES).start()
    g.api.tenant("t")
    hook = receiver.hook()
    secret = g.api.destination("t", hook.url)["credentials"]["secret"]
    ledger = Ledger(hook, secret)
    for cycle in range(3):
        load = Load(ledger, g.api, "t", f"s{cycle}", threads=6)
        n = len(ledger.accepted)
        wait_until(lambda: len(ledger.accepted) >= n + 150, "load")
        g.signal(signal.SIGTERM)
        assert g.wait_exit() == 0
        load.stop()
        g.start()
    ledger.settle()
    ledger.check()


def test_requests_under_way_are_answered(make_gateway, receiver):
    """A slow delivery may end within the deadline, and its record is kept."""
    g = make_gateway({**FAST_RETRIES, "process.shutdown_timeout": "10m"}).start()
    g.api.tenant("t")
    held = Held(Reply(200))
    hook = receiver.hook().script(held)
    g.api.destination("t", hook.url)
    e = g.api.publish("t")
    hook.wait_for(1)
    g.signal(signal.SIGTERM)
    g.wait_log("shutdown.drain")
    held.let_go()
    assert g.wait_exit() == 0
    g.start()
    rows = wait_until(lambda: g.api.attempts(event_id=e["id"]))
    assert [a["status"] for a in rows] == ["success"]
    assert len(hook.requests) == 1


def test_the_deadline_of_a_shutdown(make_gateway, receiver):
    g = make_gateway({**FAST_RETRIES, "process.shutdown_timeout": "500ms"}).start()
    g.api.tenant("t")
    hook = receiver.hook().script(Hang(), Reply(200))
    g.api.destination("t", hook.url)
    g.api.publish("t")
    hook.wait_for(1)
    g.stop()
    g.start()
    hook.wait_for(2)  # it was pending, and still is


def test_a_client_that_goes_on_sending_does_not_hold_a_shutdown(make_gateway):
    """It was refused and is read on for a while, so that it sees the answer: not during the end."""
    g = make_gateway().start()
    stop = threading.Event()
    with RawConnection(g.port) as c:
        c.send(
            "POST /api/v1/publish HTTP/1.1\r\nHost: x\r\nContent-Length: 100000000\r\n"
            f"Authorization: Bearer {ADMIN_KEY}\r\n\r\n"
        )
        assert c.answer().status == 413

        def trickle():
            try:
                while not stop.wait(0.02):
                    c.send("x")
            except OSError:
                pass

        sender = threading.Thread(target=trickle)
        sender.start()
        try:
            g.signal(signal.SIGTERM)
            assert g.wait_exit() == 0
        finally:
            stop.set()
            sender.join()


def test_second_signal(make_gateway, receiver):
    g = make_gateway(FAST_RETRIES).start()
    g.api.tenant("t")
    hook = receiver.hook().script(Hang(), Reply(200))
    g.api.destination("t", hook.url)
    g.api.publish("t", id="x")
    hook.wait_for(1)
    g.signal(signal.SIGTERM)
    g.wait_log("shutdown.drain")
    g.signal(signal.SIGTERM)
    assert g.wait_exit() not in (0, None)
    g.start()
    hook.wait_for(2)
    assert g.api.publish("t", id="x")["duplicate"] is True


def test_quit_is_an_orderly_stop(make_gateway, receiver):
    g = make_gateway({**FAST_RETRIES, "process.shutdown_timeout": "10m"}).start()
    g.api.tenant("t")
    held = Held(Reply(200))
    hook = receiver.hook().script(held)
    g.api.destination("t", hook.url)
    g.api.publish("t")
    hook.wait_for(1)
    g.signal(signal.SIGQUIT)
    g.wait_log("shutdown.drain")
    held.let_go()
    assert g.wait_exit() == 0


# Those that end a process by default and that nothing here is asked to do by.
IGNORED = "PIPE ALRM USR1 USR2 VTALRM PROF IO PWR STKFLT XCPU XFSZ RTMIN RTMAX".split()


@pytest.mark.parametrize("name", IGNORED)
def test_other_signals_end_nothing(gw, api, name):
    number = {"STKFLT": 16}.get(name) or getattr(signal, "SIG" + name)
    gw.signal(number)
    assert api.get("/topics").status == 200
    gw.signal(signal.SIGHUP)  # handled after it
    assert api.get("/topics").status == 200 and gw.is_running()


def is_instrumented():
    return b"__asan_init" in pathlib.Path(binary()).read_bytes()


def test_keys_in_memory_are_kept_from_others(gw):
    """The files in /proc belong to root then, and there is no core file, whatever the limit was."""
    if is_instrumented():
        return  # the leak checker needs the opposite
    limits = pathlib.Path(f"/proc/{gw.pid}/limits").read_text()
    assert re.search(r"Max core file size +0 +0 ", limits), limits


def test_as_an_unprivileged_user(receiver):
    """What the gateway reads of itself in /proc can be read though it belongs to root."""
    root = os.getuid() == 0
    nobody = dict(user=65534, group=65534, extra_groups=[]) if root else {}
    with tempfile.TemporaryDirectory(prefix="longline-") as d:  # tmp_path is root's alone
        exe = pathlib.Path(d) / "longline"
        shutil.copy(binary(), exe)
        os.chmod(d, 0o755)
        data = pathlib.Path(d) / "home"
        data.mkdir()
        if root:
            os.chown(data, 65534, 65534)
        p = subprocess.Popen(
            [str(exe), "serve", "--dev", "--data-dir", str(data / "data"),
             "--set", "server.listen=127.0.0.1:0", "--set", f"auth.admin_key={ADMIN_KEY}"],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
            env=environment(), **nobody,
        )  # fmt: skip
        try:
            ready = json.loads(p.stdout.readline())
            if not is_instrumented():
                assert os.stat(f"/proc/{p.pid}/mem").st_uid == 0
            api = Api(ready["listen"], ADMIN_KEY)
            api.tenant("t")
            hook = receiver.hook()
            api.destination("t", hook.url)
            for i in range(20):
                api.publish("t", {"i": i, "text": "x" * 10000})
            hook.wait_for(20)
            assert len(api.events(tenant_id="t")) == 20
            api.close()
        finally:
            p.terminate()
            _, log = p.communicate(timeout=DEADLINE)
        assert p.returncode == 0, log
        assert "level=error" not in log, log


def test_draining_refuses_new_work(make_gateway, receiver):
    g = make_gateway({**FAST_RETRIES, "process.shutdown_timeout": "10m"}).start()
    g.api.tenant("t")
    held = Held(Reply(200))
    hook = receiver.hook().script(held)
    g.api.destination("t", hook.url)
    g.api.publish("t")
    hook.wait_for(1)
    g.signal(signal.SIGTERM)

    def is_refused():
        try:
            socket.create_connection(("127.0.0.1", g.port), timeout=DEADLINE).close()
        except (ConnectionRefusedError, ConnectionResetError):
            return True
        return False

    wait_until(is_refused, "new connections are refused")
    assert g.is_running(), "and it still waits for the attempt under way"
    held.let_go()
    assert g.wait_exit() == 0


# ---- backup ----


def test_backup_while_running(make_gateway, receiver, tmp_path):
    g = make_gateway(FAST_RETRIES, admin_key=None, jwt_secret=None).start()
    g.api = Api(g.url, (g.data_dir / "admin.key").read_text().strip())
    g.api.tenant("t")
    hook = receiver.hook().script(Reply(200))
    dest = g.api.destination("t", hook.url)
    waiting = receiver.hook().script(Reply(500))
    g.api.destination("t", waiting.url, topics=["later"])
    ledger = Ledger(hook, dest["credentials"]["secret"])
    load = Load(ledger, g.api, "t", "b")
    wait_until(lambda: len(ledger.accepted) > 50)
    with ledger.lock:
        before = set(ledger.accepted)
    r = run_command("backup", "--data-dir", g.data_dir, tmp_path / "copy")
    assert r.returncode == 0, r
    load.stop()
    ledger.settle()
    ledger.check()

    again = run_command("backup", "--data-dir", g.data_dir, tmp_path / "copy")
    assert again.returncode == 1 and "not empty" in again.stderr

    copy = make_gateway(FAST_RETRIES, admin_key=None, jwt_secret=None)
    copy.data_dir = tmp_path / "copy"
    copy.start()
    copy.api = Api(copy.url, g.api.token)
    assert copy.api.get("/tenants/t/destinations").must(200)[0] == dest
    wait_until(lambda: copy.api.get("/events").status == 200)
    for event_id in sorted(before)[:20]:
        assert copy.api.get(f"/events/{event_id}").status == 200
    for event_id in sorted(before)[:5]:
        assert copy.api.publish("t", id=event_id)["duplicate"] is True
    copy.api.publish("t", id="in-the-copy")
    wait_until(lambda: "in-the-copy" in ledger.arrived())


def test_backup_of_nothing(tmp_path):
    r = run_command("backup", "--data-dir", tmp_path / "none", tmp_path / "to")
    assert r.returncode == 1 and r.stderr.startswith("longline: backup:")


# ---- systemd ----


def test_notifications(make_gateway, tmp_path):
    path = str(tmp_path / "notify")
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    s.bind(path)
    s.settimeout(DEADLINE)
    g = make_gateway(env={"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "400000"}).start()
    seen = []

    def until(what):
        while not any(what in x for x in seen):
            seen.append(s.recv(4096).decode())

    until("READY=1")
    until("WATCHDOG=1")
    g.signal(signal.SIGHUP)
    until("RELOADING=1")
    g.stop()
    until("STOPPING=1")
    s.close()


# ---- hard limits ----


def test_few_file_descriptors(make_gateway, receiver):
    """With 64 descriptors and 200 clients it sheds, and lives."""
    g = make_gateway(FAST_RETRIES, limits={resource.RLIMIT_NOFILE: (64, 64)}).start()
    held = []
    try:
        for _ in range(200):
            try:
                held.append(socket.create_connection(("127.0.0.1", g.port), timeout=2))
            except OSError:
                break
        assert len(held) > 64
    finally:
        for s in held:
            s.close()
    api = Api(g.url, ADMIN_KEY)

    def answers():
        try:
            return api.get("/topics").status == 200
        except OSError:
            return False

    wait_until(answers, "it answers again")
    api.tenant("t")
    hook = receiver.hook()
    api.destination("t", hook.url)
    api.publish("t")
    hook.wait_for(1)


def test_stopped_and_continued(make_gateway, receiver):
    g = make_gateway(FAST_RETRIES).start()
    g.api.tenant("t")
    hook = receiver.hook()
    secret = g.api.destination("t", hook.url)["credentials"]["secret"]
    ledger = Ledger(hook, secret)
    load = Load(ledger, g.api, "t", "stop")
    for _ in range(3):
        n = len(ledger.accepted)
        wait_until(lambda: len(ledger.accepted) > n + 20)
        g.signal(signal.SIGSTOP)
        ended = threading.Event()
        ended.wait(0.3)  # the pause is the test
        g.signal(signal.SIGCONT)
    load.stop()
    ledger.settle()
    ledger.check()


def test_the_log_names_no_secret(gw, api, receiver):
    api.tenant("quiet")
    hook = receiver.hook()
    d = api.destination("quiet", hook.url)
    token = api.token_of("quiet")
    Api(gw.url, token).get("/topics").must(200)
    api.publish("quiet", {"password": "hunter2-in-the-data"})
    hook.wait_for(1)
    text = gw.log_text()
    for secret in (ADMIN_KEY, token, d["credentials"]["secret"], "hunter2-in-the-data"):
        assert secret not in text


def test_json_logs(make_gateway):
    g = make_gateway({"log.format": "json", "log.level": "debug"}).start()
    g.api.tenant("t")
    g.stop()
    lines = g.log_text().splitlines()
    assert lines
    for line in lines:
        json.loads(line)


def test_no_output_reader(tmp_path):
    """Nobody reads its stdout or stderr: it runs all the same."""
    p = subprocess.Popen(
        [
            binary(),
            "serve",
            "--data-dir",
            str(tmp_path / "d"),
            "--set",
            "server.listen=127.0.0.1:0",
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment(),
    )
    try:
        wait_until(lambda: (tmp_path / "d" / "journal" / "data.mdb").exists())
        wait_until(lambda: (tmp_path / "d" / "secret.key").exists())
        assert p.poll() is None
    finally:
        p.terminate()
        assert p.wait(30 * PATIENCE) in (0, 1, -15)
