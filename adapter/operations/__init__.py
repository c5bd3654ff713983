"""Implement what users can do: release, replay, erase and export leads, and see the status."""
