"""Applications that have a state of their own (`get_state`): the SDK begins where that ends, and
asks for it again when what was said since is gone. The position comes from the server API."""

import asyncio

import pytest
from cent import Client, HistoryRequest, PublishRequest
from centrifuge import StreamPosition
from harness import Proxy, api_key, fresh_channel, token

KEY = "a key that only the tests of states know"
BEGINNING = StreamPosition(offset=0, epoch="")


@pytest.fixture
def api_keys():
    return [api_key(KEY, ["publish", "history"])]


class Backend:
    """Whoever publishes, and knows how far the stream is."""

    def __init__(self, server):
        self.client = Client(server.api_url, KEY)

    async def publish(self, channel, *numbers):
        for number in numbers:
            request = PublishRequest(channel=channel, data={"number": number})
            await asyncio.to_thread(self.client.publish, request)

    async def position(self, channel):
        told = await asyncio.to_thread(self.client.history, HistoryRequest(channel=channel))
        return StreamPosition(offset=told.offset, epoch=told.epoch)


@pytest.fixture
def backend(server):
    return Backend(server)


async def follow(people, url, channel, get_state):
    """What a reader sees who begins with a state."""
    caps = [{"channels": [channel], "allow": ["hst"]}]
    anna, _ = await people.connected(url, "anna", token=token(sub="anna", caps=caps))
    return await people.subscribed(anna, channel, get_state=get_state)


async def numbers(people, events, count):
    publications = await events.at_least(count, "publication")
    return [people.unpack(event.pub.data)["number"] for event in publications]


async def test_a_state_is_followed_by_what_was_said_since(server, people, backend):
    channel = fresh_channel("kept")
    await backend.publish(channel, 1, 2, 3)

    async def get_state(_):
        position = await backend.position(channel)
        await backend.publish(channel, 4)
        return position

    _, events = await follow(people, server.url, channel, get_state)
    assert (await events.first("subscribed")).recovered
    await backend.publish(channel, 5)
    assert await numbers(people, events, 2) == [4, 5]


async def test_a_state_from_before_the_first_message_begins_with_it(server, people, backend):
    channel = fresh_channel("kept")
    await backend.publish(channel, 1, 2, 3)

    async def get_state(_):
        return BEGINNING

    _, events = await follow(people, server.url, channel, get_state)
    assert (await events.first("subscribed")).recovered
    assert await numbers(people, events, 3) == [1, 2, 3]


async def test_a_state_that_is_too_old_is_asked_for_again(server, people, backend):
    channel = fresh_channel("short")  # It keeps five messages.
    await backend.publish(channel, *range(1, 10))
    states = [BEGINNING, await backend.position(channel)]

    async def get_state(_):
        return states.pop(0)

    async with Proxy(server.port) as proxy:
        _, events = await follow(people, proxy.url, channel, get_state)
        assert states == []
        proxy.stop_reading()
        proxy.cut()
        await events.at_least(2, "subscribing")
        await backend.publish(channel, *range(10, 21))
        states.append(await backend.position(channel))
        proxy.read_again()
        _, again = await events.at_least(2, "subscribed")
        assert again.recovered and states == []
        await backend.publish(channel, 21)
        assert await numbers(people, events, 1) == [21]
        assert events.of("error") == []
        await people.leave()
