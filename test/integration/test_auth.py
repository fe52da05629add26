# SPDX-License-Identifier: Apache-2.0
"""Who may do what: the admin key, tokens of tenants (RFC 7519, RFC 8725), their rate."""

import base64
import json
import time

import jwt
import pytest

from support.client import Api
from support.gateway import ADMIN_KEY, JWT_SECRET
from support.raw import exchange
from support.wait import wait_until

ADMIN_ONLY = [("POST", "/publish"), ("GET", "/tenants/{t}/token")]
ANYONE = [
    ("GET", "/topics"),
    ("GET", "/destination-types"),
    ("GET", "/tenants"),
    ("GET", "/tenants/{t}"),
    ("GET", "/tenants/{t}/destinations"),
    ("GET", "/events"),
    ("GET", "/attempts"),
]


def call(api, method, path, tenant):
    return api.request(method, "/api/v1" + path.format(t=tenant))


def with_header(api, value):
    bare = Api(api.base)
    return bare.request("GET", "/api/v1/topics", headers={"Authorization": value})


@pytest.mark.parametrize(
    "method, path",
    ADMIN_ONLY
    + ANYONE
    + [
        ("POST", "/retry"),
        ("PUT", "/tenants/{t}"),
        ("DELETE", "/tenants/{t}"),
        ("POST", "/tenants/{t}/destinations"),
        ("PATCH", "/tenants/{t}/destinations/d"),
        ("GET", "/events/x"),
        ("GET", "/attempts/x"),
    ],
)
def test_without_a_key(api, tenant, method, path):
    r = call(Api(api.base), method, path, tenant)
    r.empty(401)
    call(Api(api.base, "wrong-key-0123456789"), method, path, tenant).empty(401)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Bearer",
        "Bearer ",
        ADMIN_KEY,
        f"Basic {ADMIN_KEY}",
        f"Bearer  {ADMIN_KEY}",
        f"Bearer {ADMIN_KEY}x",
        f"Bearer {ADMIN_KEY[:-1]}",
        f"Bearer {ADMIN_KEY.upper()}",
        "Bearer " + "x" * 9000,
        f"Token {ADMIN_KEY}",
    ],
)
def test_headers_that_open_nothing(api, value):
    assert with_header(api, value).status in (401,), value


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR"])
def test_the_key(api, tenant, scheme):
    with_header(api, f"{scheme} {ADMIN_KEY}").must(200)
    with_header(api, f"{scheme} {api.token_of(tenant)}").must(200)


def test_health_and_metrics_need_none(api):
    for path in ("/healthz", "/readyz", "/metrics", "/api/v1/healthz"):
        assert Api(api.base).request("GET", path).status == 200


def test_metrics_can_be_closed(make_gateway):
    g = make_gateway({"api.metrics_public": "false"}).start()
    Api(g.url).request("GET", "/metrics").empty(401)
    assert g.api.request("GET", "/metrics").status == 200
    g.api.tenant("t")
    own = g.api.with_token(g.api.token_of("t"))
    assert own.request("GET", "/metrics").status == 403


@pytest.mark.parametrize("method, path", ADMIN_ONLY)
def test_tokens_do_not_open_the_operators_routes(api, tenant, method, path):
    call(api.with_token(api.token_of(tenant)), method, path, tenant).empty(403)


@pytest.mark.parametrize("method, path", ANYONE)
def test_tokens_open_the_tenants_routes(api, tenant, method, path):
    assert call(api.with_token(api.token_of(tenant)), method, path, tenant).status == 200


@pytest.mark.parametrize(
    "method, path",
    [
        ("GET", "/tenants/{t}"),
        ("PUT", "/tenants/{t}"),
        ("DELETE", "/tenants/{t}"),
        ("GET", "/tenants/{t}/destinations"),
        ("POST", "/tenants/{t}/destinations"),
        ("GET", "/tenants/{t}/destinations/d"),
        ("PUT", "/tenants/{t}/destinations/d/enable"),
        ("GET", "/tenants/{t}/destinations/d/attempts"),
    ],
)
@pytest.mark.parametrize("exists", [True, False])
def test_another_tenants_path(api, tenant, fresh, method, path, exists):
    other = fresh("other")
    if exists:
        api.tenant(other)
    call(api.with_token(api.token_of(tenant)), method, path, other).empty(403)


def test_a_deleted_tenants_token(api, fresh):
    t = fresh("gone")
    api.tenant(t)
    own = api.with_token(api.token_of(t))
    own.get("/topics").must(200)
    api.delete(f"/tenants/{t}").must(200)
    own.get("/topics").empty(401)
    own.get(f"/tenants/{t}").empty(401)
    api.tenant(t)
    own.get("/topics").empty(401)  # see test_tokens_of_deleted_tenants.py


def part(value):
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def claims_of(tenant, **changes):
    now = int(time.time())
    c = {"iss": "outpost", "sub": tenant, "iat": now, "exp": now + 600}
    for key, value in changes.items():
        if value is None:
            c.pop(key)
        else:
            c[key] = value
    return c


def sign(claims, secret=JWT_SECRET, algorithm="HS256", headers=None):
    return jwt.encode(claims, secret, algorithm=algorithm, headers=headers)


def test_a_token_made_elsewhere(api, tenant):
    api.with_token(sign(claims_of(tenant))).get(f"/tenants/{tenant}").must(200)


LATER = int(time.time()) + 3600

