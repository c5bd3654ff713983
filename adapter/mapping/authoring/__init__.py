"""Tools for people who write mappings."""
