"""HTTP in: endpoints, rate limits, the client's address, the response."""
