"""Programs for those who work on the adapter; they are no part of what is installed."""
