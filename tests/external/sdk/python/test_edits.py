"""A message gets other words: who learns of it, and what becomes of the old ones."""

import asyncio

import pytest
from centrifuge import ReplyError
from harness import TRANSPORT_CLOSED, WAIT_S_MAX, chat, fresh_channel, fresh_user


def words(people, publications):
    return [(one.offset, people.unpack(one.data), one.tags.get("edits")) for one in publications]


async def test_a_reader_recovers_an_edit_across_a_killed_server(server, people):
    channel = fresh_channel("kept")
    gone = [TRANSPORT_CLOSED]
    anna, _ = await people.connected(server.url, "anna", may_meet=gone)
    _, events = await people.subscribed(anna, channel, recoverable=True)
    ben, _ = await people.connected(server.url, "ben", may_meet=gone)
    his, _ = await people.subscribed(ben, channel)
    for number in (1, 2):
        await chat(people, ben, "publish", channel=channel, data={"number": number})
    await events.at_least(2, "publication")
    await anna.disconnect()
    for text in ("first", "last"):
        await chat(people, ben, "edit", channel=channel, offset=1, data={"text": text})
    await server.kill()
    await server.start_again()
    await anna.connect()
    seen = await events.at_least(4, "publication")
    missed = [context.pub for context in seen[2:]]
    assert words(people, missed) == [(3, {"edited": 1}, "1"), (4, {"text": "last"}, "1")]
    await his.ready(timeout=WAIT_S_MAX)
    history = await his.history(limit=100)
    first = history.publications[0]
    assert people.unpack(first.data) == {"text": "last"}
    assert (first.tags["edit_offset"], int(first.tags["edited"]) > 0) == ("4", True)
    await chat(people, ben, "retract", channel=channel, offset=1)
    history = await his.history(limit=100)
    left = [data for _, data, _ in words(people, history.publications)]
    assert left == [
        {"retracted": True}, {"number": 2}, {"edited": 1}, {"edited": 1}, {"retracted": 1}
    ]
    await people.leave()


async def test_a_direct_message_is_edited_by_its_author_alone(server, people):
    anna, ben = fresh_user("anna"), fresh_user("ben")
    hers, _ = await people.connected(server.url, anna)
    said = await chat(people, hers, "send", to=ben, data={"number": 1})
    fields = {"channel": said["channel"], "offset": 1, "data": {"number": 2}, "id": "e-1"}
    answer = await chat(people, hers, "edit", **fields)
    assert (answer["offset"], answer["id"]) == (2, "e-1")
    assert await chat(people, hers, "edit", **fields) == answer, "the same id again"
    his, events = await people.connected(server.url, ben)
    edit = await events.first("publication", lambda context: "edits" in context.pub.tags)
    assert people.unpack(edit.pub.data) == {"number": 2}
    assert (edit.pub.tags["edits"], edit.pub.tags["offset"]) == ("1", "2")
    listed = await chat(people, his, "rooms")
    assert [(one["head"], one["unread"]) for one in listed["rooms"]] == [(2, 1)]
    with pytest.raises(ReplyError) as caught:
        await asyncio.wait_for(chat(people, his, "edit", **fields), WAIT_S_MAX)
    assert caught.value.code == 103
