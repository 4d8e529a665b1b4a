"""What was said in several channels, asked in one call."""

from harness import chat, fresh_channel, fresh_user


async def test_each_channel_answers_for_itself(server, people):
    anna, _ = await people.connected(server.url, fresh_user("anna"))
    channels = [fresh_channel(name) for name in ("kept", "room", "kept", "room")]
    for channel in channels:
        await people.subscribed(anna, channel)
        for number in (1, 2):
            await chat(people, anna, "publish", channel=channel, data={"number": number})
    answer = await chat(people, anna, "history", channels=[*channels, "none:1"], reverse=True)
    pages = answer["channels"]
    assert [page["channel"] for page in pages] == [*channels, "none:1"]
    for page in pages[:4]:
        assert [one["data"]["number"] for one in page["publications"]] == [2, 1]
        assert page["offset"] == 2
    assert pages[4]["error"] == {"code": 102, "message": "unknown channel"}
    place = {"channel": channels[0], "offset": 1, "epoch": pages[0]["epoch"]}
    answer = await chat(people, anna, "history", channels=[place])
    (page,) = answer["channels"]
    assert [one["offset"] for one in page["publications"]] == [2]
