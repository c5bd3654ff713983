"""Parse and check a mapping's ``signature:`` block.

Errors raise :class:`ConfigurationError` with a message that names the key and the fix.
"""

import difflib
from collections.abc import Mapping, Sequence
from typing import TypeAlias

from adapter.exceptions import ConfigurationError
from adapter.signatures.crypto import ALGORITHMS, ENCODINGS, SECRET_ENCODINGS
from adapter.signatures.hmac_scheme import Digest
from adapter.signatures.presets import PRESETS
from adapter.signatures.request import HEADER_NAME
from adapter.signatures.signed_content import SignedContent, header_format, signed_content
from adapter.signatures.signed_header import Primitive, SignedHeaderScheme
from adapter.signatures.timestamps import PATTERNS, Clock
from adapter.signatures.token_scheme import PLACES, BasicScheme, TokenScheme

Block: TypeAlias = Mapping[str, object]
Scheme: TypeAlias = SignedHeaderScheme | TokenScheme | BasicScheme

_HEADER_KEYS = ("header", "format", "separator", "encoding", "signed", "timestamp")
_SECRET_KEYS = ("secret_encoding", "secret_prefix")

#: The keys of each scheme, in addition to those that every block has.
KEYS = {
    "hmac": (*_HEADER_KEYS, "algorithm", *_SECRET_KEYS),
    "hash": (*_HEADER_KEYS, *_SECRET_KEYS),
    "public_key": (*_HEADER_KEYS, "algorithm", "secret_prefix"),
    "token": ("in", "name", "prefix"),
    "basic": ("username",),
    "none": (),
}
COMMON_KEYS = ("preset", "scheme", "secrets", "allow_ips")
TIMESTAMP_KEYS = ("header", "unit", "tolerance")

#: A tolerance of more than a day does not protect against replay attacks.
MAX_TOLERANCE_SECONDS = 86400


def expand_preset(block: Block) -> dict[str, object]:
    """Merge a block with its preset. The block's own keys take precedence."""
    if not isinstance(block, Mapping):
        raise ConfigurationError("'signature' must contain keys such as 'preset' or 'scheme'")
    own = dict(block)
    if "preset" not in own:
        return own
    preset = PRESETS[_choice(own, "preset", tuple(PRESETS))].block
    merged = {**preset, **own}
    defaults, overrides = preset.get("timestamp"), own.get("timestamp")
    if isinstance(defaults, Mapping) and isinstance(overrides, Mapping):
        merged["timestamp"] = {**defaults, **overrides}
    return merged


def scheme_from_block(block: Block) -> Scheme | None:
    """Build the scheme for a block whose preset is expanded. Return None for scheme ``none``."""
    name = _choice(block, "scheme", tuple(KEYS))
    _check_keys(block, name)
    _check_secret_names(block)
    if name == "token":
        return _token_scheme(block)
    if name == "basic":
        return _basic_scheme(block)
    return None if name == "none" else _signed_header_scheme(block, name)


def _check_keys(block: Block, scheme: str) -> None:
    known = (*COMMON_KEYS, *KEYS[scheme])
    elsewhere = {key for keys in KEYS.values() for key in keys}
    for key in block:
        if key in known:
            continue
        if key in elsewhere:
            raise ConfigurationError(f"key '{key}' does not belong to scheme '{scheme}': remove it")
        raise ConfigurationError(f"unknown key '{key}'" + _suggestion(str(key), known))


def _suggestion(word: str, known: Sequence[str]) -> str:
    matches = difflib.get_close_matches(word, known, n=1)
    return f"; did you mean '{matches[0]}'?" if matches else f"; use one of {', '.join(known)}"


def _check_secret_names(block: Block) -> None:
    names = block.get("secrets", ["UNSET"])
    if not isinstance(names, list | tuple) or not names:
        raise ConfigurationError("'secrets' must be a list of environment variables, newest last")
    if not all(isinstance(name, str) and name.strip() for name in names):
        raise ConfigurationError("'secrets' must contain only names of environment variables")


def _signed_header_scheme(block: Block, name: str) -> SignedHeaderScheme:
    clock, is_hash = _clock(block), name == "hash"
    default = "base64" if name == "public_key" else "hex"
    encoding = _choice(block, "encoding", tuple(ENCODINGS), default)
    template = _text(block, "format", "{signature}")
    separator = _text(block, "separator") if "separator" in block else None
    unit = clock.unit if clock else "s"
    form = header_format(template, separator=separator, encoding=encoding, unit=unit)
    if form.has_timestamp and clock is None:
        clock = Clock()
    content = signed_content(
        _text(block, "signed", "{secret}{body}" if is_hash else "{body}"), is_hash=is_hash
    )
    _check_timestamp(clock, content, in_format=form.has_timestamp)
    return SignedHeaderScheme(
        headers=_headers(block),
        format=form,
        content=content,
        clock=clock,
        primitive=_primitive(block, name, encoding),
    )


