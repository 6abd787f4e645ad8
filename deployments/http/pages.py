"""The pages, out of ``deployments/web/``: the desk, the demo shop, and the widget that shops put on their own pages.

What a browser may do with them is said with each file, and is as little as they need: scripts, styles and pictures
from here alone, sockets to our gateways, no text that becomes markup (Trusted Types), no frame around a page. Only
the widget is open to pages of other origins. A file is revalidated by its ETag at each use, so that all modules of a
page are always of one version; it is read again when it has changed. Comments that take whole lines stay here: they
are a quarter of what a visitor's phone would load; and all modules of the widget come in one file.
"""

import gzip
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from urllib.parse import urlsplit

from fastapi import APIRouter
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from cluster.gateways import gateway_url
from cluster.settings import Settings
from deployments.http.bundle import join_modules
from deployments.http.demo_shop import has_demo_shop

WEB_FOLDER = Path(__file__).parent.parent / "web"
PAGES = ("desk", "board", "settings")
"""Folders with an ``index.html``; one that is not there is not found."""
DEMO = "demo"
"""The same, where the demo account runs."""
_OPEN = ("widget", "shared")
"""Modules of the widget, and what it shares with our pages: loaded by pages of any origin."""
_WIDGET = "widget.js"
BUNDLES = {"widget/all.js": "widget/element.js", "widget/files.js": "widget/files.js"}
"""Files that are made: a module and all that it imports, in one. The second is loaded by an open chat."""
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml; charset=utf-8",
    ".json": "application/json",
    ".png": "image/png",
    ".woff2": "font/woff2",
}
_PACKED = frozenset((".html", ".js", ".css", ".svg", ".json"))
#: Neither a hidden file nor a way out of the folder can be written like this.
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*(?:/[A-Za-z0-9_-][A-Za-z0-9_.-]*)*", re.ASCII)
#: Such a comment of JavaScript; a template must not hold a line that looks like one.
_COMMENT = re.compile(rb"^[ \t]*(?:/\*(?:[^*]|\*(?!/))*\*/[ \t]*|//[^\n]*)$", re.MULTILINE)
_OPEN_HEADERS = {"access-control-allow-origin": "*", "cross-origin-resource-policy": "cross-origin"}
_OWN_HEADERS = {"cross-origin-resource-policy": "same-origin"}
_PERMISSIONS = "camera=(), microphone=(), geolocation=(), payment=(), usb=()"


#: By path: size and time, in nanoseconds.
Stamp = Mapping[str, tuple[int, int]]


@dataclass(frozen=True, kw_only=True)
class WebFile:
    """One file as it goes out.

    Args:
        plain, packed: its bytes, as they are and by gzip; ``packed`` is empty where that gains nothing.
        tag: names its contents.
        media_type: as in ``Content-Type``.
        stamp: size and time of each file that was read.
    """

    plain: bytes
    packed: bytes
    tag: str
    media_type: str
    stamp: Stamp


class WebFolder:
    """The files of a folder, kept in memory until they change."""

    def __init__(self, root: Path = WEB_FOLDER) -> None:
        self._root = root
        self._files: dict[str, WebFile] = {}

    def get(self, name: str) -> WebFile | None:
        """Return a file by its path in the folder, None if there is none that may be shown."""
        media_type = _TYPES.get(Path(name).suffix)
        if media_type is None or not _NAME.fullmatch(name):
            return None
        try:
            known = self._files.get(name)
            if known is None or known.stamp != {part: self._stamp(part) for part in known.stamp}:
                known = self._files[name] = self._load(name)
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None
        return known

    def _load(self, name: str) -> WebFile:
        stamps: dict[str, tuple[int, int]] = {}

        def read(part: str) -> bytes:
            # before its contents: what changes in between is read again at the next use
            stamps[part] = self._stamp(part)
            plain = (self._root / part).read_bytes()
            return _without_comments(plain) if part.endswith(".js") else plain

        entry = BUNDLES.get(name)
        plain = join_modules(entry, lambda part: read(part).decode()).encode() if entry else read(name)
        return _web_file(plain, Path(name).suffix, stamps)

    def _stamp(self, name: str) -> tuple[int, int]:
        status = (self._root / name).stat()
        return status.st_size, status.st_mtime_ns


