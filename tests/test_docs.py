"""The documents name what exists, and leave out nothing that a reader would look for."""

import ast
import re
from pathlib import Path

import pytest
from picows import WSCloseCode

from cluster.settings import Settings
from deployments.sockets.lifetimes import CLOSE_EXPIRED, CLOSE_NOT_OPENED
from models.protocol.markdown import rewritten
from models.security.vouch import vouch_link, vouch_user

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
#: A form of names, not a name.
FORMS = {"docs/adr/NNNN-title.md"}
#: Where every file is a step of a message, a decision or a place to look for one.
HOT = ("models/timeline/*.py", "models/routing/*.py", "cluster/store/*.lua", "deployments/sockets/*.py")
HOT_BESIDES = (
    "cluster/clients.py",
    "cluster/codec.py",
    "cluster/actors.py",
    "cluster/store/timeline.py",
    "cluster/store/reading.py",
    "cluster/store/subscriber.py",
    "cluster/store/dispatching.py",
    "cluster/store/outbox.py",
    "cluster/store/keys.py",
    "cluster/store/embedded.py",
    "models/domain/commands.py",
    "models/domain/conversation.py",
    "models/domain/ids.py",
    "models/domain/errors.py",
    "deployments/app.py",
    "deployments/gateway.py",
    "deployments/ingress.py",
    "deployments/desk_methods.py",
    "deployments/router.py",
    "deployments/dispatcher.py",
    "deployments/dispatching.py",
    "deployments/outbox.py",
    "deployments/sender.py",
    "deployments/supervisor.py",
)
#: Not on the way of a message.
COLD = {"cluster/store/history.lua"}
_PATH = re.compile(r"`((?:models|cluster|deployments|tests|docs)/[\w./<>*-]*)`")
_LINK = re.compile(r"\]\(([^)#:]+)(#[\w-]+)?\)")
_CODE = re.compile(r"```.*?```", re.DOTALL)
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
_SETTING = re.compile(r"`([a-z]+)\.([a-z_]+)`")


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_path_and_link_leads_somewhere(document):
    text = _CODE.sub("", document.read_text(encoding="utf-8"))
    named = {name for name in _PATH.findall(text) if not set("<>*") & set(name) and name not in FORMS}
    assert not {name for name in named if not (ROOT / name).exists()}
    for target, anchor in _LINK.findall(text):
        path = (document.parent / target).resolve()
        assert path.exists(), target
        if anchor:
            assert anchor[1:] in anchors(path.read_text(encoding="utf-8")), target + anchor


@pytest.mark.parametrize("name", ["docs/protocol.md", "README.md"])
def test_every_link_within_a_page_leads_somewhere(name):
    text = read(name)
    assert set(re.findall(r"\]\(#([\w-]+)\)", text)) <= set(anchors(text))


def anchors(text):
    """Name the headings as a git host does."""
    return [re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in _HEADING.findall(text)]


def test_every_module_on_the_way_of_a_message_stands_in_the_architecture():
    hot = {str(path.relative_to(ROOT)) for pattern in HOT for path in ROOT.glob(pattern) if path.name != "__init__.py"}
    text = read("docs/architecture.md")
    assert not {name for name in (hot | set(HOT_BESIDES)) - COLD if f"`{name}`" not in text}


def test_every_test_that_is_named_exists():
    sources = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in ROOT.glob("tests/**/*.py")}
    text = " ".join(read("docs/delivery.md").split())
    for promise in re.findall(r"\*Tests:\*(.*?)(?=##|$)", text):
        for part in promise.split(";"):
            names = re.findall(r"`(test_\w+)`", part)
            files = re.findall(r"`(tests/[\w/]+\.py)`", part)
            assert len(files) == 1, part
            assert all(f"def {name}(" in sources[files[0]] for name in names), part


@pytest.mark.parametrize("name", ["docs/architecture.md", "docs/delivery.md", "docs/protocol.md", "docs/channels.md"])
def test_every_setting_that_is_named_exists(name):
    sections = {section: field.annotation for section, field in Settings.model_fields.items()}
    for section, setting in _SETTING.findall(_CODE.sub("", read(name))):
        if section in sections and hasattr(sections[section], "model_fields"):
            assert setting in sections[section].model_fields, f"{section}.{setting}"


def test_the_tables_of_the_protocol_are_those_of_the_code():
    text = read("docs/protocol.md")
    assert rewritten(text) == text, "run `make docs`"


def test_every_route_stands_in_the_protocol():
    text = read("docs/protocol.md")
    paths = {
        path
        for source in ROOT.glob("deployments/http/*.py")
        for path in re.findall(r'"(/(?:v1/|rpc|healthz|readyz|openrpc)[\w/{}.]*)"', source.read_text(encoding="utf-8"))
    }
    assert len(paths) > 10
    assert not {path for path in paths if f"{path}`" not in text}


def test_every_close_code_stands_in_the_protocol():
    text = read("docs/protocol.md")
    sources = [*ROOT.glob("deployments/sockets/*.py"), ROOT / "deployments/gateway.py"]
    names = {name for source in sources for name in re.findall(r"WSCloseCode\.(\w+)", source.read_text("utf-8"))}
    codes = {WSCloseCode[name].value for name in names} | {CLOSE_EXPIRED, CLOSE_NOT_OPENED, 1009}
    assert len(codes) > 5
    assert not {code for code in codes if f"| {code} |" not in text}


def test_the_proofs_in_the_protocol_are_those_that_count():
    (code,) = re.findall(r"```python\n(.*?)```", read("docs/protocol.md"), re.DOTALL)
    shown = {}
    exec(compile(ast.parse(code), "docs/protocol.md", "exec"), shown)
    assert shown["user_hash"]("secret", "köln") == vouch_user("secret", "köln")
    assert shown["link_hash"]("secret", "web", "v1", "7") == vouch_link("secret", "web", "v1", "7")


@pytest.mark.parametrize("record", sorted(ROOT.glob("docs/adr/*.md")), ids=lambda path: path.stem)
def test_every_decision_is_recorded_in_one_form(record):
    text = record.read_text(encoding="utf-8")
    assert text.startswith(f"# {int(record.name[:4])}. ")
    assert "Status: " in text
    assert _HEADING.findall(text)[1:] == ["Context", "Decision", "Consequences"]


def test_every_decision_that_the_code_names_is_recorded():
    named = {
        name
        for folder in ("models", "cluster", "deployments")
        for source in ROOT.glob(f"{folder}/**/*.py")
        for name in re.findall(r"docs/adr/[\w-]+\.md", source.read_text(encoding="utf-8"))
    }
    assert named
    assert not {name for name in named if not (ROOT / name).exists()}
