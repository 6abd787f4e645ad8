"""A shop's server on an origin of its own, whose pages have the strictest rules and the widget."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from deployments.commands.demo import INBOX


@contextmanager
def strict_shop(desk: str, socket: str, attributes: str = "", *, port: int = 0) -> Iterator[str]:
    """Serve a page; returns its origin, of which no part is the desk's.

    Args:
        desk: origin of the ingress.
        socket: origin of the gateway.
        attributes: more of the tag.
        port: where to listen; 0: anywhere.
    """
    rules = (
        f"default-src 'none'; script-src {desk}; connect-src {desk} {socket}; base-uri 'none'; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    )
    tag = f'<script src="{desk}/widget.js" data-inbox="{INBOX}" {attributes} async></script>'
    body = (
        f"<!doctype html><html lang=en><title>Shop</title><body><main><h1>Shop</h1></main>{tag}</body></html>".encode()
    )

    class Shop(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = self.path != "/favicon.ico"
            self.send_response(200 if found else 204)
            self.send_header("content-type", "text/html; charset=utf-8")
            self.send_header("content-security-policy", rules)
            self.end_headers()
            if found:
                self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    # another host name for the same loopback is another site
    with ThreadingHTTPServer(("127.0.0.1", port), Shop) as server:
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield f"http://localhost:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
