"""Build help text."""


def examples(*commands: str) -> str:
    """Return an epilog for ``--help`` that shows these commands."""
    # \b prevents click from joining the lines.
    return "\b\nExamples:\n" + "\n".join(f"  {command}" for command in commands)
