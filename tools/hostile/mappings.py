"""Copy the bundled mappings and the gallery's mappings into one folder."""

import re
import shutil
from pathlib import Path

from adapter.mapping.source import Source
from adapter.signatures import handshakes
from tests.paths import GALLERY, MAPPINGS
from tools.hostile.canaries import secret_for

_FILE = "communities.yaml"


def make_folder(folder: Path) -> Path:
    """Copy both folders. Give their communities different keys."""
    folder.mkdir(exist_ok=True)
    for place in (MAPPINGS, GALLERY):
        for file in place.glob("*.yaml"):
            shutil.copy(file, folder)
        shutil.copytree(place / "samples", folder / "samples", dirs_exist_ok=True)
    gallery = re.sub(r"^(?=[a-z])", "gallery-", (GALLERY / _FILE).read_text(), flags=re.MULTILINE)
    (folder / _FILE).write_text((MAPPINGS / _FILE).read_text() + "\n" + gallery)
    return folder


def secrets_of(sources: dict[str, Source]) -> dict[str, str]:
    """Return a recognizable secret for each variable in the mappings."""
    names = {name for source in sources.values() for name in source.secrets}
    for source in sources.values():
        handshake = handshakes.handshake_from(source.handshake)
        names |= {handshake.variable} if handshake and handshake.variable else set()
    return {name: secret_for(name) for name in sorted(names)}
