"""Make the console tests fast."""

import pytest

from adapter.operations import sign_in
from tests.users import user


@pytest.fixture(autouse=True)
def quick_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use a cheap hash for the password check of unknown users."""
    monkeypatch.setattr(sign_in, "_dummy_hash", lambda: user("nobody").password)
