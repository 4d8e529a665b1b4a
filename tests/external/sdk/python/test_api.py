"""The server API through its official client, `cent`, sync and async: what a backend publishes
is heard, kept and recovered, and what it asks is answered."""

import asyncio
import base64
import json
import re
import signal
import urllib.error
import urllib.request

import cent
import pytest
import websockets
from cent import (
    AsyncClient,
    BatchRequest,
    CentApiResponseError,
    CentTransportError,
    CentUnauthorizedError,
    Client,
    InfoRequest,
    PresenceStatsRequest,
    PublishRequest,
    StreamPosition,
)
from harness import WAIT_S_MAX, People, api_key, digest, fresh_channel, fresh_user, token

KEY = "a key that only the tests of the server API know"
READER = "a key that reads rooms and nothing else"


@pytest.fixture
def api_keys():
    everything = ["publish", "presence", "history", "info", "channels", "connections"]
    reader = api_key(READER, ["history"], channels=["room:*"], name="reader")
    return [api_key(KEY, everything), reader]


@pytest.fixture
def client(server):
    return Client(server.api_url, KEY)


async def called(call, **fields):
    """One call of the sync client, off the loop that the SDKs' clients need."""
    return await asyncio.to_thread(call, request(call, **fields))


def request(call, **fields):
    """What a method of the clients is given: a request of its name."""
    name = "".join(part.title() for part in call.__name__.split("_"))
    return getattr(cent, f"{name}Request")(**fields)


