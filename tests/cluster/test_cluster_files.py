"""The files that bring raydesk to a cluster: each is what its reader accepts, and all agree with each other."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, get_args

import psutil
import pytest
import redis
import yaml
from jsonschema import Draft202012Validator
from pydantic import BaseModel
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.serve.schema import ServeDeploySchema

from cluster.ray_flags import FLAGS
from cluster.settings import load_settings
from deployments.app import APP_NAME
from deployments.commands.own_system import free_ports

ROOT = Path(__file__).resolve().parent.parent.parent
LAUNCHER = ROOT / "cluster.yaml"
SERVE = ROOT / "cluster" / "serve.yaml"
SERVICE = ROOT / "cluster" / "kubernetes" / "rayservice.yaml"
STORE = ROOT / "cluster" / "kubernetes" / "valkey.yaml"
START_STORE = ROOT / "cluster" / "start_store.sh"
CRD = ROOT.parent / "shared" / "data" / "kuberay" / "ray.io_rayservices.yaml"


def documents(path: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(path.read_text()))


def rayservice() -> dict[str, Any]:
    return next(document for document in documents(SERVICE) if document["kind"] == "RayService")


# -- cluster.yaml


def test_the_launcher_accepts_cluster_yaml():
    validate_config(prepare_config(yaml.safe_load(LAUNCHER.read_text())))


@pytest.mark.parametrize("role", ["head_start_ray_commands", "worker_start_ray_commands"])
def test_ray_starts_with_our_flags_on_every_node(role):
    started = next(command for command in yaml.safe_load(LAUNCHER.read_text())[role] if "ray start" in command)
    given = dict(re.findall(r"\b(RAY_\w+)=(\S+)", started))
    assert given == dict(FLAGS)


def test_the_start_commands_are_shell():
    config = yaml.safe_load(LAUNCHER.read_text())
    for role in ("setup_commands", "head_start_ray_commands", "worker_start_ray_commands"):
        for command in config[role]:
            subprocess.run(["sh", "-n", "-c", command], check=True)


# -- serve.yaml


def unknown_keys(model: type[BaseModel], given: Mapping[str, Any], where: str = "") -> Iterator[str]:
    """Name the keys that a schema of Serve would pass over in silence."""
    for name, value in given.items():
        field = model.model_fields.get(name)
        if field is None:
            yield f"{where}{name}"
            continue
        for inner in models_in(field.annotation):
            entries = value if isinstance(value, list) else [value]
            for entry in entries:
                if isinstance(entry, Mapping):
                    yield from unknown_keys(inner, entry, f"{where}{name}.")


def models_in(annotation: Any) -> list[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [found for part in get_args(annotation) for found in models_in(part)]


@pytest.mark.parametrize("config", [SERVE.read_text(), rayservice()["spec"]["serveConfigV2"]], ids=["file", "manifest"])
def test_serve_accepts_its_configuration_and_knows_every_key(config):
    given = yaml.safe_load(config)
    assert list(unknown_keys(ServeDeploySchema, given)) == []
    deployed = ServeDeploySchema.model_validate(given)
    assert [(app.name, app.import_path) for app in deployed.applications] == [(APP_NAME, "deployments.app:app")]


def test_a_misspelled_key_of_serve_is_found():
    given = {"applications": [{"name": "x", "import_path": "a:b", "route_prefx": "/"}], "http_optons": {}}
    assert list(unknown_keys(ServeDeploySchema, given)) == ["applications.route_prefx", "http_optons"]


def test_manifest_and_file_configure_serve_alike():
    assert yaml.safe_load(rayservice()["spec"]["serveConfigV2"]) == yaml.safe_load(SERVE.read_text())


# -- kubernetes


def test_the_operator_accepts_the_rayservice():
    if not CRD.exists():
        pytest.skip(f"the operator's schema is not here ({CRD})")
    versions = yaml.safe_load(CRD.read_text())["spec"]["versions"]
    schema = next(version for version in versions if version["name"] == "v1")["schema"]["openAPIV3Schema"]
    validator = Draft202012Validator(closed(schema))
    problems = [f"{'.'.join(map(str, error.path))}: {error.message}" for error in validator.iter_errors(rayservice())]
    assert problems == []
    misspelled = rayservice()
    misspelled["spec"]["rayClusterConfig"]["headGroupSpecs"] = {}
    assert not validator.is_valid(misspelled)


def closed(schema: Any) -> Any:
    """Refuse unknown keys, which the API server would drop in silence."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {name: closed(part) for name, part in schema.items()}
    opens = {"additionalProperties", "x-kubernetes-preserve-unknown-fields"} & inner.keys()
    if inner.get("type") == "object" and inner.get("properties") and not opens:
        inner["additionalProperties"] = False
    if inner.pop("x-kubernetes-int-or-string", False):
        inner["type"] = ["integer", "string"]
        inner.pop("anyOf", None)
    return inner


