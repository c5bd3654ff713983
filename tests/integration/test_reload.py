"""Test that either all changed mappings are reloaded or none."""

from pathlib import Path

import pytest

from adapter.exceptions import ConfigurationError
from adapter.mapping.problems import MappingErrors, Problem
from adapter.server import hot_reload
from adapter.server.worker import must_restart
from adapter.settings import settings_from


def test_a_folder_counts_as_changed_once_its_files_are_stable(tmp_path: Path) -> None:
    file = tmp_path / "samples" / "a.json"
    file.parent.mkdir()
    file.write_text("{}")
    folder = hot_reload.FolderWatcher(tmp_path)
    assert not folder.has_changed()

    file.write_text('{"half": ')
    assert not folder.has_changed(), "it may be written still"
    file.write_text('{"half": 2}')
    assert not folder.has_changed()
    assert folder.has_changed()
    assert not folder.has_changed(), "told once"

    file.unlink()
    assert not folder.has_changed()
    assert folder.has_changed()


PROBLEMS = [Problem.of_file("a.yaml", "one"), Problem.of_file("b.yaml", "two")]


@pytest.mark.parametrize(
    ("error", "event"),
    [
        (MappingErrors(PROBLEMS), "mappings_invalid"),
        (ConfigurationError("one\ntwo"), "settings_invalid"),
    ],
)
def test_what_is_invalid_is_reported_line_by_line(
    caplog: pytest.LogCaptureFixture, error: ConfigurationError, event: str
) -> None:
    def refuse() -> None:
        raise error

    assert hot_reload.reload_or_keep(refuse) is None
    assert [record.message for record in caplog.records] == [event, event]
    assert [vars(record)["problem"] for record in caplog.records] == str(error).splitlines()


PASSWORD = "ana:operate:scrypt:1:1:1$salt$hash"
ROTATIONS = [
    ("ADAPTER_USERS", PASSWORD, PASSWORD.replace("hash", "other"), False),
    ("ADAPTER_METRICS_TOKEN", "one", "two", False),
    ("ADAPTER_API_TOKEN", "1" * 40, "2" * 40, False),
    ("PROPEXO_WEBHOOK_SECRET", "one", "two", False),
    ("RENTFEED_SECRET", "one", "two", False),
    ("PROPEXO_TOKEN", "one", "two", True),
    ("ADAPTER_ENCRYPTION_KEYS", "A" * 43 + "=", "B" * 43 + "=", True),
    ("DATABASE_URL", "postgresql://one/a", "postgresql://two/a", True),
]


@pytest.mark.parametrize(("name", "old", "new", "is_restarted"), ROTATIONS)
def test_a_worker_starts_again_only_for_a_secret_that_it_uses(
    tmp_path: Path, name: str, old: str, new: str, is_restarted: bool
) -> None:
    file = tmp_path / "secret"
    file.write_text(old)
    former = settings_from({f"{name}_FILE": str(file)})
    assert former.environ[name] == old
    file.write_text(new)
    changed = former.reread()
    assert must_restart(former, changed) is is_restarted
    file.unlink()
    assert not must_restart(former, changed.reread()), "it could not start"
