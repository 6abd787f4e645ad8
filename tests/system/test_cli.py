"""The command line without a running system: what it answers, what it refuses, and in which words."""

import fcntl
import os
import pty
import select
import signal
import socket
import subprocess
import termios
import time
import tomllib

import pytest

from cluster.store.embedded import EmbeddedStore
from deployments.commands.own_system import command

pytestmark = [pytest.mark.system, pytest.mark.timeout(200)]


@pytest.mark.parametrize("arguments", [["--help"], ["up", "--help"], ["config"], ["user", "list"]])
def test_small_commands_never_load_ray(quiet, arguments):
    traced = quiet.run(*arguments, PYTHONPROFILEIMPORTTIME="1")
    assert traced.returncode == 0, traced.stderr
    imported = {line.rpartition("|")[2].strip() for line in traced.stderr.splitlines()}
    assert not imported & {"ray", "fastapi", "picows"}


def test_a_wrong_setting_stops_the_start_and_is_named(quiet):
    refused = quiet.run("up", RAYDESK_LIMITS__TEXT_BYTES="many")
    assert refused.returncode == 1
    assert "limits.text_bytes" in refused.stderr
    assert "RAYDESK_LIMITS__TEXT_BYTES" in refused.stderr
    assert "Traceback" not in refused.stderr
    assert not quiet.data_dir.exists()


def test_an_unknown_setting_stops_the_start_and_is_named(quiet):
    (quiet.folder / "config.toml").write_text("[gateway]\nprot = 7410\n")
    refused = quiet.run("up")
    assert refused.returncode == 1
    assert "gateway.prot" in refused.stderr
    assert "config.toml" in refused.stderr


def test_a_config_file_that_is_not_there_is_named(quiet):
    refused = quiet.run("config", "--config", "elsewhere.toml")
    assert refused.returncode == 1
    assert "elsewhere.toml" in refused.stderr


@pytest.mark.parametrize(("setting", "port"), [("http.port", "http_port"), ("gateway.port", "gateway_port")])
def test_a_port_that_is_taken_is_named_before_anything_starts(quiet, setting, port):
    with socket.create_server(("127.0.0.1", getattr(quiet, port))):
        refused = quiet.run("up")
    assert refused.returncode == 1
    assert f"{setting}: 127.0.0.1:{getattr(quiet, port)} is taken" in refused.stderr
    assert not (quiet.data_dir / "store").exists()


def test_two_stores_at_once_are_refused(quiet):
    refused = quiet.run("up", "--embed-redis", "--redis-url", "redis://localhost")
    assert refused.returncode == 2
    assert "--redis-url" in refused.stdout + refused.stderr


def test_a_store_that_does_not_answer_is_named(quiet):
    refused = quiet.run("user", "list", RAYDESK_STORE__URL=f"redis://127.0.0.1:{quiet.http_port}/0")
    assert refused.returncode == 1
    assert "store.url" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_config_shows_what_counts_and_masks_secrets(quiet):
    (quiet.folder / "config.toml").write_text('[http]\npublic_url = "https://desk.example.org"\n')
    shown = quiet.run("config", RAYDESK_SECURITY__SECRET_KEY="k" * 40, RAYDESK_STORE__URL="redis://u:pass@host/0")
    assert shown.returncode == 0, shown.stderr
    assert str(quiet.folder / "config.toml") in shown.stdout
    assert "k" * 40 not in shown.stdout
    assert "pass" not in shown.stdout.replace("password", "")
    settings = tomllib.loads(shown.stdout)
    assert settings["security"]["secret_key"] == "********"
    assert settings["http"] == {
        "host": "127.0.0.1",
        "port": quiet.http_port,
        "public_url": "https://desk.example.org",
    }
    assert not quiet.data_dir.exists()


def test_status_and_down_say_that_nothing_runs(quiet):
    status = quiet.run("status")
    assert status.returncode == 1
    assert "No raydesk runs" in status.stdout
    down = quiet.run("down")
    assert down.returncode == 0
    assert "No raydesk runs" in down.stdout


