"""What makes the tests of the console fast."""

import pytest

from adapter.operations import sign_in
from tests.users import user


@pytest.fixture(autouse=True)
def quick_refusals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Check the password of an unknown name against a hash that costs nothing."""
    monkeypatch.setattr(sign_in, "_dummy_hash", lambda: user("nobody").password)
