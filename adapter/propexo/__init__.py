"""Access Propexo's API: client, request bodies, responses and lists."""
