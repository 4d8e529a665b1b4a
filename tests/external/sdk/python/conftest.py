"""What all suites stand on: a server for each test, and people of each encoding."""

import pytest
import pytest_asyncio
from harness import People, Server


@pytest.fixture
def api_keys():
    """Those of the server's API, where a suite has some."""
    return ()


@pytest_asyncio.fixture
async def server(api_keys):
    async with Server(api_keys=api_keys) as started:
        yield started


@pytest_asyncio.fixture(params=["json", "protobuf"])
async def people(request):
    async with People(request.param) as made:
        yield made
