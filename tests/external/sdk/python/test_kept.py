"""What survives: the server's end, a reader's absence, a second device."""

import asyncio

import pytest
from centrifuge import ReplyError
from harness import TRANSPORT_CLOSED, WAIT_S_MAX, chat, fresh_channel, fresh_user, token


def direct(people, context):
    """What was said to a user, with its place."""
    publication = context.pub
    return {
        "number": people.unpack(publication.data)["number"],
        "from": publication.info.user,
        "channel": publication.tags["channel"],
        "offset": int(publication.tags["offset"]),
        "id": publication.tags["id"],
    }


def told(people, events):
    """Which messages came; one may come twice until it is acknowledged."""
    said = [direct(people, context) for context in events.of("publication")]
    return [one["number"] for index, one in enumerate(said) if one not in said[:index]]


def has(people, number):
    return lambda context: people.unpack(context.pub.data)["number"] == number


async def test_a_reader_recovers_across_a_killed_server(server, people):
    channel = fresh_channel("kept")
    gone = [TRANSPORT_CLOSED]
    anna, _ = await people.connected(server.url, "anna", may_meet=gone)
    _, events = await people.subscribed(anna, channel, recoverable=True)
    ben, _ = await people.connected(server.url, "ben", may_meet=gone)
    his, _ = await people.subscribed(ben, channel)
    for number in range(1, 4):
        await his.publish(people.pack({"number": number}))
    await events.at_least(3, "publication")
    await anna.disconnect()
    for number in range(4, 8):
        await his.publish(people.pack({"number": number}))
    await server.kill()
    await server.start_again()
    await anna.connect()
    again = await events.first("subscribed", lambda context: context.was_recovering)
    assert again.recovered
    await his.ready(timeout=WAIT_S_MAX)
    await his.publish(people.pack({"number": 8}))
    seen = await events.at_least(8, "publication")
    assert [people.unpack(context.pub.data)["number"] for context in seen] == list(range(1, 9))
    assert [context.pub.offset for context in seen] == list(range(1, 9))
    await people.leave()


async def test_a_direct_message_waits_for_its_reader_and_for_the_next_server(server, people):
    gone = [TRANSPORT_CLOSED]
    channel = "dm#anna,ben"
    anna, _ = await people.connected(
        server.url, "anna", may_meet=gone, token=token(sub="anna", info={"name": "Anna"})
    )
    for number in (1, 2):
        fields = {"to": "ben", "data": {"number": number}, "id": f"n-{number}"}
        first = await chat(people, anna, "send", **fields)
        assert (first["channel"], first["offset"]) == (channel, number)
        assert await chat(people, anna, "send", **fields) == first, "the same id again"
    await server.kill()
    await server.start_again()
    ben, events = await people.connected(server.url, "ben")
    seen = await events.at_least(2, "publication")
    assert [direct(people, context) for context in seen] == [
        {"number": number, "from": "anna", "channel": channel, "offset": number, "id": f"n-{number}"}
        for number in (1, 2)
    ]
    assert people.unpack(seen[0].pub.info.conn_info) == {"name": "Anna"}
    await chat(people, ben, "ack", channel=channel, offset=1)
    await ben.disconnect()

    later, events = await people.connected(server.url, "ben")
    # What is new may overtake what comes again.
    await events.first("publication", has(people, 2))
    await anna.ready(timeout=WAIT_S_MAX)
    await chat(people, anna, "send", to="ben", data={"number": 3})
    await events.first("publication", has(people, 3))
    assert told(people, events) == [2, 3], "what was acknowledged does not come again"
    await chat(people, later, "read", channel=channel, offset=3)
    receipts = await chat(people, anna, "receipts", channel=channel)
    mine = [one for one in receipts["receipts"] if one["user"] == "ben"]
    assert mine == [{"user": "ben", "delivered": 3, "read": 3}]
    await people.leave()


async def test_two_devices_and_conversations(server, people):
    anna, ben = fresh_user("anna"), fresh_user("ben")
    hers, _ = await people.connected(server.url, anna)
    devices = [await people.connected(server.url, user) for user in (anna, ben, ben)]
    said = await chat(people, hers, "send", to=ben, data={"number": 1})
    for _, events in devices:
        one = direct(people, await events.first("publication"))
        assert (one["channel"], one["offset"]) == (said["channel"], said["offset"])
    his = devices[1][0]
    listed = await chat(people, his, "rooms")
    assert [(one["channel"], one["unread"]) for one in listed["rooms"]] == [(said["channel"], 1)]
    await chat(people, his, "read", channel=said["channel"], offset=1)
    listed = await chat(people, his, "rooms")
    assert [one["unread"] for one in listed["rooms"]] == [0]
    await chat(people, hers, "retract", channel=said["channel"], offset=1)
    listed = await chat(people, his, "rooms")
    room = listed["rooms"][0]
    assert (room["last"]["data"], room["unread"]) == ({"retracted": 1}, 0)
    assert room["last"]["tags"]["retracts"] == "1"


async def test_refusals_name_what_is_wrong(server, people):
    anna, ben, carl = (fresh_user(name) for name in ("anna", "ben", "carl"))
    hers, _ = await people.connected(server.url, anna)
    carls, _ = await people.connected(server.url, carl)
    said = await chat(people, hers, "send", to=ben, data={"number": 1})
    for client, method, fields, code, words in (
        (carls, "publish", {"channel": said["channel"], "data": 1}, 103, "permission denied"),
        (carls, "ack", {"channel": f"@{anna}", "offset": 1}, 103, "permission denied"),
        (hers, "dance", {}, 104, "method not found"),
        (hers, "ack", {"channel": said["channel"], "offset": 9}, 107, "bad request: offset"),
        (hers, "send", {"to": ben}, 107, "bad request: data"),
    ):
        with pytest.raises(ReplyError) as caught:
            await asyncio.wait_for(chat(people, client, method, **fields), WAIT_S_MAX)
        assert (caught.value.code, words in str(caught.value)) == (code, True), method
