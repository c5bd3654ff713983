"""The mapping language: what a webhook of each source means."""
