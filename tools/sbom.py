"""List the licenses of the deployed packages, and write build/sbom.json, a CycloneDX SBOM.

The packages are installed as on a server, from requirements/embedded.txt, into a separate
environment, because .venv also has development packages.
"""

import json
import subprocess
import sys
import tempfile
import venv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
TARGET = ROOT / "build" / "sbom.json"
UNKNOWN = "UNKNOWN"


def write(requirements: Path, target: Path) -> None:
    """Install the requirements in a separate environment, and write the SBOM for them."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=False)
        python = Path(folder) / "bin" / "python"
        pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
        options = ["--require-hashes", "--disable-pip-version-check", "-r", str(requirements)]
        subprocess.run([*pip, *options], check=True)
        target.parent.mkdir(exist_ok=True)
        sbom = [sys.executable, "-m", "cyclonedx_py", "environment", "--output-reproducible"]
        project = ["--pyproject", str(ROOT / "pyproject.toml"), "--output-file", str(target)]
        subprocess.run([*sbom, *project, str(python)], check=True)


def licenses(sbom: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return each component's name, version and license, sorted by name."""
    return sorted(
        (one["name"], one["version"], " or ".join(dict.fromkeys(map(_name, one["licenses"]))))
        if one.get("licenses")
        else (one["name"], one["version"], UNKNOWN)
        for one in sbom["components"]
    )


def _name(one: Mapping[str, Any]) -> str:
    """Return a license's SPDX name, or else the name that its package uses."""
    if "expression" in one:
        return str(one["expression"])
    known = one["license"]
    return str(known.get("id") or known.get("name", "").removeprefix("License :: OSI Approved :: "))


def main() -> int:
    """Write the SBOM and print the licenses. Return 1 if a package declares no license."""
    write(ROOT / "requirements" / "embedded.txt", TARGET)
    rows = licenses(json.loads(TARGET.read_text(encoding="utf-8")))
    lines = [f"{name:24} {version:14} {text}" for name, version, text in rows]
    sys.stdout.write("\n".join([*lines, f"written: {TARGET.relative_to(ROOT)}", ""]))
    return int(any(text == UNKNOWN for *_, text in rows))


if __name__ == "__main__":
    sys.exit(main())
