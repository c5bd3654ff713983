"""Implement users' actions: release, replay, erase and export leads, view the status."""
