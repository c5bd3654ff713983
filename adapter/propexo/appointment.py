"""Define the fields and limits of Propexo's "Create Appointment: Knock" endpoint.

"Create Prospect: Knock", for guest cards, accepts most of these fields and requires fewer. The
values of the others go into the notes. Enums use neutral values, which :func:`request_from`
translates to Propexo's spelling. Propexo's patterns are unanchored and accept digits of other
alphabets. Ours are stricter.
"""

import dataclasses
import datetime as dt
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any, Final

from marshmallow import RAISE, Schema, ValidationError, fields, validate, validates_schema

from adapter.exceptions import Unreadable
from adapter.models import Kind
from adapter.propexo.notes import LIMIT, append, units
from adapter.settings import NEUTRAL_WORDS

NO_CONTACT: Final = "neither an email address nor a phone number was found"
#: Maximum for amounts and counts. Systems behind Propexo may use 32-bit integers.
LARGEST_INTEGER: Final = 2**31 - 1


def _is_name(text: str) -> None:
    if "@" in text or not any(character.isalpha() for character in text):
        raise ValidationError("not a name")


def _is_date(text: str) -> None:
    try:
        day = dt.date.fromisoformat(text)
    except ValueError:
        raise ValidationError("not a date written YYYY-MM-DD") from None
    if day.isoformat() != text or not 2000 <= day.year <= 2100:
        raise ValidationError("not a date from 2000 to 2100 written YYYY-MM-DD")


def _matches(pattern: str, error: str) -> validate.Regexp:
    return validate.Regexp(rf"(?:{pattern})\Z", error=error)


def _identifier() -> fields.String:
    return fields.String(required=True, validate=validate.Length(1, 200))


def _one_of(field: str) -> fields.String:
    return fields.String(validate=validate.OneOf(NEUTRAL_WORDS[field]))


def _integer(low: int, high: int = LARGEST_INTEGER) -> fields.Integer:
    return fields.Integer(strict=True, validate=validate.Range(low, high))


def _unique(values: Sequence[object]) -> None:
    if len(set(values)) < len(values):
        raise ValidationError("contains the same value twice")


def _list_of(item: fields.Field[Any]) -> fields.List[Any]:
    return fields.List(item, validate=[validate.Length(min=1), _unique])


class _Text(fields.String):
    """A text field whose length is limited in UTF-16 code units."""

    def __init__(self, limit: int) -> None:
        super().__init__(validate=self._fits)
        self.limit = limit

    def _fits(self, text: str) -> None:
        if not text or units(text) > self.limit:
            raise ValidationError(f"must be 1 to {self.limit} characters long")


class AppointmentSchema(Schema):
    """Validates an appointment before it is sent to Propexo."""

    class Meta:
        """Reject unknown keys, as Propexo does."""

        unknown = RAISE

    integration_id = _identifier()
    community_id = _identifier()
    attribution_id = _identifier()
    first_name = fields.String(validate=[validate.Length(1, 200), _is_name])
    last_name = fields.String(required=True, validate=[validate.Length(1, 200), _is_name])
    email_1 = fields.Email(validate=validate.Length(max=254))
    phone_1 = fields.String(
        validate=_matches(r"\+?[0-9]{1,50}", "must be 1 to 50 digits, with or without a leading +")
    )
    appointment_date = fields.String(required=True, validate=_is_date)
    appointment_time = fields.String(
        required=True,
        validate=_matches(r"([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]", "must be written HH:MM:SS"),
    )
    tour_type = _one_of("tour_type")
    first_contact_type = _one_of("first_contact_type")
    move_in_date = fields.String(validate=_is_date)
    number_of_occupants = _integer(1)
    lease_term_in_months = _integer(1, 18)
    rent_minimum_in_cents = _integer(1)
    rent_maximum_in_cents = _integer(1)
    desired_num_bedrooms = _list_of(_integer(0, 3))
    pets = _list_of(_one_of("pets"))
    notes = _Text(LIMIT)

    @validates_schema(skip_on_field_errors=False)
    def has_contact(self, data: Mapping[str, object], **_: object) -> None:
        """Raise ValidationError if there is neither an email address nor a phone number."""
        if not (data.get("email_1") or data.get("phone_1")):
            raise ValidationError(NO_CONTACT, "email_1")


