"""What people do with the Python SDK, in both encodings, against one server."""

import asyncio

import pytest
import pytest_asyncio
from centrifuge import ReplyError
from harness import (
    TRANSPORT_CLOSED,
    WAIT_S_MAX,
    Giving,
    Proxy,
    Server,
    ShortLived,
    expires_in,
    fresh_channel,
    token,
)


TOKEN_EXPIRED = 109


@pytest_asyncio.fixture(scope="module")
async def server():
    async with Server() as started:
        yield started


async def numbers(people, events, count):
    publications = await events.at_least(count, "publication")
    return [people.unpack(context.pub.data)["number"] for context in publications]


async def refusal(awaitable):
    with pytest.raises(ReplyError) as caught:
        await awaitable
    return caught.value.code


async def test_everyone_in_a_room_sees_every_message_in_order(server, people):
    channel = fresh_channel()
    anna, _ = await people.connected(
        server.url, "anna", token=token(sub="anna", info={"name": "Anna"})
    )
    ben, _ = await people.connected(server.url, "ben")
    hers, seen_by_anna = await people.subscribed(anna, channel)
    _, seen_by_ben = await people.subscribed(ben, channel)
    for number in range(1, 51):
        await hers.publish(people.pack({"number": number}))
    for events in (seen_by_anna, seen_by_ben):
        assert await numbers(people, events, 50) == list(range(1, 51))
        publications = events.of("publication")
        assert [context.pub.offset for context in publications] == list(range(1, 51))
        assert publications[0].pub.info.user == "anna"
        assert people.unpack(publications[0].pub.info.conn_info) == {"name": "Anna"}


async def test_presence_and_its_numbers_follow_who_is_in(server, people):
    channel = fresh_channel()
    rooms = []
    for user in ("anna", "anna", "ben"):
        client, _ = await people.connected(server.url, user)
        rooms.append((await people.subscribed(client, channel))[0])
    presence = await rooms[0].presence()
    assert sorted(info.user for info in presence.clients.values()) == ["anna", "anna", "ben"]
    assert all(info.client == client for client, info in presence.clients.items())
    stats = await rooms[2].presence_stats()
    assert (stats.num_clients, stats.num_users) == (3, 2)


async def test_coming_and_going_is_told_to_those_who_asked(server, people):
    channel = fresh_channel()
    anna, _ = await people.connected(server.url, "anna")
    _, events = await people.subscribed(anna, channel, join_leave=True)
    ben, _ = await people.connected(server.url, "ben")
    his, _ = await people.subscribed(ben, channel)
    joined = await events.first("join", lambda context: context.info.user == "ben")
    await his.unsubscribe()
    left = await events.first("leave", lambda context: context.info.user == "ben")
    assert left.info.client == joined.info.client


async def test_history_from_the_start_the_end_and_between(server, people):
    channel = fresh_channel()
    anna, _ = await people.connected(server.url, "anna")
    room, _ = await people.subscribed(anna, channel)
    for number in range(1, 11):
        await room.publish(people.pack({"number": number}))

    def listed(result):
        return [people.unpack(pub.data)["number"] for pub in result.publications]

    position = await room.history()
    assert (listed(position), position.offset) == ([], 10)
    assert listed(await room.history(limit=3)) == [1, 2, 3]
    assert listed(await room.history(limit=3, reverse=True)) == [10, 9, 8]
    assert len(listed(await room.history(limit=100))) == 10


async def test_after_a_lost_connection_nothing_is_missing_and_nothing_comes_twice(server, people):
    channel = fresh_channel()
    async with Proxy(server.port) as proxy:
        anna, _ = await people.connected(proxy.url, "anna")
        _, events = await people.subscribed(anna, channel, recoverable=True)
        ben, _ = await people.connected(server.url, "ben")
        his, _ = await people.subscribed(ben, channel)
        await his.publish(people.pack({"number": 1}))
        await events.first("publication")
        for turn in range(3):
            proxy.cut()
            # One for the first subscribe, one for each cut.
            await events.at_least(turn + 2, "subscribing")
            for step in range(5):
                await his.publish(people.pack({"number": 2 + turn * 5 + step}))
            again = (await events.at_least(turn + 2, "subscribed"))[-1]
            assert again.was_recovering and again.recovered
        assert await numbers(people, events, 16) == list(range(1, 17))
        assert len(events.of("publication")) == 16
        await people.leave()


