"""Decide what to book, send each booking once, and follow up until the outcome is final."""
