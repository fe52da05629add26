# SPDX-License-Identifier: Apache-2.0
"""Destinations: create, read, patch, delete, enable, secrets, custom headers."""

import json
import re
import xml.etree.ElementTree

import pytest

from support.gateway import run_command
from support.times import after, now, parse, show

URL = "https://example.com/hook"


def path(tenant, dest_id=None):
    p = f"/tenants/{tenant}/destinations"
    return p if dest_id is None else f"{p}/{dest_id}"


def body(**fields):
    b = {"type": "webhook", "topics": "*", "config": {"url": URL}}
    b.update(fields)
    return b


def create(api, tenant, **fields):
    return api.post(path(tenant), json=body(**fields)).must(201)


# ---- create ----


def test_create_minimal(api, tenant):
    d = create(api, tenant)
    assert list(d) == [
        "id",
        "tenant_id",
        "type",
        "topics",
        "config",
        "credentials",
        "created_at",
        "updated_at",
        "disabled_at",
        "target",
    ]
    assert d["tenant_id"] == tenant
    assert d["topics"] == ["*"]
    assert d["config"] == {"url": URL}
    assert re.fullmatch(r"whsec_[0-9a-f]{64}", d["credentials"]["secret"])
    assert list(d["credentials"]) == ["secret"]
    assert d["disabled_at"] is None
    assert d["target"] == URL
    assert d["created_at"] == d["updated_at"]
    assert api.get(path(tenant, d["id"])).must(200) == d


def test_create_with_everything(api, tenant):
    d = create(
        api,
        tenant,
        id="my-own",
        topics=["a", "b", "a"],
        filter={"data": {"x": 1}},
        config={"url": URL, "custom_headers": '{"x-a":"1"}', "other": "kept"},
        credentials={"secret": "my secret", "unknown": "dropped"},
        delivery_metadata={"region": "eu", "n": 3},
        metadata={"team": "a"},
        created_at="2024-01-01T00:00:00Z",
        updated_at="2024-01-02T00:00:00Z",
        disabled_at="2024-01-03T00:00:00Z",
    )
    assert list(d) == [
        "id",
        "tenant_id",
        "type",
        "topics",
        "filter",
        "config",
        "credentials",
        "delivery_metadata",
        "metadata",
        "created_at",
        "updated_at",
        "disabled_at",
        "target",
    ]
    assert d["id"] == "my-own"
    assert d["topics"] == ["a", "b"]
    assert d["filter"] == {"data": {"x": 1}}
    assert d["config"] == {"url": URL, "custom_headers": '{"x-a":"1"}', "other": "kept"}
    assert d["credentials"] == {"secret": "my secret"}
    assert d["delivery_metadata"] == {"region": "eu", "n": "3"}
    assert d["metadata"] == {"team": "a"}
    assert parse(d["created_at"]) == parse("2024-01-01T00:00:00Z")
    assert parse(d["updated_at"]) == parse("2024-01-02T00:00:00Z")
    assert parse(d["disabled_at"]) == parse("2024-01-03T00:00:00Z")


def test_updated_at_defaults_to_created_at(api, tenant):
    d = create(api, tenant, created_at="2024-01-01T00:00:00Z")
    assert d["updated_at"] == d["created_at"]


def test_maps_are_made_text(api, tenant):
    d = create(
        api, tenant, metadata={"b": True, "n": 30, "big": 1000000, "z": None, "o": {"k": [1]}}
    )
    assert d["metadata"] == {"b": "true", "n": "30", "big": "1e+06", "z": "", "o": '{"k":[1]}'}


@pytest.mark.parametrize("headers", ['{"X-One":"1","x_two":"2"}', {"X-One": "1"}, "{}", {}])
def test_custom_headers_as_text_or_object(api, tenant, headers):
    d = create(api, tenant, config={"url": URL, "custom_headers": headers})
    assert isinstance(d["config"]["custom_headers"], str)
    want = json.loads(headers) if isinstance(headers, str) else headers
    assert json.loads(d["config"]["custom_headers"]) == want


