"""Map webhooks to appointments. A mapping is a YAML file for one lead source."""
