"""Test that settings are declared once, report all errors at once, and hide secrets."""

import datetime as dt
import os
from pathlib import Path

import pytest
from click.testing import CliRunner

import adapter.cli
from adapter.cli import commands
from adapter.cli.run import run_environment
from adapter.exceptions import ConfigurationError
from adapter.settings import (
    SECRET_NAMES,
    SETTINGS,
    Environment,
    Settings,
    read_env_file,
    replaced,
    service_links,
    settings_from,
    untrimmed,
)

SECRETS = {
    "ADAPTER_ALARMS": "slack://hunter2,json://example.com/?to=a,b",
    "DATABASE_URL": "postgresql://adapter:hunter2@db/adapter",
    "PROPEXO_TOKEN": "hunter2",
    "PROPEXO_WEBHOOK_SECRET": "hunter2",
    "ADAPTER_METRICS_TOKEN": "hunter2",
    "ADAPTER_API_TOKEN": "hunter2-hunter2-hunter2",
    "ADAPTER_STATUS_WEBHOOK_SECRET": "whsec_hunter2" + "A" * 32 + "=",
    "ADAPTER_SMTP_URL": "smtps://u:hunter2@mail.example.com?from=tours@example.com",
    "ADAPTER_USERS": "anna:operate:scrypt:hunter2",
    "ADAPTER_ENCRYPTION_KEYS": "hunter2" + "A" * 36 + "=",
    "RENTFEED_SECRET": "hunter2",
}


def test_an_empty_environment_gives_the_declared_defaults() -> None:
    assert settings_from({}) == Settings()


@pytest.mark.parametrize(
    ("environ", "port", "listens_on"),
    [
        ({}, None, ("127.0.0.1", 8000)),
        ({"PORT": "9000"}, None, ("127.0.0.1", 9000)),
        ({"PORT": "9000"}, 9001, ("127.0.0.1", 9001)),
        ({"ADAPTER_HOST": "192.0.2.1"}, 9001, ("192.0.2.1", 9001)),
    ],
)
def test_run_listens_on_this_machine_only_unless_told(
    environ: dict[str, str], port: int | None, listens_on: tuple[str, int]
) -> None:
    settings = settings_from(run_environment(environ, port))
    assert (settings.host, settings.port) == listens_on
    assert settings_from({"PORT": "9000"}).host == "0.0.0.0", "a platform routes to `adapter web`"


def test_a_blank_variable_counts_as_unset() -> None:
    assert settings_from({"PORT": " "}).port == Settings().port


def test_settings_of_both_groups_are_read() -> None:
    settings = settings_from({"ADAPTER_SOON_HOURS": "5", "ADAPTER_EARLIEST_TOUR": "08:30"})

    assert settings.soon_hours == 5
    assert settings.policy.earliest_tour == dt.time(8, 30)


def test_no_two_settings_have_the_same_name() -> None:
    names = [one.name for one in SETTINGS]
    assert len(names) == len(set(names))


def test_spellings_are_given_by_field() -> None:
    policy = settings_from({"ADAPTER_PETS": "cat=CATS", "ADAPTER_TOUR_TYPES": "video=LIVE"}).policy
    assert policy.spellings == {
        "pets": {"cat": "CATS"},
        "tour_type": {"video": "LIVE"},
        "first_contact_type": {},
    }


def test_all_errors_are_reported_together() -> None:
    environ = {"PORT": "many", "ADAPTER_PETS": "cow=COWS", "ADAPTER_EARLIEST_TOUR": "22:00"}
    with pytest.raises(ConfigurationError) as refused:
        settings_from(environ | {"ADAPTER_PORT": "1"})

    assert str(refused.value).splitlines() == [
        "PORT must be a whole number from 1 to 65535",
        "ADAPTER_PETS must be pairs such as cat=CAT, with words from cat, small_dog, large_dog",
        "ADAPTER_PORT is not a setting; check the spelling",
        "ADAPTER_EARLIEST_TOUR must be before ADAPTER_LATEST_TOUR",
    ]


def test_secrets_are_in_no_representation() -> None:
    assert "hunter2" not in repr(settings_from(SECRETS))


@pytest.mark.parametrize(
    "name",
    ["DATABASE_URL", "PROPEXO_TOKEN", "ADAPTER_ALARMS", "ADAPTER_USERS", "ADAPTER_ENCRYPTION_KEYS"],
)
def test_a_secret_that_cannot_be_read_is_not_quoted(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"^{name} ") as refused:
        settings_from({name: "hunter2 hunter2"})
    assert "hunter2" not in str(refused.value)


