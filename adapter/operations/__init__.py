"""User actions: release, replay, readmit, erase, export, and status."""
