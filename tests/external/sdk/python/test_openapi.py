"""The document of the server API (OpenAPI) against the live server: by schemathesis, which sends
what the document allows and what it does not, and by answers that have something in them.

Bodies are drawn from a seed: each run sends the same.
"""

import asyncio
import copy
import http.client
import json
import pathlib
import sys
import urllib.error
import urllib.parse
import urllib.request

import jsonschema_rs
import pytest
from harness import TOP, WAIT_S_MAX, api_key, fresh_channel, fresh_user

KEY = "a key that only the tests of the document know"
POOR_KEY = "a key that may do little"

SCOPES = [
    "publish", "presence", "history", "history_remove", "info", "channels", "connections", "blocks",
    "chat", "dead_letters", "quarantine", "drain",
]  # fmt: skip

HOOKS = pathlib.Path(__file__).with_name("openapi_hooks.py")

RUN_S_MAX = 300


@pytest.fixture
def api_keys():
    return [api_key(KEY, SCOPES), api_key(POOR_KEY, ["info"], channels=[], name="poor")]


@pytest.fixture
def has_feed():
    return True


def asked(server, path, key=KEY, method="GET", body=None):
    """Status, headers and body of a raw request."""
    request = urllib.request.Request(
        f"{server.api_url}/{path}", data=body, headers={"X-API-Key": key}, method=method
    )
    try:
        with urllib.request.urlopen(request, timeout=WAIT_S_MAX) as answer:
            return answer.status, answer.headers, answer.read()
    except urllib.error.HTTPError as error:
        return error.code, error.headers, error.read()


def document_of(server):
    status, headers, text = asked(server, "openapi.json")
    assert (status, headers["Content-Type"]) == (200, "application/json")
    return json.loads(text)


def close_objects(schema):
    """Nothing is in an answer but what its schema names."""
    if isinstance(schema, list):
        for one in schema:
            close_objects(one)
    elif isinstance(schema, dict):
        if schema.get("type") == "object":
            schema.setdefault("additionalProperties", False)
        for one in schema.values():
            close_objects(one)


def strict(document):
    """The document, which in these tests says all that may be answered."""
    document = copy.deepcopy(document)
    for name, schema in document["components"]["schemas"].items():
        if not name.endswith("Request"):
            close_objects(schema)
    close_objects(document["components"]["responses"])
    for path in document["paths"].values():
        if "post" in path:
            close_objects(path["post"]["responses"])
    return document


