"""Implement what users can do: release, replay, erase and export leads, and view the status."""
