"""The shape of a mapping file, by marshmallow; each refusal is a sentence with a place."""

import functools
from collections.abc import Mapping
from typing import Any, ClassVar, Final

from marshmallow import RAISE, Schema, ValidationError, fields, validate

from adapter.mapping.engine import WithoutTime
from adapter.mapping.engine.fields import OnUnreadable
from adapter.mapping.loader.yaml_document import Document, Where
from adapter.mapping.problems import unknown
from adapter.mapping.transforms import TRANSFORMS
from adapter.parsing.body import KINDS

#: Under this key stand messages about the whole of an object.
WHOLE: Final = "_schema"


class StrictSchema(Schema):
    """Refuses what it does not know, and says what was perhaps meant."""

    #: What a key is called in messages.
    noun: ClassVar[str] = "option"

    class Meta:
        """Nothing is skipped in silence."""

        unknown = RAISE

    def handle_error(self, error: ValidationError, data: Any, **_: Any) -> None:  # noqa: ARG002
        """Turns marshmallow's words for unknown and missing keys into ours."""
        known = {field.data_key or name: field for name, field in self.fields.items()}
        messages: Any = error.messages
        for name, texts in list(messages.items() if isinstance(messages, dict) else ()):
            if texts == ["Unknown field."]:
                messages[name] = [unknown(self.noun, str(name), list(known))]
            elif name in known and texts == [known[name].error_messages["required"]]:
                del messages[name]
                text = f"the {self.noun} {name!r} is missing"
                messages.setdefault(WHOLE, []).append(text)


class Texts(fields.Field[Any]):
    """One text or number, or a list of them; always a list of texts afterwards."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> list[str]:
        items = value if isinstance(value, list) else [value]
        if not items or not all(_is_scalar(item) for item in items):
            raise ValidationError("must be a text, or a list of texts")
        return [text_from_scalar(item) for item in items]


class PathList(fields.Field[Any]):
    """A path, or a list of paths; always a list afterwards."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> list[str]:
        items = value if isinstance(value, list) else [value]
        if not items or not all(_is_scalar(item) and item != "" for item in items):
            raise ValidationError("must be a place in the payload, or a list of places")
        return [text_from_scalar(item) for item in items]


