"""Test that installed packages are pinned by hash, audited reliably, and have licenses."""

import re
from pathlib import Path
from typing import Any

import pytest

from tests.paths import ROOT
from tools import audit, sbom

REQUIREMENTS = sorted((ROOT / "requirements").glob("*.txt"))

CHECKED: dict[str, Any] = {"name": "flask", "version": "3.1.3", "vulns": []}
UNKNOWN = {"name": "requests", "skip_reason": "Dependency not found on PyPI"}
BAD = CHECKED | {
    "vulns": [{"id": "PYSEC-1", "aliases": ["CVE-1"], "fix_versions": ["9.9"], "description": ""}]
}


@pytest.mark.parametrize("file", REQUIREMENTS, ids=lambda file: file.name)
def test_every_package_has_one_version_and_its_hashes(file: Path) -> None:
    entries = re.split(r"\n(?=\S)", file.read_text().strip())
    assert len(entries) > 20
    wrong = [one.split()[0] for one in entries if "==" not in one or "--hash=sha256:" not in one]
    assert wrong == []


def test_nothing_is_installed_without_hashes() -> None:
    installs = re.findall(r".*pip install.*", (ROOT / "Makefile").read_text())
    assert len(installs) >= 3
    assert [one for one in installs if not re.search("--require-hashes|--no-deps", one)] == []


@pytest.mark.parametrize(
    ("packages", "status", "words"),
    [
        ([CHECKED], 0, "1 of 1 versions checked, 0 vulnerabilities"),
        ([CHECKED, UNKNOWN], 3, "NOT CHECKED: 1, such as requests: Dependency not found"),
        ([BAD], 1, "flask 3.1.3: PYSEC-1, CVE-1 (fixed in 9.9)"),
        ([BAD, UNKNOWN], 1, "1 of 2 versions checked, 1 vulnerabilities"),
    ],
)
def test_what_could_not_be_checked_is_not_reported_as_clean(
    packages: list[dict[str, Any]], status: int, words: str
) -> None:
    code, lines = audit.verdict(packages)
    assert code == status
    assert words in "\n".join(lines)


def test_an_audit_that_fails_has_checked_nothing(tmp_path: Path) -> None:
    (missing,) = audit.report_of(tmp_path / "none.txt")
    assert audit.verdict([missing])[0] == audit.NOT_CHECKED


def test_the_license_of_each_package_is_listed_or_reported_as_unknown() -> None:
    components = [
        {"name": "b", "version": "1", "licenses": [{"expression": "MIT OR Apache-2.0"}]},
        {
            "name": "a",
            "version": "2",
            "licenses": [
                {"license": {"id": "MIT"}},
                {"license": {"name": "License :: OSI Approved :: MIT License"}},
            ],
        },
        {"name": "c", "version": "3"},
    ]
    assert sbom.licenses({"components": components}) == [
        ("a", "2", "MIT or MIT License"),
        ("b", "1", "MIT OR Apache-2.0"),
        ("c", "3", "UNKNOWN"),
    ]
