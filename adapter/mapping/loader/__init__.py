"""Compile YAML files into mappings and report every error."""
