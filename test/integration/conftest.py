# SPDX-License-Identifier: Apache-2.0
"""
Fixtures. A gateway costs a process and a data directory, so most tests of a module share one and
keep out of each other's way by using a tenant and a path of their own.
"""

import itertools
import os
import pathlib
import resource
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

from support.certs import Authority  # noqa: E402
from support.gateway import FAST_RETRIES, Gateway, binary  # noqa: E402
from support.receiver import Receiver  # noqa: E402
from support.wait import PATIENCE  # noqa: E402

numbers = itertools.count(1)


def pytest_configure(config):
    if not os.access(binary(), os.X_OK):
        pytest.exit(f"there is no gateway at {binary()}; build it, or set LONGLINE_BIN", 2)
    # Clients and receivers live here, some of them by the hundreds.
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= soft < 10000:
        most = 10000 if hard == resource.RLIM_INFINITY else min(10000, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def pytest_collection_modifyitems(items):
    for item in items:
        if item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(120 * PATIENCE))


@pytest.fixture(scope="module")
def make_gateway(tmp_path_factory):
    """make_gateway(settings, **Gateway arguments): not started. Ends with the module."""
    made = []

    def make(settings=None, **kw):
        g = Gateway(tmp_path_factory.mktemp("gw"), settings, **kw)
        made.append(g)
        return g

    yield make
    for g in made:
        g.cleanup()


@pytest.fixture(scope="module")
def gw(make_gateway):
    """The module's shared gateway: quick retries, no breaker."""
    return make_gateway(FAST_RETRIES).start()


@pytest.fixture(scope="module")
def api(gw):
    return gw.api


@pytest.fixture(scope="module")
def receiver():
    with Receiver() as r:
        yield r


@pytest.fixture
def hook(receiver):
    return receiver.hook()


@pytest.fixture
def tenant(api):
    tenant_id = f"tenant-{next(numbers)}"
    api.tenant(tenant_id)
    return tenant_id


@pytest.fixture
def fresh():
    """fresh(): a name that nobody else uses."""
    return lambda what="x": f"{what}-{next(numbers)}"


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ca"))
