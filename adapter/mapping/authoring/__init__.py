"""Help users write mappings, with drafts, explanations and a JSON Schema."""
