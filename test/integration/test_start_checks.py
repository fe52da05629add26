# SPDX-License-Identifier: Apache-2.0
"""What stops a start, what a renewed file does, and what the commands say about their options."""

import configparser
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess

import pytest

from support.client import Api
from support.gateway import (
    EXIT_CONFIG,
    EXIT_DATA,
    FAST_RETRIES,
    ROOT,
    binary,
    environment,
    run_command,
)
from support.wait import DEADLINE, wait_until


def both(*settings, data_dir="/nonexistent/data", env=None):
    """check-config and serve; what they say must be the same."""
    sets = [a for s in settings for a in ("--set", s)]
    r = run_command("check-config", *sets, env=env)
    s = run_command("serve", "--data-dir", data_dir, *sets, env=env)
    assert s.returncode == EXIT_CONFIG and s.stdout == "", s
    assert r.returncode == EXIT_CONFIG and r.stdout == "", f"{settings}: {r}"
    assert r.stderr == s.stderr and len(r.stderr.splitlines()) == 1
    return r.stderr


def good(*settings, env=None):
    sets = [a for s in settings for a in ("--set", s)]
    r = run_command("check-config", *sets, env=env)
    assert (r.returncode, r.stderr) == (0, ""), f"{settings}: {r}"


# ---- settings that cannot work ----


@pytest.mark.parametrize(
    "settings, words",
    [
        (["secrets.old_keys=zz"], ["secrets.old_keys"]),
        (["server.tls_cert=/nonexistent/c", "server.tls_key=/nonexistent/k"], ["server.tls_cert"]),
        (["egress.ca_file=/nonexistent/ca"], ["egress.ca_file", "/nonexistent/ca"]),
        (["egress.ca_file=/etc/hostname"], ["egress.ca_file", "/etc/hostname"]),
        (["egress.dns_servers=foo"], ["egress.dns_servers", '"foo"']),
        (["egress.dns_servers=127.0.0.1:99999"], ["egress.dns_servers", "99999"]),
        (["egress.dns_servers=127.0.0.1:0"], ["egress.dns_servers"]),
        (["egress.dns_servers=127.0.0.1,,::1"], ["egress.dns_servers"]),
        (["api.topics=*"], ["api.topics", "empty"]),
        (["api.topics=a,*"], ["api.topics", "empty"]),
        (["api.topics=a,order.*"], ["api.topics", "order.*", "pattern"]),
        (["api.topics=" + "x" * 256], ["api.topics", "255"]),
        (["webhook.mode=both", "webhook.header_prefix=webhook-"], ["webhook.header_prefix"]),
        (["webhook.mode=both", "webhook.header_prefix=Webhook-"], ["Webhook-", "webhook-signature"]),
        (["webhook.header_prefix=" + "x" * 200], ["webhook.header_prefix", "long"]),
        (["server.max_body=1MB"], ["server.max_body", '"1MB"', "MiB"]),
        (["server.max_body=64kb"], ["server.max_body", '"64kb"', "KiB"]),
    ],
)
def test_refused(settings, words):
    text = both(*settings)
    for w in words:
        assert w in text, text


def test_no_data_directory():
    text = both("store.data_dir=", data_dir="")
    assert "store.data_dir is empty" in text


def test_a_certificate_and_its_key(authority, tmp_path):
    a, b = authority.issue("pair-a"), authority.issue("pair-b")
    good(f"server.tls_cert={a.cert_file}", f"server.tls_key={a.key_file}")
    assert "server.tls_key" in both(
        f"server.tls_cert={a.cert_file}", f"server.tls_key={b.key_file}"
    )
    torn = tmp_path / "torn.key"
    with open(a.key_file) as f:
        torn.write_text(f.read()[:60])
    assert "server.tls_key" in both(f"server.tls_cert={a.cert_file}", f"server.tls_key={torn}")


