"""The embedded store, with the real server: nothing that was answered is lost, whoever dies."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import redis

from cluster.store.embedded import EmbeddedStore, StoreError

pytestmark = pytest.mark.store
ROOT = Path(__file__).parents[2]


@pytest.fixture
def server(short_folder: Path) -> Iterator[EmbeddedStore]:
    server = EmbeddedStore(short_folder)
    yield server
    server.stop()


def pid_of(server: EmbeddedStore) -> int:
    with redis.Redis.from_url(server.url) as client:
        return client.info("server")["process_id"]


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: ended(pid))


def ended(pid: int) -> bool:
    """Whether all of it is gone: its first thread may be dead while another still holds its sockets and locks."""
    try:
        process = psutil.Process(pid)
        return process.status() == psutil.STATUS_ZOMBIE and process.num_threads() <= 1
    except psutil.NoSuchProcess:
        return True


def newest_log(server: EmbeddedStore) -> Path:
    return max((server.folder / "appendonlydir").glob("*.incr.aof"))


def leave_a_log_that_loads_slowly(server: EmbeddedStore) -> None:
    """Log commands that each search a long list in vain, so that a small file takes seconds."""
    server.start()
    server.stop()
    pushed = b"$1\r\nx\r\n" * 20_000
    slow = b"*4\r\n$4\r\nLREM\r\n$4\r\nlist\r\n$1\r\n0\r\n$6\r\nabsent\r\n"
    with newest_log(server).open("ab") as log:
        log.write(b"*20002\r\n$5\r\nRPUSH\r\n$4\r\nlist\r\n" + pushed + slow * 12_000)


def wait_for(condition: Callable[[], bool], within_s: float = 10) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "condition not met in time"
        time.sleep(0.01)


def test_started_store_is_durable_private_and_without_tcp(server: EmbeddedStore):
    assert server.start() is True
    with redis.Redis.from_url(server.url) as client:
        settings = client.config_get("*")
    wanted = {
        "port": "0",
        "appendonly": "yes",
        "appendfsync": "always",
        "aof-load-truncated": "yes",
        "save": "",
        "maxmemory-policy": "noeviction",
        "auto-aof-rewrite-min-size": str(256 * 1024**2),
    }
    assert {name: settings[name] for name in wanted} == wanted
    assert f"pubsub {64 * 1024**2} {32 * 1024**2} 30" in settings["client-output-buffer-limit"]
    assert server.socket.stat().st_mode & 0o777 == 0o600
    assert server.folder.stat().st_mode & 0o777 == 0o700
    assert not [line for line in psutil.Process(pid_of(server)).net_connections("inet") if line.status == "LISTEN"]


def test_store_gets_no_secret_of_ours_in_its_environment(server: EmbeddedStore, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RAYDESK_SECURITY__SECRET_KEY", "x" * 40)
    server.start()
    assert not [name for name in psutil.Process(pid_of(server)).environ() if name.startswith("RAYDESK")]


def test_running_store_is_adopted_with_the_settings_of_the_newcomer(server: EmbeddedStore, short_folder: Path):
    server.start()
    pid = pid_of(server)
    other = EmbeddedStore(short_folder, appendfsync="everysec")
    assert other.start() is False
    assert pid_of(other) == pid
    with redis.Redis.from_url(other.url) as client:
        assert client.config_get("appendfsync") == {"appendfsync": "everysec"}
    other.close()


def test_store_outlives_the_process_that_started_it(server: EmbeddedStore, short_folder: Path):
    code = (
        "import sys; from pathlib import Path;"
        "from cluster.store.embedded import EmbeddedStore;"
        "print(EmbeddedStore(Path(sys.argv[1])).start())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, short_folder], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == "True", done.stderr
    assert server.start() is False


def test_killed_store_comes_back_with_every_acknowledged_write(server: EmbeddedStore):
    server.start()
    with redis.Redis.from_url(server.url) as client:
        for number in range(500):
            client.rpush("log", number)
    assert server.ensure_alive() is False
    kill(pid_of(server))
    assert server.ensure_alive() is True
    with redis.Redis.from_url(server.url) as client:
        assert client.lrange("log", 0, -1) == [str(number).encode() for number in range(500)]
    assert server.ensure_alive() is False


def test_write_torn_by_a_power_cut_is_dropped_and_the_others_stay(server: EmbeddedStore):
    server.start()
    with redis.Redis.from_url(server.url) as client:
        client.set("kept", "yes")
    kill(pid_of(server))
    newest = newest_log(server)
    with newest.open("ab") as log:
        log.write(b"*3\r\n$3\r\nSET\r\n$4\r\nhalf\r\n$9\r\nwri")
    assert server.ensure_alive() is True
    with redis.Redis.from_url(server.url) as client:
        assert client.get("kept") == b"yes"
        assert client.get("half") is None


def test_corrupt_log_stops_the_start_and_shows_what_the_server_said(server: EmbeddedStore):
    server.start()
    server.stop()
    newest = newest_log(server)
    newest.write_bytes(b"this is no log\r\n" * 10)
    with pytest.raises(StoreError, match=r"(?s)ended while starting.*valkey\.log.*Bad file format"):
        server.start()


def test_long_load_has_a_longer_bound_than_the_start(server: EmbeddedStore, short_folder: Path):
    leave_a_log_that_loads_slowly(server)
    patient = EmbeddedStore(short_folder, start_bound_s=0.5)
    begun = time.monotonic()
    assert patient.start() is True
    assert time.monotonic() - begun > 0.5, "the load was too quick to prove anything"
    with redis.Redis.from_url(patient.url) as client:
        assert client.llen("list") == 20_000
    patient.close()


def test_load_beyond_its_bound_is_reported(server: EmbeddedStore, short_folder: Path):
    leave_a_log_that_loads_slowly(server)
    hasty = EmbeddedStore(short_folder, load_bound_s=0.1)
    with pytest.raises(StoreError, match="still loading"):
        hasty.start()
    assert server.start() is False


def test_look_at_a_living_store_is_cheap(server: EmbeddedStore):
    server.start()
    with redis.Redis.from_url(server.url) as client:
        before = client.info("stats")["total_connections_received"]
        assert not any(server.ensure_alive() for _ in range(100))
        assert client.info("stats")["total_connections_received"] == before


def test_cut_line_is_no_death(server: EmbeddedStore):
    server.start()
    pid = pid_of(server)
    with redis.Redis.from_url(server.url) as client:
        client.client_kill_filter(_type="normal", skipme=True)
    assert server.ensure_alive() is False
    assert pid_of(server) == pid


def test_stop_ends_the_process_and_is_safe_twice(server: EmbeddedStore):
    server.stop()
    server.start()
    pid = pid_of(server)
    server.stop()
    wait_for(lambda: ended(pid))
    server.stop()
    assert server.start() is True


def test_racing_starters_share_one_server(server: EmbeddedStore, short_folder: Path):
    code = (
        "import sys; from pathlib import Path;"
        "from cluster.store.embedded import EmbeddedStore; import redis;"
        "store = EmbeddedStore(Path(sys.argv[1])); sys.stdin.readline();"
        "print(store.start(), redis.Redis.from_url(store.url).info('server')['process_id'])"
    )
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", code, short_folder],
            cwd=ROOT,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for _ in range(3)
    ]
    for racer in racers:
        racer.stdin.write("go\n")
        racer.stdin.flush()
    answers = [racer.communicate(timeout=60) for racer in racers]
    assert all(racer.returncode == 0 for racer in racers), answers
    said = [output.split() for output, _ in answers]
    assert sorted(started for started, _ in said) == ["False", "False", "True"]
    assert {int(pid) for _, pid in said} == {pid_of(server)}


def test_folder_with_a_long_name_gets_a_short_private_socket(short_folder: Path):
    deep = short_folder / ("d" * 120)
    with EmbeddedStore(deep) as server:
        assert len(os.fsencode(server.socket)) < 107
        assert server.socket.parent.stat().st_mode & 0o777 == 0o700
        assert (server.folder / "address").read_text() == server.url + "\n"
        assert EmbeddedStore(deep).start() is False
    server.socket.parent.rmdir()


def test_short_folder_of_somebody_else_is_refused(short_folder: Path):
    server = EmbeddedStore(short_folder / ("d" * 120))
    server.socket.parent.mkdir(mode=0o755)
    try:
        with pytest.raises(StoreError, match="mode 700"):
            server.start()
    finally:
        server.socket.parent.rmdir()


def test_data_directory_that_cannot_be_used_is_named(short_folder: Path):
    (short_folder / "data").write_text("a file, not a folder")
    server = EmbeddedStore(short_folder / "data")
    with pytest.raises(StoreError, match=r"data/store cannot be used: .*store\.data_dir"):
        server.start()


@pytest.mark.skipif(os.getuid() == 0, reason="root may write anywhere")
def test_data_directory_without_right_to_write_is_named(short_folder: Path):
    short_folder.chmod(0o500)
    try:
        with pytest.raises(StoreError, match="Permission denied"):
            EmbeddedStore(short_folder / "data").start()
    finally:
        short_folder.chmod(0o700)


def test_store_that_hangs_is_reported_and_not_doubled(server: EmbeddedStore, short_folder: Path):
    server.start()
    pid = pid_of(server)
    os.kill(pid, signal.SIGSTOP)
    try:
        other = EmbeddedStore(short_folder, start_bound_s=0.2)
        with pytest.raises(StoreError, match="does not answer"):
            other.start()
    finally:
        os.kill(pid, signal.SIGCONT)
    assert pid_of(server) == pid


def test_store_whose_socket_was_deleted_is_not_doubled(server: EmbeddedStore, short_folder: Path):
    server.start()
    pid = pid_of(server)
    hidden = server.socket.rename(server.socket.with_name("hidden"))
    try:
        with pytest.raises(StoreError, match="cannot be reached"):
            EmbeddedStore(short_folder, start_bound_s=0.2).start()
    finally:
        hidden.rename(server.socket)
    assert pid_of(server) == pid


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells who was forked")
def test_a_rewrite_of_the_log_yields_to_who_serves(server: EmbeddedStore) -> None:
    server.start()
    with redis.Redis.from_url(server.url) as client:
        client.mset({f"key{number}": "x" for number in range(200)})
        client.config_set("rdb-key-save-delay", 20_000)
        client.bgrewriteaof()
        children = psutil.Process(pid_of(server)).children
        wait_for(children)
        server.let_rewrites_wait()
        (child,) = children()
        assert child.nice() == 10
        assert psutil.Process(pid_of(server)).nice() == 0
        child.kill()