def test_a_url_of_an_alarm_may_contain_commas() -> None:
    urls = ("mailtos://u:p@example.com?to=a@example.com,b@example.com", "slack://T0/B0/x")
    assert settings_from({"ADAPTER_ALARMS": f"{urls[0]}, {urls[1]},"}).alarms == urls


def test_a_short_api_token_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="ADAPTER_API_TOKEN must have at least 20"):
        settings_from({"ADAPTER_API_TOKEN": "open sesame"})


@pytest.mark.parametrize("name", [*SECRET_NAMES, "RENTFEED_SECRET"])
def test_each_secret_may_be_in_a_file(tmp_path: Path, name: str) -> None:
    file = tmp_path / "secret"
    file.write_text(SECRETS[name] + "\n")
    from_file = settings_from({f"{name}_FILE": f" {file} "})

    assert from_file == settings_from({name: SECRETS[name]})
    assert from_file.environ[name].strip() == SECRETS[name]
    assert f"{name}_FILE" not in repr(from_file)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "names a file that cannot be read: No such file or directory"),
        (b"\xff\xfe", "names a file that cannot be read: not UTF-8 text"),
        (b" \n", "names a file that is empty or larger than 64 kB"),
        (b"x" * 65537, "names a file that is empty or larger than 64 kB"),
    ],
)
def test_a_file_that_gives_no_secret_is_an_error_with_the_name_of_its_variable(
    tmp_path: Path, content: bytes | None, problem: str
) -> None:
    file = tmp_path / "hunter2"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(ConfigurationError) as refused:
        settings_from({"PROPEXO_TOKEN_FILE": str(file), "PORT": "many"})

    assert str(refused.value).splitlines() == [
        "PORT must be a whole number from 1 to 65535",
        f"PROPEXO_TOKEN_FILE {problem}",
    ]
    with pytest.raises(ConfigurationError, match=f"RENTFEED_SECRET_FILE {problem}"):
        Environment({"RENTFEED_SECRET_FILE": str(file)}).get("RENTFEED_SECRET")


def test_an_env_file_that_is_not_utf_8_is_an_error(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"PORT=\xff")
    with pytest.raises(ConfigurationError, match="is not UTF-8 text"):
        read_env_file(tmp_path / ".env", {})


def test_a_pipe_is_no_file_with_a_secret(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ConfigurationError, match="not a regular file"):
        settings_from({"PROPEXO_TOKEN_FILE": str(tmp_path / "pipe")})


def test_a_secret_is_set_or_in_a_file_not_both(tmp_path: Path) -> None:
    environ = {"PROPEXO_TOKEN": "one", "PROPEXO_TOKEN_FILE": str(tmp_path)}

    with pytest.raises(ConfigurationError, match="PROPEXO_TOKEN_FILE are both set; remove one"):
        settings_from(environ)
    assert settings_from(environ | {"PROPEXO_TOKEN_FILE": " "}).propexo_token == "one"
    assert replaced(environ, PROPEXO_TOKEN="two") == {"PROPEXO_TOKEN": "two"}


def test_only_secrets_are_in_files() -> None:
    with pytest.raises(ConfigurationError, match="ADAPTER_DATA_DIR_FILE is not a setting"):
        settings_from({"ADAPTER_DATA_DIR_FILE": "/etc/hostname"})


def test_files_are_read_again_and_one_that_cannot_be_read_changes_nothing(tmp_path: Path) -> None:
    token, secret = tmp_path / "token", tmp_path / "secret"
    token.write_text("first")
    secret.write_text("first")
    before = settings_from({"PROPEXO_TOKEN_FILE": str(token), "A_SECRET_FILE": str(secret)})
    assert before.environ["A_SECRET"] == "first"
    token.write_text("second")
    secret.write_text("second")
    assert (before.propexo_token, before.environ["A_SECRET"]) == ("first", "first")

    after = before.reread()
    assert (after.propexo_token, after.environ["A_SECRET"]) == ("second", "second")
    assert (after == before, after.problems) == (False, [])

    token.unlink()
    secret.write_text("")
    kept = after.reread().reread()
    assert (kept.propexo_token, kept.environ["A_SECRET"]) == ("second", "second")
    assert kept == after
    assert [problem.partition(" ")[0] for problem in kept.problems] == [
        "PROPEXO_TOKEN_FILE",
        "A_SECRET_FILE",
    ]
    assert all(problem.endswith("; the old value stays in use") for problem in kept.problems)