async def test_the_server_does_what_the_document_says_and_nothing_else(server, tmp_path):
    document = tmp_path / "openapi.json"
    document.write_text(json.dumps(strict(document_of(server))))
    (tmp_path / "schemathesis.toml").write_text(f'hooks = "{HOOKS}"\n')
    command = [sys.executable, "-m", "schemathesis.cli"]
    process = await asyncio.create_subprocess_exec(
        *command,
        "--config-file", str(tmp_path / "schemathesis.toml"),
        "run", str(document),
        "--url", server.api_url.removesuffix("/api"),
        "--header", f"X-API-Key: {KEY}",
        "--phases", "examples,coverage,fuzzing",
        "--checks", "all",
        "--seed", "1",
        "--max-examples", "40",
        "--generation-database", "none",
        "--continue-on-failure",
        "--no-color",
        cwd=tmp_path,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    async with asyncio.timeout(RUN_S_MAX):
        told, _ = await process.communicate()
    assert process.returncode == 0, told.decode()
    assert server.process.returncode is None


@pytest.fixture
def checked(server):
    """Calls of which each answer is held against its schema."""
    document = strict(document_of(server))

    def call(method, **fields):
        status, _, body = asked(server, method, method="POST", body=json.dumps(fields).encode())
        answer = json.loads(body)
        responses = document["paths"][f"/api/{method}"]["post"]["responses"]
        told = responses["200"]["content"]["application/json"]["schema"]
        schema = told | {"components": document["components"]}
        jsonschema_rs.Draft202012Validator(schema).validate(answer)
        assert status == 200, answer
        return answer

    return call


async def test_answers_with_something_in_them_are_as_the_document_says(server, people, checked):
    name, channel = fresh_user("anna"), fresh_channel()
    client, _ = await people.connected(server.url, name)
    room, _ = await people.subscribed(client, channel)
    await room.publish(people.pack({"said": "by a client"}))
    call = lambda method, **fields: asyncio.to_thread(checked, method, **fields)  # noqa: E731

    published = await call("publish", channel=channel, data=None, tags={"a": "b"})
    assert published["result"]["offset"] == 2
    await call("publish", channel=channel, b64data="AAEC", idempotency_key="k")
    told = await call("broadcast", channels=[channel, "nowhere:1", "dm#a,b"], data={})
    assert ["error" in one for one in told["result"]["responses"]] == [False, True, True]
    history = await call("history", channel=channel, limit=-1, reverse=True)
    assert [one["offset"] for one in history["result"]["publications"]] == [4, 3, 2, 1]
    assert history["result"]["publications"][-1]["info"]["user"] == name
    presence = await call("presence", channel=channel)
    assert len(presence["result"]["presence"]) == 1
    await call("presence_stats", channel=channel)
    assert channel in (await call("channels", pattern=channel))["result"]["channels"]
    connections = await call("connections", user=name)
    assert len(connections["result"]["connections"]) == 1
    assert (await call("info"))["result"]["nodes"][0]["num_clients"] == 1
    batch = await call(
        "batch",
        commands=[
            {"publish": {"channel": channel, "data": 1}},
            {"publish": {"channel": channel}},
            {"history": {"channel": channel, "limit": 10}},
            {"presence": {"channel": channel}},
            {"connections": {"user": name}},
            {"nonsense": {}},
            {"unsubscribe": {"user": name, "channel": channel}},
            {"subscribe": {"user": name, "channel": channel, "info": {"a": 1}}},
            {"refresh": {"user": name, "expire_at": 4_000_000_000}},
            {"block_user": {"user": fresh_user("bob")}},
            {"blocks": {"kind": "user"}},
            {"disconnect": {"user": fresh_user("bob")}},
        ],
    )
    errors = [one.get("error", {}).get("code") for one in batch["replies"]]
    assert errors == [None, 107, None, None, None, 104, None, None, None, None, None, None]
    assert (await call("blocks", kind="user", limit=1))["result"]["next"]
    refused = await call("presence", channel="closed:1")
    assert refused == {"result": {"presence": {}}}
    assert (await call("publish", channel="nowhere:1", data=1))["error"]["code"] == 102

    bob = fresh_user("bob")
    as_user = lambda method, **fields: call(f"v1/chat.{method}", user=name, **fields)  # noqa: E731
    sent = await as_user("send", to=bob, data={"a": [1]}, id="k", ttl_s=60, sent_at_ms=1)
    place = {"channel": sent["result"]["channel"], "offset": 1}
    for method, fields in [("edit", {"data": 2}), ("react", {"value": "a"}), ("read", {}), ("ack", {})]:
        await as_user(method, **place, **fields)
    for method in ["rooms", "receipts"]:
        [_] = (await as_user(method, channel=place["channel"], limit=1))["result"][method]
    await as_user("typing", channel=place["channel"])
    own = (await as_user("reactions", channel=place["channel"], offsets=[1]))["result"]["messages"]
    assert own[0]["own"] == "a"
    since = {"channel": place["channel"], "offset": 1, "epoch": sent["result"]["epoch"]}
    past = await as_user("history", channels=[since, channel, "closed:1"], limit=1, reverse=None)
    assert [sorted(one) for one in past["result"]["channels"]][2] == ["channel", "error"]
    there = (await as_user("members", channel=channel, limit=1, after=None))["result"]
    assert len(there["members"]) == 1
    await as_user("retract", **place, as_moderator=None)
    assert (await as_user("publish", channel="closed:1", data=1))["result"]["offset"] == 0
    assert (await as_user("read", **(place | {"offset": 9})))["error"]["code"] == 107
    told = await call("batch", commands=[{"chat.rooms": {"user": bob}}, {"chat.rooms": {}}])
    assert told["replies"][0]["chat.rooms"]["rooms"][0]["head"] == 3

    found = (await call("v1/connections.list", user=name))["result"]
    assert (found["connections"][0]["address"], "next" in found) == ("127.0.0.1", False)
    found = (await call("v1/connections.list", user=name, limit=1))["result"]
    assert found["next"] == found["connections"][0]["client"]
    found = (await call("v1/rooms.top", by="messages_per_min", limit=1))["result"]
    assert found["next"]["channel"] == found["rooms"][0]["channel"]
    await call("v1/rooms.top", after=found["next"])
    told = await call("batch", commands=[{"rooms.top": {}}, {"connections.list": {"user": name}}])
    assert ["rooms.top", "connections.list"] == [next(iter(one)) for one in told["replies"]]

    assert (await call("v1/dead_letters.list", limit=1))["result"] == {"dead_letters": []}
    changed = (await call("v1/dead_letters.requeue", channel="dm#nobody,other"))["result"]
    assert changed == {"count": 0, "empty": 0, "more": False}
    kind = {"prefix": "~nobody~python"}
    await call("v1/quarantine.set", hold_s=60, **kind)
    [kept_out] = (await call("v1/quarantine.list"))["result"]["prefixes"]
    assert (kept_out["prefix"], kept_out["by"]) == ("~nobody~python", "operator")
    await call("v1/quarantine.lift", **kind)
    assert (await call("v1/drain.status"))["result"]["state"] == "ready"

    await people.subscribed(client, "told:1")
    [user] = (await call("v1/presence_state", of="users", limit=1))["result"]["users"]
    assert (user["user"], user["channels"]) == (name, ["told:1"])
    [channel] = (await call("v1/presence_state", of="channels", after=None))["result"]["channels"]
    assert channel["channel"] == "told:1"


async def test_any_key_reads_the_document_and_nobody_else(server):
    def ask():
        there = (TOP / "docs/openapi.json").read_bytes()
        for key in [KEY, POOR_KEY]:
            assert asked(server, "openapi.json", key)[2] == there
        status, headers, told = asked(server, "openapi.json", "a wrong key")
        assert (status, headers["Connection"]) == (401, "close")
        assert b"openapi" not in told
        assert asked(server, f"openapi.json?api_key={urllib.parse.quote(KEY)}")[0] == 401

    await asyncio.to_thread(ask)
    metrics = await server.metrics()
    assert 'chat_api_requests_total{method="info",outcome="done"} 2' in metrics
    assert 'chat_api_requests_total{method="info",outcome="unauthorized"} 2' in metrics


async def test_who_asks_by_another_way_keeps_no_connection(server):
    """Neither of these needs a key, so neither may hold a place of those who have one."""

    def ask(method, path):
        line = http.client.HTTPConnection("127.0.0.1", server.api_port, timeout=WAIT_S_MAX)
        line.request(method, path)
        answer = line.getresponse()
        answer.read()
        line.close()
        return answer.status, answer.headers["Allow"], answer.headers["Connection"]

    for method, path, want in [
        ("GET", "/api/publish", (405, "POST", "close")),
        ("DELETE", "/api/publish", (405, "POST", "close")),
        ("POST", "/api/openapi.json", (405, "GET, HEAD", "close")),
        ("POST", "/api/%ff", (401, None, "close")),
        ("POST", "/api/", (404, None, "close")),
        ("GET", "/openapi.json", (404, None, "close")),
    ]:
        assert await asyncio.to_thread(ask, method, path) == want, (method, path)
