"""Check which user runs the embedded PostgreSQL, and that other folders are unchanged."""

import os
import pwd
import stat
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from adapter.exceptions import ConfigurationError
from adapter.store.embedded import EmbeddedServer
from adapter.store.server_user import OWN_ID
from tests.databases import run_sql
from tests.installed import server_for_tests

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")

#: A user ID without an account or any privileges.
STRANGER = 58499


def fails_as(uid: int, action: Callable[[], object]) -> str:
    """Return the name of the exception that an action raises for another user, or ""."""
    source, target = os.pipe()
    if (child := os.fork()) == 0:
        os.setgroups([])
        os.setgid(uid)
        os.setuid(uid)
        name = ""
        try:
            action()
        except BaseException as exc:
            name = f"{type(exc).__name__}: {exc}"
        os.write(target, name.encode())
        os._exit(0)
    os.close(target)
    with os.fdopen(source) as result:
        text = result.read()
    os.waitpid(child, 0)
    return text


def state_of(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_mode, found.st_uid, found.st_gid


@pytest.fixture
def closed_folder(data_folder: Path) -> Path:
    """Return a data folder below two folders that are closed to all other users."""
    folder = data_folder / "home" / "app"
    folder.mkdir(parents=True)
    for path in (folder, folder.parent):
        path.chmod(0o700)
    return folder / "data"


def test_nothing_outside_the_data_folder_is_changed(closed_folder: Path) -> None:
    server = server_for_tests(closed_folder)
    watched = [*closed_folder.parents, *server.programs().parents, *server.programs().iterdir()]
    before, accounts = [state_of(path) for path in watched], pwd.getpwall()

    with server.running() as url:
        run_sql(url, "SELECT 1")

    assert [state_of(path) for path in watched] == before
    assert pwd.getpwall() == accounts
    assert stat.S_IMODE(server.folder.stat().st_mode) == 0o700
    assert server.folder.stat().st_uid == (os.geteuid() or OWN_ID)


@needs_root
def test_no_other_account_connects_or_reads(data_folder: Path) -> None:
    server = server_for_tests(data_folder / "data")
    data_folder.chmod(0o755)

    def connect() -> None:
        psycopg.connect(server.url).close()

    with server.running():
        assert "PermissionError" in fails_as(STRANGER, lambda: list(server.folder.iterdir()))
        assert "OperationalError" in fails_as(STRANGER, connect)
        server.folder.chmod(0o755)
        assert "Permission denied" in fails_as(STRANGER, connect)  # the socket's own mode
        (server.folder / ".s.PGSQL.5432").chmod(0o777)
        assert "Peer authentication failed" in fails_as(STRANGER, connect)
        assert "Peer authentication failed" in fails_as(OWN_ID, connect)
        connect()
        server.folder.chmod(0o700)


def test_a_cluster_that_trusted_everyone_is_closed_at_the_next_start(data_folder: Path) -> None:
    server = server_for_tests(data_folder)
    with server.running():
        pass
    rules = server.folder / "pg_hba.conf"
    rules.write_text("local all all trust\n")

    with server.running() as url, psycopg.connect(url) as connection:
        methods = connection.execute("SELECT DISTINCT auth_method FROM pg_hba_file_rules")
        assert methods.fetchall() == [("peer",)]


@pytest.fixture
def deep_folder(data_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a data folder whose path is too long for a socket."""
    monkeypatch.setattr("tempfile.tempdir", str(data_folder))
    return data_folder / ("x" * 85)


def socket_folder(server: EmbeddedServer) -> Path:
    return Path(server.url.partition("host=")[2])


def test_the_socket_of_a_deep_data_folder_is_in_a_folder_of_its_own(deep_folder: Path) -> None:
    server = server_for_tests(deep_folder)

    with server.running() as url:
        run_sql(url, "SELECT 1")
        found = socket_folder(server).lstat()

    assert deep_folder not in socket_folder(server).parents
    assert stat.S_IMODE(found.st_mode) == 0o700
    assert found.st_uid == server.user.uid


@pytest.mark.parametrize("kind", ["open", "link", pytest.param("foreign", marks=needs_root)])
def test_a_socket_folder_that_others_prepared_is_refused(
    deep_folder: Path, data_folder: Path, kind: str
) -> None:
    planted, elsewhere = socket_folder(EmbeddedServer(deep_folder)), data_folder / "elsewhere"
    elsewhere.mkdir(mode=0o700)
    if kind == "link":
        planted.symlink_to(elsewhere)
    else:
        planted.mkdir()
        planted.chmod(0o777 if kind == "open" else 0o700)
    if kind == "foreign":
        os.chown(planted, STRANGER, STRANGER)
    before = state_of(elsewhere)

    with pytest.raises(ConfigurationError, match="must be private to this user"):
        EmbeddedServer(deep_folder)

    assert state_of(elsewhere) == before


def test_a_data_folder_that_others_may_write_to_is_refused(data_folder: Path) -> None:
    (data_folder / "postgres").mkdir()
    (data_folder / "postgres").chmod(0o777)

    with pytest.raises(ConfigurationError, match="must be private to this user"):
        EmbeddedServer(data_folder)


@needs_root
def test_root_runs_the_server_as_the_owner_of_the_data_folder(data_folder: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    data_folder.chmod(0o755)
    folder = data_folder / "data"
    folder.mkdir()
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    server = server_for_tests(folder)

    with server.running() as url:
        run_sql(url, "SELECT 1")
        connected = fails_as(nobody.pw_uid, lambda: psycopg.connect(url).close())

    assert connected == ""
    assert server.folder.stat().st_uid == nobody.pw_uid


@needs_root
def test_an_account_that_cannot_open_the_data_folder_gets_no_right_of_root(
    closed_folder: Path,
) -> None:
    closed_folder.mkdir()
    os.chown(closed_folder, pwd.getpwnam("nobody").pw_uid, -1)
    server = server_for_tests(closed_folder)

    with pytest.raises(ConfigurationError, match="run the adapter as another user, or set DATA"):
        server.prepare()


def test_a_cluster_that_cannot_be_created_leaves_nothing(data_folder: Path) -> None:
    class Broken(EmbeddedServer):
        def programs(self) -> Path:
            return data_folder / "programs"

    programs = data_folder / "programs"
    programs.mkdir()
    for name, text in (("postgres", "exit 0"), ("initdb", "echo no space left >&2; exit 1")):
        (programs / name).write_text(f"#!/bin/sh\n{text}\n")
        (programs / name).chmod(0o755)

    with pytest.raises(ConfigurationError, match="no space left; set DATABASE_URL"):
        Broken(data_folder / "data").prepare()

    assert list((data_folder / "data").iterdir()) == []


@needs_root
def test_root_gives_the_server_at_most_the_right_to_read(closed_folder: Path) -> None:
    server = server_for_tests(closed_folder)
    with server.running():
        pid = int((server.folder / "postmaster.pid").read_text().split("\n", 1)[0])
        status = dict(
            line.split(":\t", 1)
            for line in Path(f"/proc/{pid}/status").read_text().splitlines()
            if ":\t" in line
        )
    assert status["Uid"].split() == [str(OWN_ID)] * 4
    assert int(status["CapEff"], 16) in (0, 1 << 2)  # at most: read all, write nothing
