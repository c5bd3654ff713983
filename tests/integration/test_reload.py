"""Test reloading mappings in running processes: all of them or none."""

from pathlib import Path

import pytest

from adapter.exceptions import ConfigurationError
from adapter.server import hot_reload


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


def test_invalid_mappings_are_reported_line_by_line(caplog: pytest.LogCaptureFixture) -> None:
    def refuse() -> None:
        raise ConfigurationError("one\ntwo")

    assert hot_reload.reload_or_keep(refuse) is None
    assert [vars(record)["problem"] for record in caplog.records] == ["one", "two"]