def test_users_are_kept_while_nothing_runs(quiet):
    added = quiet.run(
        "user", "add", "ann", "--role", "supervisor", "--skill", "billing", "--password-stdin", typed="12345678\n"
    )
    assert added.returncode == 0, added.stderr
    changed = quiet.run("user", "passwd", "ann", "--password-stdin", typed="a better password\n")
    assert changed.returncode == 0, changed.stderr
    listed = quiet.run("user", "list")
    assert listed.stdout.splitlines()[1].split() == ["ann", "supervisor", "billing", "default", "yes"]
    again = quiet.run("user", "add", "ann", "--password-stdin", typed="12345678\n")
    assert again.returncode == 1
    assert "'ann' already" in again.stderr
    assert not quiet.stores()


def test_a_password_is_never_taken_from_the_arguments_or_a_pipe_by_accident(quiet):
    asked = quiet.run("user", "add", "ann")
    assert asked.returncode == 1
    assert "--password-stdin" in asked.stderr
    short = quiet.run("user", "add", "ann", "--password-stdin", typed="short\n")
    assert short.returncode == 1
    assert "8 to 1024" in short.stderr


def test_a_password_is_asked_for_twice_and_not_shown(quiet):
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [*command(), "user", "add", "ann"],
        cwd=quiet.folder,
        env=quiet.environment(),
        stdin=follower,
        stdout=follower,
        stderr=follower,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(follower)
    shown = read_until(leader, b"Password: ")
    os.write(leader, b"long password\n")
    shown += read_until(leader, b"Again: ")
    os.write(leader, b"long password\n")
    shown += read_until(leader, b"may log in")
    assert process.wait(30) == 0
    os.close(leader)
    assert b"long password" not in shown


def read_until(terminal: int, wanted: bytes) -> bytes:
    shown = b""
    deadline = time.monotonic() + 30
    while wanted not in shown:
        assert time.monotonic() < deadline, shown
        if select.select([terminal], [], [], 0.2)[0]:
            shown += os.read(terminal, 4096)
    return shown


def test_keys_are_made_listed_and_revoked(quiet):
    made = quiet.run("key", "add", "shop backend")
    assert made.returncode == 0, made.stderr
    key_id = made.stdout.split("_")[1]
    listed = quiet.run("key", "list")
    assert key_id in listed.stdout
    assert "shop backend" in listed.stdout
    assert made.stdout.strip() not in listed.stdout
    assert quiet.run("key", "revoke", key_id).returncode == 0
    assert key_id not in quiet.run("key", "list").stdout
    missing = quiet.run("key", "revoke", key_id)
    assert missing.returncode == 1
    assert "no such API key" in missing.stderr


def test_an_account_that_is_not_there_is_named(quiet):
    refused = quiet.run("user", "list", "--account", "nobody")
    assert refused.returncode == 1
    assert "'nobody'" in refused.stderr
    assert "default" in refused.stderr


def test_down_stops_a_store_that_was_left_behind(quiet):
    quiet.data_dir.mkdir(mode=0o700)
    store = EmbeddedStore(quiet.data_dir)
    store.start()
    store.close()
    quiet.started = quiet.stores()
    down = quiet.run("down")
    assert down.returncode == 0, down.stderr
    assert "stopped the store" in down.stdout
    assert not quiet.still_running()


@pytest.mark.parametrize("after", ["the process", "Ray"])
def test_ctrl_c_while_starting_leaves_nothing(quiet, after):
    quiet.begin()
    wanted = (lambda: quiet.processes()[1:]) if after == "the process" else (lambda: "Ray:" in quiet.said)
    deadline = time.monotonic() + 60
    while not wanted():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    quiet.started = quiet.processes()
    assert quiet.ctrl_c() == 0, quiet.said
    assert "Traceback" not in quiet.said
    assert not quiet.still_running()
    assert not quiet.stores()


def test_the_second_ctrl_c_forces_the_end(quiet):
    quiet.up()
    os.killpg(quiet.process.pid, signal.SIGINT)
    deadline = time.monotonic() + 30
    while "Stopping" not in quiet.said:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.killpg(quiet.process.pid, signal.SIGINT)
    assert quiet.process.wait(30) == 130
    assert "Forced" in quiet.said
    assert not quiet.still_running()
