"""Define ``adapter check``, ``explain`` and ``schema`` for mapping authors."""

import contextlib
import sys
from pathlib import Path

import click

from adapter.cli import output
from adapter.cli.help import examples
from adapter.exceptions import ConfigurationError
from adapter.mapping import registry
from adapter.mapping.authoring.explain import rows_from_source, text_from_rows
from adapter.mapping.authoring.json_schema import mapping_schema
from adapter.mapping.communities_yaml import FILE
from adapter.mapping.loader.loader import NAME
from adapter.mapping.source import Source
from adapter.settings import UNTRIMMED, Settings, settings_from
from adapter.webhooks.endpoints import invitation_problems, untrimmed_secrets

STDIN = Path("-")


def _folder(given: Path | None) -> Path:
    return given or settings_from().mappings_dir


mappings_option = click.option(
    "--mappings",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Read mappings from this folder. Default: ADAPTER_MAPPINGS_DIR, or mappings.",
)


@click.command(
    epilog=examples(
        "adapter check",
        "adapter check --environment",
        "adapter check rentfeed --strict",
        "adapter check mappings/rentfeed.yaml --json",
    )
)
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--environment",
    is_flag=True,
    help="Also check the settings, secrets and database that the web and worker processes need to "
    "start.",
)
@click.option("--strict", is_flag=True, help="Exit with code 1 if there are warnings.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def check(paths: tuple[Path, ...], environment: bool, strict: bool, as_json: bool) -> None:
    """Check mappings and print each error with its location.

    PATH is a folder with mappings and communities.yaml, a mapping file, or a source's name. By
    default, the command checks all mappings. Errors and warnings are printed as file:line:column:
    field: message. A mapping with warnings still works, and the exit code is 0. Without
    --environment, the command needs no database and no secrets, but it warns about secrets that are
    surrounded by whitespace.
    """
    settings = settings_from()
    folder = settings.mappings_dir
    checked = [_mapping_path(path, folder) for path in paths] or [folder]
    problems = registry.check(checked, settings.policy)
    loaded = _loaded(checked, settings)
    untrimmed = untrimmed_secrets(loaded, settings)
    uninvited = invitation_problems(loaded, settings)
    named = list(map(str, problems))
    faults = [one for one in _faults(settings) if one not in named] if environment else []
    has_errors = bool(faults) or any(not problem.warning for problem in problems)
    warned = [*(f"{name} {UNTRIMMED}" for name in untrimmed), *uninvited]
    lines = [*named, *(f"warning: {text}" for text in warned), *faults]
    warnings = len(lines)
    names = ", ".join(map(_display_name, checked))
    lines += [] if has_errors else [f"{names}: no errors{_count(warnings)}"]
    data = {
        "problems": problems,
        "untrimmed_secrets": untrimmed,
        "invitations": uninvited,
        "environment": faults,
    }
    output.show(data, "\n".join(lines), as_json=as_json)
    sys.exit(has_errors or (strict and warnings > 0))


def _count(warnings: int) -> str:
    return f", {warnings} warning{'s' if warnings > 1 else ''}" if warnings else ""


def _faults(settings: Settings) -> list[str]:
    from adapter.operations.start_checks import environment_faults  # it imports the database driver

    return environment_faults(settings)


def _loaded(paths: list[Path], settings: Settings) -> dict[str, Source]:
    """Load mapping files, and return the valid mappings keyed by name."""
    sources: dict[str, Source] = {}
    for path in paths:
        with contextlib.suppress(ConfigurationError):
            folder = path if path.is_dir() else path.parent
            loaded = registry.load(folder, settings.policy)
            sources |= {name: one for name, one in loaded.items() if path in (folder, one.path)}
    return sources


def _mapping_path(path: Path, folder: Path) -> Path:
    """Return the path of a mapping file, given its path or the mapping's name."""
    if path.exists() or not NAME.match(str(path)):
        return path
    return registry.mapping_file(folder, str(path))


def _display_name(path: Path) -> str:
    return f"{path} (communities, not a mapping)" if path.name == FILE else str(path)


def source_named(name: str, folder: Path | None) -> Source:
    """Load a mapping by its name or file, even if its tests fail."""
    file = Path(name)
    if file.suffix == ".yaml":
        folder, name = file.parent, file.stem
    policy = settings_from().policy
    return registry.load_one(_folder(folder), name, policy, strict=False)


def read_file(file: Path) -> bytes:
    """Read a file given on the command line, or stdin if its name is ``-``."""
    if file == STDIN:
        return sys.stdin.buffer.read()
    try:
        return file.read_bytes()
    except OSError as exc:
        raise click.BadParameter(f"{file}: {exc.strerror}") from None


@click.command(epilog=examples("adapter explain rentfeed"))
@click.argument("name", metavar="SOURCE")
@mappings_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def explain(name: str, folder: Path | None, as_json: bool) -> None:
    """Explain which paths a mapping reads for each field, and how it converts the values."""
    source = source_named(name, folder)
    rows = rows_from_source(source)
    title = f"{source.name} ({source.path}) {source.description}".rstrip()
    text = "\n".join([title, *text_from_rows(rows)])
    output.show(rows, text, as_json=as_json)


@click.command(epilog=examples("adapter schema > docs/mapping.schema.json"))
def schema() -> None:
    """Print the JSON Schema for mapping files."""
    output.print_json(mapping_schema())
