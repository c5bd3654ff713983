"""Choose the user to run the embedded PostgreSQL, which refuses to run as root.

If root starts it, it runs as the data folder's owner. If root owns the folder too, it runs as a
user ID without an account, so that no other account owns the data and no account has to be added.
"""

import dataclasses
import os
import pwd
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from adapter.exceptions import ConfigurationError

#: The user and group ID to use if root owns the data folder. Debian reserves IDs from 60000, and
#: `useradd` starts at 1000.
OWN_ID = 58432
#: Earlier versions created this account to run the server for root.
_FORMER_ACCOUNT = "pgserver"
#: Root's capabilities that the server may keep to open closed folders, weakest first.
_CAPABILITIES = (None, "dac_read_search", "dac_override")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class ServerUser:
    """The Unix user and group that own the PostgreSQL cluster and run the server."""

    uid: int
    gid: int
    capability: str | None = None

    def command(self, *words: object) -> tuple[list[str], dict[str, Any]]:
        """Return the ``Popen`` arguments and options that run a program as this user."""
        command = [str(word) for word in words]
        if os.geteuid() != 0:
            return command, {}
        if self.capability is None:
            return command, {"cwd": "/", "user": self.uid, "group": self.gid, "extra_groups": []}
        ids = [f"--reuid={self.uid}", f"--regid={self.gid}", "--clear-groups", "--pdeathsig=TERM"]
        keep = [f"--{kind}-caps=+{self.capability}" for kind in ("inh", "ambient")]
        return ["setpriv", *ids, *keep, *command], {"cwd": "/"}

    def run(self, *words: object) -> "subprocess.CompletedProcess[str]":
        """Run a program as this user, wait until it exits, and capture its output."""
        command, options = self.command(*words)
        return subprocess.run(command, check=False, capture_output=True, text=True, **options)

    def able_to_open(self, folder: Path, programs: Path) -> "ServerUser":
        """Return this user with the weakest capability that is sufficient to open the folder."""
        if os.geteuid() != 0:
            return self
        script = 'cd "$0" && "$1" --version'
        for user in self._stronger():
            try:
                if user.run("/bin/sh", "-c", script, folder, programs / "postgres").returncode == 0:
                    return user
            except OSError:  # there is no `setpriv`, or root may not change its user here
                continue
        raise ConfigurationError(
            f"PostgreSQL does not run as root, and user ID {self.uid} cannot open {folder} or "
            f"{programs}; run the adapter as another user, or set DATABASE_URL"
        )

    def named(self) -> "ServerUser":
        """Return a user with an account name, because ``initdb`` requires one."""
        if self.uid != OWN_ID:
            return self
        return dataclasses.replace(self, uid=pwd.getpwnam("nobody").pw_uid)

    def take_over(self, folder: Path) -> None:
        """Make this user the owner of a folder and everything in it."""
        for parent, folders, files in os.walk(folder):
            for name in (".", *folders, *files):
                os.chown(Path(parent, name), self.uid, self.gid, follow_symlinks=False)

    def _stronger(self) -> Iterator["ServerUser"]:
        """Yield this user with each capability to try, from weakest to strongest."""
        for capability in _CAPABILITIES if self.uid == OWN_ID else (None,):
            yield dataclasses.replace(self, capability=capability)


def user_of(folder: Path) -> ServerUser:
    """Return the user to run the cluster in ``folder``. The folder need not exist yet."""
    if os.geteuid() != 0:
        return ServerUser(uid=os.geteuid(), gid=os.getegid())
    for path in (folder, folder.parent):
        owner = path.stat() if path.exists() else None
        if owner and owner.st_uid and (path != folder or _name_of(owner.st_uid) == _FORMER_ACCOUNT):
            return ServerUser(uid=owner.st_uid, gid=owner.st_gid)
    return ServerUser(uid=OWN_ID, gid=OWN_ID)


def _name_of(uid: int) -> str | None:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return None


def names_allowed(user: ServerUser) -> list[str]:
    """Return the account names that may connect: root and the server's own account."""
    return [name for uid in sorted({0, user.uid}) if (name := _name_of(uid))]
