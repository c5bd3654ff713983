"""Load a file with a portal's column names, formats and credit rules."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from marshmallow import ValidationError, fields, validate

from adapter.exceptions import Unreadable
from adapter.mapping.loader.schema import StrictSchema, Texts, described, load_into
from adapter.mapping.loader.yaml_document import document_from_file
from adapter.mapping.problems import MappingErrors, Problem
from adapter.mapping.transforms import dollars_from
from adapter.parsing.date_formats import Format, compile_format

#: The folder for portal rules files inside the mappings folder.
FOLDER: Final = "portals"

#: The fields that a portal's list may contain.
FIELDS: Final = (
    *("date", "name", "first_name", "last_name", "email", "phone"),
    *("lead_id", "community", "amount"),
)


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class PortalRules:
    """A portal's column names, formats and credit rules."""

    #: The column names for each field. Columns of other fields are recognized by common names.
    columns: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)
    #: The date format, or None for the formats that are common in the US.
    date_format: Format | None = None
    #: The price of a lead in cents, if the list has no amounts, or None.
    price: int | None = None
    #: How many days after a lead the portal accepts a request for a credit, or None if unknown.
    credit_days: int | None = None
    #: How many months a second lead from the same renter counts as a duplicate.
    duplicate_months: int = 12
    #: How many days the portal's date may differ from the arrival of the same lead.
    match_days: int = 3


class _DateFormat(fields.Field[Format]):
    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Format:
        try:
            return compile_format(str(value))
        except ValueError as exc:
            raise ValidationError(str(exc)) from None


class _Price(fields.Field[int]):
    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Any:
        try:
            return dollars_from(value, take=None)
        except Unreadable:
            raise ValidationError("must be an amount in dollars, such as $35.00") from None


def _whole_number(most: int) -> fields.Integer:
    error = f"must be a whole number from 0 to {most}"
    limits = validate.Range(0, most, error=error)
    return fields.Integer(strict=True, validate=limits, error_messages={"invalid": error})


class PortalSchema(StrictSchema):
    """The schema for a portal's rules file."""

    noun = "option"
    columns = fields.Dict(
        keys=fields.String(validate=validate.OneOf(FIELDS)),
        values=Texts(),
        **described("The column names for each field."),
    )
    date_format = _DateFormat(**described("How dates are written, such as DD/MM/YYYY."))
    price = _Price(**described("The price of a lead, if the list has no amounts."))
    credit_days = _whole_number(366)
    duplicate_months = _whole_number(36)
    match_days = _whole_number(45)


def rules_for(source: str, mappings: Path) -> PortalRules:
    """Load the portal rules of a source. Return default rules if it has no rules file."""
    file = mappings / FOLDER / f"{source}.yaml"
    return rules_from_file(file) if file.is_file() else PortalRules()


def portal_problems(mappings: Path) -> list[Problem]:
    """Return the problems in all files with portal rules in a mappings folder."""
    found: list[Problem] = []
    for file in sorted((mappings / FOLDER).glob("*.yaml")):
        try:
            rules_from_file(file)
        except MappingErrors as exc:
            found += exc.problems
    return found


def rules_from_file(file: Path) -> PortalRules:
    """Load portal rules from a file. Raise :class:`MappingErrors` if it has errors."""
    document, _ = document_from_file(file)
    loaded = None
    if not document.has_errors:
        loaded = load_into(document, PortalSchema(), document.data, ())
    if loaded is None or document.has_errors:
        raise MappingErrors(document.problems)
    return PortalRules(**loaded)
