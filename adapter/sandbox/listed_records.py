"""Format guest cards, tours and notes as records that Propexo lists and sends.

Apart from the documented core fields, the names of the fields are a guess.
"""

import datetime as dt
from typing import Any, Final

from adapter.sandbox.knock import CARD_FIELDS, Appointment, Note, Prospect, Status

EVENTS: Final = "crm_events"
PROSPECTS: Final = "crm_prospects"
#: The kinds of records that a customer must enable.
MODELS: Final = (EVENTS, PROSPECTS)

#: The fields of a guest card that are listed at first. The others may follow later.
_FIRST_STAGE: Final = ("first_name", "last_name")


def core_record(
    id_: str, integration_id: str, created_at: dt.datetime, updated_at: dt.datetime
) -> dict[str, Any]:
    """Return the core fields that every record has."""
    return {
        "id": id_,
        "created_at": created_at,
        "updated_at": updated_at,
        "last_seen": updated_at,
        "integration_id": integration_id,
        "integration_vendor": "KNOCK",
    }


def record_of(one: Prospect | Appointment | Note) -> dict[str, Any]:
    """Return the record for a guest card, tour or note."""
    if isinstance(one, Prospect):
        return {
            **core_record(one.id, one.integration_id, one.created_at, one.updated_at),
            "community_id": one.community_id,
            "attribution_id": one.attribution_id,
            **one.card,
        }
    if isinstance(one, Note):
        core = core_record(one.id, one.request["integration_id"], one.created_at, one.created_at)
        return {**core, **one.request}
    return {
        **core_record(one.id, one.request["integration_id"], one.created_at, one.updated_at),
        "community_id": one.request["community_id"],
        "prospect_id": one.prospect_id,
        "event_name": "ACTIVITY",
        "event_datetime": one.starts_at,
        "status": _status_text(one),
        "is_cancelled": one.status is Status.CANCELLED,
        "notes": one.request.get("notes"),
    }


def _status_text(one: Appointment) -> str:
    """Return a tour's status as Knock writes it."""
    if one.status is Status.CANCELLED:
        return "Canceled (Renter)" if one.canceled_by == "renter" else "Canceled (Manager)"
    return {Status.NO_SHOW: "No Show"}.get(one.status, one.status.capitalize())


def first_stage(record: dict[str, Any]) -> dict[str, Any]:
    """Return a guest card's record, except the details that Propexo reads later."""
    details = {*CARD_FIELDS} - {*_FIRST_STAGE}
    return {name: value for name, value in record.items() if name not in details}


def model_of(one: Prospect | Appointment | Note) -> str:
    """Return the name of Propexo's model for a guest card, tour or note."""
    return PROSPECTS if isinstance(one, Prospect) else EVENTS
