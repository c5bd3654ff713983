"""Use the machine's installed PostgreSQL instead of the embedded one.

``TEST_POSTGRES_BIN=/usr/lib/postgresql/15/bin make test`` runs the tests against that one.
"""

import os
import shutil
import subprocess
import types
from pathlib import Path

from adapter.store.embedded import EmbeddedServer

#: The folder with `postgres` and `initdb`.
VARIABLE = "TEST_POSTGRES_BIN"
#: The folder in which Debian installs its versions.
DEBIAN = Path("/usr/lib/postgresql")
#: The user from Debian's package, because PostgreSQL refuses to run as root.
USER = "postgres"


class InstalledServer(EmbeddedServer):
    """The server for one data folder, run from installed programs."""

    def __init__(self, data_dir: Path, programs: Path) -> None:
        super().__init__(data_dir)
        self.programs = programs

    def prepare(self) -> None:
        """Create the cluster if there is none."""
        user = USER if os.geteuid() == 0 else None
        self._package = types.SimpleNamespace(bin_path=self.programs, system_user=user)
        self._socket_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder.mkdir(mode=0o700, exist_ok=True)
        if user:
            self.folder.parent.chmod(0o755)
            for folder in (self.folder, self._socket_folder):
                shutil.chown(folder, user, user)
        if not (self.folder / "PG_VERSION").exists():
            self._make_cluster(user)

    def _make_cluster(self, user: str | None) -> None:
        subprocess.run(
            [
                *(self.programs / "initdb", "-D", self.folder),
                *("--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-sync"),
            ],
            user=user,
            group=user,
            cwd=self.folder,
            check=True,
            capture_output=True,
        )


def server_for_tests(folder: Path) -> EmbeddedServer:
    """Return the embedded server, or the installed one that the environment names."""
    programs = os.environ.get(VARIABLE)
    return InstalledServer(folder, Path(programs)) if programs else EmbeddedServer(folder)


def debian_programs(oldest: int) -> Path | None:
    """Return the programs of Debian's oldest version that is at least ``oldest``."""
    found = {int(folder.name): folder / "bin" for folder in DEBIAN.glob("[0-9]*")}
    usable = [version for version in found if version >= oldest]
    return found[min(usable)] if usable else None
