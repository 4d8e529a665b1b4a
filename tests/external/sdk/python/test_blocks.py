"""Who is kept out, through `cent` and clients: users, tokens and addresses are closed within a
second and refused until the block ends, and what was answered holds after a kill."""

import asyncio
import json
import random
import time
import urllib.error
import urllib.request

import pytest
import websockets
from cent import (
    AsyncClient,
    BatchRequest,
    BlockUserRequest,
    CentApiResponseError,
    CentTransportError,
    Client,
    InvalidateUserTokensRequest,
    RevokeTokenRequest,
    UnblockUserRequest,
)
from harness import WAIT_S_MAX, api_key, fresh_user, token

KEY = "a key that only the tests of blocks know"

WITHIN_S = 1


@pytest.fixture
def api_keys():
    return [api_key(KEY, ["blocks", "info"])]


@pytest.fixture
def client(server):
    return Client(server.api_url, KEY)


def posted(server, method, **fields):
    """Status and body of a raw call."""
    request = urllib.request.Request(
        f"{server.api_url}/{method}",
        data=json.dumps(fields).encode(),
        headers={"X-API-Key": KEY},
        method="POST",
    )
    try:
        with urllib.request.urlopen(request, timeout=WAIT_S_MAX) as answer:
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


async def connected(server, **claims):
    """A connection with these claims, in a room or not let in at all."""
    line = await websockets.connect(server.url, proxy=None)
    bearer = token(**claims) if claims else ""
    await line.send(json.dumps({"id": 1, "connect": {"token": bearer}}))
    return line


async def is_let_in(line):
    """Whether the first answer is that of a connect; else the close code is kept."""
    try:
        async with asyncio.timeout(WAIT_S_MAX):
            return "connect" in json.loads(await line.recv())
    except websockets.ConnectionClosed:
        return False


async def admitted(server, **claims):
    line = await connected(server, **claims)
    assert await is_let_in(line)
    return line


async def refusal(server, **claims):
    """Code and reason with which somebody is not let in; nothing where they are."""
    line = await connected(server, **claims)
    try:
        return None if await is_let_in(line) else (line.close_code, line.close_reason)
    finally:
        await line.close()


async def closed(line, began):
    """Code and reason of a close, which came in time."""
    async with asyncio.timeout(WAIT_S_MAX):
        await line.wait_closed()
    assert time.monotonic() - began < WITHIN_S, "it was closed late"
    return line.close_code, line.close_reason


BLOCKED = (3503, "blocked")
REVOKED = (3500, "token revoked")


async def test_a_user_is_closed_and_stays_out_until_unblocked(server, client):
    anna, bob = fresh_user("anna"), fresh_user("bob")
    lines = [await admitted(server, sub=anna) for _ in range(6)]
    other = await admitted(server, sub=bob)
    began = time.monotonic()
    await asyncio.to_thread(client.block_user, BlockUserRequest(user=anna))
    for line in lines:
        assert await closed(line, began) == BLOCKED
    assert await refusal(server, sub=anna) == BLOCKED
    assert await refusal(server, sub=bob) is None
    await other.send(json.dumps({"id": 2, "ping": {}}))
    async with asyncio.timeout(WAIT_S_MAX):
        assert json.loads(await other.recv())["id"] == 2
    await asyncio.to_thread(client.unblock_user, UnblockUserRequest(user=anna))
    assert await refusal(server, sub=anna) is None
    metrics = await server.metrics()
    assert 'chat_conn_blocked_total{kind="user"} 7' in metrics
    assert "\nchat_blocks 0\n" in metrics


async def test_a_block_ends_by_itself(server, client):
    anna = fresh_user("anna")
    ends = int(time.time()) + 2
    await asyncio.to_thread(client.block_user, BlockUserRequest(user=anna, expire_at=ends))
    assert await refusal(server, sub=anna) == BLOCKED
    async with asyncio.timeout(WAIT_S_MAX):
        while await refusal(server, sub=anna) is not None:
            assert time.time() < ends + 2
        while "\nchat_blocks 0\n" not in await server.metrics():
            pass


async def test_tokens_are_revoked_by_id_and_by_when_they_were_issued(server, client):
    anna = fresh_user("anna")
    now = int(time.time())
    one = await admitted(server, sub=anna, jti="one", iat=now)
    old = await admitted(server, sub=anna, jti="two", iat=now - 100)
    async with AsyncClient(server.api_url, KEY) as backend:
        began = time.monotonic()
        await backend.revoke_token(RevokeTokenRequest(uid="one", expire_at=now + 3600))
        assert await closed(one, began) == REVOKED
        assert await refusal(server, sub=anna, jti="one", iat=now) == REVOKED
        began = time.monotonic()
        request = InvalidateUserTokensRequest(user=anna, issued_before=now - 50)
        await backend.invalidate_user_tokens(request)
        assert await closed(old, began) == REVOKED
    assert await refusal(server, sub=anna, iat=now - 100) == REVOKED
    assert await refusal(server, sub=anna) == REVOKED, "it does not say when it was issued"
    assert await refusal(server, sub=anna, jti="two", iat=now - 50) is None
    # A refresh shows a token, too.
    line = await admitted(server, sub=anna, iat=now)
    shown = {"id": 2, "refresh": {"token": token(sub=anna, jti="one", iat=now)}}
    began = time.monotonic()
    await line.send(json.dumps(shown))
    assert await closed(line, began) == REVOKED


