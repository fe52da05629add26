# SPDX-License-Identifier: Apache-2.0
"""A tenant that is made anew under the id of a deleted one is not opened by the old one's tokens."""

import base64
import json
import time

import jwt
import pytest

from support.client import Api
from support.gateway import ADMIN_KEY, JWT_SECRET, Gateway, run_command
from support.raw import RawConnection


def part(text):
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def made_elsewhere(tenant, **claims):
    """As a backend does it that knows the JWT secret."""
    return jwt.encode(
        {"iss": "outpost", "sub": tenant, "exp": int(time.time()) + 3600, **claims}, JWT_SECRET
    )


def opens(api, token):
    own = api.with_token(token)
    status = own.get("/events").status
    assert status in (200, 401), status
    assert own.get("/topics").status == status
    return status == 200


def recreate(api, tenant):
    api.delete(f"/tenants/{tenant}").must(200)
    api.put(f"/tenants/{tenant}").must(201)


def test_a_token_belongs_to_one_life(api, fresh):
    tenant = fresh("anew")
    api.tenant(tenant)
    old = api.token_of(tenant)
    assert opens(api, old)
    api.put(f"/tenants/{tenant}", json={"metadata": {"a": "b"}}).must(200)
    assert opens(api, old)  # replacing is no deletion
    api.delete(f"/tenants/{tenant}").must(200)
    assert not opens(api, old)
    api.put(f"/tenants/{tenant}").must(201)
    assert not opens(api, old)
    api.with_token(old).get(f"/tenants/{tenant}").empty(401)
    api.with_token(old).put(f"/tenants/{tenant}").empty(401)
    api.with_token(old).delete(f"/tenants/{tenant}").empty(401)
    assert opens(api, api.token_of(tenant))


def test_within_one_second(api, fresh):
    """All of it happens in the same second, again and again: no clock could tell the tokens apart."""
    tenant = fresh("quick")
    api.tenant(tenant)
    tokens = []
    for _ in range(20):
        tokens.append(api.token_of(tenant))
        assert [opens(api, t) for t in tokens] == [False] * (len(tokens) - 1) + [True]
        recreate(api, tenant)
    assert len({part(t.split(".")[1])["gen"] for t in tokens}) == 20
    assert len({part(t.split(".")[1])["iat"] for t in tokens}) < 20


def test_a_token_made_elsewhere(api, fresh):
    """Of these only iat tells; for the first tenant of an id it need not be there."""
    tenant = fresh("elsewhere")
    api.tenant(tenant)
    now = int(time.time())
    first = {
        "none": made_elsewhere(tenant),
        "early": made_elsewhere(tenant, iat=1),
        "now": made_elsewhere(tenant, iat=now),
    }
    assert all(opens(api, t) for t in first.values())
    recreate(api, tenant)
    assert not any(opens(api, t) for t in first.values())
    later = int(time.time()) + 60
    assert opens(api, made_elsewhere(tenant, iat=later))
    assert not opens(api, made_elsewhere(tenant, iat=now - 1))
    assert opens(api, api.token_of(tenant))


def test_a_generation_cannot_be_claimed_wrongly(api, fresh):
    tenant = fresh("claims")
    api.tenant(tenant)
    gen = part(api.token_of(tenant).split(".")[1])["gen"]
    assert opens(api, made_elsewhere(tenant, gen=gen))
    for bad in (gen + 1, gen - 1, 0, -gen, None, str(gen), [gen], True, 1e300):
        assert not opens(api, made_elsewhere(tenant, gen=bad, iat=int(time.time()) + 60)), bad


@pytest.mark.parametrize("how", ["stop", "kill9"])
def test_over_restarts(make_gateway, how):
    g = make_gateway().start()
    for t in ("stays", "goes", "comes back"):
        g.api.tenant(t)
    tokens = {t: g.api.token_of(t) for t in ("stays", "goes", "comes back")}
    elsewhere = made_elsewhere("goes", iat=int(time.time()))
    g.api.delete("/tenants/goes").must(200)
    recreate(g.api, "comes back".replace(" ", "%20"))
    fresh = g.api.token_of("comes back")
    getattr(g, how)()
    g.start()
    assert opens(g.api, tokens["stays"])
    assert opens(g.api, fresh)
    assert not opens(g.api, tokens["comes back"])
    assert not opens(g.api, tokens["goes"])
    g.api.tenant("goes")
    assert not opens(g.api, tokens["goes"])
    assert not opens(g.api, elsewhere)
    getattr(g, how)()
    g.start()
    assert not opens(g.api, tokens["goes"]) and not opens(g.api, elsewhere)
    assert opens(g.api, g.api.token_of("goes"))


def test_a_restored_backup(make_gateway, tmp_path):
    """What the backup knew counts: its tenant's tokens work, those of the time after it do not."""
    g = make_gateway().start()
    g.api.tenant("t")
    g.api.tenant("gone")
    in_backup = g.api.token_of("t")
    dead = g.api.token_of("gone")
    dead_elsewhere = made_elsewhere("gone", iat=int(time.time()))
    g.api.delete("/tenants/gone").must(200)
    copy = tmp_path / "restored" / "data"
    copy.parent.mkdir()
    done = run_command("backup", "--data-dir", g.data_dir, copy)
    assert done.returncode == 0, done.stderr
    recreate(g.api, "t")
    after = g.api.token_of("t")
    g.stop()
    restored = Gateway(copy.parent)
    try:
        restored.start()
        assert opens(restored.api, in_backup)
        assert not opens(restored.api, after)
        recreate(restored.api, "t")
        assert not opens(restored.api, in_backup) and not opens(restored.api, after)
        restored.api.tenant("gone")
        assert not opens(restored.api, dead) and not opens(restored.api, dead_elsewhere)
    finally:
        restored.cleanup()


def test_a_body_that_came_too_late(gw, api, receiver, fresh):
    """The head was let in for the old tenant; what the body asks for must not happen to the new one."""
    tenant = fresh("late")
    api.tenant(tenant)
    token = api.token_of(tenant)
    body = json.dumps(
        {"type": "webhook", "topics": "*", "config": {"url": receiver.hook().url}}
    ).encode()
    with RawConnection(gw.port) as c:
        c.send(
            f"POST /api/v1/tenants/{tenant}/destinations HTTP/1.1\r\nHost: x\r\n"
            f"Authorization: Bearer {token}\r\nContent-Length: {len(body)}\r\n"
            "Expect: 100-continue\r\n\r\n"
        )
        assert c.answer().status == 100  # so it was let in
        recreate(api, tenant)
        c.send(body)
        a = c.answer()
        assert (a.status, a.body) == (401, b"")
    assert api.get(f"/tenants/{tenant}/destinations").must(200) == []


def test_the_operator_is_not_concerned(gw, api, fresh):
    tenant = fresh("op")
    api.tenant(tenant)
    recreate(api, tenant)
    Api(api.base, ADMIN_KEY).get(f"/tenants/{tenant}").must(200)
