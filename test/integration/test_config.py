# SPDX-License-Identifier: Apache-2.0
"""The command line, the configuration and what a reload does with it."""

import pathlib
import re
import signal

import pytest

from support.client import Api
from support.gateway import ADMIN_KEY, EXIT_CONFIG, FAST_RETRIES, ROOT, run_command
from support.receiver import Reply
from support.wait import wait_until


def check(*args, env=None):
    return run_command("check-config", *args, env=env)


# ---- commands ----


def test_version_and_help():
    r = run_command("version")
    assert r.returncode == 0 and re.fullmatch(r"longline \d+\.\d+\.\d+\S*\n", r.stdout)
    assert run_command("--version").stdout == r.stdout
    r = run_command("help")
    assert r.returncode == 0
    for word in ("serve", "check-config", "receive", "backup", "health", "version", "--data-dir"):
        assert word in r.stdout
    assert run_command().stdout == r.stdout


@pytest.mark.parametrize(
    "args",
    [
        ["nonsense"],
        ["serve", "--nonsense"],
        ["serve", "extra"],
        ["version", "--dev"],
        ["serve", "--data-dir"],
        ["check-config", "--dev=yes"],
        ["backup"],
        ["health", "--url", "nonsense"],
    ],
)
def test_wrong_usage(args):
    r = run_command(*args)
    assert r.returncode == 2 and r.stderr.startswith("longline:"), r
    assert r.stdout == ""


# ---- check-config ----


def test_good():
    r = check()
    assert (r.returncode, r.stderr) == (0, "") and "good" in r.stdout
    assert check("--dev", "--set", "server.listen=127.0.0.1:0").returncode == 0


@pytest.mark.parametrize(
    "setting, words",
    [
        ("server.lisen=127.0.0.1:1", ["lisen", "[server]", '"listen"']),
        ("sever.listen=127.0.0.1:1", ["sever", "[server]"]),
        ("delivery.retry_intervall=1s", ["retry_intervall", '"retry_interval"']),
        ("nonsense", ["--set", "section.key=value"]),
        ("server.listen", ["--set", "section.key=value"]),
        ("=x", ["--set"]),
        ("server.listen=nonsense", ["server.listen"]),
        ("server.listen=127.0.0.1", ["server.listen"]),
        ("server.listen=127.0.0.1:70000", ["server.listen"]),
        ("server.max_body=lots", ["server.max_body", "lots", "size"]),
        ("server.max_body=1", ["server.max_body"]),
        ("server.max_body=-1", ["server.max_body"]),
        ("server.head_timeout=10", ["server.head_timeout"]),
        ("server.head_timeout=1 year", ["server.head_timeout"]),
        ("server.max_headers=ten", ["server.max_headers"]),
        ("server.max_headers=99999999999999999999", ["server.max_headers"]),
        ("api.topics_allow_wildcards=maybe", ["api.topics_allow_wildcards"]),
        ("webhook.mode=both_of_them", ["webhook.mode", "standard"]),
        ("log.level=loud", ["log.level", "debug"]),
        ("auth.admin_key=short", ["auth", "admin"]),
        ("auth.jwt_secret=short", ["auth", "16"]),
        ("egress.allow=everything", ["egress.allow", "everything"]),
        ("egress.allow=10.0.0.0/33", ["egress.allow"]),
        ("egress.ca_only=true", ["egress.ca_only", "egress.ca_file"]),
        ("server.tls_cert=/x", ["server.tls_cert", "server.tls_key"]),
        ("delivery.retry_schedule=5s, soon", ["delivery.retry_schedule"]),
        ("delivery.retry_limit=-1", ["delivery.retry_limit"]),
    ],
)
def test_bad_settings(setting, words):
    r = check("--set", setting)
    assert r.returncode == EXIT_CONFIG and r.stdout == "", r
    assert len(r.stderr.splitlines()) == 1
    for w in words:
        assert w in r.stderr, r.stderr
    # The same words from serve, and nothing is left behind.
    r2 = run_command("serve", "--data-dir", "/nonexistent/data", "--set", setting)
    assert (r2.returncode, r2.stderr, r2.stdout) == (EXIT_CONFIG, r.stderr, "")


