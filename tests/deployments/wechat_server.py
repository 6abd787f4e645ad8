"""WeChat's API on a local port: a real HTTP server that keeps the vendor's protocol and obeys a script."""

import json
import threading
import time
from collections import deque
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

APP_ID = "wx5823bf96d3bd56c7"
APP_SECRET = "app-secret-that-nobody-may-see"


class WeChatServer:
    """Tokens are valid until `expire`; each call takes the next entry of `script`, and succeeds without one.

    An entry is an error code, or a dict with ``errcode``, ``errmsg``, ``status`` (HTTP), ``body`` (raw
    answer) or ``wait_s`` (late answer; the message was taken).
    """

    def __init__(self) -> None:
        self.script: deque[int | dict[str, Any]] = deque()
        self.token_script: deque[dict[str, Any]] = deque()
        self.taken: list[tuple[str, str]] = []
        self.attempts: list[tuple[str, str]] = []
        self.raw: list[bytes] = []
        self.tokens: list[str] = []
        self.valid = ""
        self.expires_in = 7_200
        self.lock = threading.Lock()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *args: object) -> None:
                """Say nothing."""

            def do_GET(self) -> None:
                self._answer(server.give_token(self._query()))

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                self._answer(server.take(self._query(), body))

            def _query(self) -> dict[str, str]:
                return {name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()}

            def _answer(self, reply: dict[str, Any]) -> None:
                time.sleep(reply.pop("wait_s", 0))
                body = reply.pop("body", None)
                status = reply.pop("status", 200)
                payload = json.dumps(reply).encode() if body is None else body
                self.send_response(status)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(payload)))
                self.end_headers()
                self.wfile.write(payload)

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02})
        self.url = f"http://127.0.0.1:{self._http.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def expire(self) -> None:
        """Let the token that was given last be valid no more."""
        self.valid = ""

    def give_token(self, query: dict[str, str]) -> dict[str, Any]:
        with self.lock:
            if self.token_script:
                return dict(self.token_script.popleft())
            if query.get("grant_type") != "client_credential":
                return {"errcode": 40002, "errmsg": "invalid grant_type"}
            if query.get("appid") != APP_ID:
                return {"errcode": 40013, "errmsg": "invalid appid"}
            if query.get("secret") != APP_SECRET:
                return {"errcode": 40125, "errmsg": f"invalid appsecret {query.get('secret')}"}
            self.valid = f"token-{len(self.tokens) + 1}-that-nobody-may-see"
            self.tokens.append(self.valid)
            return {"access_token": self.valid, "expires_in": self.expires_in}

    def take(self, query: dict[str, str], body: bytes) -> dict[str, Any]:
        with self.lock:
            if not self.valid or query.get("access_token") != self.valid:
                return {"errcode": 40001, "errmsg": f"invalid credential {query.get('access_token')}"}
            self.raw.append(body)
            message = json.loads(body)
            entry = (message["touser"], message["text"]["content"])
            self.attempts.append(entry)
            step = self.script.popleft() if self.script else 0
            reply = {"errcode": step, "errmsg": f"error {step}" if step else "ok"} if isinstance(step, int) else step
            reply = {"errcode": 0, "errmsg": "ok"} | reply
            if reply["errcode"] == 0 and reply.get("status", 200) == 200:
                self.taken.append(entry)
            return reply
