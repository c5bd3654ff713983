"""Paths of the project's files, and of the shared folder beside it that some tests read."""

from pathlib import Path

ROOT = Path(__file__).parent.parent
MAPPINGS = ROOT / "mappings"
GALLERY = MAPPINGS / "gallery"
#: Real payloads and signature vectors; tests that read them are marked ``corpus``.
SHARED = ROOT.parent / "shared"
