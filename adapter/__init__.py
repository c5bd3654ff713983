"""Receive signed lead webhooks and book the tours in Knock."""

__version__ = "0.2.0"
