"""What users react to messages with: kept with these, and shown in histories."""

import json

import pytest
from centrifuge import ReplyError
from harness import TRANSPORT_CLOSED, WAIT_S_MAX, chat, fresh_channel


async def shown(subscription):
    """Each message of a history with what it is reacted to with."""
    past = await subscription.history(limit=100)
    tags = [(pub.offset, (pub.tags or {}).get("reactions")) for pub in past.publications]
    return [(offset, text and json.loads(text)) for offset, text in tags]


async def test_one_reaction_a_user_that_outlives_the_server(server, people):
    channel = fresh_channel("kept")
    gone = [TRANSPORT_CLOSED]
    anna, _ = await people.connected(server.url, "anna", may_meet=gone)
    hers, _ = await people.subscribed(anna, channel)
    ben, _ = await people.connected(server.url, "ben", may_meet=gone)
    his, _ = await people.subscribed(ben, channel)
    for number in (1, 2, 3):
        await chat(people, anna, "publish", channel=channel, data={"number": number})
    for client, offset, value in (
        (anna, 1, "👍"),
        (ben, 1, "no"),
        (ben, 1, "👍"),
        (ben, 3, "no"),
        (anna, 2, "no"),
        (anna, 2, ""),
    ):
        answer = await chat(people, client, "react", channel=channel, offset=offset, value=value)
        assert answer == {}
    both = [{"value": "👍", "count": 2}]
    no = [{"value": "no", "count": 1}]
    assert await shown(hers) == [(1, {"totals": both, "own": "👍"}), (2, None), (3, {"totals": no})]
    await server.kill()
    await server.start_again()
    await his.ready(timeout=WAIT_S_MAX)
    assert (await shown(his))[2] == (3, {"totals": no, "own": "no"})
    listed = await chat(people, ben, "reactions", channel=channel, offsets=[1, 2, 3])
    assert listed["messages"] == [
        {"offset": 1, "totals": both, "own": "👍"},
        {"offset": 3, "totals": no, "own": "no"},
    ]
    await people.leave()


async def test_refusals_of_reactions_name_what_is_wrong(server, people):
    channel = fresh_channel("kept")
    anna, _ = await people.connected(server.url, "anna")
    await people.subscribed(anna, channel)
    outside, _ = await people.connected(server.url, "carl")
    await chat(people, anna, "publish", channel=channel, data={})
    for client, fields, code, words in (
        (anna, {"offset": 9, "value": "👍"}, 107, "bad request: offset"),
        (anna, {"offset": 1, "value": "x" * 33}, 107, "bad request: value"),
        (outside, {"offset": 1, "value": "👍"}, 103, "permission denied"),
    ):
        with pytest.raises(ReplyError) as caught:
            await chat(people, client, "react", channel=channel, **fields)
        assert (caught.value.code, words in str(caught.value)) == (code, True), fields
