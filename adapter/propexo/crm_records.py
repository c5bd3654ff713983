"""Parse the records of tours and guest cards in Propexo's lists and webhooks.

Propexo documents the outer fields of a DATA_NEW or DATA_UPDATE webhook, but not the fields of the
record inside it, so a record is a flat list of names and values at any depth. An update contains
only the values that have changed, along with the previous values.

Source: docs.propexo.com, Data New Webhook and Data Update Webhook.
"""

import dataclasses
import enum
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final, Self

#: Maximum depth and number of a record's values, and maximum length of a string.
MAX_DEPTH: Final = 6
MAX_VALUES: Final = 500
MAX_TEXT: Final = 300

_TRIGGERS: Final = frozenset({"DATA_NEW", "DATA_UPDATE"})
#: The parts of a webhook that contain the record's values.
_PARTS: Final = ("context", "payload", "diff")
#: Names of parts with the values before a change, and with the values after it.
_BEFORE: Final = frozenset({"previous", "old", "before", "previousvalues", "oldvalues"})
_AFTER: Final = frozenset({"new", "current", "after", "newvalues", "value"})
#: Objects about someone who is not the renter. Nothing in them is read.
_STAFF: Final = re.compile(
    r"agent|user|owner|manager|staff|employee|assignee|assignedto|creator|createdby|updatedby"
)
#: Objects about the renter or a place, whose status is not that of the record.
_OTHERS: Final = re.compile(
    r"(?:primary)?(?:prospect|lead|renter|resident|contact|customer|guest|person|applicant"
    r"|property|community|unit|building|company)s?(?:info|details|data)?"
)
#: The beginnings of names of statuses and types.
_STATUS: Final = re.compile(
    r"(?:is)?(?:status|outcome|type|cancel|delete|noshow|visited)|(?:appointment|tour|event)(?:status|type|name)"
)
_ID: Final = re.compile(r"[!-~]{1,200}")


class Model(enum.StrEnum):
    """A kind of record in Knock. Propexo can read it only after the customer enables it."""

    #: Tours, messages and other events.
    EVENTS = "crm_events"
    #: Guest cards.
    PROSPECTS = "crm_prospects"


_MODELS: Final[Mapping[str, Model]] = {
    "crm_events": Model.EVENTS,
    "events": Model.EVENTS,
    "crm_prospects": Model.PROSPECTS,
    "prospects": Model.PROSPECTS,
}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class KnockRecord:
    """A record from Knock (a guest card, a tour or another event), or an update to it."""

    model: Model
    id: str
    integration_id: str
    #: Lower-case names without punctuation, with their values, in the original order.
    values: tuple[tuple[str, object], ...]
    #: The previous values of the fields that have changed.
    previous: tuple[tuple[str, object], ...] = ()

    @classmethod
    def listed(cls, model: Model, record: Mapping[str, Any]) -> Self | None:
        """Create a record from an entry in Propexo's list. Return None if its ID is unusable."""
        id_ = id_from(record.get("id"))
        integration_id = id_from(record.get("integration_id")) or ""
        if id_ is None:
            return None
        return cls(model=model, id=id_, integration_id=integration_id, values=(*_values(record),))

    def of_card(self, prospect_id: str) -> Self:
        """Return a copy of the record with the given guest card ID."""
        known = tuple(one for one in self.values if one[0] != "prospectid")
        return dataclasses.replace(self, values=(*known, ("prospectid", prospect_id)))

    def texts(self, *names: str) -> Iterator[str]:
        """Yield the string values of the fields with one of the given names, or of all fields."""
        for name, value in self.values:
            if isinstance(value, str) and (not names or name in names):
                yield value

    def id_of(self, *names: str) -> str | None:
        """Return the first usable ID in a field with one of the given names, or None."""
        return next(filter(None, map(id_from, self.texts(*names))), None)


def id_from(value: object) -> str | None:
    """Return a value if it looks like a Propexo ID, or None."""
    return value if isinstance(value, str) and _ID.fullmatch(value) else None


def record_from(body: bytes) -> KnockRecord | None:
    """Return the record in a DATA_NEW or DATA_UPDATE webhook, or None for any other body.

    Both documented formats are accepted: ``{trigger, data: {…}, meta}`` and the flat one.
    """
    try:
        frame = json.loads(body)
    except (ValueError, RecursionError):
        return None
    data = frame.get("data") if isinstance(frame, dict) and "trigger" in frame else frame
    if not isinstance(data, dict) or not _TRIGGERS & {
        _text(frame, "trigger"),
        _text(data, "event"),
    }:
        return None
    meta = next((one for one in (data.get("meta"), frame.get("meta")) if isinstance(one, dict)), {})
    model = _MODELS.get((_text(data, "object") or _text(meta, "object")).lower().replace("-", "_"))
    id_ = id_from(data.get("record_id"))
    integration_id = id_from(data.get("integration_id")) or id_from(meta.get("integration_id"))
    if model is None or id_ is None or integration_id is None:
        return None
    parts = {name: data[name] for name in _PARTS if name in data}
    return KnockRecord(
        model=model,
        id=id_,
        integration_id=integration_id,
        values=(*_values(parts),),
        previous=(*_values(parts, is_previous=True),),
    )


def _text(data: Mapping[str, Any], name: str) -> str:
    value = data.get(name)
    return value if isinstance(value, str) else ""


def _values(
    record: Mapping[str, Any], *, is_previous: bool = False
) -> Iterator[tuple[str, object]]:
    """Yield a record's field names and values, or only the previous values of changed fields.

    The status of a nested object is named after the object, to distinguish it from the record's
    own status.
    """
    left, stack = MAX_VALUES, [("", "", False, iter(record.items()))]
    while stack and left > 0:
        parent, other, is_old, items = stack[-1]
        key, value = next(items, (None, None))
        if key is None:
            stack.pop()
            continue
        left -= 1
        name = _name(key, parent)
        is_old_value = is_old or _letters(key) in _BEFORE
        if _STAFF.search(name) or (is_old_value and not is_previous):
            continue
        if isinstance(value, dict | list) and len(stack) <= MAX_DEPTH:
            inner = value.items() if isinstance(value, dict) else ((name, one) for one in value)
            of = name if isinstance(value, dict) and _OTHERS.fullmatch(name) else other
            stack.append((name, of, is_old_value, iter(inner)))
        elif _is_usable(value) and is_old_value is is_previous:
            yield (other + name if other and _STATUS.match(name) else name), value


def _name(key: object, parent: str) -> str:
    """Convert a key to lower-case letters and digits. For a changed value, use its parent's key."""
    name = _letters(key)
    is_value = name in _AFTER | _BEFORE and parent and parent not in _PARTS
    return parent if is_value else name


def _letters(key: object) -> str:
    return re.sub(r"[^a-z0-9]", "", str(key)[:100].lower())


def _is_usable(value: object) -> bool:
    if isinstance(value, str):
        return 0 < len(value) <= MAX_TEXT
    return isinstance(value, bool)