@pytest.mark.parametrize(
    "text, words",
    [
        ("[server]\nlisten = 127.0.0.1:1\nlissen = 2\n", [":3:", "lissen", '"listen"']),
        ("[server]\n\n[stoor]\nx = 1\n", ["stoor", "[store]"]),
        ("listen = 127.0.0.1:1\n", [":1:"]),
        ("[server]\nthis is no setting\n", [":2:"]),
        ("[server]\nmax_body = 1XiB\n", [":2:", "max_body"]),
        ("[server\nlisten = 127.0.0.1:1\n", [":1:"]),
        ("[server]\nlisten = 127.0.0.1:1\nlisten = 127.0.0.1:2\n", [":3:", "listen"]),
    ],
)
def test_bad_files(tmp_path, text, words):
    f = tmp_path / "x.conf"
    f.write_text(text)
    r = check("--config", f)
    assert r.returncode == EXIT_CONFIG, r
    for w in [str(f)] + words:
        assert w in r.stderr, r.stderr


def test_missing_file(tmp_path):
    r = check("--config", tmp_path / "none.conf")
    assert r.returncode == EXIT_CONFIG and "none.conf" in r.stderr


def values(*args, env=None):
    r = check("--print", *args, env=env)
    assert r.returncode == 0, r.stderr
    found, section = {}, ""
    for line in r.stdout.splitlines():
        if line.startswith("["):
            section = line[1:-1]
        elif "=" in line:
            key, value = line.split("=", 1)
            found[f"{section}.{key.strip()}"] = value.strip()
    return found


def test_later_sources_win(tmp_path):
    f = tmp_path / "x.conf"
    f.write_text("[delivery]\nretry_limit = 3\nmax_inflight = 11\nretry_jitter = 5\n")
    env = {"LONGLINE_DELIVERY_RETRY_LIMIT": "4", "LONGLINE_DELIVERY_MAX_INFLIGHT": "12"}
    v = values("--config", f, "--set", "delivery.retry_limit=5", env=env)
    assert v["delivery.retry_limit"] == "5"
    assert v["delivery.max_inflight"] == "12"
    assert v["delivery.retry_jitter"] == "5"
    assert v["delivery.retry_interval"] == "30s"


def test_environment():
    r = check(env={"LONGLINE_SERVER_LISTN": "127.0.0.1:1"})
    assert r.returncode == EXIT_CONFIG and "LONGLINE_SERVER_LISTN" in r.stderr
    assert "LONGLINE_SERVER_LISTEN" in r.stderr
    r = check(env={"LONGLINE_SERVER_MAX_BODY": "x"})
    assert r.returncode == EXIT_CONFIG and "LONGLINE_SERVER_MAX_BODY" in r.stderr
    assert values(env={"LONGLINE_API_TOPICS": "a, b"})["api.topics"] == "a, b"


@pytest.mark.parametrize(
    "name, near",
    [
        ("ADMIN_KEY", "AUTH_ADMIN_KEY"),
        ("DATA_DIR", "STORE_DATA_DIR"),
        ("LISTEN", "SERVER_LISTEN"),
        ("RETENTION", "STORE_RETENTION"),
        ("JWT_SECRET", "AUTH_JWT_SECRET"),
        ("LOGLEVEL", "LOG_LEVEL"),
        ("ALLOW_PRIVATE", "EGRESS_ALLOW_PRIVATE"),
        ("STORE_DIRECTORY", "STORE_DATA_DIR"),
        ("DELIVERY_RETRIES", "DELIVERY_RETRY_LIMIT"),
    ],
)
def test_an_unknown_variable_is_told_its_nearest(name, near):
    r = check(env={f"LONGLINE_{name}": "x"})
    assert r.returncode == EXIT_CONFIG
    assert f"LONGLINE_{name};" in r.stderr and f"LONGLINE_{near}" in r.stderr, r.stderr


def test_dev_can_be_taken_back_in_part():
    v = values("--dev", "--set", "egress.allow_http=false")
    assert (v["egress.allow_loopback"], v["egress.allow_http"]) == ("true", "false")
    assert values()["egress.allow_loopback"] == "false"


def test_secrets_are_not_printed():
    r = check(
        "--print",
        "--set",
        "auth.admin_key=do-not-print-me-please",
        "--set",
        "auth.jwt_secret=nor-me-nor-me-nor-me",
    )
    assert r.returncode == 0
    assert "do-not-print-me" not in r.stdout and "nor-me" not in r.stdout


def test_the_reference_file_is_the_one_in_conf():
    r = check("--reference")
    assert r.returncode == 0
    assert (pathlib.Path(ROOT) / "conf" / "longline.conf").read_text() == r.stdout


def test_the_reference_file_is_good_and_says_the_defaults(tmp_path):
    text = check("--reference").stdout
    f = tmp_path / "all.conf"
    f.write_text(text)
    assert values("--config", f) == values()
    # Uncommented, too: every default is a valid value of itself.
    lines = [re.sub(r"^#(\w+ =)", r"\1", line) for line in text.splitlines()]
    f.write_text("\n".join(lines) + "\n")
    assert values("--config", f) == values()


