"""What all tests share: no setting of the developer's own shell reaches a test."""

import os

import hypothesis
import pytest

# how long an example may take says nothing on a machine that is shared; the whole suite has its time
hypothesis.settings.register_profile("shared machine", deadline=None)
hypothesis.settings.load_profile("shared machine")


@pytest.fixture(autouse=True)
def _no_settings_from_the_shell(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in [name for name in os.environ if name.upper().startswith("RAYDESK_")]:
        monkeypatch.delenv(variable)
