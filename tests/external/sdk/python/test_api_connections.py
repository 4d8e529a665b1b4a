"""What a backend does with the connections of a user, through `cent`, sync and async, against
the SDK's clients."""

import asyncio

import pytest
from cent import (
    AsyncClient,
    BatchRequest,
    CentTransportError,
    Client,
    ConnectionsRequest,
    Disconnect,
    DisconnectRequest,
)
from harness import fresh_channel, fresh_user
from test_api import KEY, READER, called, client, server  # noqa: F401

async def connections(client, user):
    return (await called(client.connections, user=user, expression="")).connections


async def test_connections_of_a_user_are_told(server, people, client):
    user = fresh_user("anna")
    one, _ = await people.connected(server.url, user)
    await people.connected(server.url, user)
    await people.connected(server.url, user + "2")
    found = await connections(client, user)
    assert len(found) == 2
    assert {(each.user, each.transport) for each in found.values()} == {(user, "websocket")}
    assert {each.protocol for each in found.values()} == {people.encoding}
    assert {each.app_name for each in found.values()} == {"python"}
    assert await connections(client, fresh_user("nobody")) == {}


async def test_a_user_is_disconnected_and_stays_away(server, people, client):
    user, other = fresh_user("anna"), fresh_user("bob")
    channel = fresh_channel("room")
    bob, _ = await people.connected(server.url, other)
    _, heard = await people.subscribed(bob, channel, join_leave=True)
    all_events = []
    for _ in range(4):
        anna, events = await people.connected(server.url, user)
        await people.subscribed(anna, channel)
        all_events.append(events)
    await called(client.disconnect, user=user)
    for events in all_events:
        left = await events.first("disconnected")
        assert (left.code, left.reason) == (3503, "force disconnect")
    await heard.at_least(4, "leave", lambda event: event.info.user == user)
    assert await connections(client, user) == {}
    stats = await called(client.presence_stats, channel=channel)
    assert (stats.num_clients, stats.num_users) == (1, 1)
    # Who has nobody here is no error.
    await called(client.disconnect, user=user)


async def test_one_connection_is_closed_or_all_others_are(server, people, client):
    user = fresh_user("anna")
    all_events = []
    for _ in range(3):
        _, events = await people.connected(server.url, user)
        all_events.append(events)
    ids = list(await connections(client, user))
    goodbye = Disconnect(code=4999, reason="再见")
    await called(client.disconnect, user=user, client=ids[0], disconnect=goodbye)
    left = await connections(client, user)
    assert set(left) == set(ids[1:])
    # An id of somebody else means nobody.
    await called(client.disconnect, user=fresh_user("bob"), client=ids[1])
    assert set(await connections(client, user)) == set(ids[1:])
    await called(client.disconnect, user=user, whitelist=[ids[1]], disconnect=goodbye)
    assert set(await connections(client, user)) == {ids[1]}
    codes = [event for events in all_events for event in events.of("disconnected")]
    assert {(event.code, event.reason) for event in codes} <= {(4999, "再见")}


async def test_a_code_that_lets_clients_come_back_does(server, people, client):
    user = fresh_user("anna")
    _, events = await people.connected(server.url, user)
    (before,) = await connections(client, user)
    await called(client.disconnect, user=user, disconnect=Disconnect(code=4000, reason="again"))
    await events.at_least(2, "connected")
    (after,) = await connections(client, user)
    assert before != after and events.of("disconnected") == []


async def test_the_async_client_asks_about_many_users_at_once(server, people):
    users = [fresh_user("anna") for _ in range(5)]
    for user in users:
        await people.connected(server.url, user)
    client = AsyncClient(server.api_url, KEY)
    try:
        calls = [DisconnectRequest(user=user) for user in users[1:]]
        calls.append(ConnectionsRequest(user=users[0], expression=""))
        replies = (await client.batch(BatchRequest(requests=calls))).replies
        assert len(replies[-1].connections) == 1
        lists = (client.connections(ConnectionsRequest(user=user, expression="")) for user in users)
        assert [len(one.connections) for one in await asyncio.gather(*lists)] == [1, 0, 0, 0, 0]
        with pytest.raises(CentTransportError) as caught:
            await client.disconnect(DisconnectRequest(user=users[0], session="a"))
        assert caught.value.status_code == 400
    finally:
        await client.close()


async def test_who_may_not_act_on_users_learns_nothing_of_them(server, people):
    user = fresh_user("anna")
    await people.connected(server.url, user)
    reader = Client(server.api_url, READER)
    for name in (user, fresh_user("nobody")):
        for call, fields in ((reader.disconnect, {}), (reader.connections, {"expression": ""})):
            with pytest.raises(CentTransportError) as caught:
                await called(call, user=name, **fields)
            assert caught.value.status_code == 403
