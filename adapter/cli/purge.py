"""``purge``: forgets a renter who asks for it, or everything older than some days."""

import json
import sys
from typing import Any

import click

from adapter.cli.leads import as_json, by_option, opened_store
from adapter.exceptions import Unreadable
from adapter.mapping import transforms
from adapter.models import utc_now
from adapter.operations.contact_matcher import Contact
from adapter.operations.erase import Erasure, Found
from adapter.settings import Policy, settings_from


@click.command()
@click.option("--email", help="Forget whoever has this e-mail address.")
@click.option("--phone", help="Forget whoever has this phone number, however it is written.")
@click.option("--older-than", "days", type=click.IntRange(1), metavar="DAYS", help="Forget by age.")
@click.option("--dry-run", is_flag=True, help="Only say what names the contact.")
@click.option("--yes", is_flag=True, help="Do not ask.")
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
    """Erase payloads, names, contacts and notes; ids, states and times stay.

    Leads that still wait are put aside. What is on its way to Knock is left, named, and the exit
    code is 1: do it again when that is settled. Nothing in Knock is touched, nor in your backups.
    Webhooks that come again are still known, and bring nobody back.
    """
    if sum(one is not None for one in (email, phone, days)) != 1:
        raise click.UsageError("name one of --email, --phone and --older-than")
    if days is not None and dry_run:
        raise click.UsageError("--dry-run goes with --email and --phone")
    settings = settings_from()
    contact = _contact(email, phone, settings.policy) if days is None else None
    with opened_store(settings) as store:
        erasure = Erasure(settings, store, utc_now)
        if contact is None:
            assert days is not None  # noqa: S101 - one of three is given
            shown = _forget_by_age(erasure, days, by, yes=yes)
        else:
            found = erasure.find(contact, _progress)
            click.echo(err=True)
            shown = _as_dict(found) | {"left": [], "dry_run": dry_run}
            if not dry_run and _is_agreed(found, yes=yes):
                shown["left"] = erasure.erase(found, by=by)
    click.echo(json.dumps(shown, indent=2) if as_json else _text(shown))
    sys.exit(bool(shown.get("left")))


def _contact(email: str | None, phone: str | None, policy: Policy) -> Contact:
    try:
        if email is not None:
            address = transforms.email_from(email, policy=policy)
            if address is None:
                raise Unreadable("stands for none and is shared by many")
            _refuse_shared(str(address), policy)
            return Contact.from_email(str(address))
        number = transforms.phone_from(phone, policy=policy, region=None)
        number = number.value if isinstance(number, transforms.Noted) else number
        _refuse_shared(str(number), policy)
        return Contact.from_phone(str(number))
    except Unreadable as exc:
        raise click.BadParameter(f"{exc}", param_hint="--email" if email else "--phone") from None


def _refuse_shared(contact: str, policy: Policy) -> None:
    if contact in policy.shared_contacts:
        raise Unreadable("is shared by many (ADAPTER_SHARED_CONTACTS)")


def _forget_by_age(erasure: Erasure, days: int, by: str, *, yes: bool) -> dict[str, Any]:
    if not yes:
        click.confirm(f"Erase every lead older than {days} days?", abort=True, err=True)
    count = erasure.older_than(days, by=by, progress=lambda done: click.echo(f"{done} …", err=True))
    return {"erased": count}


def _progress(read: int, total: int) -> None:
    click.echo(f"\rread {read:,} of {total:,}", nl=False, err=True)


def _is_agreed(found: Found, *, yes: bool) -> bool:
    count = len(found.events) + len(found.rejections)
    if count and not yes:
        click.confirm(f"Erase {count} leads and refused requests?", abort=True, err=True)
    return bool(count)


def _as_dict(found: Found) -> dict[str, Any]:
    return {"events": list(found.events), "rejections": list(found.rejections)}


def _text(shown: dict[str, Any]) -> str:
    if "erased" in shown:
        return f"erased: {shown['erased']} leads and refused requests"
    word = "would be erased" if shown["dry_run"] else "erased"
    done = [one for one in shown["events"] if one not in shown["left"]]
    lines = [f"{word}: {len(done)} leads, {len(shown['rejections'])} refused requests"]
    lines += [f"  event {one}" for one in done]
    lines += [f"on its way to Knock, try again later: event {one}" for one in shown["left"]]
    return "\n".join(lines)
