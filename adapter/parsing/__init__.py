"""Parse untrusted text such as request bodies, paths, dates and time zones."""