def _without_comments(script: bytes) -> bytes:
    """Leave out comments; the lines stay, so that the numbers in a stack trace are those of the source."""
    return _COMMENT.sub(lambda comment: b"\n" * comment[0].count(b"\n"), script)


def _web_file(plain: bytes, suffix: str, stamp: Stamp) -> WebFile:
    packed = gzip.compress(plain, mtime=0) if suffix in _PACKED else b""
    return WebFile(
        plain=plain,
        packed=packed if len(packed) < len(plain) else b"",
        tag=blake2b(plain, digest_size=12).hexdigest(),
        media_type=_TYPES[suffix],
        stamp=stamp,
    )


def content_security_policy(sockets: Iterable[str]) -> str:
    """Return what our own pages may do (CSP level 3).

    Args:
        sockets: the origins of the gateways, as in ``ws://127.0.0.1:7410``.
    """
    rules = (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data: blob:",
        "font-src 'self'",
        "manifest-src 'self'",
        "connect-src " + " ".join(("'self'", *sockets)),
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
    return "; ".join(rules)


def socket_origins(settings: Settings) -> Sequence[str]:
    """Return the origins of all gateways that a system may have."""
    gateway = settings.gateway
    urls = (urlsplit(gateway_url(gateway, index)) for index in range(max(1, gateway.count)))
    return tuple(dict.fromkeys(f"{url.scheme}://{url.netloc}" for url in urls))


class PageRoutes:
    """The routes of the pages."""

    def __init__(self, settings: Settings, folder: WebFolder) -> None:
        self._folder = folder
        self._page_headers = {
            "content-security-policy": content_security_policy(socket_origins(settings)),
            "permissions-policy": _PERMISSIONS,
            **_OWN_HEADERS,
        }
        self.router = APIRouter(include_in_schema=False)
        pages = (*PAGES, DEMO) if has_demo_shop(settings) else PAGES
        for page in pages:
            self._add(f"/{page}", self.page)
            self._add(f"/{page}/{{name:path}}", self.own)
        self._add(f"/{_WIDGET}", self.open)
        for below in _OPEN:
            self._add(f"/{below}/{{name:path}}", self.open)

    def _add(self, path: str, answer: object) -> None:
        self.router.add_api_route(path, answer, methods=["GET", "HEAD"], response_class=Response)  # type: ignore[arg-type]

    async def page(self, request: Request) -> Response:
        """Show a page."""
        return self._answer(request, request.url.path.strip("/") + "/index.html", self._page_headers)

    async def own(self, request: Request) -> Response:
        """Give out a file that our own pages use."""
        name = request.url.path.strip("/")
        return self._answer(request, name, self._page_headers if name.endswith(".html") else _OWN_HEADERS)

    async def open(self, request: Request) -> Response:
        """Give out a file that pages of any origin use."""
        return self._answer(request, request.url.path.strip("/"), _OPEN_HEADERS)

    def _answer(self, request: Request, name: str, headers: dict[str, str]) -> Response:
        file = self._folder.get(name)
        if file is None:
            raise HTTPException(404)
        packed = bool(file.packed) and "gzip" in request.headers.get("accept-encoding", "")
        tag = f'"{file.tag}{"-gzip" if packed else ""}"'
        headers = headers | {"etag": tag, "cache-control": "no-cache", "vary": "accept-encoding"}
        if tag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        if packed:
            headers["content-encoding"] = "gzip"
        return Response(file.packed if packed else file.plain, headers=headers, media_type=file.media_type)