@pytest.mark.parametrize(
    "change, data",
    [
        ({"type": None}, ["type is required"]),
        ({"topics": None}, ["topics is required"]),
        ({"type": None, "topics": None}, ["type is required", "topics is required"]),
        ({"config": {}}, ["config.url is required"]),
        ({"config": None}, ["config.url is required"]),
        ({"config": {"url": ""}}, ["config.url is required"]),
        (
            {"config": {"url": URL, "custom_headers": "no json"}},
            ["config.custom_headers failed invalid validation"],
        ),
        (
            {"config": {"url": URL, "custom_headers": {"Host": "x"}}},
            ["config.custom_headers.Host is forbidden"],
        ),
        (
            {"config": {"url": URL, "custom_headers": {"content-type": "x"}}},
            ["config.custom_headers.content-type is forbidden"],
        ),
        (
            {"config": {"url": URL, "custom_headers": {"User-Agent": "x"}}},
            ["config.custom_headers.User-Agent is forbidden"],
        ),
        (
            {
                "credentials": {
                    "previous_secret": "p",
                    "previous_secret_invalid_at": "2030-01-01T00:00:00Z",
                }
            },
            ["credentials.secret is required"],
        ),
        (
            {"credentials": {"secret": "s", "previous_secret": "p"}},
            ["credentials.previous_secret_invalid_at is required"],
        ),
        (
            {"credentials": {"secret": "s", "previous_secret_invalid_at": "2030-01-01T00:00:00Z"}},
            ["credentials.previous_secret is required"],
        ),
        (
            {"credentials": {"rotate_secret": "true"}},
            ["credentials.rotate_secret failed invalid validation"],
        ),
    ],
)
def test_create_validation_errors(api, tenant, change, data):
    b = body()
    for key, value in change.items():
        if value is None:
            b.pop(key)
        else:
            b[key] = value
    api.post(path(tenant), json=b).error(422, "validation error", data)
    assert api.get(path(tenant)).must(200) == []


@pytest.mark.parametrize(
    "change, message",
    [
        ({"type": "carrier_pigeon"}, "no provider registered for destination type: carrier_pigeon"),
        ({"topics": "a"}, "validation failed: invalid topics format"),
        ({"topics": 1}, "validation failed: invalid topics format"),
        ({"topics": []}, "validation failed: invalid topics"),
        ({"topics": ["user.*"]}, "validation failed: invalid topics"),
        ({"created_at": "2099-01-01T00:00:00Z"}, "created_at cannot be in the future"),
        ({"updated_at": "2099-01-01T00:00:00Z"}, "updated_at cannot be in the future"),
        ({"disabled_at": "2099-01-01T00:00:00Z"}, "disabled_at cannot be in the future"),
        ({"config": "x"}, "invalid JSON"),
        ({"config": []}, "invalid JSON"),
        ({"credentials": 1}, "invalid JSON"),
        ({"metadata": []}, "invalid JSON"),
        ({"delivery_metadata": "x"}, "invalid JSON"),
        ({"filter": []}, "invalid JSON"),
        ({"filter": "x"}, "invalid JSON"),
        ({"id": 7}, "invalid JSON"),
        ({"type": 7}, "invalid JSON"),
        ({"disabled_at": 7}, "invalid JSON"),
    ],
)
def test_create_refusals_without_data(api, tenant, change, message):
    api.post(path(tenant), json=body(**change)).error(422, message)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b'"x"',
        b"{}x",
        b'{"a":}',
        b"\xff\xfe",
        b'{"type":"webhook",}',
        b"[" * 100000,
    ],
)
def test_create_malformed_bodies(api, tenant, raw):
    api.post(path(tenant), body=raw).error(422, "invalid JSON")


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.com/x",
        "example.com",
        "https://",
        "https:///x",
        "https://a b/",
        "javascript:alert(1)",
        "https://exa mple.com/",
        "//example.com/",
        "https://example.com/\nx",
        "https://[::1",
        "x",
    ],
)
def test_bad_urls(api, tenant, url):
    r = api.post(path(tenant), json=body(config={"url": url}))
    assert r.status == 422 and r.json["message"] == "validation error", repr(r)
    assert r.json["data"][0] == "config.url failed pattern validation"


@pytest.mark.parametrize(
    "headers",
    [{"bad name": "x"}, {"": "x"}, {"-x": "y"}, {"a": 1}, {"a": ""}, {"a": "b\r\nc: d"}, [1], "7"],
)
def test_bad_custom_headers(api, tenant, headers):
    r = api.post(path(tenant), json=body(config={"url": URL, "custom_headers": headers}))
    assert r.status == 422 and r.json["message"] == "validation error", repr(r)
    assert r.json["data"][0].startswith("config.custom_headers")


def test_only_the_operator_sets_dates(api, tenant):
    own = api.with_token(api.token_of(tenant))
    for field in ("created_at", "updated_at"):
        r = own.post(path(tenant), json=body(**{field: "2024-01-01T00:00:00Z"}))
        assert r.status == 403 and r.json["status"] == 403, repr(r)
    own.post(path(tenant), json=body(disabled_at=show(now()))).must(201)


