"""Build help texts for commands."""


def examples(*commands: str) -> str:
    """Format the examples section of a command's help text."""
    # \b prevents click from joining the lines.
    return "\b\nExamples:\n" + "\n".join(f"  {command}" for command in commands)