@pytest.mark.parametrize(
    "settings",
    [
        ["egress.dns_servers=127.0.0.1, 10.0.0.1:5353, [::1]:53, ::1"],
        ["secrets.old_keys=" + "a" * 64],
        ["api.topics=" + "x" * 255],
        ["webhook.mode=standard", "webhook.header_prefix=webhook-"],
        ["webhook.mode=both", "webhook.header_prefix=x-"],
        ["webhook.mode=both", "webhook.header_prefix=none"],
        ["webhook.header_prefix=webhook-"],
        ["server.max_body=1MiB"],
    ],
)
def test_accepted(settings):
    good(*settings)


def test_serve_takes_what_the_check_takes(make_gateway):
    """The same list of name servers, in each of its forms."""
    make_gateway({"egress.dns_servers": "127.0.0.1, 10.0.0.1:5353, [::1]:53, ::1"}).start().stop()


def test_a_backup_needs_no_certificate(make_gateway, tmp_path):
    g = make_gateway().start()
    to = tmp_path / "copy"
    r = run_command(
        "backup", "--data-dir", g.data_dir, "--set", "server.tls_cert=/nonexistent/c",
        "--set", "server.tls_key=/nonexistent/k", to,
    )  # fmt: skip
    assert r.returncode == 0, r
    assert to.is_dir()


# ---- the exit status of a refusal, which tells a supervisor whether a restart can help ----


def test_the_unit_does_not_restart_what_a_restart_cannot_cure():
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str
    unit.read_string((ROOT / "conf" / "systemd" / "longline.service").read_text())
    service = unit["Service"]
    assert service["Restart"] == "on-failure" and "ExecStartPre" not in service
    kept = {int(s) for s in service["RestartPreventExitStatus"].split()}
    assert {EXIT_CONFIG, EXIT_DATA} <= kept and 1 not in kept


def test_status_of_a_journal_of_another_program(make_gateway):
    g = make_gateway().start()
    g.stop()
    with open(g.data_dir / "journal" / "data.mdb", "r+b") as f:
        for page in range(2):
            f.seek(page * 4096)
            f.write(bytes(4096))
    g.launch()
    assert g.wait_exit(30) == EXIT_DATA, g.log_text()


# ---- variables of a service of the same name ----

SERVICE = {
    "LONGLINE_SERVICE_HOST": "10.96.0.9",
    "LONGLINE_SERVICE_PORT": "3333",
    "LONGLINE_SERVICE_PORT_HTTP": "3333",
    "LONGLINE_PORT": "tcp://10.96.0.9:3333",
    "LONGLINE_PORT_3333_TCP": "tcp://10.96.0.9:3333",
    "LONGLINE_PORT_3333_TCP_ADDR": "10.96.0.9",
    "LONGLINE_PORT_3333_TCP_PORT": "3333",
    "LONGLINE_PORT_3333_TCP_PROTO": "tcp",
}


def test_variables_of_a_service(make_gateway):
    good(env=SERVICE)
    make_gateway(env=SERVICE).start().stop()
    for name in ("LONGLINE_PORTS", "LONGLINE_PORT_TCP", "LONGLINE_SERVICE", "LONGLINE_HOST"):
        r = run_command("check-config", env={**SERVICE, name: "x"})
        assert r.returncode == EXIT_CONFIG and name in r.stderr, r


# ---- the prefix of headers ----


@pytest.mark.parametrize("how", ["set-none", "set-blank", "env-blank", "file-none"])
def test_no_prefix(make_gateway, receiver, how):
    settings, env, config = dict(FAST_RETRIES), None, None
    if how == "set-none":
        settings["webhook.header_prefix"] = "none"
    elif how == "set-blank":
        settings["webhook.header_prefix"] = " "
    elif how == "env-blank":
        env = {"LONGLINE_WEBHOOK_HEADER_PREFIX": " "}
    else:
        config = "[webhook]\nheader_prefix = none\n"
    g = make_gateway(settings, env=env, config=config).start()
    g.api.tenant("t")
    hook = receiver.hook()
    g.api.destination("t", hook.url)
    e = g.api.publish("t", topic="x", metadata={"colour": "red"})
    r = hook.wait_for(1)[0]
    assert r.header("event-id") == e["id"] and r.header("topic") == "x"
    assert r.header("signature").startswith("v0=") and r.header("colour") == "red"
    assert r.header("x-outpost-event-id") is None
    g.stop()