def test_duplicate_id(api, tenant, fresh):
    dest_id = fresh("dup")
    first = create(api, tenant, id=dest_id)
    api.post(path(tenant), json=body(id=dest_id)).error(400, "destination already exists")
    assert api.get(path(tenant)).must(200) == [first]
    other = fresh("other")
    api.tenant(other)
    create(api, other, id=dest_id)


def test_limit_per_tenant(api, tenant):
    made = [create(api, tenant) for _ in range(20)]
    message = "maximum number of destinations per tenant reached"
    api.post(path(tenant), json=body()).error(400, message)
    api.put(path(tenant, made[0]["id"]) + "/disable").must(200)
    api.post(path(tenant), json=body()).error(400, message)
    api.delete(path(tenant, made[0]["id"])).must(200)
    create(api, tenant)


def test_large_bodies_are_whole(api, tenant):
    """The original cuts bodies at 10 KiB."""
    big = {"data": {"x": {"$in": ["v" * 100 + str(i) for i in range(400)]}}}
    d = create(api, tenant, filter=big)
    assert d["filter"] == big
    assert api.get(path(tenant, d["id"])).must(200)["filter"] == big


def test_unknown_tenant(api):
    api.post(path("nobody"), json=body()).error(404, "tenant not found")
    api.get(path("nobody")).error(404, "tenant not found")


def test_unknown_destination(api, tenant):
    p = path(tenant, "nothing")
    api.get(p).error(404, "destination not found")
    api.patch(p, json={}).error(404, "destination not found")
    api.delete(p).error(404, "destination not found")
    api.put(p + "/enable").error(404, "destination not found")
    api.put(p + "/disable").error(404, "destination not found")


# ---- list ----


def test_list_is_sorted_and_filtered(api, tenant):
    third = create(api, tenant, topics=["a", "b"], created_at="2024-01-03T00:00:00Z")
    first = create(api, tenant, topics="*", created_at="2024-01-01T00:00:00Z")
    second = create(api, tenant, topics=["a"], created_at="2024-01-02T00:00:00Z")

    def ids(**query):
        return [d["id"] for d in api.get(path(tenant), **query).must(200)]

    assert ids() == [first["id"], second["id"], third["id"]]
    assert ids(topics="a") == [first["id"], second["id"], third["id"]]
    assert ids(topics=["a", "b"]) == [first["id"], third["id"]]
    assert ids(**{"topics[0]": "b"}) == [first["id"], third["id"]]
    assert ids(topics="*") == [first["id"]]
    assert ids(type="webhook") == ids()
    assert ids(type=["webhook", "kafka"]) == ids()
    assert ids(**{"type[]": "kafka"}) == []


# ---- patch ----


def test_patch_topics_and_filter(api, tenant):
    d = create(api, tenant, topics=["a"], filter={"data": {"x": 1, "y": 2}})
    p = path(tenant, d["id"])
    got = api.patch(p, json={"topics": ["b", "c"]}).must(200)
    assert got["topics"] == ["b", "c"] and got["filter"] == {"data": {"x": 1, "y": 2}}
    assert api.patch(p, json={"topics": "*"}).must(200)["topics"] == ["*"]
    assert api.patch(p, json={"filter": {"data": {"z": 3}}}).must(200)["filter"] == {
        "data": {"z": 3}
    }
    assert "filter" not in api.patch(p, json={"filter": {}}).must(200)
    api.patch(p, json={"filter": {"data": {"z": 3}}}).must(200)
    assert "filter" not in api.patch(p, json={"filter": None}).must(200)
    api.patch(p, json={"topics": []}).error(422, "validation failed: invalid topics")
    api.patch(p, json={"topics": "x"}).error(422, "validation failed: invalid topics format")


@pytest.mark.parametrize("field", ["metadata", "delivery_metadata"])
def test_patch_merges_maps(api, tenant, field):
    d = create(api, tenant, **{field: {"a": "1", "b": "2"}})
    p = path(tenant, d["id"])
    assert api.patch(p, json={field: {"b": None, "c": 3}}).must(200)[field] == {"a": "1", "c": "3"}
    assert api.patch(p, json={field: {}}).must(200)[field] == {"a": "1", "c": "3"}
    assert field not in api.patch(p, json={field: None}).must(200)
    assert api.patch(p, json={field: {"n": "new"}}).must(200)[field] == {"n": "new"}


