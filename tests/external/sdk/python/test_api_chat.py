"""A backend that acts as its users, by the server API: chat's own methods, with the user beside their
fields. Who is connected sees what a client would have said."""

import asyncio
import json
import urllib.error
import urllib.request

import pytest
from harness import WAIT_S_MAX, api_key, chat, fresh_channel, fresh_user

KEY = "a key that speaks as anybody"
NARROW = "a key that speaks in rooms alone"
MUTE = "a key that reads and does not speak"


@pytest.fixture
def api_keys():
    return [
        api_key(KEY, ["chat", "publish", "blocks"]),
        api_key(NARROW, ["chat"], channels=["room:*"], name="narrow"),
        api_key(MUTE, ["history", "publish"], name="mute"),
    ]


def posted(server, method, fields, key):
    body = json.dumps(fields).encode()
    url = f"{server.api_url}/{method}"
    request = urllib.request.Request(url, data=body, headers={"X-API-Key": key}, method="POST")
    try:
        with urllib.request.urlopen(request, timeout=WAIT_S_MAX) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


async def asked(server, method, key=KEY, **fields):
    """Status and answer of a call."""
    return await asyncio.to_thread(posted, server, method, fields, key)


async def done(server, method, **fields):
    """What a chat method came to that is done as a user."""
    status, answer = await asked(server, f"v1/chat.{method}", **fields)
    assert status == 200, answer
    return answer["result"]


def seen(people, context):
    publication = context.pub
    return {
        "data": people.unpack(publication.data),
        "from": publication.info.user,
        "channel": publication.tags["channel"],
        "offset": int(publication.tags["offset"]),
        "id": publication.tags["id"],
    }


async def test_what_is_sent_as_a_user_is_that_users_direct_message(server, people):
    anna, ben = fresh_user("anna"), fresh_user("ben")
    _, hers = await people.connected(server.url, anna)
    his, events = await people.connected(server.url, ben)
    said = await done(server, "send", user=anna, to=ben, data={"text": "你好"}, id="k-1")
    channel = said["channel"]
    assert (channel, said["offset"], said["id"]) == (f"dm#{anna},{ben}", 1, "k-1")
    want = {"data": {"text": "你好"}, "from": anna, "channel": channel, "offset": 1, "id": "k-1"}
    for one in (events, hers):
        assert seen(people, await one.first("publication")) == want
    [room] = (await done(server, "rooms", user=ben))["rooms"]
    assert (room["channel"], room["unread"], room["last"]["info"]["user"]) == (channel, 1, anna)
    assert (await chat(people, his, "rooms"))["rooms"] == [room]

    assert await done(server, "ack", user=ben, channel=channel, offset=1) == {}
    assert await done(server, "read", user=ben, channel=channel, offset=1) == {}
    told = await done(server, "receipts", user=anna, channel=channel)
    assert told == {"receipts": [{"user": one, "delivered": 1, "read": 1} for one in (anna, ben)]}
    [room] = (await chat(people, his, "rooms"))["rooms"]
    assert (room["unread"], room["read"]) == (0, 1)

    fields = {"user": anna, "channel": channel, "offset": 1}
    edit = await done(server, "edit", data={"text": "你好!"}, id="e-1", **fields)
    assert (edit["offset"], edit["id"]) == (2, "e-1")
    change = await events.first("publication", lambda one: "edits" in one.pub.tags)
    assert people.unpack(change.pub.data) == {"text": "你好!"} and change.pub.tags["edits"] == "1"
    assert await done(server, "retract", **fields) == {}
    change = await events.first("publication", lambda one: "retracts" in one.pub.tags)
    assert change.pub.tags["retracts"] == "1" and change.pub.info.user == anna
    [room] = (await done(server, "rooms", user=anna))["rooms"]
    assert (room["head"], room["last"]["data"]) == (3, {"retracted": 1})


async def test_a_repeat_is_harmless_also_after_a_killed_server(server, people):
    anna, ben = fresh_user("anna"), fresh_user("ben")
    fields = {"user": anna, "to": ben, "data": {"number": 1}, "id": "once"}
    said = await done(server, "send", **fields)
    edit = {"user": anna, "channel": said["channel"], "offset": 1, "data": 2, "id": "changed"}
    changed = await done(server, "edit", **edit)
    assert await done(server, "send", **fields) == said
    await server.kill()
    await server.start_again()
    assert await done(server, "send", **fields) == said
    assert await done(server, "edit", **edit) == changed
    # The client's own, too: an id is its user's, whoever says it.
    hers, _ = await people.connected(server.url, anna)
    mine = {name: value for name, value in fields.items() if name != "user"}
    assert await chat(people, hers, "send", **mine) == said
    _, events = await people.connected(server.url, ben)
    await done(server, "send", user=anna, to=ben, data={"number": 3})
    came = await events.at_least(3, "publication")
    assert sorted(seen(people, one)["offset"] for one in came) == [1, 2, 3]


