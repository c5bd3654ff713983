"""Call Propexo's API: the client, the request body, and its lists."""
