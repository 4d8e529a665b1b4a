"""Runbooks: one for each alert, and nothing in them that this product does not have.
Whoever reads one at three in the morning types what stands there."""

import functools
import re
import shlex

import pytest

import harness
import test_rules
from harness import BINARY, HOME, TOP, run

FOLDER = HOME / "runbooks"
PAGES = sorted(path for path in FOLDER.glob("*.md") if path.name != "README.md")
ALL = [*PAGES, FOLDER / "README.md"]
HEADINGS = ["Meaning", "Impact", "Diagnosis", "Mitigation"]

# Pages of the admin listener, and what each can be asked (src/admin).
DEBUG = {
    "/debug/snapshot": {"layer", "kind", "since_unix_ms", "n"},
    "/debug/conns": {"sort", "n"},
    "/debug/tasks": set(),
    "/debug/profile": {"seconds", "type"},
    "/debug/quarantine": {"prefix", "seconds"},
}
VALUES = {
    "layer": {"connection", "reachability", "latency", "core", "store"},
    "sort": {"age", "pending", "tasks"},
    "type": {"cpu", "heap"},
}


def ids(path):
    return path.stem


def test_each_alert_has_its_page_and_each_page_its_alert():
    assert [path.stem for path in PAGES] == harness.alert_names()


@pytest.mark.parametrize("path", PAGES, ids=ids)
def test_a_page_has_its_parts(path):
    text = path.read_text()
    assert text.startswith(f"# {path.stem}\n\n## Meaning\n")
    assert re.findall(r"^## (.*)$", text, re.MULTILINE) == HEADINGS
    parts = re.split(r"^## .*$", text, flags=re.MULTILINE)[1:]
    for heading, part in zip(HEADINGS, parts):
        assert part.strip(), heading
    assert "```sh" in parts[2], "a diagnosis has commands"


def test_no_two_pages_say_the_same():
    seen = {}
    for path in PAGES:
        for part in path.read_text().split("\n\n"):
            if len(part) > 200 and not part.startswith("```"):
                assert part not in seen, f"{path.stem} and {seen[part]}"
                seen[part] = path.stem


@pytest.mark.parametrize("path", ALL, ids=ids)
def test_links_lead_somewhere(path):
    for link in re.findall(r"\]\(([^)#]+)\)", path.read_text()):
        assert link.startswith("http") or (path.parent / link).exists(), link


def commands(text):
    """Lines that are typed: of blocks, and in the text between backticks."""
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    return lines + re.findall(r"`([^`]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


@functools.cache
def help_of(*subcommand):
    code, said = run(BINARY, *subcommand, "--help")
    return said if code == 0 else None


@pytest.mark.parametrize("path", ALL, ids=ids)
def test_commands_of_ours_exist(path):
    for line in commands(path.read_text()):
        for call in re.findall(r"(?<![\w/.-])rookery ([a-z].*)", line):
            check_call(re.split(r"[|;&#)]", " ".join(call.split()))[0])


def check_call(call):
    words = shlex.split(call)
    subcommand = []
    for word in words:
        if word.startswith("-") or help_of(*subcommand, word) is None:
            break
        if word.isupper() or not re.search(rf"^  {re.escape(word)}\b", help_of(*subcommand) or "", re.M):
            break
        subcommand.append(word)
    assert subcommand, f"rookery {call}: there is no such command"
    said = help_of(*subcommand)
    takes_more = "Commands:" in said
    assert not takes_more or words == subcommand, f"rookery {call}: which?"
    for flag in (word.split("=")[0] for word in words if word.startswith("--")):
        assert flag in said, f"rookery {call}: no {flag}"


@pytest.mark.parametrize("path", ALL, ids=ids)
def test_pages_of_the_admin_listener_exist(path):
    for page, query in re.findall(r"(/debug/\w+)[^\s\"`?]*\??([^\s\"`]*)", path.read_text()):
        assert page in DEBUG, page
        for part in filter(None, query.replace("\\|", "|").split("&")):
            name, _, value = part.partition("=")
            assert name in DEBUG[page], f"{page} has no {name}"
            for word in value.split("|") if name in VALUES and value else ():
                assert word in VALUES[name], f"{page}: {name}={word}"


@pytest.mark.parametrize("path", PAGES, ids=ids)
def test_every_page_below_debug_is_asked_with_the_token(path):
    for line in commands(path.read_text()):
        if "curl" in line and "/debug/" in line:
            assert '-H "$T"' in line, line


@pytest.mark.parametrize("path", ALL, ids=ids)
def test_expressions_ask_for_what_is_there(path):
    for line in commands(path.read_text()):
        for quoted, bare in re.findall(r"\bnow (?:'([^']+)'|([a-z_][\w:]*))", line):
            for selector in harness.selectors(quoted or bare):
                mistakes = list(test_rules.unknown(selector, ALSO))
                assert not mistakes, mistakes


# What Prometheus and the bridge show besides what rules ask for.
ALSO = {
    "ALERTS",
    "scrape_series_added",
    "prometheus_notifications_alertmanagers_discovered",
    "prometheus_notifications_queue_length",
    "chatalert_queue_depth",
    "chat_probe_duration_seconds",
    "chat_probe_rounds_total",
}


@pytest.mark.parametrize("path", ALL, ids=ids)
def test_settings_exist(path):
    page = (TOP / "docs/CONFIG.md").read_text()
    sections = set(re.findall(r"^## \[(\w+)\]", page, re.MULTILINE))
    for section, name in re.findall(r"`([a-z]+)\.([a-z_]+)(?: = [^`]*)?`", path.read_text()):
        if section in sections:
            part = page.split(f"## [{section}]")[1].split("\n## ")[0]
            assert f"| `{name}`" in part, f"{section}.{name}"


@pytest.mark.parametrize("path", ALL, ids=ids)
def test_scripts_and_pages_of_the_repository_exist(path):
    text = path.read_text()
    for name in re.findall(r"\b((?:tuning|docs)/[\w/-]+\.(?:sh|md))", text):
        assert (TOP / name).exists(), name
    for name in re.findall(r"docs/OPERATING\.md, ([A-Z][\w' ]+?)[.;|)]", text):
        assert f"# {name.strip()}\n" in (TOP / "docs/OPERATING.md").read_text() or (
            f"**{name.strip()}" in (TOP / "docs/OPERATING.md").read_text()
        ), name