async def test_a_user_speaks_and_reacts_in_rooms_without_being_there(server, people):
    channel, anna = fresh_channel("kept"), fresh_user("anna")
    ben, _ = await people.connected(server.url, "ben")
    room, events = await people.subscribed(ben, channel)
    said = await done(server, "publish", user=anna, channel=channel, data={"text": "hello"})
    assert (said["channel"], said["offset"]) == (channel, 1) and said["id"]
    one = (await events.first("publication")).pub
    assert (one.info.user, one.info.client, one.offset) == (
        anna, "00000000-0000-0000-0000-000000000000", 1,
    )  # fmt: skip
    await done(server, "react", user=anna, channel=channel, offset=1, value="👍")
    await done(server, "react", user="ben", channel=channel, offset=1, value="👍")
    hers, _ = await people.connected(server.url, anna)
    await people.subscribed(hers, channel)
    told = await chat(people, hers, "reactions", channel=channel, offsets=[1])
    totals = [{"value": "👍", "count": 2}]
    assert told["messages"] == [{"offset": 1, "totals": totals, "own": "👍"}]
    await chat(people, hers, "react", channel=channel, offset=1, value="")
    await done(server, "react", user="ben", channel=channel, offset=1)
    past = await room.history(limit=10)
    assert [(pub.tags or {}).get("reactions") for pub in past.publications] == [None]
    # What keeps nothing has no place, and what is asked of it is not available.
    said = await done(server, "publish", user=anna, channel="closed:1", data=1)
    assert said["offset"] == 0 and "epoch" not in said
    status, answer = await asked(
        server, "v1/chat.read", user=anna, channel="closed:1", offset=0
    )
    assert (status, answer["error"]["code"]) == (200, 108)


async def test_nobody_else_speaks_for_a_user_and_refusals_name_what_is_wrong(server):
    anna, ben, carl = (fresh_user(name) for name in ("anna", "ben", "carl"))
    said = await done(server, "send", user=anna, to=ben, data=1)
    dm = {"channel": said["channel"], "offset": 1}
    for key, method, fields, status, code, words in (
        (MUTE, "send", {"user": anna, "to": ben, "data": 1}, 403, 103, "permission denied"),
        (NARROW, "send", {"user": anna, "to": ben, "data": 1}, 403, 103, "permission denied"),
        (NARROW, "rooms", {"user": anna}, 403, 103, "permission denied"),
        (KEY, "read", {"user": carl, **dm}, 403, 103, "permission denied"),
        (KEY, "publish", {"user": carl, "data": 1, **dm}, 403, 103, "permission denied"),
        (KEY, "retract", {"user": carl, "as_moderator": True, **dm}, 403, 103, "permission denied"),
        (KEY, "retract", {"user": ben, **dm}, 403, 103, "permission denied"),
        (KEY, "edit", {"user": ben, "data": 2, **dm}, 403, 103, "permission denied"),
        (KEY, "send", {"to": ben, "data": 1}, 400, 107, "bad request: user"),
        (KEY, "send", {"user": "a,b", "to": ben, "data": 1}, 400, 107, "bad request: user"),
        (KEY, "send", {"user": anna, "to": "", "data": 1}, 400, 107, "bad request: to"),
        (KEY, "send", {"user": anna, "to": ben}, 400, 107, "bad request: data"),
        (KEY, "retract", {"user": anna, "channel": "room:1"}, 400, 107, "bad request: offset"),
        (KEY, "retract", {**dm, "user": anna, "as_moderator": 1}, 400, 107,
         "bad request: as_moderator"),
        (KEY, "send", {"user": anna, "to": anna, "data": 1}, 200, 107, "bad request: to"),
        (KEY, "read", {**dm, "user": ben, "offset": 9}, 200, 107, "bad request: offset"),
        (KEY, "publish", {"user": anna, "channel": "none:1", "data": 1}, 200, 102,
         "unknown channel"),
        (KEY, "dance", {"user": anna}, 200, 104, "method not found"),
    ):  # fmt: skip
        told, answer = await asked(server, f"v1/chat.{method}", key, **fields)
        error = answer["error"]
        assert (told, error["code"], error["message"]) == (status, code, words), (method, fields)
    for path in ("chat.send", "v1/publish"):
        _, answer = await asked(server, path, user=anna, to=ben, channel="room:1", data=1)
        assert answer["error"]["code"] == 104, path
    assert await done(server, "retract", user=ben, as_moderator=True, **dm) == {}
    metrics = await server.metrics()
    assert 'chat_api_requests_total{method="chat",outcome="denied"} 8' in metrics
    assert 'chat_api_requests_total{method="chat",outcome="invalid"} 6' in metrics


async def test_who_is_kept_out_is_spoken_for_and_a_batch_has_all_of_it(server, people):
    anna, ben, channel = fresh_user("anna"), fresh_user("ben"), fresh_channel()
    status, _ = await asked(server, "block_user", user=anna)
    assert status == 200
    _, events = await people.connected(server.url, ben)
    as_anna = {"user": anna, "channel": channel}
    commands = [
        {"chat.publish": {**as_anna, "data": 1, "id": "one"}},
        {"chat.edit": {**as_anna, "offset": 1, "data": 2}},
        {"publish": {"channel": channel, "data": 3}},
        {"chat.retract": {**as_anna, "offset": 1}},
        {"chat.retract": {**as_anna, "offset": 3}},
        {"chat.retract": {**as_anna, "offset": 3, "as_moderator": True}},
        {"chat.send": {"user": anna, "to": ben, "data": {"number": 4}}},
        {"chat.publish": {"user": anna, "data": 1}},
        {"chat.history": {"user": anna, "channels": [channel]}},
        {"chat.nothing": {"user": anna, "channel": channel}},
    ]
    status, answer = await asked(server, "batch", commands=commands)
    assert status == 200
    replies = answer["replies"]
    assert replies[0]["chat.publish"]["id"] == "one"
    assert replies[1]["chat.edit"]["offset"] == 2
    assert replies[2]["publish"]["offset"] == 3
    assert replies[3] == {"chat.retract": {}} == replies[5]
    codes = [replies[index]["error"]["code"] for index in (4, 7, 9)]
    assert codes == [103, 107, 104]
    assert replies[8]["chat.history"]["channels"][0]["channel"] == channel
    assert replies[7]["error"]["message"] == "bad request: channel"
    assert replies[6]["chat.send"]["channel"] == f"dm#{anna},{ben}"
    one = await events.first("publication")
    assert (people.unpack(one.pub.data), one.pub.info.user) == ({"number": 4}, anna)
