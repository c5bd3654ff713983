"""What operators do: release, replay, readmit, erase, status, export."""
