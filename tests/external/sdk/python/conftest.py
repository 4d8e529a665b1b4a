"""What all suites stand on: a server for each test, and people of each encoding."""

import pytest_asyncio
from harness import People, Server


@pytest_asyncio.fixture
async def server():
    async with Server() as started:
        yield started


@pytest_asyncio.fixture(params=["json", "protobuf"])
async def people(request):
    async with People(request.param) as made:
        yield made
