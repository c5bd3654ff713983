"""Validate mapping files with marshmallow schemas and helpful error messages."""

import functools
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final

from marshmallow import RAISE, Schema, ValidationError, fields, validate

from adapter.exceptions import Unreadable
from adapter.mapping.engine import WithoutTime
from adapter.mapping.engine.fields import OnUnreadable
from adapter.mapping.loader.yaml_document import Document, KeyPath
from adapter.mapping.problems import unknown
from adapter.mapping.renter_language import LANGUAGE, SENTENCES
from adapter.mapping.transforms import TRANSFORMS
from adapter.mapping.webhook_outcome import Outcome
from adapter.parsing.body import KINDS
from adapter.parsing.sentences import MENTIONS
from adapter.parsing.zone_names import zone_from_name

#: Maximum number of nested lists under ``for_each``.
MAX_LEVELS: Final = 5
#: Marshmallow's key for messages about a whole object.
WHOLE: Final = "_schema"
#: Plain-English replacements for marshmallow's messages about types.
TYPE_MESSAGES: Final = {
    "Not a valid string.": "must be text",
    "Not a valid boolean.": "must be true or false",
    "Not a valid list.": "must be a list whose items start with '-'",
    "Not a valid mapping type.": "must be lines such as 'name: value'",
    "Invalid input type.": "must be lines such as 'name: value'",
    "Field may not be null.": "is empty: give it a value, or remove the line",
}


#: The part of a format after an unquoted comma: ``{ format: MMMM D, YYYY }``.
_FORMAT_END: Final = re.compile(r"[YMDHhmsAZzdat,:/. -]+\Z")


def _unknown_key(noun: str, name: str, known: Sequence[str], data: Any) -> str:
    is_cut = isinstance(data, Mapping) and data.get(name, "") is None and "format" in data
    if is_cut and _FORMAT_END.match(name):
        return f"unknown {noun} {name!r}: put a format with a comma in quotes"
    return unknown(noun, name, known)


class StrictSchema(Schema):
    """A schema that rejects unknown keys and suggests similar ones."""

    #: The noun for a key in error messages.
    noun: ClassVar[str] = "option"

    class Meta:
        """Treat unknown keys as errors."""

        unknown = RAISE

    def handle_error(self, error: ValidationError, data: Any, **_: Any) -> None:
        """Replace marshmallow's messages for unknown and missing keys with clearer messages."""
        known = {field.data_key or name: field for name, field in self.fields.items()}
        messages: Any = error.messages
        for name, texts in list(messages.items() if isinstance(messages, dict) else ()):
            if texts == ["Unknown field."]:
                messages[name] = [_unknown_key(self.noun, str(name), list(known), data)]
            elif name in known and texts == [known[name].error_messages["required"]]:
                del messages[name]
                text = f"the {self.noun} {name!r} is missing"
                messages.setdefault(WHOLE, []).append(text)


class Texts(fields.Field[Any]):
    """A string, a number, or a list of both. It is loaded as a list of strings."""

    expected: ClassVar[str] = "text, or a list of text values"

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> list[str]:
        items = value if isinstance(value, list) else [value]
        if not items or not all(map(self.accepts, items)):
            raise ValidationError(f"must be {self.expected}")
        return list(map(str, items))

    def accepts(self, item: object) -> bool:
        """Return True if an item is a string or a number."""
        return isinstance(item, str | int | float) and not isinstance(item, bool)


class PathList(Texts):
    """A path or a list of paths. It is loaded as a list of strings."""

    expected = "a path in the payload, or a list of paths"

    def accepts(self, item: object) -> bool:
        """Return True if an item is a number or a nonempty string."""
        return super().accepts(item) and item != ""


class KeyParts(PathList):
    """A path, a list of paths, or a list of lists. It is loaded as a list of lists."""

    expected = "a path in the payload or a list of paths; a nested list holds alternatives"

    def _deserialize(self, value: Any, *args: Any, **options: Any) -> Any:
        items = value if isinstance(value, list) and value else [value]
        return [super(KeyParts, self)._deserialize(item, *args, **options) for item in items]


class BodyKinds(Texts):
    """A body format or a list of formats. It is loaded as a string or a tuple."""

    def _deserialize(self, value: Any, *args: Any, **options: Any) -> Any:
        kinds = super()._deserialize(value, *args, **options)
        for kind in kinds:
            if kind not in KINDS:
                raise ValidationError(unknown("format", kind, KINDS))
        if "query" in kinds and len(kinds) > 1:
            raise ValidationError("'query' cannot be combined with another format")
        return kinds[0] if len(kinds) == 1 else tuple(kinds)