BAD_TOKENS = {
    "expired": lambda t: sign(claims_of(t, exp=int(time.time()) - 120)),
    "just expired": lambda t: sign(claims_of(t, exp=int(time.time()))),
    "no expiry": lambda t: sign(claims_of(t, exp=None)),
    "not yet": lambda t: sign(claims_of(t, nbf=LATER)),
    "wrong key": lambda t: sign(claims_of(t), secret="another-secret-0123456789abcdef00"),
    "other issuer": lambda t: sign(claims_of(t, iss="someone")),
    "no issuer": lambda t: sign(claims_of(t, iss=None)),
    "no subject": lambda t: sign(claims_of(t, sub=None)),
    "empty subject": lambda t: sign(claims_of(t, sub="")),
    "unknown tenant": lambda t: sign(claims_of("nobody-of-that-name")),
    "none": lambda t: part({"alg": "none", "typ": "JWT"}) + "." + part(claims_of(t)) + ".",
    "none, signed": lambda t: sign(claims_of(t)).replace(
        sign(claims_of(t)).split(".")[0], part({"alg": "none", "typ": "JWT"})
    ),
    "no signature": lambda t: sign(claims_of(t)).rsplit(".", 1)[0] + ".",
    "two parts": lambda t: sign(claims_of(t)).rsplit(".", 1)[0],
    "four parts": lambda t: sign(claims_of(t)) + ".x",
    "cut": lambda t: sign(claims_of(t))[:-2],
    "padded": lambda t: sign(claims_of(t)) + "=",
    "claims changed": lambda t: ".".join(
        [sign(claims_of("x")).split(".")[0], part(claims_of(t)), sign(claims_of("x")).split(".")[2]]
    ),
    "critical": lambda t: sign(claims_of(t), headers={"crit": ["x"], "x": 1}),
    "exp is text": lambda t: jwt.api_jws.encode(
        json.dumps({**claims_of(t), "exp": "never"}).encode(), JWT_SECRET, algorithm="HS256"
    ),
    "claims are a list": lambda t: jwt.api_jws.encode(b"[]", JWT_SECRET, algorithm="HS256"),
    "claims are no json": lambda t: jwt.api_jws.encode(b"{", JWT_SECRET, algorithm="HS256"),
    "subject is a number": lambda t: jwt.api_jws.encode(
        json.dumps({**claims_of(t), "sub": 7}).encode(), JWT_SECRET, algorithm="HS256"
    ),
    "empty": lambda t: "..",
}


@pytest.mark.parametrize("name", BAD_TOKENS)
def test_bad_tokens(api, tenant, name):
    token = BAD_TOKENS[name](tenant)
    # A path of another tenant is refused before it is asked whether the token's tenant exists.
    api.with_token(token).get(f"/tenants/{tenant}").empty(403 if name == "unknown tenant" else 401)
    api.with_token(token).get("/topics").empty(401)


@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
@pytest.mark.parametrize("algorithm", ["HS256", "HS384", "HS512"])
def test_hmac_of_three_sizes(api, tenant, algorithm):
    token = sign(claims_of(tenant), algorithm=algorithm)
    api.with_token(token).get("/topics").must(200)
    api.with_token(sign(claims_of(tenant), "x" * 64, algorithm)).get("/topics").empty(401)
    # The header must name what was used.
    head, claims, mac = token.split(".")
    for other in {"HS256", "HS384", "HS512"} - {algorithm}:
        changed = ".".join([part({"alg": other, "typ": "JWT"}), claims, mac])
        api.with_token(changed).get("/topics").empty(401)


def test_issued_in_the_future(api, tenant):
    api.with_token(sign(claims_of(tenant, iat=LATER))).get("/topics").must(200)


def test_tokens_without_exp_can_be_allowed(make_gateway):
    g = make_gateway({"auth.require_exp": "false"}).start()
    g.api.tenant("t")
    g.api.with_token(sign(claims_of("t", exp=None))).get("/topics").must(200)
    g.api.with_token(sign(claims_of("t", exp=int(time.time())))).get("/topics").empty(401)


def test_short_keys_are_for_development(make_gateway):
    keys = {"admin_key": "dev", "jwt_secret": "s"}
    g = make_gateway(**keys).start()
    g.api.tenant("t")
    g.api.with_token(jwt.encode(claims_of("t"), "s")).get("/topics").must(200)
    assert g.log_has(r"keys\.short.*auth\.admin_key") and g.log_has(r"keys\.short.*auth\.jwt_secret")
    strict = make_gateway(dev=False, **keys)
    strict.launch()
    assert strict.wait_exit() != 0
    assert strict.log_has("must have 16 to 1024 characters")


def test_unauthorised_bodies_are_not_read(api, gw):
    """The key is judged before the body has come."""
    a = exchange(
        gw.port,
        "POST /api/v1/publish HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n"
        "Authorization: Bearer nope\r\n\r\n",
    )
    assert a.status == 401 and a.body == b""


def test_rate_of_a_tenant(make_gateway):
    g = make_gateway({"api.tenant_rate": "5"}).start()
    g.api.tenant("t")
    g.api.tenant("u")
    own = g.api.with_token(g.api.token_of("t"))
    assert own.get("/topics").status == 200

    def limited():
        r = own.get("/topics")
        return r if r.status == 429 else None

    r = wait_until(limited, "it is too fast", interval=0)
    assert r.headers["retry-after"] == "1"
    r.error(429, "too many requests")
    assert g.api.with_token(g.api.token_of("u")).get("/topics").status == 200
    assert all(g.api.get("/topics").status == 200 for _ in range(30))
