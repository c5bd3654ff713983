"""Test ``adapter init`` and the files that it writes, without using the files."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner, Result

import adapter
from adapter.cli import commands
from adapter.exceptions import AdapterError
from adapter.settings import SETTINGS, Settings, read_env_file, settings_from
from tests import dockerfile
from tests.paths import ROOT


def init(folder: Path, *options: str) -> Result:
    return CliRunner().invoke(
        commands, ["init", str(folder), *options], catch_exceptions=False, standalone_mode=False
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    init(tmp_path / "leads", "--host", "tours.example.com")
    return tmp_path / "leads"


def files_of(folder: Path) -> dict[Path, bytes]:
    return {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def environment(file: Path) -> dict[str, str]:
    environ: dict[str, str] = {}
    read_env_file(file, environ)
    return environ


def test_every_placeholder_is_filled(folder: Path) -> None:
    texts = {file.name: content.decode() for file, content in files_of(folder).items()}
    words = ("FOLDER", "HOST", "PYTHON", "VERSION", "SECRET", "PASSWORD")

    assert [n for n, text in texts.items() for word in words if f"@{word}@" in text] == []
    assert "server_name tours.example.com;" in texts["lead-adapter.conf"]
    assert f"WorkingDirectory={folder}" in texts["lead-adapter@.service"]


def test_the_next_steps_are_printed(tmp_path: Path) -> None:
    printed = init(tmp_path / "leads").output

    assert f"created {tmp_path / 'leads' / 'compose.yaml'}" in printed
    assert "adapter --env-file .env run" in printed


@pytest.mark.parametrize("name", [".env", "mappings/communities.yaml", "compose.yaml"])
def test_nothing_is_overwritten_and_nothing_written_beside_it(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("mine")

    with pytest.raises(AdapterError, match=f"{name} already exists"):
        init(tmp_path)
    assert files_of(tmp_path) == {tmp_path / name: b"mine"}


def test_the_secrets_are_new_unreadable_for_others_and_not_in_the_example(
    folder: Path, tmp_path: Path
) -> None:
    init(tmp_path / "other")
    ours, others = environment(folder / ".env"), environment(tmp_path / "other" / ".env")
    example = environment(folder / ".env.example")

    for name in ("RENTFEED_SECRET", "POSTGRES_PASSWORD"):
        assert len(ours[name]) == 32
        assert ours[name] != others[name]
        assert example[name] == ""
    assert (folder / ".env").stat().st_mode & 0o777 == 0o600
    assert ".env" in (folder / ".gitignore").read_text().splitlines()


def test_the_example_has_every_setting_and_the_defaults_are_valid(folder: Path) -> None:
    text = (folder / ".env.example").read_text()
    lines = [line.removeprefix("#") for line in text.splitlines() if not line.startswith("# ")]
    (folder / "all").write_text("\n".join(lines))
    given = environment(folder / "all")
    changed = {"DATABASE_URL", "PROPEXO_BASE_URL", "ADAPTER_PUBLIC_URL", "ADAPTER_TRUSTED_PROXIES"}

    assert {each.name for each in SETTINGS} <= given.keys()
    defaults = {name: value for name, value in given.items() if name not in changed}
    assert settings_from(defaults) == Settings(environ=defaults)
    assert settings_from(given).public_url == "https://tours.example.com"


def test_a_file_of_settings_adds_to_the_environment_only_what_it_lacks(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("# NAME=x\nPORT=81\n\nTOKEN = a=b # c \nQUOTED='d'\nWORD\n")
    environ = {"PORT": "80"}
    read_env_file(tmp_path / ".env", environ)

    assert environ == {"PORT": "80", "TOKEN": "a=b # c", "QUOTED": "d"}


def test_compose_runs_the_images_commands_with_the_mappings_where_it_reads_them(
    folder: Path,
) -> None:
    services = yaml.safe_load((folder / "compose.yaml").read_text())["services"]
    (workdir,) = (rest for name, rest in dockerfile.instructions()[1] if name == "WORKDIR")
    ours = {name: one for name, one in services.items() if "knock-lead" in one["image"]}

    assert ours.keys() == {"release", "web", "worker", "sandbox"}
    assert {one["image"] for one in ours.values()} == {f"knock-lead-adapter:{adapter.__version__}"}
    assert all(one["read_only"] for one in ours.values())
    assert f"./mappings:{workdir}/mappings:ro" in services["web"]["volumes"]
    assert services["web"]["command"] == dockerfile.command_of("CMD")
    release, *_ = (ROOT / "Procfile").read_text().replace("python -m ", "").splitlines()
    assert f"release: {services['release']['command'][-1]}" == release


def test_the_image_is_of_this_version_and_runs_as_an_ordinary_user() -> None:
    final = dict(dockerfile.instructions()[1])

    texts = dockerfile.DOCKERFILE.read_text() + (ROOT / "docs" / "deployment.md").read_text()
    assert set(re.findall(r"knock-lead-adapter:([\d.]+)", texts)) == {adapter.__version__}
    assert f'version = "{adapter.__version__}"' in (ROOT / "pyproject.toml").read_text()
    assert final["USER"] == "10001"


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd")
def test_systemd_finds_nothing_to_complain_about(tmp_path: Path) -> None:
    folder = tmp_path / "two words"
    init(folder)
    units = [str(unit) for unit in (folder / "systemd").iterdir()]
    assert len(units) == 2
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (verified.returncode, verified.stderr) == (0, "")