class Shorthand(fields.Field[Any]):
    """An object that may be shortened to the value of its key ``from``."""

    def __init__(self, schema: type[StrictSchema], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.schema = schema

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Any:
        if not isinstance(value, Mapping):
            value = {"from": value}
        return self.schema().load(value)


def described(text: str) -> dict[str, Any]:
    """Return metadata for a field, with a description that editors show."""
    return {"metadata": {"description": text}}


def _object(**options: Any) -> fields.Dict:
    return fields.Dict(keys=fields.String(), **options)


def _one_of(words: Iterable[str], **options: Any) -> fields.String:
    return fields.String(validate=validate.OneOf([*words]), **options)


def flag(**options: Any) -> fields.Boolean:
    """Return a Boolean schema field that accepts only ``true`` and ``false``."""
    return fields.Boolean(truthy={True}, falsy={False}, **options)


class FromSchema(StrictSchema):
    """The schema for ``{ from: … }`` with one or more paths."""

    from_ = PathList(required=True, data_key="from")


class CommunitySection(StrictSchema):
    """The schema for the ``community`` section of a mapping."""

    from_ = PathList(data_key="from")
    always = fields.String()


class ZoneName(fields.Field[Any]):
    """A time zone name. It is loaded as a :class:`~zoneinfo.ZoneInfo`."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Any:
        try:
            return zone_from_name(value)
        except Unreadable as exc:
            raise ValidationError(f"{str(value)[:60]!r}: {exc}") from None


class ZoneSection(ZoneName):
    """A time zone name, or ``{ from: path }``."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Any:
        return super()._deserialize(value) if isinstance(value, str) else FromSchema().load(value)


class DateSection(FromSchema):
    """The schema for ``date`` in the ``starts_at`` section."""

    format = Texts()


class StartSection(StrictSchema):
    """The schema for the ``starts_at`` section."""

    from_ = PathList(data_key="from")
    date = Shorthand(DateSection)
    time = PathList()
    format = Texts()
    timezone = ZoneSection()
    dst = _one_of(["earlier", "later"])
    ignore_offset = flag()
    offset = _one_of(["trust", "must_agree", "own_clock"])
    take = _one_of(["start"], **described("Read the start of a range of times."))
    fetch_by = PathList()
    as_ = fields.String(data_key="as", validate=validate.Equal("instant"))


def _label(description: str) -> Texts:
    checks = fields.List(fields.String(validate=validate.Length(1, 100)))
    return Texts(validate=checks.deserialize, **described(description))


class LabelsSection(StrictSchema):
    """The schema for ``labels`` in a list."""

    list = fields.String(required=True)
    by = fields.String(required=True)
    value = fields.String(required=True)


class ReadSection(StrictSchema):
    """The schema for a name under ``read``, with ``json``, ``xml``, ``list`` or ``text``."""

    json = fields.String()
    xml = fields.String(**described("The path of text that contains an XML document."))
    list = fields.String()
    by = fields.String(**described("The path of an item's key."))
    value = PathList()
    equals = fields.String(**described("Find the item whose key equals the value at this path."))
    labels = fields.Nested(LabelsSection)
    text = PathList(
        **described("The path of an email, or a list of paths. The first path with text is used.")
    )
    line = _label(
        "The text after this label at the start of a line. The first label found applies."
    )
    after = _label("The text after this label, to the end of the line or to 'before'.")
    before = _label("The text before this label. The first label found applies.")
    without = _one_of(["quotes"], **described("The email without quoted emails."))
    subject = fields.String(
        **described("The path of the subject, which shows whether the email is forwarded.")
    )
    find = _one_of(
        MENTIONS,
        **described("The sentence that mentions a time of day, or that cancels or moves a tour."),
    )


class FetchSection(StrictSchema):
    """The schema for an entry under ``fetch``, with a URL and the credentials for it."""

    get = fields.String(
        required=True, **described("The URL, such as https://api.example.com/tours/{id}.")
    )
    token = fields.String(**described("The environment variable with a bearer token."))
    basic = fields.List(
        fields.String(),
        validate=validate.Length(2, 2, error="must be two variables: username, password"),
        **described("The environment variables with a username and a password."),
    )


#: Each outcome's template has exactly one of these keys.
ONE_TEMPLATE: Final = "must be one of { json: … }, { xml: … }, { text: … }"


class JsonTemplate(fields.Raw):
    """An object or a list with strings that may contain placeholders."""

    def _validate(self, value: Any) -> None:
        if not isinstance(value, dict | list):
            raise ValidationError("must be an object or a list")


class TemplateSection(StrictSchema):
    """The schema for the template of a response to one outcome."""

    error_messages: dict[str, str] = {"type": ONE_TEMPLATE}  # noqa: RUF012 - as in marshmallow
    json = JsonTemplate()
    xml = fields.String()
    text = fields.String()


class SaySection(StrictSchema.from_dict({str(name): fields.String() for name in SENTENCES})):  # type: ignore[misc]
    """The schema for ``say`` in the ``respond`` section."""

    noun = "outcome"
    error_messages: dict[str, str] = {  # noqa: RUF012
        "type": "must be lines such as 'booked: See you then.'"
    }


class SayTexts(fields.Field[Any]):
    """A schema field for messages to renters, by outcome or by language and outcome."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Any:
        if not isinstance(value, Mapping):
            raise ValidationError(SaySection.error_messages["type"])
        own = {name: texts for name, texts in value.items() if not LANGUAGE.match(name)}
        loaded: dict[str, Any] = {}
        problems: dict[str, Any] = {}
        for name, texts in {"": own, **value}.items():
            if name in own:
                continue
            try:
                loaded[name] = SaySection().load(texts)
            except ValidationError as exc:
                messages: Any = exc.messages
                problems |= {name: messages} if name else messages
        if problems:
            raise ValidationError(problems)
        return {**loaded.pop(""), **loaded}


def _seconds(pattern: str, message: str, **options: Any) -> fields.String:
    check = validate.Regexp(pattern, error=message)
    return fields.String(validate=check, error_messages={"invalid": message}, **options)


class _RespondOptions(TemplateSection):
    wait = _seconds(
        r"(?:[1-9]|1[0-9]|2[0-5])s\Z",
        "must be seconds from 1s to 25s, such as 8s",
        **described("How long the adapter waits for the outcome: 1s to 25s."),
    )
    deadline = _seconds(
        r"[1-9][0-9]{0,2}s\Z",
        "must be seconds, such as 10s",
        **described("How long the sender waits for a response, such as 10s."),
    )
    language = PathList(
        **described("The path of the renter's language, such as es, es-MX or Spanish.")
    )
    say = SayTexts(
        **described(
            "Messages to the renter, by outcome, or by language and outcome. {say} inserts the "
            "message."
        )
    )


#: ``respond``: options, a default template, and a template per outcome.
RespondSection: Final = _RespondOptions.from_dict(
    {
        outcome: fields.Nested(TemplateSection, validate=validate.Length(1, 1, error=ONE_TEMPLATE))
        for outcome in Outcome
    },
    name="RespondSection",
)


class Appointments(fields.Raw):
    """The fields of one appointment, or a list with the fields of several appointments."""


class TestSection(StrictSchema):
    """The schema for a test in a mapping."""

    name = fields.String(load_default="a sample")
    payload = fields.Raw(
        required=True, **described("A file in the mapping's folder, or the payload itself.")
    )
    change = _object(values=fields.Raw(allow_none=True), **described("New values, by path."))
    expect = Appointments(**described("The whole appointment, exactly."))
    expect_some = Appointments()
    prospect = Appointments(**described("The whole guest card, exactly."))
    prospect_some = Appointments()
    held = _object(values=fields.String())
    ignored = flag()
    cancellation = flag()
    received = fields.String(**described("The receipt time, such as 2026-03-01T12:00:00Z."))
    headers = _object(values=fields.String())
    query = fields.String(
        error_messages={"invalid": "must be text, such as 'community=maple-court'"},
        **described("The query string, such as community=maple-court."),
    )
    content_type = fields.String()
    fetched = _object(values=fields.Raw(), **described("Files with the fetched documents, by URL."))


class FieldOptions(StrictSchema):
    """The schema for the options that every field has, regardless of its transform."""

    from_ = PathList(data_key="from")
    all = PathList()
    always = fields.Raw(allow_none=True)
    as_ = _one_of(sorted(TRANSFORMS), data_key="as")
    table = _object(values=fields.Raw())
    default = fields.Raw()
    unreadable = _one_of(OnUnreadable)


@functools.cache
def field_schema(transform: str | None) -> type[StrictSchema]:
    """Return the schema for the options of a field, including those of its transform."""
    options = TRANSFORMS[transform].options if transform in TRANSFORMS else ()
    extra: dict[str, Any] = {option.name: fields.Raw() for option in options}
    return FieldOptions.from_dict(extra, name="FieldOptions")  # type: ignore[return-value]


#: Kinds of senders.
FAMILIES: Final = ("portal", "mail", "chatbot", "voice", "form", "ads", "crm", "scheduler")
#: The possible origins of a sender's sample payloads.
SHAPES: Final = ("traffic", "documentation")


def _prose(description: str) -> fields.String:
    return fields.String(validate=validate.Length(1, 1000), **described(description))


class AboutSection(StrictSchema):
    """The schema for ``about``, which contains facts about the sender for human readers."""

    family = _one_of(FAMILIES)
    switch_on = _prose("How to turn on its webhook.")
    signs = _prose("How it signs webhooks.")
    success = _prose("The response that the sender treats as success.")
    retries = _prose("How it retries failed deliveries.")
    cannot = _prose("What its webhooks cannot do.")
    shape = _one_of(SHAPES, **described("Where the samples come from: documentation or traffic."))


class Sections(StrictSchema):
    """The schema for a mapping file, with its sections in processing order."""

    noun = "section"
    draft = flag(**described("true: the mapping is not finished, so the adapter does not use it."))
    description = fields.String(**described("One sentence about the source."))
    docs = fields.Url(schemes={"http", "https"}, **described("The sender's own documentation."))
    about = fields.Nested(AboutSection, **described("Facts about the sender."))
    body = BodyKinds(
        **described("The body format or formats; needed only if the content type is wrong.")
    )
    strip = Texts(**described("Names of fields whose values are removed before storing."))
    signature = _object(required=True)
    handshake = fields.Raw()
    delivery_id = fields.String(
        validate=validate.Regexp(
            r"(?:header:[\w-]+|json:\$\.\S.*)\Z",
            error="must be header:NAME or json:$.path; or use 'dedupe' instead",
        )
    )
    respond = fields.Nested(RespondSection)
    blank = Texts(**described("Values that this sender uses for empty fields."))
    ignore = fields.Raw(**described("Conditions for webhooks that are not bookings."))
    cancellation = fields.Raw(**described("Conditions for cancellations of bookings."))
    accept = _object(**described("Conditions that every booking must meet."))
    read = _object(values=fields.Nested(ReadSection))
    fetch = _object(
        values=fields.Nested(FetchSection),
        **described("JSON documents to fetch, by name, for webhooks that contain only IDs."),
    )
    for_each = _object(
        values=fields.String(),
        validate=validate.Length(1, MAX_LEVELS, error=f"must have 1 to {MAX_LEVELS} lines"),
        **described("A name for each item of a list. Each further line is a list in that item."),
    )
    dedupe = KeyParts(
        required=True,
        **described("Paths whose values identify a booking; a nested list holds alternatives."),
    )
    sent_at = PathList(**described("When the renter made the request, according to the sender."))
    community = Shorthand(CommunitySection, required=True)
    attribution = PathList()
    without_time = _one_of(WithoutTime)
    check_availability = flag(
        **described("Before booking a tour, check that its time is available in Knock's calendar.")
    )
    appointment = _object(required=True)
    tests = fields.List(fields.Nested(TestSection), required=True, validate=validate.Length(min=1))


def load_into(document: Document, schema: Schema, data: Any, where: KeyPath) -> Any:
    """Validate and load data. If it is invalid, add problems to the document and return None."""
    try:
        return schema.load(data)
    except ValidationError as exc:
        report(document, exc.messages, where)
        return None


def report(document: Document, messages: Any, where: KeyPath) -> None:
    """Add marshmallow's nested error messages to the document as problems with positions."""
    if isinstance(messages, Mapping):
        for key, rest in messages.items():
            # Dictionaries report their entries under "key" and "value".
            inner = where if key in (WHOLE, "value", "key") else (*where, str(key))
            report(document, rest, inner)
        return
    for message in messages if isinstance(messages, list) else [messages]:
        document.add(where, TYPE_MESSAGES.get(str(message), str(message)))
