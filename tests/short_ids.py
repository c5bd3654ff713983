"""Name parametrized tests after their values."""


def shown(value: object) -> str:
    """Return a short test ID that distinguishes 5 from "5"."""
    text = ascii(value)
    return text if len(text) < 60 else f"{text[:40]} and more, {len(text)} in all"
