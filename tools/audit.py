"""Check the locked versions for known vulnerabilities with pip-audit.

Exit status: 0 if all versions were checked and have no known vulnerability, 1 if one has, 3 if some
could not be checked because no index or vulnerability database responded. (`make` itself exits with
2 in both cases.)
"""

import json
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

REQUIREMENTS = Path(__file__).parent.parent / "requirements"
#: Files that together list every package: dev.txt includes production.txt and embedded.txt.
FILES = ("dev.txt", "tools.txt")

CLEAN, VULNERABLE, NOT_CHECKED = 0, 1, 3


def report_of(file: Path) -> list[Mapping[str, Any]]:
    """Return pip-audit's result for each package in a file, or one entry if pip-audit failed."""
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(file)]
    options = ["--require-hashes", "--disable-pip", "--format", "json", "--progress-spinner", "off"]
    run = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    try:
        return list(json.loads(run.stdout)["dependencies"])
    except (ValueError, KeyError):
        reason = (run.stderr.strip().splitlines() or ["no reason given"])[-1]
        return [{"name": file.name, "skip_reason": f"pip-audit failed: {reason}"}]


def verdict(packages: Iterable[Mapping[str, Any]]) -> tuple[int, list[str]]:
    """Return the exit status and the lines to print."""
    packages = list(packages)
    found = [
        f"{one['name']} {one['version']}: {', '.join([each['id'], *each['aliases']])}"
        f" (fixed in {', '.join(each['fix_versions']) or 'no version yet'})"
        for one in packages
        for each in one.get("vulns", ())
    ]
    unchecked = [f"{one['name']}: {one['skip_reason']}" for one in packages if "vulns" not in one]
    checked = len(packages) - len(unchecked)
    lines = [*dict.fromkeys(found)]
    lines.append(f"{checked} of {len(packages)} versions checked, {len(lines)} vulnerabilities")
    if unchecked:
        lines.append(f"NOT CHECKED: {len(unchecked)}, such as {unchecked[0]}")
        lines.append("run this on a machine that reaches PyPI; no result does not mean safe")
    return VULNERABLE if found else NOT_CHECKED if unchecked else CLEAN, lines


def main() -> int:
    """Print the result, and return the exit status."""
    status, lines = verdict(one for name in FILES for one in report_of(REQUIREMENTS / name))
    sys.stdout.write("\n".join([*lines, ""]))
    return status


if __name__ == "__main__":
    sys.exit(main())
