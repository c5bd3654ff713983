"""Receive webhooks: endpoints, rate limits, client IPs, responses."""
