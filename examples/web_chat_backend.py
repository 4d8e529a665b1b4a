#!/usr/bin/env python3
"""A backend for the web chat, with nothing but Python: who signs in, tokens, and the pages.

    make web
    examples/web_chat_backend.py --secret SECRET [--server ws://127.0.0.1:8000/connection/websocket]

SECRET is that of a key in the server's configuration (`auth.keys`, HS256), and `ws.origins` has
to name where this listens. Then http://127.0.0.1:8080/ is the chat.

Whoever signs in is in a dictionary here, and files are in memory; an application has its own. What matters for others to
copy is `token`: the session's cookie says who asks, and the token says it to rookery.

Deliberately absent: TLS, passwords worth the name, and limits on who guesses.
"""

import argparse
import base64
import hashlib
import hmac
import http.cookies
import http.server
import json
import pathlib
import secrets
import time
import urllib.parse

DIST = pathlib.Path(__file__).resolve().parents[1] / "web/dist"
PEOPLE = {"anna": "anna", "ben": "ben"}
TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8",
         ".css": "text/css; charset=utf-8", ".svg": "image/svg+xml"}
BODY_BYTES_MAX = 4 << 10
FILE_BYTES_MAX = 10 << 20
LOGIN = """<!doctype html><html lang="en"><meta charset="utf-8"><title>Sign in</title>
<link rel="icon" href="/icon.svg">
<h1>Sign in</h1><form method="post" action="/login">
<p><label>Name <input name="name"></label> <label>Password <input name="password" type="password"></label>
<button>Sign in</button></form></html>"""


def token(user, secret, lives_s):
    """What rookery believes: a JWT that names the user and ends soon."""

    def part(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=")

    body = part({"alg": "HS256", "typ": "JWT"}) + b"." + part(
        {"sub": user, "exp": int(time.time()) + lives_s, "info": {"name": user.capitalize()}})
    signature = hmac.new(secret.encode(), body, hashlib.sha256).digest()
    return (body + b"." + base64.urlsafe_b64encode(signature).rstrip(b"=")).decode()


class Backend(http.server.BaseHTTPRequestHandler):
    # By the cookie's value, which nobody guesses.
    sessions = {}
    # Places that were promised, by path, and what was put there.
    places = {}
    files = {}
    options = None

    def session(self):
        cookies = http.cookies.SimpleCookie(self.headers.get("cookie", ""))
        return cookies["session"].value if "session" in cookies else None

    def user(self):
        return self.sessions.get(self.session())

    def answer(self, status, body=b"", content_type="text/plain; charset=utf-8", **headers):
        self.send_response(status)
        server = urllib.parse.urlsplit(self.options.server)
        policy = ("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
                  f"connect-src 'self' {server.scheme}://{server.netloc}; base-uri 'none'; "
                  "form-action 'self'; frame-ancestors 'none'")
        headers = {"Content-Type": content_type, "Content-Length": str(len(body)),
                   "Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff",
                   **{name.replace("_", "-"): value for name, value in headers.items()}}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def answer_json(self, value):
        self.answer(200, json.dumps(value).encode(), "application/json", Cache_Control="no-store")

    def do_GET(self):
        path = urllib.parse.urlsplit(self.path).path
        if path == "/login":
            self.answer(200, LOGIN.encode(), TYPES[".html"])
        elif path == "/config.json":
            self.answer_json({"server": self.options.server, "token_url": "chat/token",
                              "login_url": "login", "logout_url": "logout",
                              "upload_url": "chat/upload"})
        elif path.startswith("/files/"):
            self.kept(path)
        else:
            self.file(path)

    def file(self, path):
        # Only what is there by this name: a path that climbs out of the folder finds nothing.
        built = {f"/{file.relative_to(DIST).as_posix()}": file
                 for file in DIST.rglob("*") if file.suffix in TYPES}
        file = built.get("/index.html" if path == "/" else path)
        if file is None:
            self.answer(404)
        else:
            self.answer(200, file.read_bytes(), TYPES[file.suffix])

    def kept(self, path):
        # Whatever it is, it is never a page of this origin.
        body = self.files.get(path)
        if self.user() is None or body is None:
            return self.answer(404)
        return self.answer(200, body, "application/octet-stream", Content_Disposition="attachment")

    def place(self, wanted):
        """Where a file can be put: an address that is good once, and for so many bytes."""
        bytes_count = wanted.get("bytes") if isinstance(wanted, dict) else None
        if not isinstance(bytes_count, int) or not 0 < bytes_count <= FILE_BYTES_MAX:
            return self.answer(400, b"bytes\n")
        path = f"/files/{secrets.token_urlsafe(24)}"
        self.places[path] = bytes_count
        return self.answer_json({"put_url": path, "url": path})

    def do_PUT(self):
        bytes_count = self.places.pop(self.path, None)
        if bytes_count is None or self.headers.get("content-length") != str(bytes_count):
            return self.answer(403)
        self.files[self.path] = self.rfile.read(bytes_count)
        return self.answer(204)

    def do_POST(self):
        # A page of another origin that sends this user's cookie is told nothing, and does nothing.
        origin = self.headers.get("origin")
        if origin is not None and urllib.parse.urlsplit(origin).netloc != self.headers.get("host"):
            return self.answer(403)
        length = int(self.headers.get("content-length", 0))
        if length > BODY_BYTES_MAX:
            return self.answer(413)
        body = self.rfile.read(length)
        if self.path == "/chat/token":
            if self.user() is None:
                return self.answer(401)
            return self.answer_json({"token": token(self.user(), self.options.secret, self.options.lives_s)})
        if self.path == "/chat/upload":
            return self.answer(401) if self.user() is None else self.place(json.loads(body))
        if self.path == "/login":
            return self.login(urllib.parse.parse_qs(body.decode(errors="replace")))
        if self.path == "/logout":
            self.sessions.pop(self.session(), None)
            return self.answer(204)
        return self.answer(404)

    def login(self, fields):
        name, password = (fields.get(field, [""])[0] for field in ("name", "password"))
        if not hmac.compare_digest(PEOPLE.get(name, "").encode(), password.encode()) or not name:
            return self.answer(403, b"wrong name or password\n")
        session = secrets.token_urlsafe(32)
        self.sessions[session] = name
        cookie = f"session={session}; HttpOnly; SameSite=Strict; Path=/"
        return self.answer(303, Location="/", Set_Cookie=cookie)

    def log_message(self, *_):
        pass


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--secret", required=True, help="of the key that the server knows")
    parser.add_argument("--server", default="ws://127.0.0.1:8000/connection/websocket")
    parser.add_argument("--port", type=int, default=8080)
    parser.add_argument("--lives-s", type=int, default=600, help="how long a token lives")
    Backend.options = parser.parse_args()
    listener = http.server.ThreadingHTTPServer(("127.0.0.1", Backend.options.port), Backend)
    print(f"the chat is at http://127.0.0.1:{listener.server_port}/", flush=True)
    listener.serve_forever()


if __name__ == "__main__":
    main()