def containers() -> list[dict[str, Any]]:
    cluster = rayservice()["spec"]["rayClusterConfig"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    return [container for group in groups for container in group["template"]["spec"]["containers"]]


def test_every_ray_pod_has_our_flags():
    for container in containers():
        given = {entry["name"]: entry["value"] for entry in container["env"] if entry["name"].startswith("RAY_")}
        assert given == dict(FLAGS)


def test_the_manifest_has_settings_that_are_accepted(tmp_path, monkeypatch):
    config = next(document for document in documents(SERVICE) if document["kind"] == "ConfigMap")["data"]["config.toml"]
    path = tmp_path / "config.toml"
    path.write_text(config)
    for entry in containers()[0]["env"]:
        if entry["name"] != "RAYDESK_CONFIG" and entry["name"].startswith("RAYDESK_"):
            monkeypatch.setenv(entry["name"], entry["value"])
    monkeypatch.setenv("RAYDESK_STORE__PASSWORD", "p" * 64)
    monkeypatch.setenv("RAYDESK_SECURITY__SECRET_KEY", "k" * 64)
    settings = load_settings(path, create_secrets=False)
    assert not settings.store.embedded
    host, port = settings.store.url.removeprefix("redis://").partition("/")[0].split(":")
    service = next(document for document in documents(STORE) if document["kind"] == "Service")
    assert (host, int(port)) == (service["metadata"]["name"], service["spec"]["ports"][0]["port"])
    ports = {port["name"]: port["containerPort"] for port in containers()[-1]["ports"]}
    gateways = [ports[f"gateway-{index}"] for index in range(settings.gateway.count)]
    assert gateways == [settings.gateway.port + index for index in range(settings.gateway.count)]
    assert ports["serve"] == settings.http.port


def test_no_manifest_has_a_secret_in_it():
    for path in (SERVICE, STORE, LAUNCHER):
        assert not re.search(r"(?i)(password|secret_key)\w*\s*[:=]\s*[\"']?[0-9a-z+/]{8,}", path.read_text())


def test_the_store_of_the_manifest_is_one_and_durable():
    found = {document["kind"]: document for document in documents(STORE)}
    assert found["StatefulSet"]["spec"]["replicas"] == 1
    arguments = found["StatefulSet"]["spec"]["template"]["spec"]["containers"][0]["args"][0]
    assert "--appendonly yes" in arguments
    assert "--appendfsync always" in arguments


# -- the store of cluster.yaml


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="rd-"))
    yield made
    with suppress(FileNotFoundError):
        process = psutil.Process(int((made / "valkey.pid").read_text()))
        process.kill()
        process.wait(10)
    shutil.rmtree(made)


def start_store(port: int, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return subprocess.run(
        [START_STORE, "127.0.0.1", str(port), folder],
        env={"PATH": path, **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.store
def test_the_store_of_a_cluster_asks_for_its_password_and_is_started_once(folder):
    port = free_ports(1)
    assert "RAYDESK_STORE__PASSWORD" in start_store(port, folder).stderr
    started = start_store(port, folder, RAYDESK_STORE__PASSWORD="a password")
    assert started.returncode == 0, started.stderr
    with redis.Redis(port=port, password="a password") as client:
        assert client.ping()
        assert client.config_get("appendfsync") == {"appendfsync": "always"}
        client.set("kept", "1")
        again = start_store(port, folder, RAYDESK_STORE__PASSWORD="a password")
        assert "runs already" in again.stdout
        assert client.get("kept") == b"1"
    with redis.Redis(port=port) as stranger, pytest.raises(redis.AuthenticationError):
        stranger.ping()
    assert (folder / "valkey.conf").stat().st_mode & 0o077 == 0
