"""What browsers are told about the pages, and what the ingress gives out of the folder and what not."""

from pathlib import Path

import httpx
import pytest

from deployments.http.bundle import NotJoined, join_modules
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


def test_modules_are_joined_in_the_order_of_their_imports_each_with_names_of_its_own() -> None:
    sources = {
        "page/a.js": 'import { twice, WORD as word } from "../shared/b.js";\nimport { twice as t } from "./c.js";\n'
        "const own = 1;\nexport class A {}\n",
        "page/c.js": 'import { WORD } from "../shared/b.js";\nconst own = 2;\n\n\nexport function twice() {}\n',
        "shared/b.js": "const own = 3;\nexport const WORD = own;\nexport async function twice() {}\n",
    }
    assert join_modules("page/a.js", sources.__getitem__).split("\n") == [
        *("const m0 = (() => {", "const own = 3;", "const WORD = own;", "async function twice() {}"),
        *("return { WORD, twice };", "})();"),
        *("const m1 = (() => {", "const { WORD } = m0;", "const own = 2;", "function twice() {}"),
        *("return { twice };", "})();"),
        *("const m2 = (() => {", "const { twice, WORD: word } = m0;", "const { twice: t } = m1;", "const own = 1;"),
        *("class A {}", "return { A };", "})();", "export const { A } = m2;", ""),
    ]


@pytest.mark.parametrize(
    "source",
    [
        'import "./b.js";',
        "export default 1;",
        "export { a };",
        'import { a } from "./a.js";',
        'import a from "./b.js";',
    ],
)
def test_a_module_that_cannot_be_joined_is_an_error(source: str) -> None:
    with pytest.raises(NotJoined):
        join_modules("a.js", {"a.js": source, "b.js": ""}.__getitem__)


def test_the_joined_file_changes_with_each_of_its_modules(tmp_path: Path) -> None:
    (tmp_path / "widget").mkdir()
    (tmp_path / "widget" / "element.js").write_text('import { a } from "./b.js";\n')
    (tmp_path / "widget" / "b.js").write_text("export const a = 1;\n")
    folder = WebFolder(tmp_path)
    before = folder.get("widget/all.js")
    assert before is not None
    assert before is folder.get("widget/all.js")
    (tmp_path / "widget" / "b.js").write_text("export const a = 22;\n")
    after = folder.get("widget/all.js")
    assert after is not None
    assert after.tag != before.tag
    assert b"22" in after.plain


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
