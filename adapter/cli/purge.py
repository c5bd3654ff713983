"""Define ``adapter purge``, which deletes one renter's data or all old data."""

import dataclasses
import sys
from typing import Any

import click

from adapter.cli import formatting, output
from adapter.cli.help import examples
from adapter.cli.leads import as_json, by_option, opened_store
from adapter.exceptions import Unreadable
from adapter.mapping import transforms
from adapter.models import utc_now
from adapter.operations.contact_matcher import Contact
from adapter.operations.erase_personal_data import Eraser, Found
from adapter.operations.serializers import dump
from adapter.settings import Policy, settings_from
from adapter.store import Undecryptable


@click.command(
    epilog=examples(
        "adapter purge --email dana@example.com --dry-run",
        "adapter purge --phone 303-555-0100",
        "adapter purge --older-than 365 --yes",
    )
)
@click.option("--email", help="Delete leads with this email address.")
@click.option("--phone", help="Delete leads with this phone number, in any format.")
@click.option(
    "--older-than",
    "days",
    type=click.IntRange(1),
    metavar="DAYS",
    help="Delete leads received more than this many days ago.",
)
@click.option("--dry-run", is_flag=True, help="Only list what would be deleted.")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@by_option
@as_json
def purge(
    email: str | None,
    phone: str | None,
    days: int | None,
    dry_run: bool,
    yes: bool,
    by: str,
    as_json: bool,
) -> None:
    """Delete payloads and personal data.

    Personal data includes names, contact details and notes. IDs, states and times are kept. Leads
    that need review are discarded. If a sender resends a deleted webhook, the adapter still
    recognizes it as a repeat and restores no data. Data in Knock and in your backups is not
    deleted.

    If some data remains, it is listed, and the exit code is 1. A lead that is being sent to Knock
    is kept, so run the command again later. A stored request cannot be searched for a contact if
    its encryption key is not set.
    """
    if sum(one is not None for one in (email, phone, days)) != 1:
        raise click.UsageError("specify exactly one of --email, --phone and --older-than")
    if days is not None and dry_run:
        raise click.UsageError("--dry-run requires --email or --phone")
    settings = settings_from()
    contact = _contact(email, phone, settings.policy) if days is None else None
    with opened_store(settings) as store:
        erasure, found = Eraser(settings, store, utc_now), None
        if contact is None:
            assert days is not None  # noqa: S101 - one of three is given
            result = _erase_by_age(erasure, days, by, yes=yes)
        else:
            with output.progress() as show:
                found = erasure.find(
                    contact, lambda read, total: show(f"searched {read:,} of {total:,}")
                )
            result = dump(found, "events rejections") | {"left": [], "dry_run": dry_run}
            result["undecryptable"] = dataclasses.asdict(found.undecryptable)
            if not dry_run and _is_confirmed(found, yes=yes):
                result["left"] = erasure.erase(found, by=by)
    lost = found.undecryptable if found else Undecryptable()
    text = "\n".join([_text(result), *_lost_lines(lost)])
    output.show(result, text, as_json=as_json)
    sys.exit(bool(result.get("left") or lost))


def _lost_lines(lost: Undecryptable) -> list[str]:
    lines = formatting.undecryptable_lines(lost)
    hint = "they may contain this contact; add their keys and run this again, or use --older-than"
    return [*lines, hint] if lines else []


def _contact(email: str | None, phone: str | None, policy: Policy) -> Contact:
    try:
        if email is not None:
            address = transforms.email_from(email, policy=policy)
            if address is None:
                raise Unreadable("is a placeholder that many people share")
            _reject_shared(str(address), policy)
            return Contact.from_email(str(address))
        number = transforms.phone_from(phone, policy=policy)
        number = number.value if isinstance(number, transforms.Noted) else number
        _reject_shared(str(number), policy)
        return Contact.from_phone(str(number))
    except Unreadable as exc:
        raise click.BadParameter(f"{exc}", param_hint="--email" if email else "--phone") from None


def _reject_shared(contact: str, policy: Policy) -> None:
    if contact in policy.shared_contacts:
        raise Unreadable("is shared by many people (ADAPTER_SHARED_CONTACTS)")


def _erase_by_age(erasure: Eraser, days: int, by: str, *, yes: bool) -> dict[str, Any]:
    if not yes:
        click.confirm(f"Delete the data of leads older than {days} days?", abort=True, err=True)
    count = erasure.older_than(days, by=by, progress=lambda done: click.echo(f"{done} …", err=True))
    return {"erased": count}


def _is_confirmed(found: Found, *, yes: bool) -> bool:
    count = len(found.events) + len(found.rejections)
    if count and not yes:
        click.confirm(f"Delete the data of {count} leads and requests?", abort=True, err=True)
    return bool(count)


def _text(result: dict[str, Any]) -> str:
    if "erased" in result:
        return f"deleted: {result['erased']} leads and rejected requests"
    verb = "would be deleted" if result["dry_run"] else "deleted"
    erased = [one for one in result["events"] if one not in result["left"]]
    lines = [f"{verb}: {len(erased)} leads, {len(result['rejections'])} rejected requests"]
    lines += [f"  event {one}" for one in erased]
    lines += [f"  event {one} is being sent to Knock; try again later" for one in result["left"]]
    return "\n".join(lines)
