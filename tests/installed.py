"""Run tests with the machine's installed PostgreSQL instead of the embedded one.

``TEST_POSTGRES_BIN=/usr/lib/postgresql/15/bin make test`` runs the tests with that version.
"""

import os
from pathlib import Path

from adapter.store.embedded import EmbeddedServer

#: The folder with `postgres` and `initdb`.
VARIABLE = "TEST_POSTGRES_BIN"
#: The folder where Debian installs its versions.
DEBIAN = Path("/usr/lib/postgresql")


class InstalledServer(EmbeddedServer):
    """A server that runs one data folder with the installed programs."""

    def __init__(self, data_dir: Path, programs: Path) -> None:
        super().__init__(data_dir)
        self._programs = programs

    def programs(self) -> Path:
        return self._programs


def server_for_tests(folder: Path) -> EmbeddedServer:
    """Return the embedded server, or the installed one that the environment names."""
    programs = os.environ.get(VARIABLE)
    return InstalledServer(folder, Path(programs)) if programs else EmbeddedServer(folder)


def debian_programs(oldest: int) -> Path | None:
    """Return the folder of Debian's oldest installed version that is at least ``oldest``."""
    found = {int(folder.name): folder / "bin" for folder in DEBIAN.glob("[0-9]*")}
    usable = [version for version in found if version >= oldest]
    return found[min(usable)] if usable else None