# ---- reload ----

CONF = """[auth]
admin_key = {key}

[api]
topics = {topics}

[delivery]
retry_limit = 0
{more}
"""


@pytest.fixture
def reloadable(make_gateway):
    g = make_gateway(config=CONF.format(key=ADMIN_KEY, topics="a", more=""), admin_key=None)
    g.start()
    g.api = Api(g.url, ADMIN_KEY)
    g.n_reloads = 0

    def reload(text, good=True):
        g.write_config(text)
        g.signal(signal.SIGHUP)
        g.n_reloads += 1
        wait_until(
            lambda: len(re.findall(r"reload\.(done|refused)", g.log_text())) >= g.n_reloads,
            "the reload",
        )
        assert g.log_text().split("reload.")[-1].startswith("done" if good else "refused")

    g.reload = reload
    yield g
    g.cleanup()


def test_reload(reloadable):
    g = reloadable
    assert g.api.get("/topics").must(200) == ["a"]
    g.reload(CONF.format(key=ADMIN_KEY, topics="a, b", more=""))
    assert g.api.get("/topics").must(200) == ["a", "b"]
    g.api.tenant("t")
    g.api.publish("t", topic="b")
    g.reload(CONF.format(key=ADMIN_KEY, topics="c", more=""))
    g.api.post("/publish", json={"tenant_id": "t", "topic": "b", "data": {}}).error(
        422, "validation error", ["topic is invalid"]
    )


def test_a_new_admin_key(reloadable):
    g = reloadable
    g.reload(CONF.format(key="another-key-0123456789", topics="a", more=""))
    g.api.get("/topics").empty(401)
    Api(g.url, "another-key-0123456789").get("/topics").must(200)


@pytest.mark.parametrize(
    "more, word",
    [
        ("retry_limt = 3", "retry_limit"),
        ("retry_interval = soon", "retry_interval"),
        ("[server]\nmax_body = nonsense", "max_body"),
        ("[egress]\nallow = x", "egress.allow"),
        ("[store]\nmap_size = 1GiB", "restart"),
        ("[webhook]\nmode = standard", "restart"),
    ],
)
def test_all_or_nothing(reloadable, more, word):
    g = reloadable
    g.reload(CONF.format(key="another-key-0123456789", topics="a, b, c", more=more), good=False)
    assert g.api.get("/topics").must(200) == ["a"]
    assert word in g.log_text()
    g.reload(CONF.format(key=ADMIN_KEY, topics="a, b", more=""))
    assert g.api.get("/topics").must(200) == ["a", "b"]


def test_a_file_that_is_gone(reloadable):
    g = reloadable
    g.config_file().unlink()
    g.signal(signal.SIGHUP)
    g.wait_log("reload.refused")
    assert g.api.get("/topics").must(200) == ["a"]


def test_reload_under_way(make_gateway, receiver):
    """Retries that wait outlive a reload; where they may go is up to the new policy."""
    conf = "[delivery]\nretry_interval = {}\nretry_jitter = 0\nbreaker_failures = 0\n[egress]\n{}\n"
    g = make_gateway(
        config=conf.format("300ms", "allow_loopback = true\nallow_http = true"), dev=False
    ).start()
    g.api.tenant("t")
    hook = receiver.hook().script(Reply(500), Reply(200))
    g.api.destination("t", hook.url)
    g.api.publish("t")
    hook.wait_for(1)
    more = "allow_loopback = true\nallow_http = true\nallow_private = true"
    g.write_config(conf.format("300ms", more))
    g.signal(signal.SIGHUP)
    g.wait_log("reload.done")
    hook.wait_for(2)
    g.write_config(conf.format("50ms", "allow_http = true"))
    g.signal(signal.SIGHUP)
    wait_until(lambda: g.log_text().count("reload.done") == 2)
    e = g.api.publish("t")
    a = wait_until(lambda: g.api.attempts(event_id=e["id"]))[-1]
    assert a["code"] == "blocked_address", "a pooled connection must not outlive the policy"
    assert len(hook.requests) == 2


def test_many_reloads_under_load(make_gateway, receiver):
    g = make_gateway(FAST_RETRIES, config="[api]\ntopics_allow_wildcards = true\n").start()
    g.api.tenant("t")
    hook = receiver.hook()
    g.api.destination("t", hook.url)
    for i in range(30):
        g.signal(signal.SIGHUP)
        for _ in range(5):
            g.api.publish("t", {"i": i})
    hook.wait_for(150)
    assert "reload.refused" not in g.log_text()
