"""From YAML files to compiled mappings, with every mistake reported."""
