"""Provide fixtures that make console tests fast and run commands on a test's database."""

import pytest

from adapter.operations import sign_in
from tests.harness import SECRETS
from tests.paths import MAPPINGS
from tests.shell import Shell
from tests.users import user


@pytest.fixture(autouse=True)
def quick_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use a fast hash to check passwords of unknown users."""
    monkeypatch.setattr(sign_in, "_dummy_hash", lambda: user("nobody").password)


@pytest.fixture
def shell(database: str, monkeypatch: pytest.MonkeyPatch) -> Shell:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("DATABASE_URL", database)
    monkeypatch.setenv("ADAPTER_MAPPINGS_DIR", str(MAPPINGS))
    return Shell()
