"""Implement users' operations: release, replay, erase and export leads, and show the status."""
