"""Validate values against a small part of JSON Schema."""

import re
from typing import Any


def matches_schema(value: Any, rule: dict[str, Any]) -> bool:
    """Return True if a value is valid under the schema."""
    if "anyOf" in rule and not any(matches_schema(value, one) for one in rule["anyOf"]):
        return False
    if "enum" in rule and value not in rule["enum"]:
        return False
    if isinstance(value, str) and not re.search(rule.get("pattern", ""), value):
        return False
    if isinstance(value, list) and len(value) < rule.get("minItems", 0):
        return False
    if "const" in rule and value != rule["const"]:
        return False
    kinds = rule.get("type", [])
    if kinds and not any(
        _is_a(value, kind) for kind in ([kinds] if isinstance(kinds, str) else kinds)
    ):
        return False
    if isinstance(value, list) and "items" in rule:
        return all(matches_schema(item, rule["items"]) for item in value)
    if isinstance(value, dict):
        return _object_fits(value, rule)
    return True


def _object_fits(value: dict[str, Any], rule: dict[str, Any]) -> bool:
    if not set(rule.get("required", [])) <= value.keys():
        return False
    known, rest = rule.get("properties", {}), rule.get("additionalProperties", {})
    for key, item in value.items():
        inner = known.get(key, rest)
        if inner is False or not matches_schema(item, inner):
            return False
    return True


def _is_a(value: Any, kind: str) -> bool:
    types: dict[str, Any] = {"string": str, "object": dict, "array": list, "boolean": bool}
    if kind == "number":
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, types[kind])