def _primitive(block: Block, scheme: str, encoding: str) -> Primitive:
    prefix = _text(block, "secret_prefix") if "secret_prefix" in block else ""
    if scheme == "public_key":
        # Imported here because few installations need it, and it takes 50 ms.
        from adapter.signatures import public_key

        algorithm = _choice(block, "algorithm", tuple(public_key.ALGORITHMS))
        return public_key.PublicKeySignature(
            algorithm=algorithm, encoding=encoding, secret_prefix=prefix
        )
    return Digest(
        encoding=encoding,
        algorithm=_choice(block, "algorithm", tuple(ALGORITHMS), "sha256")
        if scheme == "hmac"
        else None,
        secret_encoding=_choice(block, "secret_encoding", SECRET_ENCODINGS, "utf8"),
        secret_prefix=prefix,
    )


def _clock(block: Block) -> Clock | None:
    if "timestamp" not in block:
        return None
    nested = block["timestamp"]
    if not isinstance(nested, Mapping):
        raise ConfigurationError("'timestamp' must contain 'header', 'unit' or 'tolerance'")
    for key in nested:
        if key not in TIMESTAMP_KEYS:
            hint = _suggestion(str(key), TIMESTAMP_KEYS)
            raise ConfigurationError(f"unknown key '{key}' under 'timestamp'{hint}")
    return Clock(
        unit=_choice(nested, "unit", tuple(PATTERNS), "s"),
        tolerance=_tolerance(nested.get("tolerance", 300)),
        header=_header_name(nested["header"]) if "header" in nested else None,
    )


def _tolerance(value: object) -> float:
    if isinstance(value, int | float) and value is not True and 0 < value <= MAX_TOLERANCE_SECONDS:
        return float(value)
    raise ConfigurationError(
        f"'tolerance' must be a number of seconds above 0 and at most {MAX_TOLERANCE_SECONDS}"
    )


def _check_timestamp(clock: Clock | None, content: SignedContent, *, in_format: bool) -> None:
    """Check that the timestamp has exactly one location and that the signature covers it."""
    is_signed = "timestamp" in content.names
    if clock and clock.header and in_format:
        raise ConfigurationError(
            "'timestamp' has a header and 'format' has {timestamp}; remove one of them"
        )
    if clock and not clock.header and not in_format:
        raise ConfigurationError("'timestamp' needs a 'header', or {timestamp} in 'format'")
    if clock and not is_signed:
        raise ConfigurationError(
            "'signed' must contain {timestamp}, because an unsigned time proves nothing"
        )
    if is_signed and not clock:
        raise ConfigurationError("'signed' contains {timestamp}; name its header under 'timestamp'")


def _headers(block: Block) -> tuple[str, ...]:
    if "header" not in block:
        raise ConfigurationError("key 'header' is missing: name the header with the signature")
    value = block["header"]
    names = value if isinstance(value, list | tuple) else [value]
    if not names:
        raise ConfigurationError("'header' must name at least one header")
    return tuple(_header_name(name) for name in names)


def _header_name(value: object) -> str:
    if isinstance(value, str) and HEADER_NAME.fullmatch(value):
        return value
    raise ConfigurationError("'header' must be a header name, such as X-Signature")


def _token_scheme(block: Block) -> TokenScheme:
    for key in ("in", "name"):
        if not isinstance(block.get(key), str):
            how = "write where the token is and its name, such as in: query, name: token"
            raise ConfigurationError(f"key '{key}' is missing or not text: {how}")
    place = _choice(block, "in", PLACES)
    name = _text(block, "name")
    if place == "header" and not HEADER_NAME.fullmatch(name):
        raise ConfigurationError("'name' must be a header name, such as Authorization")
    prefix = _text(block, "prefix") if "prefix" in block else ""
    return TokenScheme(place=place, name=name, prefix=prefix)


def _basic_scheme(block: Block) -> BasicScheme:
    username = _text(block, "username")
    if ":" in username:
        raise ConfigurationError("'username' must not contain a colon, which ends the username")
    return BasicScheme(username=username)


def _choice(block: Block, key: str, allowed: Sequence[str], default: str | None = None) -> str:
    value = block.get(key, default)
    if value is None and key not in block:
        raise ConfigurationError(f"key '{key}' is missing: use one of {', '.join(allowed)}")
    if isinstance(value, str) and value in allowed:
        return value
    raise ConfigurationError(f"'{key}' has an unknown value" + _suggestion(str(value), allowed))


def _text(block: Block, key: str, default: str | None = None) -> str:
    value = block.get(key, default)
    if value is None and key not in block:
        raise ConfigurationError(f"key '{key}' is missing; it must be text")
    # Some senders sign line breaks. Any other control character must be a typo.
    if isinstance(value, str) and value and value.replace("\n", "").isprintable():
        return value
    raise ConfigurationError(f"'{key}' must be text that is not empty; put it in quotes")
