"""``raydesk load`` as one types it: a system of its own, one that runs, and what it cannot do."""

import json
import shutil
import subprocess
import tempfile
import tomllib
from pathlib import Path

import pytest
import tomli_w

from cluster.load.scenario.expect import is_timed
from cluster.load.scenario.scenario import SHIPPED
from cluster.store import keys
from cluster.store.directory import Directory
from cluster.store.valkey import connect
from deployments.commands.own_system import OwnSystem, command, environment
from tests.system.own_ray import OwnRay

pytestmark = [pytest.mark.system, pytest.mark.timeout(500)]

SMALL = """
drain = "15s"
warm_up = "1s"
expect = "lost=0,unaccounted=0,answers_lost=0"

[[phases]]
shape = "steady"
rate = "100/s"
lasts = "6s"

[visitors]
count = 20

[desks]
agents = 3
capacity = 50
answer_share = 0.2
answer_after = "200ms"
"""


def load(*arguments: str, folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*command(), "load", *arguments, "--out", str(folder / "report")],
        cwd=folder,
        env=environment() | more,
        capture_output=True,
        text=True,
        timeout=450,
        check=False,
    )


def report_of(folder: Path) -> dict:
    return json.loads((folder / "report" / "report.json").read_text())


def test_smoke_goes_over_every_channel_and_nothing_is_lost(tmp_path):
    done = load("smoke", "--start", folder=tmp_path)
    # how fast it is, is not asked here: a busy machine makes it invalid, and never lossy
    assert done.returncode in (0, 3), done.stdout + done.stderr
    report = report_of(tmp_path)
    assert report["messages"]["accepted"] == report["messages"]["intended"] > 1_400
    assert report["messages"]["delivered"] == report["messages"]["accepted"]
    assert all(each["held"] for each in report["expectations"])
    assert {"router:0", "gateway:0", "store", "ingress:0", "dispatcher"} <= {
        each["name"] for each in report["system"]["processes"]
    }
    assert (tmp_path / "report" / "report.html").read_text().startswith("<!doctype html>")


def test_no_message_is_lost_when_every_kind_of_process_dies(tmp_path):
    """The shipped `kills`, shorter and at a quarter of its rate: the same deaths, the same conditions."""
    scenario = tomllib.loads((SHIPPED / "kills.toml").read_text())
    scenario["phases"] = [{"shape": "steady", "rate": "500/s", "lasts": f"{10 + 8 * len(scenario['faults'])}s"}]
    for place, fault in enumerate(scenario["faults"]):
        fault["at"] = f"{8 + 8 * place}s"
    scenario["desks"] |= {"answer_share": 0.06}
    (tmp_path / "kills.toml").write_text(tomli_w.dumps(scenario))
    done = load("kills.toml", "--start", folder=tmp_path)
    assert done.returncode in (0, 3), done.stdout + done.stderr
    report = report_of(tmp_path)
    assert report["messages"]["accepted"] == report["messages"]["delivered"] > 24_000
    assert all(each["held"] for each in report["expectations"] if not is_timed(each["expected"].split("<")[0]))
    struck = [fault["what"].split()[1].split(":")[0] for fault in report["system"]["faults"]]
    assert struck == ["router", "dispatcher", "gateway", "ingress", "store"]


def test_a_running_system_is_checked_driven_and_left_as_it_was(tmp_path):
    scenario = tmp_path / "small.toml"
    scenario.write_text(SMALL)
    with OwnSystem({"inboxes": {"shop": {"account": "default", "channel": "web"}}}) as system:
        refused = load(str(scenario), "--config", str(system.config), "--rate", "9000/s", folder=tmp_path)
        assert refused.returncode == 2
        assert "limits.socket_rate: found 50; needed at least" in refused.stderr
        assert "[limits]\nsocket_rate = " in refused.stderr
        done = load(str(scenario), "--config", str(system.config), folder=tmp_path)
        assert done.returncode in (0, 3), done.stdout + done.stderr
        assert report_of(tmp_path)["messages"]["lost"] == 0
        assert _people_of(system) == ([], [])
        with system.store() as store:
            assert store.hlen(keys.held("default")) == 0
            # what was written stays, and nothing of the agents who answered
            assert store.keys(keys.session("default", "*"))
            assert not store.keys(keys.desk_log("default", "*"))
            assert not store.keys(keys.holds("default", "*"))
            assert (store.hlen(keys.presence("default")), store.hlen(keys.desk_acked("default"))) == (0, 0)


def _people_of(system: OwnSystem) -> tuple[list[str], list[str]]:
    import asyncio

    async def read() -> tuple[list[str], list[str]]:
        redis = connect(system.settings.store)
        directory = Directory(redis)
        users = [user.name for user in await directory.list("default")]
        labels = [key.label for key in await directory.list_keys("default")]
        await redis.aclose()
        return users, labels

    return asyncio.run(read())


@pytest.mark.slow
def test_generators_on_a_ray_that_runs_already_make_one_run(tmp_path):
    """Two generators, on a Ray head of its own beside that of the system, as on a cluster's nodes."""
    folder = Path(tempfile.mkdtemp(prefix="rd-"))
    ray = OwnRay(folder)
    scenario = tmp_path / "small.toml"
    scenario.write_text(SMALL + "\n[mix]\nweb = 0.7\nwechat = 0.15\nbulk = 0.15\n[contacts]\nbulk = 5\nwechat = 5\n")
    try:
        ray.start_head()
        given = ("--start", "--ray-address", f"127.0.0.1:{ray.port}", "--generators", "2")
        done = load(str(scenario), *given, folder=tmp_path, **ray.environment)
    finally:
        ray.kill()
        shutil.rmtree(folder, ignore_errors=True)
    assert done.returncode in (0, 3), done.stdout + done.stderr
    report = report_of(tmp_path)
    assert [each["name"] for each in report["generators"]] == ["generator 0", "generator 1"]
    assert all(each["due"] > 100 for each in report["generators"])
    assert report["messages"]["delivered"] == report["messages"]["accepted"] == report["messages"]["intended"] > 500
    assert report["answers"]["accepted"] > 20


def test_without_a_system_it_says_what_to_do(tmp_path):
    (tmp_path / "config.toml").write_text(
        '[inboxes.shop]\naccount = "default"\nchannel = "web"\n[bot]\nenabled = false\n'
    )
    scenario = tmp_path / "small.toml"
    scenario.write_text(SMALL)
    done = load(str(scenario), folder=tmp_path)
    assert done.returncode == 2
    assert "does not answer" in done.stderr
    assert "--start" in done.stderr
    assert "Traceback" not in done.stderr
