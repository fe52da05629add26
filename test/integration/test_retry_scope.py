# SPDX-License-Identifier: Apache-2.0
"""POST /retry where tenants use the same ids: whose event is meant."""

import pytest

TENANTS = ("scope-a", "scope-b")
EVENT = "same"
DEST = "same-dest"


@pytest.fixture(scope="module")
def hooks(gw, receiver):
    api = gw.api
    hooks = {}
    for name in TENANTS:  # the last one is the newest
        hooks[name] = receiver.hook()
        api.tenant(name)
        api.destination(name, hooks[name].url, id=DEST)
        api.publish(name, id=EVENT)
        hooks[name].wait_for(1)
    return hooks


def retry(api, **fields):
    return api.post("/retry", json={"event_id": EVENT, "destination_id": DEST, **fields})


def counts(hooks):
    return {name: len(hook.requests) for name, hook in hooks.items()}


def expect_one_more(hooks, before, name):
    hooks[name].wait_for(before[name] + 1)
    assert counts(hooks) == {**before, name: before[name] + 1}


@pytest.mark.parametrize("name", TENANTS)
def test_the_admin_names_the_tenant(gw, hooks, name):
    before = counts(hooks)
    retry(gw.api, tenant_id=name).must(202)
    expect_one_more(hooks, before, name)


@pytest.mark.parametrize("fields", [{}, {"tenant_id": None}])
def test_without_a_tenant_the_newest_is_meant(gw, hooks, fields):
    before = counts(hooks)
    retry(gw.api, **fields).must(202)
    expect_one_more(hooks, before, TENANTS[-1])


def test_the_empty_tenant_has_no_events(gw, hooks):
    before = counts(hooks)
    retry(gw.api, tenant_id="").error(404, "event not found")
    own = gw.api.with_token(gw.api.token_of(TENANTS[0]))
    retry(own, tenant_id="").error(403, "tenant_id does not match authenticated tenant")
    assert counts(hooks) == before


@pytest.mark.parametrize("name", TENANTS)
def test_a_token_stands_for_its_own_tenant(gw, hooks, name):
    api = gw.api.with_token(gw.api.token_of(name))
    before = counts(hooks)
    retry(api).must(202)
    expect_one_more(hooks, before, name)
    before = counts(hooks)
    retry(api, tenant_id=name).must(202)
    expect_one_more(hooks, before, name)


def test_a_token_for_another_tenant_is_refused(gw, hooks):
    api = gw.api.with_token(gw.api.token_of(TENANTS[0]))
    before = counts(hooks)
    retry(api, tenant_id=TENANTS[1]).error(403, "tenant_id does not match authenticated tenant")
    assert counts(hooks) == before


def test_an_unknown_tenant_and_wrong_types(gw, hooks):
    retry(gw.api, tenant_id="nobody").error(404, "event not found")
    retry(gw.api, tenant_id=1).error(422, "invalid JSON")
