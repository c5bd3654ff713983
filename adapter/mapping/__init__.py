"""Map webhooks to appointments according to YAML files called mappings."""