class Shorthand(fields.Field[Any]):
    """An object, or its short form: a text or list that stands for one of its keys."""

    def __init__(self, schema: type[StrictSchema], key: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.schema, self.key = schema, key

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Any:
        if not isinstance(value, Mapping):
            value = {self.key: value}
        return self.schema().load(value)


def _is_scalar(value: object) -> bool:
    return isinstance(value, str | int | float) and not isinstance(value, bool)


def text_from_scalar(value: object) -> str:
    """``true``, ``20417`` and text as text."""
    return str(value).lower() if isinstance(value, bool) else str(value)


class FromSchema(StrictSchema):
    """``{ from: … }``."""

    from_ = PathList(required=True, data_key="from")


class CommunitySection(StrictSchema):
    """A path or fallbacks, or ``always``."""

    from_ = PathList(data_key="from")
    always = fields.String()


class ZoneSection(fields.Field[Any]):
    """A zone's name, or ``{ from: path }``."""

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Any:
        if isinstance(value, str):
            return value
        return FromSchema().load(value)


class StartSection(StrictSchema):
    """``starts_at``."""

    from_ = PathList(data_key="from")
    date = PathList()
    time = PathList()
    format = Texts()
    timezone = ZoneSection()
    dst = fields.String(validate=validate.OneOf(["earlier", "later"]))
    ignore_offset = fields.Boolean(truthy={True}, falsy={False})
    offset = fields.String(validate=validate.OneOf(["trust", "must_agree", "own_clock"]))
    fetch_by = PathList()
    as_ = fields.String(data_key="as", validate=validate.Equal("instant"))


class LabelsSection(StrictSchema):
    """Option ids to labels."""

    list = fields.String(required=True)
    by = fields.String(required=True)
    value = fields.String(required=True)


class ReadSection(StrictSchema):
    """One name under ``read``: exactly one of json, list, text."""

    json = fields.String()
    list = fields.String()
    by = fields.String()
    value = PathList()
    labels = fields.Nested(LabelsSection)
    text = fields.String()
    line = fields.String(validate=validate.Length(1, 100))


class TestSection(StrictSchema):
    """One test."""

    name = fields.String(load_default="a sample")
    payload = fields.Raw(required=True)
    change = fields.Dict(keys=fields.String(), values=fields.Raw(allow_none=True))
    expect = fields.Raw()
    expect_some = fields.Raw()
    prospect = fields.Raw()
    prospect_some = fields.Raw()
    held = fields.Dict(keys=fields.String(), values=fields.String())
    ignored = fields.Boolean(truthy={True}, falsy={False})
    cancellation = fields.Boolean(truthy={True}, falsy={False})
    received = fields.String()
    headers = fields.Dict(keys=fields.String(), values=fields.String())
    query = fields.String()
    content_type = fields.String()


class FieldOptions(StrictSchema):
    """What every field takes beside the options of its transform."""

    from_ = PathList(data_key="from")
    all = PathList()
    always = fields.Raw(allow_none=True)
    as_ = fields.String(data_key="as", validate=validate.OneOf(sorted(TRANSFORMS)))
    table = fields.Dict(keys=fields.String(), values=fields.Raw())
    default = fields.Raw()
    unreadable = fields.String(validate=validate.OneOf([word.value for word in OnUnreadable]))


@functools.cache
def field_schema(transform: str | None) -> type[StrictSchema]:
    """The options of a field that reads with a transform."""
    options = TRANSFORMS[transform].options if transform in TRANSFORMS else ()
    extra: dict[str, Any] = {option.name: fields.Raw() for option in options}
    return FieldOptions.from_dict(extra, name="FieldOptions")  # type: ignore[return-value]


#: What kind of sender a source is, for people.
FAMILIES: Final = ("portal", "mail", "chatbot", "voice", "form", "ads", "crm", "scheduler")
#: Where the shape of what a sender sends was seen.
SHAPES: Final = ("traffic", "documentation")


class AboutSection(StrictSchema):
    """What a person must know about the sender; the program reads none of it."""

    family = fields.String(validate=validate.OneOf(FAMILIES))
    switch_on = fields.String(validate=validate.Length(1, 1000))
    signs = fields.String(validate=validate.Length(1, 1000))
    retries = fields.String(validate=validate.Length(1, 1000))
    cannot = fields.String(validate=validate.Length(1, 1000))
    shape = fields.String(validate=validate.OneOf(SHAPES))


class Sections(StrictSchema):
    """The sections of a mapping file, in the order a webhook meets them."""

    noun = "section"
    description = fields.String()
    docs = fields.Url(schemes={"http", "https"})
    about = fields.Nested(AboutSection)
    body = fields.String(validate=validate.OneOf(KINDS))
    signature = fields.Dict(required=True, keys=fields.String())
    handshake = fields.Raw()
    delivery_id = fields.String(
        validate=validate.Regexp(
            r"(?:header:[\w-]+|json:\$\.\S.*)\Z",
            error="must be header:NAME or json:$.place; 'dedupe' says the same",
        )
    )
    respond = fields.Dict(keys=fields.String())
    blank = Texts()
    ignore = fields.Raw()
    cancellation = fields.Raw()
    accept = fields.Dict(keys=fields.String())
    read = fields.Dict(keys=fields.String(), values=fields.Nested(ReadSection))
    for_each = fields.Dict(
        keys=fields.String(), values=fields.String(), validate=validate.Length(equal=1)
    )
    dedupe = PathList(required=True)
    sent_at = PathList()
    community = Shorthand(CommunitySection, "from", required=True)
    attribution = PathList()
    without_time = fields.String(validate=validate.OneOf([*WithoutTime]))
    appointment = fields.Dict(required=True, keys=fields.String())
    tests = fields.List(fields.Nested(TestSection), required=True, validate=validate.Length(min=1))


def load_into(document: Document, schema: Schema, data: Any, where: Where) -> Any:
    """The data by the schema; None, and problems in the document, where it does not fit."""
    try:
        return schema.load(data)
    except ValidationError as exc:
        report(document, exc.messages, where)
        return None


def report(document: Document, messages: Any, where: Where) -> None:
    """Marshmallow's tree of messages as problems at their places."""
    if isinstance(messages, Mapping):
        for key, rest in messages.items():
            # Dictionaries report their entries under "key" and "value".
            inner = where if key in (WHOLE, "value", "key") else (*where, str(key))
            report(document, rest, inner)
        return
    for message in messages if isinstance(messages, list) else [messages]:
        document.add(where, str(message))