_SCHEMA: Final = AppointmentSchema()
REQUIRED: Final = frozenset(name for name, field in _SCHEMA.fields.items() if field.required)
#: Required fields that are optional for a guest card.
_OPTIONAL_FOR_PROSPECTS: Final = frozenset({"last_name", "appointment_date", "appointment_time"})
#: Required fields of each kind of booking. An email address or a phone number is required too.
REQUIRED_BY: Final[Mapping[Kind, frozenset[str]]] = {
    Kind.APPOINTMENT: REQUIRED,
    Kind.PROSPECT: REQUIRED - _OPTIONAL_FOR_PROSPECTS,
}
#: Fields that "Create Prospect" does not accept.
_APPOINTMENT_ONLY: Final = frozenset(
    {"appointment_date", "appointment_time", "tour_type", "first_contact_type"}
)
#: Sent with every guest card. By default, Propexo subscribes the renter to Knock's messages, but
#: senders do not tell us whether the renter has consented.
NO_SUBSCRIPTION: Final[Mapping[str, Any]] = {"subscribe": False}


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """An appointment field that a mapping can set."""

    name: str
    #: The label shown to users, such as "Move in date".
    label: str
    #: The default transform, or None if the mapping must name one.
    transform: str | None
    field: fields.Field[Any] | None = None
    required: bool = False
    many: bool = False

    def check(self, value: object) -> Any:
        """Validate and return a value. Raise :class:`Unreadable` if Propexo would reject it."""
        if self.field is None:
            return value
        try:
            return self.field.deserialize(value)
        except ValidationError as exc:
            raise Unreadable("; ".join(_flat(exc.messages))) from exc


def _flat(messages: Any) -> list[str]:
    if isinstance(messages, dict):
        return [text for part in messages.values() for text in _flat(part)]
    return [str(message) for message in messages]


def value_from_text(name: str, text: str) -> Any:
    """Convert a user's text to the field's type, such as a list of numbers.

    Input that cannot be converted is returned as text, which :func:`problems` rejects.
    """
    field = _SCHEMA.fields.get(name)
    if isinstance(field, fields.List):
        parts = [part.strip(" \"'") for part in text.strip(" []").split(",") if part.strip()]
        return [_number_or_text(field.inner, part) for part in parts]
    return _number_or_text(field, text.strip()) if field is not None else text


def _number_or_text(field: fields.Field[Any], text: str) -> Any:
    is_number = text.isascii() and text.isdigit() and len(text) < 12
    return int(text) if isinstance(field, fields.Integer) and is_number else text


#: The default transform of each field, or None if the mapping must name one.
TRANSFORM_OF: Final[Mapping[str, str | None]] = {
    "first_name": "text",
    "last_name": "text",
    "email_1": "email",
    "phone_1": "phone",
    "tour_type": "table",
    "first_contact_type": "table",
    "move_in_date": "date",
    "number_of_occupants": "integer",
    "lease_term_in_months": "months",
    "rent_minimum_in_cents": None,
    "rent_maximum_in_cents": None,
    "desired_num_bedrooms": "bedrooms",
    "pets": "table",
    "notes": "lines",
}

#: Fields that a mapping cannot set directly, and the source of their values.
FILLED_BY: Final[Mapping[str, str]] = {
    "integration_id": "the community",
    "community_id": "the community",
    "attribution_id": "the community (attributions)",
    "appointment_date": "starts_at",
    "appointment_time": "starts_at",
}


def label_of(name: str) -> str:
    """Return a field's label for users, such as "Rent maximum" for ``rent_maximum_in_cents``."""
    for ending in ("_in_cents", "_in_months", "_1"):
        name = name.removesuffix(ending)
    return name.removeprefix("desired_num_").replace("_", " ").capitalize()