@pytest.mark.parametrize(
    ("url", "token", "is_accepted"),
    [
        ("http://propexo.example.com", "hunter2", False),
        ("http://127.0.0.1.example.com", "hunter2", False),
        ("https://propexo.example.com", "hunter2", True),
        ("http://127.0.0.1:8001", "hunter2", True),
        ("http://[::1]:8001", "hunter2", True),
        ("http://sandbox:8001", "sandbox", True),
    ],
)
def test_a_real_token_is_never_sent_in_clear(url: str, token: str, *, is_accepted: bool) -> None:
    environ = {"PROPEXO_BASE_URL": url, "PROPEXO_TOKEN": token}
    if is_accepted:
        assert settings_from(environ).propexo_base_url == url
        return
    with pytest.raises(ConfigurationError, match=r"^PROPEXO_BASE_URL must start with https://"):
        settings_from(environ)


@pytest.mark.parametrize(
    ("content", "is_named"), [("a\n", False), ("a\r\n", False), ("a \n", True), ("'a'\n", True)]
)
def test_the_line_break_at_the_end_of_a_file_is_no_mistake(
    tmp_path: Path, content: str, *, is_named: bool
) -> None:
    (tmp_path / "secret").write_bytes(content.encode())
    environ = Environment({"A_SECRET_FILE": str(tmp_path / "secret")})

    assert bool(untrimmed(environ, ["A_SECRET"])) is is_named
    assert untrimmed({"A_SECRET": content}, ["A_SECRET"]) == ["A_SECRET"]


SERVICE = {
    "ADAPTER_SERVICE_HOST": "10.0.0.1",
    "ADAPTER_SERVICE_PORT": "8000",
    "ADAPTER_SERVICE_PORT_HTTP": "8000",
    "ADAPTER_PORT": "tcp://10.0.0.1:8000",
    "ADAPTER_PORT_8000_TCP": "tcp://10.0.0.1:8000",
    "ADAPTER_PORT_8000_TCP_ADDR": "10.0.0.1",
    "ADAPTER_WEB_PORT": "tcp://10.0.0.1:8000",
    "PROPEXO_PROXY_SERVICE_HOST": "10.0.0.2",
}


def test_the_variables_of_kubernetes_for_a_service_are_ignored() -> None:
    assert settings_from(SERVICE).port == Settings().port
    assert service_links(SERVICE) == list(SERVICE)


@pytest.mark.parametrize("name", ["ADAPTER_PORT", "ADAPTER_WEB_PORT", "ADAPTER_SERVICE"])
def test_a_misspelled_setting_is_not_taken_for_one_of_these(name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{name} is not a setting"):
        settings_from({name: "8000"})


@pytest.mark.parametrize(("text", "value"), [("yes", True), ("no", False), ("", False)])
def test_a_flag_is_yes_or_no(text: str, value: bool) -> None:
    assert settings_from({"ADAPTER_ALLOW_NEWER_DATABASE": text}).allow_newer_database is value
    with pytest.raises(ConfigurationError, match="must be yes or no"):
        settings_from({"ADAPTER_ALLOW_NEWER_DATABASE": "1"})


@pytest.fixture
def env_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a settings file that names a mappings folder that does not exist."""
    for name in ("ADAPTER_MAPPINGS_DIR", "ADAPTER_ENV_FILE", "PGAPPNAME"):
        monkeypatch.setenv(name, "")  # and restored at the end, whatever the commands set
        monkeypatch.delenv(name)
    file = tmp_path / "env"
    file.write_text("ADAPTER_MAPPINGS_DIR=from-the-file\n")
    return file


def checked() -> str:
    return CliRunner().invoke(commands, ["check"], catch_exceptions=False).output


def test_a_file_of_settings_is_named_by_a_variable_or_found_in_etc(
    env_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(adapter.cli, "DEFAULT_ENV_FILE", env_file)
    assert f"{Path.cwd()}/from-the-file is not a folder; set ADAPTER_MAPPINGS_DIR" in checked()
    monkeypatch.delenv("ADAPTER_MAPPINGS_DIR")

    other = env_file.with_name("other")
    other.write_text("ADAPTER_MAPPINGS_DIR=from-the-other\n")
    monkeypatch.setenv("ADAPTER_ENV_FILE", str(other))
    assert "from-the-other" in checked()


@pytest.mark.usefixtures("env_file")
def test_connections_are_named_by_the_process() -> None:
    for command in ("check", "schema"):
        CliRunner().invoke(commands, [command], catch_exceptions=False)
        assert os.environ["PGAPPNAME"] == f"adapter {command}"
    os.environ["PGAPPNAME"] = "mine"
    CliRunner().invoke(commands, ["check"], catch_exceptions=False)
    assert os.environ["PGAPPNAME"] == "mine"
