"""Load YAML files, check them, and compile them into mappings."""
