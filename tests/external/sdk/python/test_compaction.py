"""Channels that pushes call by a number, which the SDK asks for with each subscribe."""

from harness import Proxy, fresh_channel


async def numbers(people, events, count):
    publications = await events.at_least(count, "publication")
    return [people.unpack(event.pub.data)["number"] for event in publications]


async def test_each_channel_hears_its_own_also_after_a_lost_connection(server, people):
    channels = [fresh_channel("compact"), fresh_channel("compact")]
    async with Proxy(server.port) as proxy:
        anna, _ = await people.connected(proxy.url, "anna")
        ben, _ = await people.connected(server.url, "ben")
        hers = [
            await people.subscribed(anna, channel, recoverable=True, join_leave=True)
            for channel in channels
        ]
        his = [(await people.subscribed(ben, channel))[0] for channel in channels]
        for index, subscription in enumerate(his):
            await subscription.publish(people.pack({"number": 10 * index + 1}))
        for index, (_, events) in enumerate(hers):
            assert await numbers(people, events, 1) == [10 * index + 1]
            joined = [event.info.user for event in await events.at_least(2, "join")]
            assert joined == ["anna", "ben"]
        proxy.cut()
        for _, events in hers:
            await events.at_least(2, "subscribing")
        for index, subscription in enumerate(his):
            await subscription.publish(people.pack({"number": 10 * index + 2}))
        for _, events in hers:
            _, again = await events.at_least(2, "subscribed")
            assert again.recovered
        for index, subscription in enumerate(his):
            await subscription.publish(people.pack({"number": 10 * index + 3}))
        for index, (_, events) in enumerate(hers):
            first = 10 * index
            assert await numbers(people, events, 3) == [first + 1, first + 2, first + 3]
        await people.leave()