# ---- ports ----


@pytest.mark.parametrize("port", [22, 25, 6379])
def test_ports_of_other_protocols(make_gateway, port):
    g = make_gateway(dev=False).start()
    g.api.tenant("t")

    def create(url):
        return g.api.post(
            "/tenants/t/destinations",
            json={"type": "webhook", "topics": ["*"], "config": {"url": url}},
        )

    for host in ("93.184.216.34", "example.com", "[2606:2800:220:1::1]"):
        create(f"https://{host}:{port}/").error(
            422, "validation error", [f"config.url uses port {port}, which is not allowed"]
        )
    d = create("https://example.com:8443/").must(201)
    r = g.api.patch(
        f"/tenants/t/destinations/{d['id']}", json={"config": {"url": f"https://h.test:{port}/"}}
    )
    assert r.status == 422 and f"port {port}" in r.body.decode()
    g.stop()
    # Loopback is for development, on any port, and a name may mean it.
    g.dev = True
    g.start()
    create(f"http://127.0.0.1:{port}/").must(201)
    create(f"http://localhost:{port}/").must(201)
    create(f"http://name.example:{port}/").must(201)
    assert create(f"https://93.184.216.34:{port}/").status == 422
    g.stop()


def test_ports_of_an_open_network(make_gateway):
    g = make_gateway({"egress.allow": "93.184.216.0/24"}).start()
    g.api.tenant("t")
    for host, status in (("93.184.216.34", 201), ("93.184.217.34", 422), ("name.example", 201)):
        r = g.api.post(
            "/tenants/t/destinations",
            json={"type": "webhook", "topics": ["*"], "config": {"url": f"https://{host}:22/"}},
        )
        assert r.status == status, (host, r)


# ---- renewed files ----


def put(cert, cert_file, key_file):
    shutil.copy(cert.cert_file, cert_file)
    shutil.copy(cert.key_file, key_file)


class Renewed:
    """A gateway that serves https from two files, and SIGHUP."""

    def __init__(self, make_gateway, authority, directory, **settings):
        self.ca = authority
        self.cert, self.key = directory / "c.pem", directory / "k.pem"
        self.config = "[api]\ntopics = {}\n"
        put(authority.issue("first", names=["localhost", "127.0.0.1"]), self.cert, self.key)
        self.g = make_gateway(
            {"server.tls_cert": self.cert, "server.tls_key": self.key, **settings},
            config=self.config.format("a"),
        )
        self.g.launch()
        wait_until(lambda: self.g.out or not self.g.is_running(), "the ready line")
        self.g.url = json.loads(self.g.out[0])["listen"]
        self.port = int(self.g.url.rsplit(":", 1)[1])
        self.n_reloads = 0

    def connect(self, session=None):
        context = ssl.create_default_context(cafile=self.ca.file)
        sock = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        return context.wrap_socket(sock, server_hostname="127.0.0.1", session=session)

    def serial(self):
        with self.connect() as s:
            return s.getpeercert()["serialNumber"]

    def reload(self):
        self.n_reloads += 1
        self.g.signal(signal.SIGHUP)
        wait_until(
            lambda: self.g.log_text().count("reload.done") + self.g.log_text().count("reload.refused")
            == self.n_reloads,
            "the reload",
        )
        return [x for x in self.g.log_text().splitlines() if "reload.d" in x or "reload.ref" in x][-1]


def ask(sock):
    sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    got = b""
    while b"\r\n\r\n" not in got:
        piece = sock.recv(65536)
        assert piece, "the connection ended"
        got += piece
    return got