def test_patch_config(api, tenant):
    d = create(api, tenant, config={"url": URL, "extra": "e"})
    p = path(tenant, d["id"])
    got = api.patch(p, json={"config": {"url": URL + "2"}}).must(200)
    assert got["config"] == {"url": URL + "2", "extra": "e"} and got["target"] == URL + "2"
    assert api.patch(p, json={"config": {"extra": None}}).must(200)["config"] == {"url": URL + "2"}
    api.patch(p, json={"config": {"url": None}}).error(
        422, "validation error", ["config.url is required"]
    )
    api.patch(p, json={"config": None}).error(422, "validation error", ["config.url is required"])
    assert api.get(p).must(200)["config"] == {"url": URL + "2"}


def test_patch_type_is_fixed(api, tenant):
    p = path(tenant, create(api, tenant)["id"])
    api.patch(p, json={"type": "webhook"}).must(200)
    api.patch(p, json={"type": "kafka"}).error(422, "type cannot be updated")


def test_patch_disabled_at(api, tenant):
    d = create(api, tenant)
    p = path(tenant, d["id"])
    stamp = show(now())
    assert parse(api.patch(p, json={"disabled_at": stamp}).must(200)["disabled_at"]) == parse(stamp)
    assert api.patch(p, json={"metadata": {"a": "b"}}).must(200)["disabled_at"] is not None
    assert api.patch(p, json={"disabled_at": None}).must(200)["disabled_at"] is None
    api.patch(p, json={"disabled_at": show(after(3600))}).error(
        422, "disabled_at cannot be in the future"
    )


def test_patch_ignores_what_it_does_not_know(api, tenant):
    d = create(api, tenant)
    got = api.patch(
        path(tenant, d["id"]),
        json={"id": "other", "created_at": "2020-01-01T00:00:00Z", "tenant_id": "x", "nonsense": 1},
    )
    got = got.must(200)
    assert (got["id"], got["created_at"]) == (d["id"], d["created_at"])


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"{",
        b"[]",
        b'"x"',
        b'{"topics":["a"],}',
        b'{"config":"x"}',
        b'{"metadata":[]}',
        b'{"filter":7}',
    ],
)
def test_patch_malformed(api, tenant, raw):
    d = create(api, tenant)
    api.request("PATCH", "/api/v1" + path(tenant, d["id"]), body=raw).error(422, "invalid JSON")
    assert api.get(path(tenant, d["id"])).must(200) == d


def test_updated_at(api, tenant):
    """PATCH moves it, enabling and disabling do not."""
    d = create(api, tenant, created_at="2024-01-01T00:00:00Z")
    p = path(tenant, d["id"])
    off = api.put(p + "/disable").must(200)
    assert off["updated_at"] == d["updated_at"] and off["disabled_at"] is not None
    again = api.put(p + "/disable").must(200)
    assert again["disabled_at"] == off["disabled_at"]
    on = api.put(p + "/enable").must(200)
    assert on["disabled_at"] is None and on["updated_at"] == d["updated_at"]
    assert api.put(p + "/enable").must(200) == on
    patched = api.patch(p, json={"metadata": {"a": "b"}}).must(200)
    assert parse(patched["updated_at"]) > parse(d["updated_at"])
    assert patched["created_at"] == d["created_at"]


def test_delete(api, tenant):
    d = create(api, tenant)
    p = path(tenant, d["id"])
    assert api.delete(p).must(200) == {"success": True}
    api.get(p).error(404, "destination not found")
    api.delete(p).error(404, "destination not found")
    assert api.get(path(tenant)).must(200) == []
    create(api, tenant, id=d["id"])


# ---- secrets ----


def test_rotation(api, tenant):
    d = create(api, tenant)
    p = path(tenant, d["id"])
    got = api.patch(p, json={"credentials": {"rotate_secret": True}}).must(200)["credentials"]
    assert got["previous_secret"] == d["credentials"]["secret"]
    assert re.fullmatch(r"whsec_[0-9a-f]{64}", got["secret"])
    assert got["secret"] != got["previous_secret"]
    left = (parse(got["previous_secret_invalid_at"]) - now()).total_seconds()
    assert 24 * 3600 - 60 < left <= 24 * 3600
    assert set(got) == {"secret", "previous_secret", "previous_secret_invalid_at"}

    until = show(after(60))
    again = api.patch(
        p, json={"credentials": {"rotate_secret": "true", "previous_secret_invalid_at": until}}
    ).must(200)["credentials"]
    assert again["previous_secret"] == got["secret"]
    assert parse(again["previous_secret_invalid_at"]) == parse(until)


