"""Parsers for bodies, paths, dates, time zones and other untrusted text."""
