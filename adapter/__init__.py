"""Signed lead webhooks in, tour appointments in Knock out."""

__version__ = "0.2.0"