def test_a_renewed_certificate(make_gateway, authority, tmp_path):
    r = Renewed(make_gateway, authority, tmp_path)
    first = r.serial()
    assert "changed=0" in r.reload()
    with r.connect() as old:
        assert b" 200 " in ask(old)
        put(authority.issue("second", names=["127.0.0.1"]), r.cert, r.key)
        assert r.serial() == first, "nothing happens by itself"
        line = r.reload()
        assert "reload.done" in line and "changed=1" in line
        second = r.serial()
        assert second != first
        assert b" 200 " in ask(old), "a connection that is open goes on"
    assert "changed=0" in r.reload()
    assert r.serial() == second
    r.g.signal(signal.SIGTERM)
    assert r.g.wait_exit() == 0


@pytest.mark.parametrize("what", ["torn", "other-key", "gone"])
def test_a_bad_certificate_changes_nothing(make_gateway, authority, tmp_path, what):
    r = Renewed(make_gateway, authority, tmp_path)
    first = r.serial()
    if what == "torn":
        r.cert.write_text(r.cert.read_text()[:100])
    elif what == "other-key":
        shutil.copy(authority.issue("other", names=["127.0.0.1"]).key_file, r.key)
    else:
        r.cert.unlink()
    r.g.write_config(r.config.format("a, b"))
    line = r.reload()
    assert "reload.refused" in line and "server.tls_" in line, line
    assert "error" in line.lower()
    assert r.serial() == first
    put(authority.issue("good", names=["127.0.0.1"]), r.cert, r.key)
    assert "changed=2" in r.reload(), "the topics and the certificate"
    assert r.serial() != first
    r.g.signal(signal.SIGTERM)
    assert r.g.wait_exit() == 0


def test_a_bad_setting_keeps_the_certificate(make_gateway, authority, tmp_path):
    r = Renewed(make_gateway, authority, tmp_path)
    first = r.serial()
    put(authority.issue("unused", names=["127.0.0.1"]), r.cert, r.key)
    r.g.write_config(r.config.format("*"))
    assert "reload.refused" in r.reload()
    assert r.serial() == first
    r.g.signal(signal.SIGTERM)
    assert r.g.wait_exit() == 0


def test_a_renewed_admin_key_file(make_gateway):
    g = make_gateway(admin_key=None)
    g.start()
    file = g.data_dir / "admin.key"
    Api(g.url, file.read_text().strip()).get("/topics").must(200)
    file.write_text("another-key-0123456789\n")
    g.signal(signal.SIGHUP)
    g.wait_log("reload.done")
    assert "changed=1" in g.log_text()
    api = Api(g.url, "another-key-0123456789")
    api.get("/topics").must(200)
    api.close()


def test_authorities_need_a_restart(make_gateway, authority, tmp_path):
    file = tmp_path / "ca.pem"
    shutil.copy(authority.file, file)
    g = make_gateway({"egress.ca_file": file}).start()
    g.signal(signal.SIGHUP)
    g.wait_log("reload.done")
    assert "needs_restart" not in g.log_text()
    file.write_text(file.read_text() + file.read_text())
    g.signal(signal.SIGHUP)
    g.wait_log("reload.needs_restart.*ca_file")


# ---- key files ----


def test_key_files_that_others_can_read(make_gateway):
    g = make_gateway(admin_key=None, jwt_secret=None).start()
    assert "readable_by_others" not in g.log_text()
    g.api.close()
    g.signal(signal.SIGTERM)
    assert g.wait_exit() == 0
    for name, mode in (("admin.key", 0o644), ("jwt.key", 0o640), ("secret.key", 0o600)):
        (g.data_dir / name).chmod(mode)
    g.start()
    warned = [x for x in g.log_text().splitlines() if "readable_by_others" in x]
    assert len(warned) == 2, warned
    assert "admin.key" in warned[0] and "0644" in warned[0]
    assert "jwt.key" in warned[1] and "0640" in warned[1]
    g.api.close()


