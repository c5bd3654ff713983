"""Define ``adapter encryption``, which creates and rotates keys for stored requests."""

import base64
import os
import sys

import click

from adapter.cli import output
from adapter.cli.formatting import undecryptable_lines
from adapter.cli.help import examples
from adapter.cli.leads import as_json, opened_store
from adapter.mapping.registry import load
from adapter.operations.rotate_keys import rotate as rotate_keys
from adapter.settings import settings_from


@click.group(epilog=examples("adapter encryption key", "adapter encryption rotate"))
def encryption() -> None:
    """Create encryption keys, and re-encrypt stored requests."""


@encryption.command(epilog=examples("adapter encryption key"))
def key() -> None:
    """Print a new random key for ADAPTER_ENCRYPTION_KEYS. Keep a copy of the key."""
    click.echo(base64.urlsafe_b64encode(os.urandom(32)).decode())


@encryption.command(epilog=examples("adapter encryption rotate"))
@as_json
def rotate(as_json: bool) -> None:
    """Encrypt all stored requests with the first key in ADAPTER_ENCRYPTION_KEYS.

    If the first key is `off`, the command decrypts the requests instead. Before you run the
    command, set the keys and restart the adapter. The adapter can keep running while the command
    runs. If the command is interrupted or its exit code is 1, run it again. Requests whose key is
    not set are skipped and listed.
    """
    settings, done = settings_from(), 0

    def show_progress(count: int) -> None:
        nonlocal done
        done = count
        show(f"requests processed: {count:,}")

    sources = load(settings.mappings_dir, settings.policy)
    with opened_store(settings) as store, output.progress() as show:
        remaining, lost = rotate_keys(store, sources.values(), show_progress)
    lines = undecryptable_lines(lost)
    if others := remaining - len(lost.events) - len(lost.rejections):
        lines.append(
            f"{others} requests are in use, or were stored with other keys since; restart the "
            "adapter with the same ADAPTER_ENCRYPTION_KEYS, and run this command again"
        )
    if not lines:
        lines = ["done; the other keys are no longer needed once all processes use these keys"]
    data = {"stored_again": done, "remaining": remaining, "undecryptable": lost}
    output.show(data, "\n".join(lines), as_json=as_json)
    sys.exit(bool(remaining))
