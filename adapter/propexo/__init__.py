"""Access Propexo's API: the client, request bodies, responses and lists."""