# ---- files that are none: nothing waits for whoever might write to them ----


@pytest.fixture
def fifo(tmp_path):
    path = tmp_path / "fifo"
    os.mkfifo(path)
    return path


@pytest.mark.parametrize("name", ["admin.key", "jwt.key", "secret.key"])
def test_a_key_file_that_is_a_fifo(make_gateway, name):
    g = make_gateway(admin_key=None, jwt_secret=None)
    g.data_dir.mkdir()
    os.mkfifo(g.data_dir / name)
    g.launch()
    assert g.wait_exit() == EXIT_CONFIG
    assert f"{name} is not a regular file" in g.log_text()


def test_key_files_may_be_links(make_gateway, tmp_path):
    """As container secrets are."""
    g = make_gateway(admin_key=None)
    g.data_dir.mkdir()
    (tmp_path / "..data").write_text("a-key-that-is-mounted\n")
    (g.data_dir / "admin.key").symlink_to(tmp_path / "..data")
    g.start()
    assert Api(g.url, "a-key-that-is-mounted").get("/topics").status == 200
    g.stop()


def test_settings_that_name_a_fifo(authority, fifo):
    cert = authority.issue("beside-a-fifo")
    for settings in (
        [f"server.tls_cert={fifo}", f"server.tls_key={cert.key_file}"],
        [f"server.tls_cert={cert.cert_file}", f"server.tls_key={fifo}"],
        [f"egress.ca_file={fifo}"],
    ):
        text = both(*settings)
        assert f"{fifo} is not a regular file" in text, text
    r = run_command("check-config", "--config", fifo, timeout=10)
    assert r.returncode == EXIT_CONFIG and f"{fifo} is not a regular file" in r.stderr, r


def test_a_backup_passes_a_fifo_over(make_gateway, tmp_path):
    g = make_gateway().start()
    os.mkfifo(g.data_dir / "notes")
    r = run_command("backup", "--data-dir", g.data_dir, tmp_path / "copy", timeout=10)
    assert r.returncode == 0 and not (tmp_path / "copy" / "notes").exists(), r


def test_a_configuration_from_a_descriptor():
    """What the shell gives as <(command) or through a pipe has a writer, and is read."""
    text = "[api]\ntopics = from-a-pipe\n"
    for how in (
        f"printf '{text}' | '{binary()}' check-config --print --config /dev/stdin",
        f"'{binary()}' check-config --print --config <(printf '{text}')",
        f"'{binary()}' check-config --print --config /dev/fd/3 3< <(printf '{text}')",
    ):
        r = subprocess.run(
            ["bash", "-c", how], env=environment(), capture_output=True, text=True, timeout=DEADLINE
        )
        assert r.returncode == 0 and "topics = from-a-pipe" in r.stdout, r
    good_null = run_command("check-config", "--config", "/dev/null")
    assert good_null.returncode == 0, good_null


# ---- commands ----


@pytest.mark.parametrize(
    "args, words",
    [
        (["--tls-cert", "/none"], "--tls-cert and --tls-key go together"),
        (["--tls-key", "/none"], "--tls-cert and --tls-key go together"),
        (["--listen", "foo"], '--listen: "foo" is not an address and port'),
    ],
)
def test_receive_names_its_own_options(args, words):
    r = run_command("receive", *args)
    assert r.returncode == 1 and words in r.stderr and "server." not in r.stderr, r


@pytest.mark.parametrize("listen", ["0.0.0.0:0", "[::]:0"])
def test_health_of_a_gateway_that_listens_everywhere(make_gateway, listen):
    if listen.startswith("[") and not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    g = make_gateway({"server.listen": listen})
    g.start()
    r = run_command("health", "--url", g.url)
    assert r.returncode == 0, r
    r = run_command("health", "--url", g.url + "/")
    assert r.returncode == 0, r
    g.api.close()