@pytest.mark.parametrize("word", [True, "true", 1, "on", "yes"])
def test_words_that_rotate(api, tenant, word):
    d = create(api, tenant)
    got = api.patch(path(tenant, d["id"]), json={"credentials": {"rotate_secret": word}}).must(200)
    assert got["credentials"]["previous_secret"] == d["credentials"]["secret"]


def test_setting_secrets_as_operator(api, tenant):
    d = create(api, tenant)
    p = path(tenant, d["id"])
    assert api.patch(p, json={"credentials": {"secret": "new one"}}).must(200)["credentials"] == {
        "secret": "new one"
    }
    got = api.patch(p, json={"credentials": {"previous_secret": "old one"}}).must(200)[
        "credentials"
    ]
    assert got["previous_secret"] == "old one"
    left = (parse(got["previous_secret_invalid_at"]) - now()).total_seconds()
    assert 24 * 3600 - 60 < left <= 24 * 3600


@pytest.mark.parametrize("credentials", [None, {"secret": None}, {"secret": ""}])
def test_there_is_always_a_secret(api, tenant, credentials):
    """The original signs with an empty key after this."""
    d = create(api, tenant)
    got = api.patch(path(tenant, d["id"]), json={"credentials": credentials}).must(200)
    assert re.fullmatch(r"whsec_[0-9a-f]{64}", got["credentials"]["secret"])
    assert got["credentials"]["secret"] != d["credentials"]["secret"]


@pytest.mark.parametrize(
    "credentials, missing",
    [
        ({"previous_secret": None}, "previous_secret"),
        ({"previous_secret": ""}, "previous_secret"),
        ({"secret": None}, "secret"),
        ({"secret": ""}, "secret"),
    ],
)
def test_half_of_a_rotation_cannot_be_dropped(api, tenant, credentials, missing):
    p = path(tenant, create(api, tenant)["id"])
    rotated = api.patch(p, json={"credentials": {"rotate_secret": True}}).must(200)
    api.patch(p, json={"credentials": credentials}).error(
        422, "validation error", [f"credentials.{missing} is required"]
    )
    assert api.get(p).must(200)["credentials"] == rotated["credentials"]
    gone = {"previous_secret": None, "previous_secret_invalid_at": None}
    assert list(api.patch(p, json={"credentials": gone}).must(200)["credentials"]) == ["secret"]


@pytest.mark.parametrize("word", [False, "false", 0, None])
def test_no_rotation_on_create(api, tenant, word):
    assert list(create(api, tenant, credentials={"rotate_secret": word})["credentials"]) == [
        "secret"
    ]
    api.post(path(tenant), json=body(credentials={"rotate_secret": True})).error(
        422, "validation error", ["credentials.rotate_secret failed invalid validation"]
    )


def test_an_expired_previous_secret_is_hidden(api, tenant):
    d = create(api, tenant)
    got = api.patch(
        path(tenant, d["id"]),
        json={
            "credentials": {
                "rotate_secret": True,
                "previous_secret_invalid_at": "2024-01-01T00:00:00Z",
            }
        },
    ).must(200)
    assert list(got["credentials"]) == ["secret"]
    assert list(api.get(path(tenant, d["id"])).must(200)["credentials"]) == ["secret"]


def test_tenants_may_rotate_but_not_choose(api, tenant):
    own = api.with_token(api.token_of(tenant))
    own.post(path(tenant), json=body(credentials={"secret": "mine"})).error(
        422, "validation error", ["credentials.secret is forbidden"]
    )
    d = own.post(path(tenant), json=body()).must(201)
    p = path(tenant, d["id"])
    assert d["credentials"]["secret"].startswith("whsec_")  # never masked
    own.patch(p, json={"credentials": {"secret": "mine"}}).error(
        422, "validation error", ["credentials.secret is forbidden"]
    )
    own.patch(p, json={"credentials": {"secret": d["credentials"]["secret"]}}).must(200)
    own.patch(p, json={"credentials": {"previous_secret": "p"}}).error(
        422, "validation error", ["credentials.previous_secret is forbidden"]
    )
    got = own.patch(p, json={"credentials": {"rotate_secret": True}}).must(200)
    assert got["credentials"]["previous_secret"] == d["credentials"]["secret"]


