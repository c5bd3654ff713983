"""Receive webhooks: endpoints, rate limits, client addresses, responses."""
