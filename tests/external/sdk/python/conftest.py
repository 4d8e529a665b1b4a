"""What all suites stand on: a server for each test, and people of each encoding."""

import pytest
import pytest_asyncio
from harness import People, Server


@pytest.fixture
def api_keys():
    """Those of the server's API, where a suite has some."""
    return ()


@pytest.fixture
def has_feed():
    """Whether a backend would be told who is there, where a suite asks for that."""
    return False


@pytest_asyncio.fixture
async def server(api_keys, has_feed):
    async with Server(api_keys=api_keys, has_feed=has_feed) as started:
        yield started


@pytest_asyncio.fixture(params=["json", "protobuf"])
async def people(request):
    async with People(request.param) as made:
        yield made
