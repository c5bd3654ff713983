"""Decide what to book, send each booking once, and follow up until its outcome is final."""
