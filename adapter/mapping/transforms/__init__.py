"""Convert values with named transforms that have a description, options and examples."""

from adapter.mapping.transforms.base import (
    EMPTY,
    TRANSFORMS,
    Example,
    Noted,
    Option,
    Reader,
    Transform,
    reference,
    transform,
)
from adapter.mapping.transforms.bedrooms import bedrooms_from
from adapter.mapping.transforms.contacts import (
    REGIONS,
    email_from,
    is_no_name,
    name_from,
    phone_from,
    text_from,
)
from adapter.mapping.transforms.dates import date_from, formats_from
from adapter.mapping.transforms.numbers import cents_from, dollars_from, integer_from, months_from
from adapter.parsing.text import as_items, clean_text, is_empty

__all__ = [
    "EMPTY",
    "REGIONS",
    "TRANSFORMS",
    "Example",
    "Noted",
    "Option",
    "Reader",
    "Transform",
    "as_items",
    "bedrooms_from",
    "cents_from",
    "clean_text",
    "date_from",
    "dollars_from",
    "email_from",
    "formats_from",
    "integer_from",
    "is_empty",
    "is_no_name",
    "months_from",
    "name_from",
    "phone_from",
    "reference",
    "text_from",
    "transform",
]
