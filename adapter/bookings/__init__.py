"""Decide what to book, send it once, and follow it to its outcome."""
