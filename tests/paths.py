"""Define paths to the project's files and to the shared folder that some tests read."""

from pathlib import Path

ROOT = Path(__file__).parent.parent
MAPPINGS = ROOT / "mappings"
GALLERY = MAPPINGS / "gallery"
#: Real payloads and signature vectors. Tests that read them are marked ``corpus``.
SHARED = ROOT.parent / "shared"
