"""Test the oldest supported PostgreSQL, and that older versions are rejected."""

import os
import re
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

import tests
from adapter import store
from adapter.exceptions import ConfigurationError
from adapter.settings import SETTINGS
from adapter.store.connection import check_version
from adapter.store.embedded import EmbeddedServer
from tests.installed import DEBIAN, VARIABLE, InstalledServer, debian_programs
from tests.paths import ROOT

DEPLOYING = ROOT / "docs" / "deployment.md"

#: Tests of the SQL and the queue, which use PostgreSQL through the store.
FILES = (
    Path(__file__).name,
    "test_store.py",
    "test_notify.py",
    "test_pipeline.py",
    "test_once_and_in_order.py",
)


@pytest.mark.parametrize("number", [90624, 130023, 149999])
def test_an_older_postgresql_is_refused_by_its_version(number: int) -> None:
    with pytest.raises(ConfigurationError, match=f"PostgreSQL {number // 10_000} is too old"):
        check_version(number)


@pytest.mark.parametrize("number", [150000, 150018, 160014, 200000])
def test_the_oldest_that_is_supported_and_all_newer_ones_are_taken(number: int) -> None:
    check_version(number)


def test_both_starts_ask_for_the_version(
    empty_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Check that the version is tested both when migrating and when connecting."""
    monkeypatch.setattr("adapter.store.connection.OLDEST_POSTGRES", 999)
    with pytest.raises(ConfigurationError, match="999 or newer is required"):
        store.migrate(empty_database)
    with pytest.raises(ConfigurationError, match="999 or newer is required"):
        store.check_reachable(empty_database)


def test_the_documents_name_the_oldest_that_is_tested() -> None:
    (meaning,) = (each.meaning for each in SETTINGS if each.name == "DATABASE_URL")
    named = re.findall(r"PostgreSQL \(?(\d+) or newer", meaning + DEPLOYING.read_text())

    assert len(named) == 3
    assert set(named) == {str(store.OLDEST_POSTGRES)}


def test_the_tests_run_against_the_programs_that_are_named(postgres: EmbeddedServer) -> None:
    """Check that the embedded server is not used, because the next test could pass with it."""
    named = os.environ.get(VARIABLE)
    assert isinstance(postgres, InstalledServer) == bool(named)
    if isinstance(postgres, InstalledServer):
        said = subprocess.check_output([postgres.programs() / "postgres", "--version"], text=True)
        with psycopg.connect(postgres.url) as connection:
            (version,) = connection.execute("SHOW server_version").fetchone() or ("",)
        assert f"(PostgreSQL) {version}" in said


@pytest.mark.skipif(VARIABLE in os.environ, reason=f"{VARIABLE} names the server already")
def test_store_queue_and_pipeline_work_on_debians_postgresql() -> None:
    programs = debian_programs(store.OLDEST_POSTGRES)
    if programs is None:
        pytest.skip(f"no PostgreSQL {store.OLDEST_POSTGRES} or newer of Debian's under {DEBIAN}")
    home = Path(tests.__file__).parent
    files = [file for name in FILES for file in home.rglob(name)]
    assert len(files) == len(FILES)
    own = ("PYTEST_", "COV")  # set by the test run that this test belongs to
    kept = {name: value for name, value in os.environ.items() if not name.startswith(own)}

    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n0", "--no-cov", *map(str, files)],
        cwd=home.parent,
        env=kept | {VARIABLE: str(programs)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stdout + run.stderr