async def test_a_namespace_can_tell_and_recover_without_being_asked(server, people):
    channel = fresh_channel("eager")
    async with Proxy(server.port) as proxy:
        anna, _ = await people.connected(proxy.url, "anna")
        _, events = await people.subscribed(anna, channel)
        ben, _ = await people.connected(server.url, "ben")
        his, _ = await people.subscribed(ben, channel)
        await events.first("join", lambda context: context.info.user == "ben")
        await his.publish(people.pack({"number": 1}))
        await events.first("publication")
        proxy.cut()
        # The first is the subscribe itself.
        await events.at_least(2, "subscribing")
        await his.publish(people.pack({"number": 2}))
        again = (await events.at_least(2, "subscribed"))[1]
        assert again.was_recovering and again.recovered and again.positioned
        assert await numbers(people, events, 2) == [1, 2]
        await his.unsubscribe()
        await events.first("leave", lambda context: context.info.user == "ben")
        await people.leave()


async def test_pings_are_answered_and_the_connection_stays(people):
    # Who does not answer is closed after a third of the interval.
    async with Server(ping_ms=900) as server, Proxy(server.port) as proxy:
        # The SDK leaves a server that it does not hear from.
        _, fate = await people.connected(proxy.url, "anna", max_server_ping_delay=0.9)
        empty = {"json": b"\x81\x02{}", "protobuf": b"\x82\x01\x00"}
        await proxy.hear(empty[people.encoding], 4)
        assert len(fate.of("connecting")) == len(fate.of("connected")) == 1
        await people.leave()


async def test_a_token_is_refreshed_before_it_counts_as_expired(server, people):
    tokens = ShortLived(3, sub="anna")
    anna, events = people.client(server.url, get_token=tokens.next)
    await anna.connect()
    await asyncio.wait_for(tokens.used.wait(), WAIT_S_MAX)
    room, _ = await people.subscribed(anna, fresh_channel())
    await room.publish(people.pack({"after": "refresh"}))
    assert len(events.of("connected")) == 1


async def test_an_expired_token_is_replaced_by_a_new_one(server, people):
    async def renewed():
        return token(sub="anna")

    anna, events = people.client(
        server.url, token=token(sub="anna", exp=expires_in(-10)), get_token=renewed, may_meet=[109]
    )
    await anna.connect()
    await events.first("connected")
    assert [context.error.code for context in events.of("error")] == [109]


async def test_a_bad_token_is_final(server, people):
    for bad in (token("another secret, long enough to be one", sub="anna"), "no token at all"):
        client, events = people.client(server.url, token=bad)
        await client.connect()
        assert (await events.first("disconnected")).code == 3500


async def test_a_subscription_by_token_refreshed_while_it_lasts(server, people):
    channel = fresh_channel("closed")
    tokens = ShortLived(3, sub="anna", channel=channel)
    anna, _ = await people.connected(server.url, "anna")
    _, events = await people.subscribed(anna, channel, get_token=tokens.next)
    await asyncio.wait_for(tokens.used.wait(), WAIT_S_MAX)
    assert await anna.presence_stats(channel)
    assert len(events.of("subscribed")) == 1


async def test_many_subscriptions_whose_tokens_have_all_ended_come_back(server, people):
    tokens = Giving(600, sub="anna")
    ended = token(sub="anna", exp=expires_in(-60))
    anna, events = people.client(
        server.url, token=ended, get_token=tokens.next, may_meet=[TOKEN_EXPIRED]
    )
    await anna.connect()
    rooms = []
    for channel in (fresh_channel("closed") for _ in range(100)):
        claims = {"sub": "anna", "channel": channel}
        room, _ = people.subscription(
            anna,
            channel,
            may_meet=[TOKEN_EXPIRED],
            token=token(**claims, exp=expires_in(-60)),
            get_token=Giving(600, **claims).next,
        )
        await room.subscribe()
        rooms.append(room)
    for room in rooms:
        await room.ready(timeout=WAIT_S_MAX)
    assert len(events.of("connected")) == 1, "nobody was sent away"


async def test_a_refresh_with_a_token_that_has_just_ended_is_no_end(server, people):
    anna, events = people.client(
        server.url,
        get_token=Giving(2, -60, 600, sub="anna").next,
        may_meet=[TOKEN_EXPIRED],
    )
    await anna.connect()
    await events.at_least(2, "connected")
    assert 3005 in [context.code for context in events.of("connecting")]
    assert events.of("disconnected") == []


