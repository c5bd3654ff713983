"""Decide what to book, send it once, and find out what became of it."""