def test_destination_types(api, tenant):
    types = api.get("/destination-types").must(200)
    webhook = [t for t in types if t["type"] == "webhook"][0]
    assert {
        "type",
        "config_fields",
        "credential_fields",
        "label",
        "description",
        "icon",
        "instructions",
    } <= set(webhook)
    assert api.get("/destination-types/webhook").must(200) == webhook
    assert webhook["credential_fields"] == []
    assert [(f["key"], f["label"]) for f in webhook["config_fields"]] == [
        ("url", "Webhook URL"),
        ("custom_headers", "Custom Headers"),
    ]
    assert webhook["label"] == "Webhook"
    assert webhook["description"] == "Send events as webhooks (HTTP POST)."
    icon = xml.etree.ElementTree.fromstring(webhook["icon"])
    assert icon.tag == "{http://www.w3.org/2000/svg}svg" and icon[0].get("fill") == "#7A786E"
    assert all(
        f["type"] in ("text", "checkbox", "key_value_map", "select")
        for f in webhook["config_fields"]
    )
    assert api.get("/destination-types/pigeon").status == 404
    assert api.with_token(api.token_of(tenant)).get("/destination-types").must(200) == types


def test_they_survive_a_restart_and_secrets_are_encrypted(make_gateway):
    g = make_gateway().start()
    g.api.tenant("t")
    kept = create(
        g.api,
        "t",
        filter={"data": {"x": 1}},
        metadata={"a": "b"},
        delivery_metadata={"c": "d"},
        credentials={"secret": "plain-text-of-a-secret"},
    )
    off = create(g.api, "t", id="off")
    off = g.api.put(path("t", "off") + "/disable").must(200)
    gone = create(g.api, "t")
    g.api.delete(path("t", gone["id"])).must(200)
    g.restart()
    assert g.api.get(path("t", kept["id"])).must(200) == kept
    assert g.api.get(path("t", "off")).must(200) == off
    assert len(g.api.get(path("t")).must(200)) == 2
    g.stop()
    for f in g.data_dir.rglob("*"):
        if f.is_file():
            assert b"plain-text-of-a-secret" not in f.read_bytes(), f
    assert "plain-text-of-a-secret" not in g.log_text()


# ---- at rest ----

TOKEN = "Bearer token-of-a-custom-header"
IN_URL = "token-in-a-url"


def assert_not_in_files(directory, *texts):
    files = [f for f in directory.rglob("*") if f.is_file()]
    assert any(f.name == "data.mdb" for f in files)
    for f in files:
        for text in texts:
            assert text.encode() not in f.read_bytes(), f


def test_custom_headers_are_encrypted(make_gateway, receiver, tmp_path):
    hook = receiver.hook(f"/hook?key={IN_URL}")
    g = make_gateway().start()
    g.api.tenant("t")
    config = {"url": hook.url}
    config["custom_headers"] = json.dumps({"Authorization": TOKEN})
    d = create(g.api, "t", config=config)
    assert d["config"] == config  # shown as it was given
    more = json.dumps({"Authorization": TOKEN, "X-More": "1"})
    p = path("t", d["id"])
    d = g.api.patch(p, json={"config": {"custom_headers": more}}).must(200)
    g.restart()
    assert g.api.get(p).must(200) == d
    g.api.publish("t")
    r = hook.wait_for(1)[0]
    assert (r.header("authorization"), r.header("x-more")) == (TOKEN, "1")
    backup = run_command("backup", "--data-dir", g.data_dir, tmp_path / "copy")
    assert backup.returncode == 0, backup.stderr
    g.stop()
    assert_not_in_files(g.data_dir, TOKEN, IN_URL)
    assert_not_in_files(tmp_path / "copy", TOKEN, IN_URL)
    assert TOKEN not in g.log_text() and IN_URL not in g.log_text()


def test_custom_headers_follow_the_key(make_gateway):
    old, new = "0" * 64, "f" * 64
    g = make_gateway({"secrets.key": old}).start()
    g.api.tenant("t")
    config = {"url": "https://example.com/", "custom_headers": json.dumps({"Authorization": TOKEN})}
    d = create(g.api, "t", config=config)
    p = path("t", d["id"])
    g.settings.update({"secrets.key": new, "secrets.old_keys": old})
    g.restart()
    assert g.api.get(p).must(200) == d
    d = g.api.patch(p, json={"metadata": {"a": "b"}}).must(200)  # sealed with the new key
    del g.settings["secrets.old_keys"]
    g.restart()
    assert g.api.get(p).must(200) == d
