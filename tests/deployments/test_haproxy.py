"""The script that stands before HAProxy: what it changes in Serve's configuration."""

import subprocess
from pathlib import Path

import pytest

from deployments.commands import boot

_AS_SERVE_WRITES_IT = """global
    log stdout format raw local0
defaults
    mode http
    timeout connect 1s
    timeout client 1s
    timeout server 1s
frontend prometheus
    bind :19101
frontend http_frontend
    bind 0.0.0.0:17411
    default_backend replicas
backend replicas
    server one 127.0.0.1:17412
listen stats
  bind *:18404
  stats enable
"""


def test_pages_stay_on_the_loopback_and_nobody_claims_another_address(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("RAY_SERVE_HAPROXY_STATS_PORT", "18404")
    monkeypatch.setenv("RAY_SERVE_HAPROXY_METRICS_PORT", "19101")
    script = boot._local_haproxy(tmp_path)
    if script is None:
        pytest.skip("no HAProxy here")
    config = tmp_path / "haproxy.cfg"
    config.write_text(_AS_SERVE_WRITES_IT)
    checked = subprocess.run([script, "-db", "-f", config, "-c"], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr
    lines = config.read_text().splitlines()
    assert [line.split()[1] for line in lines if " bind " in line] == [
        "127.0.0.1:19101",
        "0.0.0.0:17411",
        "127.0.0.1:18404",
    ]
    # a proxy on this machine has told the address already; anybody else's word is followed by what HAProxy saw
    assert lines[lines.index("defaults") + 1].split() == ["option", "forwardfor", "except", "127.0.0.0/8"]