def _target(name: str, transform: str | None) -> Target:
    field = _SCHEMA.fields.get(name)
    return Target(
        name=name,
        label="Tour time" if name == "starts_at" else label_of(name),
        transform=transform,
        field=field,
        required=field is None or field.required,
        many=isinstance(field, fields.List),
    )


#: All keys that ``appointment:`` may contain, in the order of the documentation. The first two
#: fill several fields.
TARGETS: Final[Mapping[str, Target]] = {
    name: _target(name, transform)
    for name, transform in {"name": "name", "starts_at": "instant", **TRANSFORM_OF}.items()
}


def problems(
    appointment: Mapping[str, object],
    checked: Container[str] = (),
    kind: Kind = Kind.APPOINTMENT,
) -> dict[str, list[str]]:
    """Return the errors that would make Propexo reject an appointment, keyed by field.

    Fields in ``checked`` were validated by :meth:`Target.check`, so they are not checked again.
    """
    if _is_valid(appointment, checked, kind):
        return {}
    errors = _SCHEMA.validate(appointment, partial=tuple(REQUIRED - REQUIRED_BY[kind]))
    return {name: _flat(messages) for name, messages in errors.items()}


def _is_valid(appointment: Mapping[str, object], checked: Container[str], kind: Kind) -> bool:
    """Return True if all fields of an appointment are valid, without building error messages."""
    if not appointment.keys() >= REQUIRED_BY[kind]:
        return False
    if not (appointment.get("email_1") or appointment.get("phone_1")):
        return False
    return all(name in checked or _is_accepted(name, value) for name, value in appointment.items())


def _is_accepted(name: str, value: object) -> bool:
    try:
        _SCHEMA.fields[name].deserialize(value)
    except (KeyError, ValidationError):
        return False
    return True


def request_from(
    appointment: Mapping[str, Any],
    spellings: Mapping[str, Mapping[str, str]],
    kind: Kind = Kind.APPOINTMENT,
) -> dict[str, Any]:
    """Return the JSON body for a POST to Propexo, with enum values in Propexo's spelling.

    Enum values with no known spelling go into the notes, because one invalid value makes Propexo
    reject the whole booking. So do values that a guest card has no field for.
    """
    left_out = _APPOINTMENT_ONLY if kind is Kind.PROSPECT else frozenset()
    request = {name: value for name, value in appointment.items() if value not in (None, "", [])}
    facts = []
    for name in NEUTRAL_WORDS.keys() & request.keys():
        table = {} if name in left_out else spellings.get(name, {})
        value = request.pop(name)
        words = value if isinstance(value, list) else [value]
        if sent := [table[word] for word in words if word in table]:
            request[name] = sent if isinstance(value, list) else sent[0]
        if rest := [word for word in words if word not in table]:
            facts.append(_fact(name, rest))
    if facts:
        request["notes"] = append(request.get("notes", ""), sorted(facts))
    names = (name for name in _SCHEMA.fields if name in request and name not in left_out)
    fixed = NO_SUBSCRIPTION if kind is Kind.PROSPECT else {}
    return {name: request[name] for name in names} | dict(fixed)


def optional(kind: Kind) -> frozenset[str]:
    """Return the names of the optional fields, except contact fields."""
    return frozenset(_SCHEMA.fields) - REQUIRED_BY[kind] - {"email_1", "phone_1"}


def without(appointment: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Move the given optional fields to the notes, and return the new appointment."""
    left_out = [name for name in names if name in appointment]
    kept = {name: value for name, value in appointment.items() if name not in left_out}
    facts = [_fact(name, appointment[name]) for name in left_out if name != "notes"]
    if facts:
        kept["notes"] = append(str(kept.get("notes", "")), sorted(facts))
    return kept


def _fact(name: str, value: Any) -> str:
    """Return a line with a field's label and value for the notes."""
    words = value if isinstance(value, list) else [value]
    return f"{label_of(name)}: " + ", ".join(str(word).replace("_", " ") for word in words)
