"""Compile YAML files to mappings and report every error."""
