"""Propexo's API: the client, the request body, the lists."""
