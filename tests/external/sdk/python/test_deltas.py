"""Publications as differences to the one before, in both encodings."""

from centrifuge import DeltaType
from harness import Proxy, fresh_channel

TEXT = "the same again, " * 30


def message(number):
    return {"number": number, "text": TEXT}


async def test_differences_become_what_was_said(people, server):
    channel = fresh_channel("deltas")
    anna, _ = await people.connected(server.url, "anna")
    _, heard = await people.subscribed(anna, channel, delta=DeltaType.FOSSIL)
    ben, _ = await people.connected(server.url, "ben")
    room, plain = await people.subscribed(ben, channel)
    for number in range(4):
        await room.publish(people.pack(message(number)))
    publications = [event.pub for event in await heard.at_least(4, "publication")]
    assert [people.unpack(one.data) for one in publications] == [message(n) for n in range(4)]
    assert [one.delta for one in publications] == [False, True, True, True]
    publications = [event.pub for event in await plain.at_least(4, "publication")]
    assert [people.unpack(one.data) for one in publications] == [message(n) for n in range(4)]
    # Who comes has no base, so the next one is whole for all on the same core. On which core a
    # connection is, the kernel says: anna may be on another one than carl, and is not disturbed.
    carl, _ = await people.connected(server.url, "carl")
    _, late = await people.subscribed(carl, channel, delta=DeltaType.FOSSIL)
    for number in range(4, 6):
        await room.publish(people.pack(message(number)))
    publications = [event.pub for event in await late.at_least(2, "publication")]
    assert [one.delta for one in publications] == [False, True]
    assert [people.unpack(one.data) for one in publications] == [message(4), message(5)]
    publications = [event.pub for event in await heard.at_least(6, "publication")][-2:]
    assert publications[1].delta
    assert [people.unpack(one.data) for one in publications] == [message(4), message(5)]
    await people.leave()


async def test_what_was_missed_is_the_base_of_what_comes(people, server):
    channel = fresh_channel("deltas")
    ben, _ = await people.connected(server.url, "ben")
    said, _ = await people.subscribed(ben, channel)
    async with Proxy(server.port) as proxy:
        anna, _ = await people.connected(proxy.url, "anna")
        _, heard = await people.subscribed(anna, channel, delta=DeltaType.FOSSIL, recoverable=True)
        await said.publish(people.pack(message(0)))
        await heard.at_least(1, "publication")
        proxy.cut()
        await heard.at_least(2, "subscribing")
        await said.publish(people.pack(message(1)))
        await said.publish(people.pack(message(2)))
        _, again = await heard.at_least(2, "subscribed")
        assert again.recovered
        for number in range(3, 5):
            await said.publish(people.pack(message(number)))
        publications = [event.pub for event in await heard.at_least(5, "publication")]
        assert [people.unpack(one.data) for one in publications] == [message(n) for n in range(5)]
        assert [one.delta for one in publications] == [False, False, False, False, True]
        await people.leave()


async def test_where_there_are_none_nothing_changes(people, server):
    channel = fresh_channel("room")
    anna, _ = await people.connected(server.url, "anna")
    room, heard = await people.subscribed(anna, channel, delta=DeltaType.FOSSIL)
    for number in range(2):
        await room.publish(people.pack(message(number)))
    publications = [event.pub for event in await heard.at_least(2, "publication")]
    assert [people.unpack(one.data) for one in publications] == [message(0), message(1)]
    assert not any(one.delta for one in publications)
    await people.leave()
