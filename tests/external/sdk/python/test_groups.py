"""Groups: members that outlive their connections and the server, and alone are in."""

import pytest
from centrifuge import ReplyError
from harness import TRANSPORT_CLOSED, WAIT_S_MAX, chat, fresh_channel


async def roster(people, client, channel):
    """The members with their roles."""
    listed = await chat(people, client, "roster", channel=channel)
    return [(one["user"], one["role"]) for one in listed["members"]]


async def test_an_answered_join_outlives_the_server(server, people):
    channel = fresh_channel("group")
    gone = [TRANSPORT_CLOSED]
    anna, _ = await people.connected(server.url, "anna", may_meet=gone)
    ben, _ = await people.connected(server.url, "ben", may_meet=gone)
    for client in (anna, ben):
        assert await chat(people, client, "join", channel=channel) == {}
    await server.kill()
    await server.start_again()
    await anna.ready(timeout=WAIT_S_MAX)
    await ben.ready(timeout=WAIT_S_MAX)
    assert await roster(people, ben, channel) == [("anna", "owner"), ("ben", "member")]
    hers, _ = await people.subscribed(anna, channel)
    await chat(people, anna, "publish", channel=channel, data={"number": 1})
    rooms = (await chat(people, ben, "rooms"))["rooms"]
    assert [(room["channel"], room["role"], room["unread"]) for room in rooms] == [
        (channel, "member", 1)
    ]
    his, events = await people.subscribed(ben, channel)
    past = await his.history(limit=10)
    assert [(pub.tags or {}).get("group_member") for pub in past.publications] == [
        "anna",
        "ben",
        None,
    ]
    await chat(people, anna, "kick", channel=channel, member="ben")
    unsubscribed = await events.first("unsubscribed")
    assert unsubscribed.code == 2000
    assert (await chat(people, ben, "rooms"))["rooms"] == []
    await people.leave()


async def test_who_is_not_invited_does_not_join(server, people):
    channel = fresh_channel("club")
    anna, _ = await people.connected(server.url, "anna")
    ben, _ = await people.connected(server.url, "ben")
    await chat(people, anna, "join", channel=channel)
    with pytest.raises(ReplyError) as refused:
        await chat(people, ben, "join", channel=channel)
    assert refused.value.code == 103
    await chat(people, anna, "invite", channel=channel, member="ben")
    assert await roster(people, anna, channel) == [("anna", "owner"), ("ben", "invited")]
    await chat(people, ben, "join", channel=channel)
    await people.subscribed(ben, channel)
    await chat(people, ben, "leave", channel=channel)
    assert await roster(people, anna, channel) == [("anna", "owner")]
    await people.leave()
