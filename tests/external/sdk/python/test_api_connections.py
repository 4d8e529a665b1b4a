"""What a backend does with the connections of a user, through `cent`, sync and async, against
the SDK's clients."""

import asyncio
import time

import pytest
from cent import (
    AsyncClient,
    BatchRequest,
    ChannelsRequest,
    CentTransportError,
    Client,
    ConnectionsRequest,
    Disconnect,
    DisconnectRequest,
    RefreshRequest,
    SubscribeRequest,
    UnsubscribeRequest,
)
from harness import Giving, fresh_channel, fresh_user, token
from test_api import KEY, READER, api_keys, called, client  # noqa: F401

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


async def test_a_user_is_subscribed_and_unsubscribed_by_the_backend(server, people, client):
    user, channel = fresh_user("anna"), fresh_channel("closed")
    anna, events = await people.connected(server.url, user)
    info = {"from": "the backend"}
    await called(client.subscribe, user=user, channel=channel, info=info)
    await events.first("subscribed", lambda event: event.channel == channel)
    there = await called(client.presence, channel=channel)
    assert [(each.user, each.chan_info) for each in there.presence.values()] == [(user, info)]
    await called(client.publish, channel=channel, data={"n": 1})
    heard = await events.first("publication", lambda event: event.channel == channel)
    assert people.unpack(heard.pub.data) == {"n": 1}
    # Again is no error, and changes nothing.
    await called(client.subscribe, user=user, channel=channel)
    await called(client.unsubscribe, user=user, channel=channel)
    await events.first("unsubscribed", lambda event: event.channel == channel)
    stats = await called(client.presence_stats, channel=channel)
    assert stats.num_clients == 0


async def test_a_subscription_of_the_client_is_ended(server, people, client):
    user, channel = fresh_user("anna"), fresh_channel("room")
    anna, _ = await people.connected(server.url, user)
    room, events = await people.subscribed(anna, channel)
    (one,) = await connections(client, user)
    await called(client.unsubscribe, user=user, channel=channel, client=one)
    ended = await events.first("unsubscribed")
    assert (ended.code, ended.reason) == (2000, "server unsubscribe")


async def test_connections_expire_when_the_backend_says_so(server, people, client):
    user = fresh_user("anna")
    tokens = Giving(600, sub=user)
    anna, events = await people.connected(
        server.url, user, token=token(sub=user), get_token=tokens.next
    )
    (before,) = await connections(client, user)
    await called(client.refresh, user=user, expired=True)
    await events.at_least(2, "connected")
    (after,) = await connections(client, user)
    assert before != after
    in_an_hour = int(time.time()) + 3600
    await called(client.refresh, user=user, expire_at=in_an_hour)
    assert list(await connections(client, user)) == [after]
    await called(client.refresh, user=user, client=after, expire_at=1)
    await events.at_least(3, "connected")


async def test_users_are_subscribed_in_a_batch_by_the_async_client(server, people):
    users = [fresh_user("anna") for _ in range(3)]
    heard = [(await people.connected(server.url, user))[1] for user in users]
    channel = fresh_channel("closed")
    client = AsyncClient(server.api_url, KEY)
    try:
        calls = [SubscribeRequest(user=user, channel=channel) for user in users]
        await client.batch(BatchRequest(requests=calls))
        for events in heard:
            await events.first("subscribed", lambda event: event.channel == channel)
        await client.unsubscribe(UnsubscribeRequest(user=users[0], channel=channel))
        await heard[0].first("unsubscribed", lambda event: event.channel == channel)
        await client.refresh(RefreshRequest(user=users[1], expired=True))
        await heard[1].at_least(2, "connected")
        for refused in (
            SubscribeRequest(user=users[0], channel=channel, data={}),
            SubscribeRequest(user=users[0], channel="@" + users[1]),
            RefreshRequest(user=users[0]),
        ):
            with pytest.raises(CentTransportError) as caught:
                await client._send(refused, None)
            assert caught.value.status_code in (400, 403)
    finally:
        await client.close()


async def test_channels_that_somebody_is_in_are_listed(server, people, client):
    first, second = fresh_channel("room"), fresh_channel("kept")
    for user, channels in (("anna", [first, second]), ("bob", [first])):
        anna, _ = await people.connected(server.url, fresh_user(user))
        for channel in channels:
            await people.subscribed(anna, channel)
    found = (await called(client.channels, pattern="")).channels
    assert (found[first].num_clients, found[second].num_clients) == (2, 1)
    found = (await called(client.channels, pattern="room:*")).channels
    assert {name: each.num_clients for name, each in found.items()} == {first: 2}
    asynchronous = AsyncClient(server.api_url, KEY)
    try:
        found = (await asynchronous.channels(ChannelsRequest(pattern=second))).channels
        assert list(found) == [second]
        with pytest.raises(CentTransportError) as caught:
            await asynchronous.channels(ChannelsRequest(pattern="room:?"))
        assert caught.value.status_code == 400
    finally:
        await asynchronous.close()
    with pytest.raises(CentTransportError) as caught:
        await called(Client(server.api_url, READER).channels, pattern="room:*")
    assert caught.value.status_code == 403
