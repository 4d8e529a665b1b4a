"""Subscriptions for publications with some tags only. A backend gives them tags."""

import asyncio

import pytest
from cent import Client, PublishRequest
from centrifuge import Filter
from harness import Proxy, api_key, fresh_channel

KEY = "a key that only the tests of filters know"


@pytest.fixture
def api_keys():
    return [api_key(KEY, ["publish"])]


async def publish(server, channel, number, **tags):
    request = PublishRequest(channel=channel, data={"number": number}, tags=tags)
    await asyncio.to_thread(Client(server.api_url, KEY).publish, request)


async def numbers(people, events, count):
    publications = await events.at_least(count, "publication")
    return [people.unpack(event.pub.data)["number"] for event in publications]


async def test_what_matches_comes_and_nothing_else_also_after_a_lost_connection(server, people):
    channel = fresh_channel("tagged")
    async with Proxy(server.port) as proxy:
        anna, _ = await people.connected(proxy.url, "anna")
        filter_ = Filter.all(Filter.eq("kind", "goal"), Filter.gte("minute", "45"))
        _, some = await people.subscribed(
            anna, channel, tags_filter=filter_, recoverable=True
        )
        ben, _ = await people.connected(server.url, "ben")
        _, everything = await people.subscribed(ben, channel)
        await publish(server, channel, 1, kind="goal", minute="12")
        await publish(server, channel, 2, kind="goal", minute="45.5")
        await publish(server, channel, 3, kind="card", minute="50")
        await publish(server, channel, 4, kind="goal", minute="90")
        await publish(server, channel, 5)
        assert await numbers(people, everything, 5) == [1, 2, 3, 4, 5]
        assert await numbers(people, some, 2) == [2, 4]
        proxy.cut()
        await some.at_least(2, "subscribing")
        await publish(server, channel, 6, kind="card", minute="91")
        await publish(server, channel, 7, kind="goal", minute="92")
        _, again = await some.at_least(2, "subscribed")
        assert again.recovered
        await publish(server, channel, 8, kind="goal", minute="93")
        assert await numbers(people, some, 4) == [2, 4, 7, 8]
        assert len(some.of("publication")) == 4
        await people.leave()


async def test_a_filter_that_cannot_be_had_is_an_error(server, people):
    anna, _ = await people.connected(server.url, "anna")
    for namespace, filter_, code in [
        ("room", Filter.exists("a"), 108),
        ("tagged", Filter.gt("a", "x"), 107),
    ]:
        room, events = people.subscription(
            anna, fresh_channel(namespace), tags_filter=filter_, may_meet=[code]
        )
        await room.subscribe()
        ended = await events.first("unsubscribed")
        assert ended.code == code