async def test_a_late_subscription_refresh_leaves_the_others_alone(server, people):
    anna, fate = await people.connected(server.url, "anna")
    await people.subscribed(anna, fresh_channel())
    channel = fresh_channel("closed")
    room, events = people.subscription(
        anna,
        channel,
        may_meet=[TOKEN_EXPIRED],
        get_token=Giving(2, -60, 600, sub="anna", channel=channel).next,
    )
    await room.subscribe()
    await events.at_least(2, "subscribed")
    assert 2501 in [context.code for context in events.of("subscribing")]
    assert events.of("unsubscribed") == []
    assert len(fate.of("connected")) == 1


async def test_channels_that_are_refused(server, people):
    anna, _ = await people.connected(server.url, "anna")
    for channel, code in ((fresh_channel("closed"), 103), ("nowhere:1", 102)):
        room, events = people.subscription(anna, channel)
        await room.subscribe()
        assert (await events.first("unsubscribed")).code == code
    assert await refusal(anna.publish(fresh_channel(), people.pack({}))) == 103


async def test_rpc_has_typing_unknown_verbs_and_no_hooks(server, people):
    channel = fresh_channel()
    anna, _ = await people.connected(server.url, "anna")
    await people.subscribed(anna, channel)
    await anna.rpc("chat.typing", people.pack({"channel": channel}))
    assert await refusal(anna.rpc("chat.dance", people.pack({}))) == 104
    assert await refusal(anna.rpc("orders.list", people.pack({}))) == 108


async def test_the_server_subscribes_the_inbox_and_what_the_token_lists(server, people):
    channel = fresh_channel()
    async with Proxy(server.port) as proxy:
        anna, events = await people.connected(
            proxy.url, "anna", token=token(sub="anna", channels=[channel])
        )
        subscribed = await events.at_least(2, "subscribed")
        assert {context.channel for context in subscribed} == {"@anna", channel}
        ben, _ = await people.connected(server.url, "ben")
        his, _ = await people.subscribed(ben, channel)
        await his.publish(people.pack({"number": 1}))
        await events.first("publication")
        proxy.cut()
        await events.first("subscribing", lambda context: context.channel == channel)
        await his.publish(people.pack({"number": 2}))
        assert await numbers(people, events, 2) == [1, 2]
        await people.leave()


async def test_a_slow_reader_is_closed_with_3008_and_recovers(people):
    count = 0
    channel = fresh_channel("wide")
    async with Server(outbox_bytes=65_536) as server, Proxy(server.port) as proxy:
        anna, fate = await people.connected(proxy.url, "anna")
        _, slow = await people.subscribed(anna, channel, recoverable=True)
        ben, _ = await people.connected(server.url, "ben")
        his, others = await people.subscribed(ben, channel)
        proxy.stop_reading()
        # Until the kernel takes no more for a socket that is not read, and the outbox is
        # full; and then less than what a subscribe recovers.
        filler = "x" * 30_000
        is_closed = False
        while not is_closed:
            assert count < 2_000, "a reader that reads nothing is closed"
            is_closed = "\nchat_slow_consumer_evicted_total 1\n" in await server.metrics()
            for count in range(count + 1, count + 11):
                await his.publish(people.pack({"number": count, "filler": filler}))
        assert await numbers(people, others, count) == list(range(1, count + 1))
        proxy.read_again()
        # The first is the connect itself.
        assert (await fate.at_least(2, "connecting"))[1].code == 3008
        again = await slow.first("subscribed", lambda context: context.was_recovering)
        assert again.recovered
        assert await numbers(people, slow, count) == list(range(1, count + 1))
        await people.leave()


async def test_a_drained_server_sends_its_clients_to_the_next_one(people):
    async with Server() as first:
        # Between the two servers nobody listens.
        clients = [
            await people.connected(first.url, f"user-{number}", may_meet=[TRANSPORT_CLOSED])
            for number in range(5)
        ]
        first.process.terminate()
        waits = set()
        for _, events in clients:
            # The first is the connect itself.
            again = (await events.at_least(2, "connecting"))[1]
            assert again.code == 3001
            # Each is told when to come again, so that not all come at once.
            told, _, wait = again.reason.rpartition("=")
            assert told.endswith(" retry_after_ms") and int(wait) < 3000
            waits.add(wait)
        assert len(waits) > 2
        assert await asyncio.wait_for(first.process.wait(), WAIT_S_MAX) == 0
        async with Server(port=first.port):
            for _, events in clients:
                await events.at_least(2, "connected")
            channel = fresh_channel()
            room, _ = await people.subscribed(clients[0][0], channel)
            _, events = await people.subscribed(clients[1][0], channel)
            await room.publish(people.pack({"number": 1}))
            assert await numbers(people, events, 1) == [1]
            await people.leave()
