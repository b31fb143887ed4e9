"""The local page on which a person judges: `GET /` is the page, `/pair` the next pair, and
`POST /verdict` keeps a verdict and gives the next pair.

    {"key": "5f3a…", "question": "…", "answer_1": "…", "answer_2": "…", "judged": 3, "total": 35}
    {"key": "5f3a…", "verdict": "1"}

It listens on loopback alone, and answers no request that another site's page could send.
"""

from __future__ import annotations

import json
from functools import cache
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

from eval.judge.person import Sitting
from stemma.page_policy import page_policy
from stemma.visible import visible

PAGE = Path(__file__).with_name("page.html")
DONE = "All pairs are judged. Thank you. You may close this page and end the server (Ctrl-C)."
MOST_BYTES = 4096
"""Of a request's body: a verdict is short."""
OWN_NAMES = ("127.0.0.1", "localhost")
"""Names of this machine; under another one a foreign site may have led the browser here."""


class PageServer(HTTPServer):
    """The server of one sitting, one request at a time."""

    def __init__(self, sitting: Sitting, port: int = 0) -> None:
        """Listens on `port`, or on one of its own choice if 0; does not answer yet."""
        super().__init__(("127.0.0.1", port), PageHandler)
        self.sitting = sitting

    @property
    def url(self) -> str:
        """The page's address."""
        return f"http://127.0.0.1:{self.server_port}/"


class PageHandler(BaseHTTPRequestHandler):
    """Answers one request."""

    server: PageServer

    def do_GET(self) -> None:
        if not self._is_own():
            return
        if self.path == "/":
            self._send(200, "text/html; charset=utf-8", page().encode())
        elif self.path == "/pair":
            self._send_json(200, as_json(self.server.sitting))
        else:
            self._send(404, "text/plain", b"no such page")

    def do_POST(self) -> None:
        if not self._is_own():
            return
        try:
            given = self._read_json()
            self.server.sitting.record(str(given["key"]), str(given["verdict"]))
        except (ValueError, KeyError, TypeError) as error:
            self._send_json(400, {"problem": str(error)})
        else:
            self._send_json(200, as_json(self.server.sitting))

    def _is_own(self) -> bool:
        """Whether the request is to this machine by its own name; refuses any other."""
        name = (self.headers["Host"] or "").rsplit(":", 1)[0]
        if name not in OWN_NAMES:
            self._send(403, "text/plain", b"this page is for this machine only")
        return name in OWN_NAMES

    def _read_json(self) -> dict[str, Any]:
        """The body's object. JSON alone, which no form of another site can send."""
        length = int(self.headers["Content-Length"] or 0)
        is_json = self.headers["Content-Type"] == "application/json"
        if self.path != "/verdict" or not is_json or not 0 < length <= MOST_BYTES:
            raise ValueError("a verdict is a short JSON object")
        value = json.loads(self.rfile.read(length))
        if not isinstance(value, dict):
            raise TypeError("a verdict is a JSON object")
        return value

    def _send_json(self, status: int, value: dict[str, Any]) -> None:
        self._send(status, "application/json", json.dumps(value).encode())

    def _send(self, status: int, kind: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", f"{policy()}; frame-ancestors 'none'")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Prints nothing: the terminal is for the result."""


@cache
def policy() -> str:
    """The page's policy: its own style and script, and requests to its own server."""
    html = PAGE.read_text(encoding="utf-8")
    style, script = (
        html.split(f"<{name}>")[1].split(f"</{name}>")[0] for name in ("style", "script")
    )
    return page_policy(style, script, "connect-src 'self'")


def page() -> str:
    """The page, with its policy."""
    return PAGE.read_text(encoding="utf-8").replace("{policy}", policy())


def as_json(sitting: Sitting) -> dict[str, Any]:
    """The next pair as the page gets it; without a key when all are judged."""
    pair = sitting.next()
    if pair is None:
        return {"done": DONE}
    return {
        "key": pair.key,
        "question": visible(pair.question),
        "answer_1": visible(pair.answers[0]),
        "answer_2": visible(pair.answers[1]),
        "judged": pair.judged,
        "total": pair.total,
    }
