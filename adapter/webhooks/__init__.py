"""Receive webhooks over HTTP: endpoints, rate limits, client addresses and responses."""
