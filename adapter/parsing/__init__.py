"""Bytes to data, text to values, paths, dates and time zones."""
