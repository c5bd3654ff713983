"""Define ``adapter init``, which creates a folder for running and deploying the adapter."""

import secrets
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import click

import adapter
from adapter.cli.help import examples
from adapter.exceptions import ConfigurationError
from adapter.mapping.authoring.install import first_mapping
from adapter.mapping.gallery import BUNDLED
from adapter.mapping.registry import load_one
from adapter.settings import SETTINGS, Policy

TEMPLATES: Final = Path(__file__).with_name("deployment")
_INSTALLED = Path(adapter.__file__).parent / "ops"
#: The alerts and the dashboard. In a checkout, they are next to the package.
OPS: Final = _INSTALLED if _INSTALLED.is_dir() else _INSTALLED.parents[1] / "ops"
#: The sender in the sample mapping.
SENDER: Final = "rentfeed"
NEXT_STEPS: Final = """
Next:
  cd {folder}
  adapter --env-file .env run    runs everything on this machine, and books in a sandbox
README.md explains how to deploy it with Docker, systemd and nginx."""


@click.command(
    epilog=examples("adapter init leads", "adapter init /srv/leads --host leads.example.com")
)
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--host", default="leads.example.com", help="Hostname at which senders reach the adapter."
)
def init(folder: Path, host: str) -> None:
    """Create the folder DIR for running and deploying the adapter.

    The folder contains a sample mapping with its communities, .env with new secrets, .env.example
    with all settings, compose.yaml for Docker, systemd units, an nginx configuration with TLS, a
    configuration and alerts for Prometheus, a dashboard for Grafana, and a README.md that explains
    how to use these files. Existing files are never overwritten. The systemd units contain the
    paths of DIR and of this Python interpreter.
    """
    files = _files(folder, host)
    for file in files:
        if file.exists():
            raise ConfigurationError(f"{file} already exists; choose another folder")
    for file, content in files.items():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch(0o600 if file.name == ".env" else 0o666)  # minus the umask
        file.write_bytes(content)
        click.echo(f"created {file}")
    click.echo(NEXT_STEPS.format(folder=folder))


def _files(folder: Path, host: str) -> dict[Path, bytes]:
    """Return the contents of all files to create, keyed by path."""
    words = {
        "FOLDER": str(folder.resolve()),
        "HOST": host,
        "PYTHON": sys.executable,
        "VERSION": adapter.__version__,
    }
    new = {name: secrets.token_hex(16) for name in ("SECRET", "PASSWORD")}
    texts = {path.relative_to(TEMPLATES): path.read_text() for path in _templates()}
    settings = texts[Path(".env.example")] + _other_settings(texts[Path(".env.example")])
    texts |= {Path(".env"): _filled(settings, new), Path(".env.example"): settings}
    texts[Path(".gitignore")] = ".env\nvar/\nmetrics-token\n"
    texts[Path("prometheus", "alerts.yml")] = (OPS / "alerts.yml").read_text()
    texts[Path("grafana", "dashboard.json")] = (OPS / "dashboard.json").read_text()
    words |= dict.fromkeys(new, "")
    sample = load_one(BUNDLED, SENDER, Policy())
    return first_mapping(sample, folder / "mappings") | {
        folder / name: _filled(text, words).encode() for name, text in texts.items()
    }


def _templates() -> list[Path]:
    return sorted(path for path in TEMPLATES.rglob("*") if path.is_file())


def _other_settings(text: str) -> str:
    """Return comment lines with the default of each setting that ``text`` does not mention."""
    others = (each for each in SETTINGS if f"{each.name}=" not in text)
    return "".join(f"# {each.meaning}\n#{each.name}={each.default_text}\n" for each in others)


def _filled(text: str, words: Mapping[str, str]) -> str:
    """Replace each ``@WORD@`` in a template with its value."""
    for name, value in words.items():
        text = text.replace(f"@{name}@", value)
    return text
