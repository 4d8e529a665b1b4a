"""A history that a backend removes by `cent` is gone for whoever reads, recovers or was away,
also after a killed server, and its stream goes on."""

import asyncio

import cent
import pytest
from cent import (
    AsyncClient,
    CentApiResponseError,
    CentTransportError,
    Client,
    HistoryRemoveRequest,
    HistoryRequest,
    PublishRequest,
)
from harness import TRANSPORT_CLOSED, WAIT_S_MAX, api_key, chat, fresh_channel, fresh_user

KEY = "a key that removes histories"
READER = "a key that reads histories alone"
NAMESPACES = ["kept", "room"]


@pytest.fixture
def api_keys():
    everything = ["publish", "history", "history_remove"]
    return [api_key(KEY, everything), api_key(READER, ["history"], name="reader")]


@pytest.fixture
def client(server):
    return Client(server.api_url, KEY)


async def called(call, **fields):
    """One call of the sync client, off the loop that the SDKs' clients need."""
    name = "".join(part.title() for part in call.__name__.split("_"))
    return await asyncio.to_thread(call, getattr(cent, f"{name}Request")(**fields))


async def publish(client, channel, *numbers):
    for number in numbers:
        told = await called(client.publish, channel=channel, data={"number": number})
    return told


async def offsets(client, channel):
    found = await called(client.history, channel=channel, limit=-1)
    return [one.offset for one in found.publications], found.offset


@pytest.mark.parametrize("namespace", NAMESPACES)
async def test_a_removed_history_is_gone_and_its_stream_goes_on(server, client, namespace):
    channel = fresh_channel(namespace)
    before = await publish(client, channel, 1, 2, 3)
    await called(client.history_remove, channel=channel)
    assert await offsets(client, channel) == ([], 3)
    after = await publish(client, channel, 4)
    assert (after.offset, after.epoch) == (4, before.epoch)
    assert await offsets(client, channel) == ([4], 4)
    await called(client.history_remove, channel=fresh_channel(namespace))


async def test_it_is_gone_after_a_killed_server(server, client):
    channel = fresh_channel("kept")
    for number in range(1, 11):
        await called(client.publish, channel=channel, data={}, idempotency_key=str(number))
    await called(client.history_remove, channel=channel)
    await server.kill()
    await server.start_again()
    assert await offsets(client, channel) == ([], 10)
    again = await called(client.publish, channel=channel, data={}, idempotency_key="7")
    assert again.offset == 7, "it has the place that it had, and is not said again"
    assert await offsets(client, channel) == ([], 10)
    assert (await publish(client, channel, 11)).offset == 11


@pytest.mark.parametrize("namespace", NAMESPACES)
async def test_who_was_away_before_it_does_not_recover_and_who_was_at_the_end_does(
    server, people, client, namespace
):
    channel = fresh_channel(namespace)
    readers = []
    for user in ("anna", "ben"):
        reader, _ = await people.connected(server.url, user)
        _, events = await people.subscribed(reader, channel, recoverable=True)
        readers.append((reader, events))
    (anna, hers), (ben, his) = readers
    await publish(client, channel, 1)
    for events in (hers, his):
        await events.first("publication")
    await anna.disconnect()
    await publish(client, channel, 2)
    await his.at_least(2, "publication")
    await ben.disconnect()
    await called(client.history_remove, channel=channel)
    for reader, events, recovers in ((anna, hers, False), (ben, his, True)):
        await reader.connect()
        again = await events.first("subscribed", lambda context: context.was_recovering)
        assert again.recovered is recovers
    await publish(client, channel, 3)
    for events, seen in ((hers, [1, 3]), (his, [1, 2, 3])):
        await events.at_least(len(seen), "publication")
        numbers = [people.unpack(one.pub.data)["number"] for one in events.of("publication")]
        assert numbers == seen
    await people.leave()


async def test_a_removed_direct_message_waits_for_nobody(server, people, client):
    anna, ben = fresh_user("anna"), fresh_user("ben")
    hers, _ = await people.connected(server.url, anna, may_meet=[TRANSPORT_CLOSED])
    said = await chat(people, hers, "send", to=ben, data={"number": 1})
    await chat(people, hers, "send", to=ben, data={"number": 2})
    await called(client.history_remove, channel=said["channel"])
    await server.kill()
    await server.start_again()
    his, events = await people.connected(server.url, ben)
    await hers.ready(timeout=WAIT_S_MAX)
    listed = (await chat(people, his, "rooms"))["rooms"]
    assert [(one["unread"], one.get("last")) for one in listed] == [(0, None)]
    await chat(people, hers, "send", to=ben, data={"number": 3})
    await events.first("publication", lambda one: people.unpack(one.pub.data)["number"] == 3)
    assert len(events.of("publication")) == 1, "what was removed was not brought"
    await people.leave()


async def test_calls_of_a_batch_are_in_their_order_and_the_async_client_is_served(server):
    channel = fresh_channel("kept")
    client = AsyncClient(server.api_url, KEY)
    try:
        replies = await client.batch(
            cent.BatchRequest(
                requests=[
                    PublishRequest(channel=channel, data={"number": 1}),
                    HistoryRemoveRequest(channel=channel),
                    HistoryRequest(channel=channel, limit=10),
                    PublishRequest(channel=channel, data={"number": 2}),
                ]
            )
        )
        one, _, found, two = replies.replies
        assert (one.offset, two.offset) == (1, 2)
        assert (found.publications, found.offset) == ([], 1)
        await client.history_remove(HistoryRemoveRequest(channel=channel))
    finally:
        await client.close()


async def test_it_needs_a_right_of_its_own_and_a_history(server, client):
    with pytest.raises(CentTransportError) as caught:
        await called(Client(server.api_url, READER).history_remove, channel=fresh_channel())
    assert caught.value.status_code == 403
    for channel, code in (("closed:1", 108), ("none:1", 102)):
        with pytest.raises(CentApiResponseError) as caught:
            await called(client.history_remove, channel=channel)
        assert caught.value.code == code