async def test_a_subscription_ends_with_its_own_token_and_no_other(server, client):
    anna, now = fresh_user("anna"), int(time.time())
    line = await admitted(server, sub=anna, iat=now)

    async def said():
        async with asyncio.timeout(WAIT_S_MAX):
            return json.loads(await line.recv())

    async def shown(jti, **claims):
        channel = f"closed:{anna}-{jti}"
        bearer = token(sub=anna, channel=channel, jti=jti, **claims)
        request = {"id": 2, "subscribe": {"channel": channel, "token": bearer}}
        await line.send(json.dumps(request))
        return channel, await said()

    one, other, old = [
        await shown("of-one", iat=now),
        await shown("of-other", iat=now),
        await shown("of-old", iat=now - 100),
    ]
    assert all("subscribe" in answer for _, answer in [one, other, old])
    began = time.monotonic()
    await asyncio.to_thread(client.revoke_token, RevokeTokenRequest(uid="of-one"))
    end = {"code": 2000, "reason": "token revoked"}
    assert await said() == {"push": {"channel": one[0], "unsubscribe": end}}
    request = InvalidateUserTokensRequest(user=anna, issued_before=now - 50)
    await asyncio.to_thread(client.invalidate_user_tokens, request)
    assert await said() == {"push": {"channel": old[0], "unsubscribe": end}}
    assert time.monotonic() - began < 2 * WITHIN_S, "they ended late"
    _, again = await shown("of-one", iat=now)
    assert again["error"]["code"] == 103


async def test_an_address_is_closed_and_refused_before_it_says_anything(server):
    line = await admitted(server, sub=fresh_user("anna"))
    began = time.monotonic()
    status, answer = await asyncio.to_thread(posted, server, "block_address", address="127.0.0.0/8")
    assert (status, answer) == (200, {"result": {"durable": True}})
    assert await closed(line, began) == BLOCKED
    with pytest.raises(websockets.InvalidStatus) as refused:
        await websockets.connect(server.url, proxy=None)
    assert refused.value.response.status_code == 403
    # Calls of backends are not clients.
    await asyncio.to_thread(posted, server, "unblock_address", address="127.0.0.0/8")
    assert await refusal(server, sub=fresh_user("anna")) is None
    for wrong in ["127.0.0.1/8", "0.0.0.0/0", "everywhere", ""]:
        status, answer = await asyncio.to_thread(posted, server, "block_address", address=wrong)
        assert status == 400 and answer["error"]["message"] == "bad request: address"


async def test_calls_in_a_batch_and_wrong_ones(server, client):
    anna, bob = fresh_user("anna"), fresh_user("bob")
    requests = [BlockUserRequest(user=anna), BlockUserRequest(user=bob), UnblockUserRequest(user=bob)]
    answer = await asyncio.to_thread(client.batch, BatchRequest(requests=requests))
    assert len(answer.replies) == 3
    assert await refusal(server, sub=anna) == BLOCKED
    assert await refusal(server, sub=bob) is None
    over = BlockUserRequest(user=anna, expire_at=int(time.time()) - 1)
    with pytest.raises((CentApiResponseError, CentTransportError)):
        await asyncio.to_thread(client.block_user, over)


async def test_blocks_are_listed_in_pages(server):
    users = [fresh_user("listed") for _ in range(5)]
    for user in users:
        await asyncio.to_thread(posted, server, "block_user", user=user, expire_at=4_000_000_000)
    found, after = [], users[0][:6]
    while after:
        page = {"kind": "user", "limit": 2, "after": after}
        _, answer = await asyncio.to_thread(posted, server, "blocks", **page)
        found += answer["result"]["blocks"]
        after = answer["result"].get("next")
    listed = [{"name": user, "expire_at": 4_000_000_000} for user in sorted(users)]
    assert [one for one in found if one["name"] in users] == listed


async def test_what_was_answered_holds_after_a_kill(server):
    """Several backends block and unblock until the server is killed, again and again."""
    answered, asked = {}, {}
    chance = random.Random(7)
    answers = asyncio.Queue()

    async def backend(name):
        async with AsyncClient(server.api_url, KEY, timeout=WAIT_S_MAX) as calls:
            while True:
                user = f"{name}-{chance.randrange(20)}"
                is_blocked = asked[user] = chance.randrange(3) > 0
                if is_blocked:
                    await calls.block_user(BlockUserRequest(user=user))
                else:
                    await calls.unblock_user(UnblockUserRequest(user=user))
                answered[user] = is_blocked
                answers.put_nowait(user)

    for _ in range(6):
        backends = [asyncio.create_task(backend(f"u{number}")) for number in range(4)]
        async with asyncio.timeout(WAIT_S_MAX):
            for _ in range(40 + chance.randrange(40)):
                await answers.get()
        await server.kill()
        await asyncio.gather(*backends, return_exceptions=True)
        await server.start_again()
        assert answered
        for user, is_blocked in asked.items():
            if answered.get(user) == is_blocked:
                want = BLOCKED if is_blocked else None
                assert await refusal(server, sub=user) == want, user
            else:
                # What was asked last was not answered: either is right.
                asked[user] = await refusal(server, sub=user) == BLOCKED
        answered.update(asked)
