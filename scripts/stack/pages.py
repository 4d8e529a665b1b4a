"""Where the links of messages lead: the runbooks, and the dashboard's questions.

Grafana is in no Debian package, so the dashboard is a page here that asks Prometheus
what the panels of alertmanager/dashboards/ ask it.

Deliberately absent: everything that a page could change.
"""

import argparse
import html
import http.server
import json
import pathlib
import re
import urllib.parse

TOP = pathlib.Path(__file__).resolve().parents[2]
RUNBOOKS = TOP / "alertmanager/runbooks"
DASHBOARDS = TOP / "alertmanager/dashboards"
STYLE = (
    "body{max-width:60em;margin:2em auto;padding:0 1em;font:16px/1.5 sans-serif;color:#222}"
    "pre{background:#f3f3f3;padding:.6em;overflow-x:auto}code{background:#f3f3f3}"
    "h2{margin-top:1.6em}li{margin:.2em 0}table{border-collapse:collapse}"
    "td{border:1px solid #ddd;padding:.2em .6em;vertical-align:top}"
)


def page(title, body):
    return (
        f"<!doctype html><meta charset=utf-8><title>{html.escape(title)}</title>"
        f"<style>{STYLE}</style>{body}"
    )


def inline(text):
    """Code spans and links of one line of Markdown; all else is text."""
    out = []
    for part in re.split(r"(`[^`]+`|\[[^\]]+\]\([^)]+\))", text):
        link = re.fullmatch(r"\[([^\]]+)\]\(([^)]+)\)", part)
        if part.startswith("`") and 1 < len(part):
            out.append(f"<code>{html.escape(part[1:-1])}</code>")
        elif link:
            out.append(f'<a href="{html.escape(link[2])}">{html.escape(link[1])}</a>')
        else:
            out.append(html.escape(part))
    return "".join(out)


def markdown(text):
    """As much of Markdown as runbooks have: headings, paragraphs, lists, tables, code."""
    out, code, paragraph, rows = [], None, [], []

    def flush():
        if paragraph:
            out.append(f"<p>{inline(' '.join(paragraph))}</p>")
            paragraph.clear()
        if rows:
            cells = ["".join(f"<td>{inline(cell)}</td>" for cell in row) for row in rows]
            out.append(f"<table><tr>{'<tr>'.join(cells)}</table>")
            rows.clear()

    for line in text.splitlines():
        if line.startswith("```"):
            flush()
            if code is None:
                code = []
            else:
                out.append(f"<pre>{html.escape(chr(10).join(code))}</pre>")
                code = None
        elif code is not None:
            code.append(line)
        elif heading := re.match(r"(#+) (.*)", line):
            flush()
            level = min(len(heading[1]), 6)
            out.append(f"<h{level}>{inline(heading[2])}</h{level}>")
        elif item := re.match(r"(?:[-*]|\d+\.) (.*)", line):
            flush()
            paragraph.append(f"• {item[1]}")
        elif line.startswith("|"):
            # A bar within a cell is written with a backslash.
            cells = [cell.replace("\\|", "|").strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
            if not all(re.fullmatch(":?-+:?", cell) for cell in cells):
                rows.append(cells)
        elif not line.strip():
            flush()
        else:
            paragraph.append(line.strip())
    flush()
    return "".join(out)


def panels(board):
    """Title and questions of each panel, also of those in rows that are closed."""
    for panel in board.get("panels", []):
        yield from panels(panel)
        questions = [target["expr"] for target in panel.get("targets", []) if "expr" in target]
        if questions:
            yield panel.get("title", ""), questions


def filled(expression, variables):
    """A question of a dashboard, with the values of its variables."""
    value = lambda match: variables.get(match[1] or match[2], ".*")
    return re.sub(r"\$(?:\{(\w+)(?::\w+)?\}|(\w+))", value, expression)


def values(board, link):
    """What a board's variables are, unless its link says otherwise."""
    known = {"__rate_interval": "1m", "__range": "1h"}
    for variable in board.get("templating", {}).get("list", []):
        now = variable.get("current", {}).get("value", "")
        if isinstance(now, str) and now and not now.startswith("$"):
            known[variable["name"]] = now
    return known | {name.removeprefix("var-"): given[0] for name, given in link.items()}


class Pages(http.server.BaseHTTPRequestHandler):
    prometheus = ""

    def do_GET(self):
        place = urllib.parse.urlsplit(self.path)
        variables = urllib.parse.parse_qs(place.query)
        parts = [part for part in place.path.split("/") if part]
        body = None
        if not parts:
            names = sorted(path.name for path in RUNBOOKS.glob("*.md"))
            body = "".join(f'<li><a href="/runbooks/{name}">{name}</a>' for name in names)
            body = page("runbooks", f"<h1>Runbooks</h1><ul>{body}</ul>")
        elif parts[0] == "runbooks" and re.fullmatch(r"\w+\.md", parts[-1]):
            path = RUNBOOKS / parts[-1]
            body = page(path.stem, markdown(path.read_text())) if path.exists() else None
        elif parts[0] == "d" and 1 < len(parts):
            body = self.dashboard(parts[1], variables)
        self.answer(200 if body else 404, body or page("none", "<p>There is no such page."))

    def dashboard(self, uid, variables):
        boards = [json.loads(path.read_text()) for path in sorted(DASHBOARDS.glob("*.json"))]
        board = next((board for board in boards if board.get("uid") == uid), None)
        if board is None:
            return None
        lines = []
        variables = values(board, variables)
        for title, questions in panels(board):
            asked = [filled(question, variables) for question in questions]
            query = urllib.parse.urlencode(
                [
                    pair
                    for number, expression in enumerate(asked)
                    for pair in (
                        (f"g{number}.expr", expression),
                        (f"g{number}.tab", 0),
                        (f"g{number}.range_input", "30m"),
                    )
                ]
            )
            lines.append(f'<li><a href="{self.prometheus}/graph?{html.escape(query)}">{html.escape(title)}</a>')
        title = html.escape(board["title"])
        return page(title, f"<h1>{title}</h1><ul>{''.join(lines)}</ul>")

    def answer(self, status, body):
        data = body.encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_):
        pass


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--prometheus", required=True, help="its address, for links")
    options = parser.parse_args()
    Pages.prometheus = options.prometheus
    http.server.ThreadingHTTPServer(("127.0.0.1", options.port), Pages).serve_forever()


if __name__ == "__main__":
    main()
