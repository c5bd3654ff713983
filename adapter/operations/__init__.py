"""Operator actions: release, replay, readmit, erase, status, export."""
