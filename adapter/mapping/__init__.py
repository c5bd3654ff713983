"""The mapping language: YAML files that map webhooks to appointments."""
