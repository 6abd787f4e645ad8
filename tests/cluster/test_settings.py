"""Settings: where they come from, what stops a start, and that no secret shows."""

import os
import pickle
import re
import subprocess
import sys
import tomllib
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_origin

import pytest
from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from cluster.secrets_file import ensure_secret_key
from cluster.settings import MASK, Settings, SettingsError, load_settings

ROOT = Path(__file__).parents[2]
DOCUMENT = (ROOT / "docs" / "settings.md").read_text()
SECRET = "hunter2-hunter2-hunter2-hunter2-hunter2-hun"
WECHAT = """
[inboxes.shop]
account = "default"
channel = "wechat"
app_id = "wx1"
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which raydesk starts."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(path: Path, text: str, mode: int = 0o600) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def problems(path: Path | None = None, **overrides: Any) -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        load_settings(path, overrides)
    return caught.value.problems


def every_setting() -> Iterator[tuple[str, str, FieldInfo]]:
    """Yield section, name and field; a table of named entries stands as ``accounts.<name>``."""
    for section, field in Settings.model_fields.items():
        model = field.annotation
        title = section
        if get_origin(model) is dict:
            model, title = get_args(model)[1], f"{section}.<name>"
        for name, entry in model.model_fields.items():
            yield title, name, entry


def changed(field: FieldInfo, name: str) -> str:
    """A valid value, as text, that is not the default."""
    if name == "channel":
        return "api"
    if get_args(field.annotation):
        return next(choice for choice in get_args(field.annotation) if choice != field.default)
    special = {
        "url": "redis://elsewhere:6379/1",
        "public_url": "wss://desk.example.org/{port}",
        "api_base": "http://127.0.0.1:9/x",
        "account": "shop",
        "encoding_aes_key": "a" * 43,
        "text_bytes": "1000",
        "max_replicas": "3",
        "data_dir": "/somewhere/else",
        "min_replicas": "1",
        "artifact": "/",
        "replies": "/replies.toml",
    }
    if name in special:
        return special[name]
    if field.annotation is bool:
        return str(not field.default).lower()
    if field.annotation in (int, float):
        return str(int(field.default) + 1)
    return "x" * 32 if field.annotation is SecretStr else "other"


def plain(value: object) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, bool):
        return str(value).lower()
    return str(value).removesuffix(".0")


# --- sources -------------------------------------------------------------------------------------------------


def test_defaults_bind_to_loopback_and_count_half_the_cores():
    settings = load_settings()
    assert (settings.http.host, settings.gateway.host) == ("127.0.0.1", "127.0.0.1")
    half = max(1, len(os.sched_getaffinity(0)) // 2)
    assert (settings.gateway.count, settings.router.count) == (half, half)
    assert load_settings(overrides={"ray": {"cpus": 8}}).router.count == 4
    assert list(settings.accounts) == ["default"]


def test_later_sources_win(folder: Path, monkeypatch: pytest.MonkeyPatch):
    write(folder / "config.toml", "[http]\nport = 1001\n[limits]\nbulk_lines = 1\nkey_rate = 1\n")
    write(folder / "data" / "secrets.toml", "[limits]\nbulk_lines = 2\nkey_rate = 2\nkey_burst = 2\n")
    monkeypatch.setenv("RAYDESK_LIMITS__KEY_RATE", "3")
    monkeypatch.setenv("RAYDESK_LIMITS__KEY_BURST", "3")
    settings = load_settings(overrides={"limits": {"key_burst": 4}})
    assert settings.http.port == 1001
    assert (settings.limits.bulk_lines, settings.limits.key_rate, settings.limits.key_burst) == (2, 3, 4)


def test_file_is_named_by_argument_or_variable(folder: Path, monkeypatch: pytest.MonkeyPatch):
    one, two = write(folder / "one.toml", "[http]\nport = 1001"), write(folder / "two.toml", "[http]\nport = 1002")
    monkeypatch.setenv("RAYDESK_CONFIG", str(two))
    assert load_settings().http.port == 1002
    assert load_settings(one).http.port == 1001
    monkeypatch.setenv("RAYDESK_CONFIG", "absent.toml")
    assert problems() == ("absent.toml (from RAYDESK_CONFIG): no such config file; allowed: the path of a TOML file",)


def test_secrets_are_looked_for_in_the_data_directory_that_the_last_source_names(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    write(folder / "config.toml", '[store]\ndata_dir = "wrong"')
    write(folder / "right" / "secrets.toml", '[store]\npassword = "p"')
    monkeypatch.setenv("RAYDESK_STORE__DATA_DIR", "right")
    settings = load_settings()
    assert settings.store.password.get_secret_value() == "p"
    assert settings.store.data_dir == folder / "right"
    assert not (folder / "wrong").exists()


#: Settings of a form that no other has.
OF_A_FORM = {
    ("http", "public_url"): "https://desk.example.org",
    ("inboxes.<name>", "origins"): "https://shop.example https://www.shop.example",
    ("store", "files_dir"): "/srv/files",
}


def test_every_setting_can_be_set_in_the_environment(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RAYDESK_GATEWAY__PORT", "9000")
    expected: dict[tuple[str, str], str] = {}
    for section, name, field in every_setting():
        value = OF_A_FORM.get((section, name)) or changed(field, name)
        expected[section, name] = value
        monkeypatch.setenv(f"RAYDESK_{section.replace('.<name>', '__shop').upper()}__{name.upper()}", value)
    settings = load_settings()
    for (section, name), value in expected.items():
        part = getattr(settings, section.removesuffix(".<name>"))
        found = getattr(part["shop"] if isinstance(part, dict) else part, name)
        assert plain(found) == value, f"{section}.{name}"


def test_digits_in_the_environment_stay_text(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RAYDESK_ACCOUNTS__SHOP__VOUCH_SECRET", "0123456789")
    assert load_settings().accounts["shop"].vouch_secret.get_secret_value() == "0123456789"


def test_variables_of_kubernetes_services_are_passed_over_on_kubernetes_only(monkeypatch: pytest.MonkeyPatch):
    links = {
        "RAYDESK_SERVICE_HOST": "10.0.0.1",
        "RAYDESK_PORT": "tcp://10.0.0.1:80",
        "RAYDESK_SERVE_SVC_SERVICE_PORT_SERVE": "8000",
        "RAYDESK_SERVE_SVC_PORT_8000_TCP_ADDR": "10.0.0.1",
    }
    for name, value in links.items():
        monkeypatch.setenv(name, value)
    assert [line.split(":")[0] for line in problems()] == sorted(links)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    load_settings()
    monkeypatch.setenv("RAYDESK_HTTP__PRT", "1")
    assert len(problems()) == 1


def test_settings_are_frozen_and_go_by_pickle(monkeypatch: pytest.MonkeyPatch):
    settings = load_settings(overrides={"http": {"port": 1001}})
    with pytest.raises(ValueError, match="frozen"):
        settings.http.port = 1
    monkeypatch.setenv("RAYDESK_HTTP__PORT", "2002")
    assert pickle.loads(pickle.dumps(settings)) == settings


# --- what stops a start --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            "[http]\nprot = 1",
            r"http\.prot: unknown setting in \S*config\.toml \(did you mean port\?\); allowed in http: ",
        ),
        ("[htp]\nport = 1", r"htp: unknown setting .*did you mean http\?\); allowed as a section: "),
        (
            "[http]\nport = 'abc'",
            r"http\.port: found 'abc' in \S*config\.toml; allowed: a whole number from 1 up to 65535",
        ),
        ("[http]\nport = 70000", r"http\.port: found 70000 .*up to 65535"),
        ("[http]\nport = 1.5", r"http\.port: found 1\.5 "),
        ("[http]\nport = true", r"http\.port: found true "),
        ("[intent]\nenabled = 1", r"intent\.enabled: found 1 .*; allowed: true or false"),
        ('[intent]\nenabled = "maybe"', r"intent\.enabled: found 'maybe' .*; allowed: true or false"),
        ('[intent]\nartifact = "/nowhere"', r"intent\.artifact: found /nowhere, no folder; allowed: one that"),
        ("[intent]\nmin_replicas = 3", r"intent\.max_replicas: found 1; allowed: from min_replicas, 3"),
        ('[bot]\nreplies = "/nowhere.toml"', r"bot\.replies: /nowhere\.toml: No such file"),
        ("[bot]\npatience_ms = 0", r"bot\.patience_ms: found 0 .*a whole number from 1"),
        ('[intent]\nartifact = "/"', r"intent\.artifact: /taxonomy\.toml: No such"),
        ("[http]\nhost = 1", r"http\.host: found 1 .*allowed: a text"),
        ("[http]\npublic_url = 'ftp://x'", r"http\.public_url: found 'ftp://x' .* such as https://desk"),
        ("http = 1", r"http: found a number .*allowed: a table"),
        ("[dispatcher]\ntick_s = nan", r"dispatcher\.tick_s: found nan "),
        ("[dispatcher]\ntick_s = 0", r"dispatcher\.tick_s: found 0 .*a number above 0"),
        ("[log]\nlevel = 'loud'", r"log\.level: found 'loud' .*one of debug, info, warning, error"),
        ("[accounts.'Big Shop']", r"accounts\.Big Shop: not a name"),
        ("[accounts.a__b]", r"accounts\.a__b: not a name"),
        ("[gateway]\nport = 7400", r"http\.port: found 7400; allowed: any but the gateways' 7400 to "),
        ("[gateway]\nport = 65535\ncount = 2", r"gateway\.port: found 65535 for 2 gateways"),
        ("[gateway]\ncount = 2\npublic_url = 'wss://x'", r"gateway\.public_url: found no \{port\}"),
        ("[ingress]\nmin_replicas = 3", r"ingress\.max_replicas: found 2; allowed: from min_replicas, 3"),
        ("[limits]\ntext_bytes = 70000", r"limits\.text_bytes: found 70000; allowed: up to frame_bytes, 65536"),
        ("[security]\nsecret_key = 'short'", r"security\.secret_key: found a text that is too short"),
        ("[inboxes.a]\nchannel = 'web'", r"inboxes\.a\.account: found nothing; needed: a text"),
        ("[inboxes.a]\nchannel = 'web'\naccount = 'b'", r"inboxes\.a\.account: found 'b'; allowed: one of default"),
        ("[http", r"config\.toml: is not TOML: "),
    ],
)
def test_wrong_setting_is_named_with_what_was_found_and_what_is_allowed(folder: Path, text: str, said: str):
    lines = problems(write(folder / "config.toml", text))
    assert len(lines) == 1, lines
    assert re.search(said, lines[0]), lines[0]


def test_all_that_is_wrong_is_told_at_once(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RAYDESK_FOO", "1")
    monkeypatch.setenv("RAYDESK_HTTP__PORT", "x")
    lines = problems(write(folder / "config.toml", "[log]\nlevel = 'loud'"), router={"count": -1})
    assert [line.split(":")[0] for line in lines] == ["RAYDESK_FOO", "http.port", "router.count", "log.level"]
    assert "in RAYDESK_HTTP__PORT;" in lines[1]
    assert "in the command line;" in lines[2]


@pytest.mark.parametrize(
    "name", ["RAYDESK_FOO", "RAYDESK_HTP__PORT", "RAYDESK_HTTP", "RAYDESK_HTTP_PORT", "raydesk_foo"]
)
def test_unknown_variable_stops_the_start(name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(name, SECRET)
    (line,) = problems()
    assert line.startswith(f"{name}: unknown variable in the environment; allowed: RAYDESK_<SECTION>__<NAME>")
    assert SECRET not in line


@pytest.mark.parametrize("name", ["RAYDESK_HTTP__PRT", "RAYDESK_INBOXES__SHOP__TOKN"])
def test_unknown_name_in_a_known_section_is_named_without_its_value(name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv(name, SECRET)
    text = "\n".join(problems())
    assert f"in {name}" in text
    assert SECRET not in text


def test_wechat_inbox_without_its_secrets_is_refused(folder: Path):
    config = write(folder / "config.toml", WECHAT)
    assert [line.split(":")[0] for line in problems(config)] == [
        "inboxes.shop.token",
        "inboxes.shop.app_secret",
        "inboxes.shop.encoding_aes_key",
    ]
    plainly = problems(config, inboxes={"shop": {"mode": "plain"}})
    assert [line.split(":")[0] for line in plainly] == ["inboxes.shop.token", "inboxes.shop.app_secret"]


def test_wechat_inbox_takes_its_secrets_from_the_environment(folder: Path, monkeypatch: pytest.MonkeyPatch):
    config = write(folder / "config.toml", WECHAT, mode=0o644)
    for name in ("TOKEN", "APP_SECRET"):
        monkeypatch.setenv(f"RAYDESK_INBOXES__SHOP__{name}", SECRET)
    monkeypatch.setenv("RAYDESK_INBOXES__SHOP__ENCODING_AES_KEY", "too short")
    assert "43 letters and digits" in problems(config)[0]
    monkeypatch.setenv("RAYDESK_INBOXES__SHOP__ENCODING_AES_KEY", "k" * 43)
    assert load_settings(config).inboxes["shop"].token.get_secret_value() == SECRET


def test_ports_are_checked_with_the_number_of_gateways_that_the_cores_give():
    (line,) = problems(http={"port": 7413}, ray={"cpus": 8})
    assert line == "http.port: found 7413; allowed: any but the gateways' 7410 to 7413"
    assert load_settings(overrides={"http": {"port": 7413}, "ray": {"cpus": 4}}).gateway.count == 2


def test_error_crosses_processes_with_its_lines():
    error = SettingsError("a: one", "b: two")
    assert pickle.loads(pickle.dumps(error)).problems == ("a: one", "b: two")
    assert str(error) == "a: one\nb: two"


# --- secrets -------------------------------------------------------------------------------------------------


def test_secrets_never_show(folder: Path, monkeypatch: pytest.MonkeyPatch):
    for section, name, field in every_setting():
        if field.annotation is SecretStr and name != "encoding_aes_key":
            monkeypatch.setenv(f"RAYDESK_{section.replace('.<name>', '__shop').upper()}__{name.upper()}", SECRET)
    monkeypatch.setenv("RAYDESK_INBOXES__SHOP__ENCODING_AES_KEY", "k" * 43)
    settings = load_settings(write(folder / "config.toml", "[accounts.default]\n" + WECHAT))
    copy = pickle.loads(pickle.dumps(settings))
    masked = settings.masked()
    for text in (repr(settings), str(settings), repr(copy), str(copy), str(masked), settings.model_dump_json()):
        assert SECRET not in text
        assert "k" * 43 not in text
    assert masked["security"]["secret_key"] == masked["inboxes"]["shop"]["token"] == MASK
    assert masked["http"]["port"] == 7400
    assert load_settings(overrides={"store": {"password": ""}}).masked()["store"]["password"] == ""


@pytest.mark.parametrize(
    "text",
    [
        f"[store]\npassword = ['{SECRET}']",
        f"[store]\nurl = 'ftp://user:{SECRET}@host'",
        f"[store]\nurl = 'redis://user:{SECRET}@host'\npassword = '{SECRET}2'",
        f"[store]\nurl = 'redis://host?password={SECRET}'",
        f"[store]\npasswrd = '{SECRET}'",
        f"security = '{SECRET}'",
        f"[security.secret_key]\nvalue = '{SECRET}'",
        f"accounts = ['{SECRET}']",
        f"[inboxes.a]\naccount = 'default'\nchannel = 'wechat'\nencoding_aes_key = '{SECRET}x'",
    ],
)
def test_no_secret_shows_in_an_error_or_its_traceback(folder: Path, text: str):
    with pytest.raises(SettingsError) as caught:
        load_settings(write(folder / "config.toml", text))
    assert SECRET not in "".join(traceback.format_exception(caught.value))


def test_password_in_the_url_of_the_store_becomes_the_password(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RAYDESK_STORE__URL", "redis://me:p%40ss@host:1/2")
    settings = load_settings()
    assert settings.store.url == "redis://me@host:1/2"
    assert settings.store.password.get_secret_value() == "p@ss"
    assert not settings.store.embedded


@pytest.mark.parametrize("text", [f"[store]\npassword = '{SECRET}'", f"[store]\nurl = 'redis://:{SECRET}@host'"])
def test_config_file_with_a_secret_that_others_may_read_is_refused(folder: Path, text: str):
    path = write(folder / "config.toml", text, mode=0o644)
    (line,) = problems(path)
    assert re.match(r"store\.\w+: a secret in .*config\.toml, which others may read; allowed: a file of mode 600", line)
    path.chmod(0o600)
    assert load_settings(path).store.password.get_secret_value() == SECRET


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_secrets_file_open_to_others_is_refused(folder: Path, mode: int):
    write(folder / "data" / "secrets.toml", f"[store]\npassword = '{SECRET}'", mode=mode)
    (line,) = problems()
    assert f"secrets.toml: found mode {mode:o}; allowed: 600" in line


def test_secret_key_is_made_once_and_kept_private(folder: Path):
    key = load_settings().security.secret_key.get_secret_value()
    path = folder / "data" / "secrets.toml"
    assert len(key) >= 32
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert load_settings().security.secret_key.get_secret_value() == key
    assert load_settings(overrides={"store": {"data_dir": "b"}}).security.secret_key.get_secret_value() != key


def test_looking_at_the_settings_writes_nothing(folder: Path):
    assert load_settings(create_secrets=False).security.secret_key.get_secret_value() == ""
    assert not list(folder.iterdir())


def test_secret_key_joins_secrets_that_stand_in_the_file_already(folder: Path):
    text = "[security] # keys\ntoken_lifetime_s = 60\n\n[store]\npassword = 'p'\n"
    path = write(folder / "data" / "secrets.toml", text)
    settings = load_settings()
    assert (settings.security.token_lifetime_s, settings.store.password.get_secret_value()) == (60, "p")
    assert tomllib.loads(path.read_text())["security"]["secret_key"] == settings.security.secret_key.get_secret_value()
    assert path.stat().st_mode & 0o777 == 0o600


def test_racing_starts_make_one_secret_key(folder: Path):
    code = "from cluster.settings import load_settings; print(load_settings().security.secret_key.get_secret_value())"
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", code], cwd=folder, stdout=subprocess.PIPE, env={"PYTHONPATH": str(ROOT)}, text=True
        )
        for _ in range(3)
    ]
    keys = {racer.communicate(timeout=60)[0].strip() for racer in racers}
    assert keys == {ensure_secret_key(folder / "data")}


def test_data_directory_that_cannot_be_written_is_named(folder: Path):
    (folder / "data").write_text("a file, not a folder")
    (line,) = problems()
    assert re.search(r"data(/secrets\.toml)?\b.* cannot be (read|written): ", line)


# --- the document --------------------------------------------------------------------------------------------


def test_every_setting_is_documented_as_it_is():
    for section, name, field in every_setting():
        part = DOCUMENT.partition(f"## `[{section}]`\n")[2].partition("\n## ")[0]
        row = next((line for line in part.splitlines() if line.startswith(f"| `{name}` |")), None)
        assert row, f"docs/settings.md says nothing of {section}.{name}"
        _, _, default, variable, meaning, _ = (cell.strip() for cell in row.split("|"))
        assert variable == f"`RAYDESK_{section.upper().replace('.', '__')}__{name.upper()}`"
        assert field.description in meaning, f"docs/settings.md tells something else of {section}.{name}"
        for choice in get_args(field.annotation):
            assert choice in meaning
        wanted = "required" if field.is_required() else plain(field.default)
        assert default.strip("`") == (wanted or "empty"), f"{section}.{name}"


def test_document_names_no_setting_that_is_none():
    known = {(section, name) for section, name, _ in every_setting()}
    section = ""
    for line in DOCUMENT.splitlines():
        if found := re.match(r"## `\[(.+)\]`", line):
            section = found[1]
        if section and (found := re.match(r"\| `(\w+)` \|", line)):
            assert (section, found[1]) in known


def test_example_of_the_document_is_a_config_file(folder: Path):
    example = re.search(r"```toml\n(.+?)```", DOCUMENT, re.DOTALL)[1]
    wechat = {"token": "t", "app_secret": "s", "encoding_aes_key": "k" * 43}
    settings = load_settings(write(folder / "config.toml", example), {"inboxes": {"wechat": wechat}})
    assert settings.http.port == 8080


def test_every_description_ends_as_a_sentence_and_tells_its_unit():
    for section, name, field in every_setting():
        assert field.description, f"{section}.{name}"
        assert field.description.endswith("."), f"{section}.{name}"
        if name.endswith("_s"):
            assert "econds" in field.description
        if name.endswith("_bytes"):
            assert "ytes" in field.description


def test_every_section_is_closed_and_frozen():
    for field in Settings.model_fields.values():
        model = get_args(field.annotation)[1] if get_origin(field.annotation) is dict else field.annotation
        assert issubclass(model, BaseModel)
        assert model.model_config["frozen"]
        assert model.model_config["extra"] == "forbid"
