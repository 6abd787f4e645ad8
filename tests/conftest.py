"""What all tests share: no setting of the developer's own shell reaches a test."""

import os

import pytest


@pytest.fixture(autouse=True)
def _no_settings_from_the_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in [name for name in os.environ if name.upper().startswith("RAYDESK_")]:
        monkeypatch.delenv(variable)
