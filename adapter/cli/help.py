"""Build help texts for commands."""


def examples(*commands: str) -> str:
    """Return the part of a command's help text that lists examples."""
    # \b prevents click from joining the lines.
    return "\b\nExamples:\n" + "\n".join(f"  {command}" for command in commands)
