"""What both suites stand on: people of each encoding."""

import pytest_asyncio
from harness import People


@pytest_asyncio.fixture(params=["json", "protobuf"])
async def people(request):
    async with People(request.param) as made:
        yield made
