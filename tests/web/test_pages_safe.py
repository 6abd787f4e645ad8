"""What browsers are told about the pages, and what the ingress gives out of the folder and what not."""

from pathlib import Path

import httpx
import pytest

from deployments.http.pages import WebFolder
from tests.web.room import Room

OURS = ("/demo", "/board")


def directives(answer: httpx.Response) -> dict[str, set[str]]:
    rules = (rule.split() for rule in answer.headers["content-security-policy"].split(";"))
    return {name: set(sources) for name, *sources in rules}


@pytest.mark.parametrize("path", OURS)
def test_a_page_may_load_nothing_from_elsewhere_and_run_nothing_inline(room: Room, path: str) -> None:
    answer = httpx.get(room.base + path).raise_for_status()
    rules = directives(answer)
    gateway = room.system.settings.gateway
    assert rules["default-src"] == {"'none'"}
    assert rules["script-src"] == rules["style-src"] == {"'self'"}
    assert rules["connect-src"] == {"'self'", f"ws://{gateway.host}:{gateway.port}"}
    assert rules["frame-ancestors"] == rules["base-uri"] == rules["form-action"] == {"'none'"}
    assert rules["require-trusted-types-for"] == {"'script'"}
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"
    assert "access-control-allow-origin" not in answer.headers
    assert answer.headers["content-type"] == "text/html; charset=utf-8"


def test_the_widget_is_open_to_pages_of_any_origin(room: Room) -> None:
    answer = httpx.get(f"{room.base}/widget.js", headers={"origin": "https://shop.example"}).raise_for_status()
    assert answer.headers["access-control-allow-origin"] == "*"
    assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert "access-control-allow-credentials" not in answer.headers


def test_scripts_come_without_their_comments_and_with_all_their_lines(tmp_path: Path) -> None:
    source = """/** What it is.
 * More. */
const a = "/* no comment */"; // stays
  // goes
const rules = `
* { margin: 0; }
`;
/* one */ const b = 2;
  /*
   * goes
   */
"""
    (tmp_path / "a.js").write_text(source)
    file = WebFolder(tmp_path).get("a.js")
    assert file is not None
    lines = file.plain.decode().split("\n")
    kept = [3, 5, 6, 7, 8]
    assert [number for number, line in enumerate(lines, start=1) if line] == kept
    assert [lines[number - 1] for number in kept] == [source.split("\n")[number - 1] for number in kept]
    assert len(lines) == len(source.split("\n"))


def test_a_file_that_did_not_change_is_not_sent_again(room: Room) -> None:
    with httpx.Client(base_url=room.base) as client:
        packed = client.get("/widget.js")
        assert packed.headers["content-encoding"] == "gzip"
        plain = client.get("/widget.js", headers={"accept-encoding": "identity"})
        assert "content-encoding" not in plain.headers
        assert plain.content == packed.content
        for first in (packed, plain):
            assert first.headers["cache-control"] == "no-cache"
            headers = {"if-none-match": first.headers["etag"]}
            if "content-encoding" not in first.headers:
                headers["accept-encoding"] = "identity"
            again = client.get("/widget.js", headers=headers)
            assert (again.status_code, again.content) == (304, b"")
        other = client.get("/widget.js", headers={"if-none-match": '"another"'})
        assert other.status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/demo/../../app.py",
        "/demo/..%2f..%2fapp.py",
        "/demo/%2e%2e/%2e%2e/app.py",
        "/demo/.hidden.js",
        "/demo//etc/passwd",
        "/demo/nothing.js",
        "/demo/index.py",
        "/widget/../widget.js%00.css",
        "/shared",
    ],
)
def test_nothing_but_the_files_of_a_page_is_given_out(room: Room, path: str) -> None:
    request = httpx.Request("GET", room.base + "/")
    request.url = request.url.copy_with(raw_path=path.encode())
    with httpx.Client() as client:
        assert client.send(request).status_code in (400, 404)