def posted(server, method, body, headers=None, query=""):
    """Status and body of a raw request."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    headers = {"X-API-Key": KEY} if headers is None else headers
    url = f"{server.api_url}/{method}{query}"
    request = urllib.request.Request(url, data=data, headers=headers, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=WAIT_S_MAX) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()


async def test_what_a_backend_publishes_is_heard_and_stands_in_the_history(server, people, client):
    channel = fresh_channel("kept")
    anna, _ = await people.connected(server.url, "anna")
    _, events = await people.subscribed(anna, channel)
    first = await called(client.publish, channel=channel, data={"text": "你好"}, tags={"kind": "note"})
    second = await called(client.publish, channel=channel, data={"text": "2"})
    assert (first.offset, second.offset) == (1, 2) and first.epoch == second.epoch
    one, two = (event.pub for event in await events.at_least(2, "publication"))
    assert people.unpack(one.data) == {"text": "你好"} and one.tags["kind"] == "note"
    assert one.info is None and (one.offset, two.offset) == (1, 2)

    all_of_it = await called(client.history, channel=channel, limit=10)
    assert [each.data["text"] for each in all_of_it.publications] == ["你好", "2"]
    assert (all_of_it.offset, all_of_it.epoch) == (2, first.epoch)
    newest = await called(client.history, channel=channel, limit=1, reverse=True)
    assert [each.offset for each in newest.publications] == [2]
    since = StreamPosition(offset=1, epoch=first.epoch)
    rest = await called(client.history, channel=channel, limit=-1, since=since)
    assert [each.offset for each in rest.publications] == [2]
    place = await called(client.history, channel=channel)
    assert place.publications == [] and place.offset == 2


async def test_a_position_of_the_api_recovers_like_the_clients_own(server, client):
    channel = fresh_channel("kept")
    start = await called(client.history, channel=channel)
    told = await called(client.publish, channel=channel, data={"number": 1})
    await called(client.publish, channel=channel, data={"number": 2})

    # This SDK keeps its positions to itself, so this speaks as one that does not.
    async def recovered(position):
        wanted = {"channel": channel, "recover": True, "epoch": position.epoch}
        wanted |= {"offset": position.offset} if position.offset else {}
        commands = [
            {"id": 1, "connect": {"token": token(sub="anna")}},
            {"id": 2, "subscribe": wanted},
        ]
        async with asyncio.timeout(WAIT_S_MAX), websockets.connect(server.url, proxy=None) as line:
            await line.send("\n".join(json.dumps(command) for command in commands))
            answers = []
            while len(answers) < 2:
                answers += [json.loads(part) for part in (await line.recv()).split("\n") if part]
        result = answers[1]["subscribe"]
        return result["recovered"], [one["offset"] for one in result.get("publications", [])]

    assert await recovered(told) == (True, [2])
    assert await recovered(start) == (True, [1, 2])


async def test_a_repeated_key_publishes_once_across_a_killed_server(server, client):
    channel = fresh_channel("kept")
    first = await called(client.publish, channel=channel, data={"n": 1}, idempotency_key="order-1")
    again = await called(client.publish, channel=channel, data={"n": 1}, idempotency_key="order-1")
    assert (again.offset, again.epoch) == (first.offset, first.epoch)
    await server.kill()
    await server.start_again()
    after = await called(client.publish, channel=channel, data={"n": 1}, idempotency_key="order-1")
    assert (after.offset, after.epoch) == (first.offset, first.epoch)
    other = await called(client.publish, channel=channel, data={"n": 2}, idempotency_key="order-2")
    assert other.offset == 2


async def test_a_broadcast_tells_the_fate_in_each_channel(server, client):
    channels = [fresh_channel("room"), "none:1", fresh_channel("room")]
    told = await called(client.broadcast, channels=channels, data={"n": 1})
    assert [one.error and one.error.code for one in told.responses] == [None, 102, None]
    assert [one.result and one.result.offset for one in told.responses] == [1, None, 1]


async def test_who_is_there_is_told(server, people, client):
    channel, user = fresh_channel("room"), fresh_user("anna")
    anna, _ = await people.connected(server.url, user)
    await people.subscribed(anna, channel)
    there = await called(client.presence, channel=channel)
    assert [info.user for info in there.presence.values()] == [user]
    counted = await called(client.presence_stats, channel=channel)
    assert (counted.num_clients, counted.num_users) == (1, 1)
    empty = await called(client.presence, channel=fresh_channel("room"))
    assert empty.presence == {}


async def test_a_batch_answers_each_call_in_its_place(server, client):
    channel = fresh_channel("room")
    replies = await called(
        client.batch,
        requests=[
            PublishRequest(channel=channel, data={"n": 1}),
            InfoRequest(),
            PresenceStatsRequest(channel=channel),
            PublishRequest(channel=channel, data={"n": 2}),
        ],
    )
    one, info, stats, two = replies.replies
    assert (one.offset, two.offset, stats.num_clients) == (1, 2, 0)
    assert info.nodes[0].uid and info.nodes[0].version


async def test_the_async_client_is_served_as_the_sync_one(server):
    channel = fresh_channel("room")
    client = AsyncClient(server.api_url, KEY)
    try:
        told = await asyncio.gather(*(client.publish(PublishRequest(channel=channel, data={"n": n})) for n in range(50)))
        assert sorted(one.offset for one in told) == list(range(1, 51))
        with pytest.raises(CentApiResponseError) as caught:
            await client.publish(PublishRequest(channel="none:1", data={}))
        assert caught.value.code == 102
    finally:
        await client.close()


async def test_bytes_travel_as_base64(server, client):
    channel, data = fresh_channel("room"), bytes(range(256))
    async with People("protobuf") as people:
        anna, _ = await people.connected(server.url, "anna")
        _, events = await people.subscribed(anna, channel)
        b64data = base64.b64encode(data).decode()
        await called(client.publish, channel=channel, data=None, b64data=b64data)
        assert (await events.first("publication")).pub.data == data


async def test_a_personal_channel_is_one_like_others_and_nothing_there_is_forged(
    server, people, client
):
    user = fresh_user("anna")
    _, events = await people.connected(server.url, user)
    told = await called(client.publish, channel=f"@{user}", data={"text": "parcel"})
    heard = await events.first("publication", lambda event: event.channel == f"@{user}")
    assert people.unpack(heard.pub.data) == {"text": "parcel"}
    assert (heard.pub.offset, heard.pub.info) == (told.offset, None)
    assert "channel" not in heard.pub.tags and "offset" not in heard.pub.tags
    for tags in ({"channel": f"dm#{user},zoe"}, {"offset": "1"}):
        with pytest.raises(CentTransportError) as caught:
            await called(client.publish, channel=f"@{user}", data={}, tags=tags)
        assert caught.value.status_code == 400


async def test_requests_are_counted_by_method_and_outcome(server, client):
    channel = fresh_channel("room")
    for _ in range(3):
        await called(client.publish, channel=channel, data={})
    some_refused = {"commands": [{"publish": {"channel": "none:1", "data": 1}}, {"info": {}}]}

    def statuses():
        refused = {"channel": channel, "data": {}, "skip_history": True}
        return [
            posted(server, "publish", refused)[0],
            posted(server, "publish", {"channel": "none:1", "data": 1})[0],
            posted(server, "publish", {}, {"X-API-Key": "wrong"})[0],
            posted(server, "publish", {}, {"X-API-Key": READER})[0],
            posted(server, "presence", {"channel": channel}, {"X-API-Key": READER})[0],
            posted(server, "nothing", {})[0],
            posted(server, "batch", some_refused)[0],
        ]

    assert await asyncio.to_thread(statuses) == [400, 200, 401, 400, 403, 200, 200]
    text = await server.metrics()
    lines = [line for line in text.splitlines() if line.startswith("chat_api_requests_total{")]
    counts = {tuple(re.findall('"([a-z_]+)"', line)): float(line.split()[1]) for line in lines}
    counts = {labels: count for labels, count in counts.items() if count}
    assert counts == {
        ("publish", "done"): 3,
        ("publish", "invalid"): 2,
        ("publish", "refused"): 1,
        ("publish", "unauthorized"): 1,
        ("presence", "denied"): 1,
        ("batch", "done"): 1,
        ("unknown", "refused"): 1,
    }


async def test_what_is_not_known_is_an_unknown_method(server, client):
    with pytest.raises(CentApiResponseError) as caught:
        await called(client.update_user_status, users=["anna"])
    assert caught.value.code == 104
    assert posted(server, "nothing", {}) == (
        200, b'{"error":{"code":104,"message":"method not found"}}'
    )


async def test_a_key_is_needed_and_has_its_bounds(server):
    with pytest.raises(CentUnauthorizedError):
        await called(Client(server.api_url, "wrong").info)
    reader = Client(server.api_url, READER)
    room = fresh_channel("room")
    assert (await called(reader.history, channel=room)).offset == 0
    for refused, fields in (
        (reader.publish, {"channel": room, "data": {}}),
        (reader.info, {}),
        (reader.history, {"channel": fresh_channel("kept")}),
        (reader.history, {"channel": "none:1"}),
    ):
        with pytest.raises(CentTransportError) as caught:
            await called(refused, **fields)
        assert caught.value.status_code == 403

    def status(headers, query=""):
        return posted(server, "info", {}, headers, query)[0]

    assert await asyncio.to_thread(status, {}) == 401
    assert await asyncio.to_thread(status, {"X-API-Key": ""}) == 401
    assert await asyncio.to_thread(status, {"Authorization": f"apikey {KEY}"}) == 200
    assert await asyncio.to_thread(status, {}, f"?api_key={KEY.replace(' ', '+')}") == 401
    assert await asyncio.to_thread(status, {"X-API-Key": KEY}, "?api_key=x") == 401


async def test_a_key_is_rotated_without_a_restart(server):
    new = "another key that only the tests of the server API know"
    text = server.file.read_text()
    server.file.write_text(text.replace(digest(KEY), digest(new)))
    server.process.send_signal(signal.SIGHUP)

    async def is_taken():
        while (await asyncio.to_thread(posted, server, "info", {}, {"X-API-Key": new}))[0] != 200:
            await asyncio.sleep(0.02)

    await asyncio.wait_for(is_taken(), WAIT_S_MAX)
    assert (await asyncio.to_thread(posted, server, "info", {}))[0] == 401


async def test_what_is_wrong_with_a_call_is_named(server):
    def refused(method, body):
        status, answer = posted(server, method, body)
        return status, json.loads(answer)["error"]["message"]

    for method, body, field in (
        ("publish", {"data": 1}, "channel"),
        ("publish", {"channel": "room:1"}, "data"),
        ("publish", {"channel": "x" * 256, "data": 1}, "channel"),
        ("publish", {"channel": "room:1", "data": 1, "tags": []}, "tags"),
        ("broadcast", {"channels": [], "data": 1}, "channels"),
        ("history", {"channel": "room:1", "limit": "1"}, "limit"),
        ("batch", {"commands": 1}, "commands"),
        ("disconnect", {}, "user"),
        ("disconnect", {"user": "anna", "client": "one"}, "client"),
        ("disconnect", {"user": "anna", "session": "one"}, "session"),
        ("disconnect", {"user": "anna", "disconnect": {"code": 1}}, "code"),
        ("connections", {"user": "anna", "expression": "1"}, "expression"),
        ("subscribe", {"user": "anna"}, "channel"),
        ("subscribe", {"user": "anna", "channel": "room:1", "override": {}}, "override"),
        ("unsubscribe", {"channel": "room:1"}, "user"),
        ("refresh", {"user": "anna"}, "expire_at"),
        ("info", b"not json", "body"),
        ("info", b"\xff", "body"),
        ("info", b"[]", "body"),
    ):
        told = await asyncio.to_thread(refused, method, body)
        assert told == (400, f"bad request: {field}"), (method, body)
    too_much = {"channel": "room:1", "data": "x" * (5 << 20)}
    assert (await asyncio.to_thread(posted, server, "publish", too_much))[0] == 413
    assert (await asyncio.to_thread(client_get, server))[0] == 405


def client_get(server):
    request = urllib.request.Request(f"{server.api_url}/info", headers={"X-API-Key": KEY})
    try:
        with urllib.request.urlopen(request, timeout=WAIT_S_MAX) as answer:
            return answer.status, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.read()
