"""Map webhooks to appointments according to YAML files, which are called mappings."""
