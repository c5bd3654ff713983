"""Build a verifier from a mapping's ``signature:`` block, and use it to check requests.

The block's settings are described in :mod:`adapter.signatures.config`. If a request fails, only
:class:`VerificationError` is raised, with one of :data:`~adapter.signatures.reasons.REASONS`.
"""

import contextlib
import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from adapter.exceptions import ConfigurationError, VerificationError
from adapter.models import WebhookRequest
from adapter.settings import trimmed
from adapter.signatures.config import Scheme, expand_preset, scheme_from_block
from adapter.signatures.crypto import is_unguessable
from adapter.signatures.hmac_scheme import Digest
from adapter.signatures.ip_allowlist import Network, check_address, networks_from_block
from adapter.signatures.signed_header import SignedHeaderScheme
from adapter.signatures.token_scheme import BasicScheme, TokenScheme, without_copies


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Verifier:
    """Verifies the requests of one lead source."""

    #: None if requests are not signed (``scheme: none``).
    scheme: Scheme | None
    keys: tuple[bytes, ...] = dataclasses.field(repr=False)
    #: The index of each key's secret. A secret inside quotes or whitespace has two keys.
    owners: tuple[int, ...]
    networks: tuple[Network, ...]

    def verify(self, request: WebhookRequest, now: float) -> None:
        """Raise VerificationError unless the request is valid at ``now`` (Unix seconds)."""
        self.verified_by(request, now)

    def verified_by(self, request: WebhookRequest, now: float) -> int | None:
        """Verify a request, and return the index of the key that matched.

        Return None if requests are not signed. Raise VerificationError if verification fails.
        """
        if self.networks:
            check_address(request.client, self.networks)
        return self.scheme.verified_by(self.keys, request, now) if self.scheme else None

    @property
    def is_cheap(self) -> bool:
        """True if verifying a request takes only microseconds, unlike with public keys."""
        if not isinstance(self.scheme, SignedHeaderScheme):
            return True
        return isinstance(self.scheme.primitive, Digest)

    @property
    def is_open(self) -> bool:
        """True if the source is unsigned, so that anyone who knows its URL can send webhooks."""
        return self.scheme is None

    @property
    def signs_url(self) -> bool:
        """True if the sender's signature covers the URL."""
        return self.has_signature and self.covers_query

    @property
    def covers_query(self) -> bool:
        """True if an attacker cannot change the query string of a valid request."""
        return covers_query(self.scheme)

    @property
    def has_signature(self) -> bool:
        """True if requests are signed, so that a stored request can be verified again."""
        return isinstance(self.scheme, SignedHeaderScheme)

    def credentials(self, request: WebhookRequest) -> list[bytes]:
        """Return all possible decodings of the token or password in a request."""
        if not isinstance(self.scheme, TokenScheme | BasicScheme):
            return []
        try:
            return list(dict.fromkeys(self.scheme.credentials(request)))
        except VerificationError:
            return []

    @property
    def proof_headers(self) -> frozenset[str]:
        """The lowercase names of the headers that contain a signature or are covered by one."""
        if not isinstance(self.scheme, SignedHeaderScheme):
            return frozenset()
        clock = self.scheme.clock
        names = [*self.scheme.headers, *self.scheme.content.headers]
        names += [clock.header] if clock and clock.header else []
        return frozenset(name.lower() for name in names)

    def without_secret(self, request: WebhookRequest) -> WebhookRequest:
        """Return a copy of the request without the source's token or password.

        Copies of a long secret are removed too. A short secret might be part of another word.
        """
        if not isinstance(self.scheme, TokenScheme | BasicScheme):
            return request
        passwords = (_secret_part(self.scheme, key) for key in self.keys)
        long = filter(is_unguessable, passwords)
        return without_copies(self.scheme.without_secret(request), long)

    def strip_rejected(self, request: WebhookRequest, reason: str) -> WebhookRequest:
        """Return a copy of a rejected request without any secrets.

        An invalid token may become valid after the next rotation, so it is removed too.
        If the token is missing, it may be anywhere in the body, so the body is removed.
        Copies of our own secrets are removed as well.
        """
        if not isinstance(self.scheme, TokenScheme):
            return self.without_secret(request)
        return self.scheme.strip_rejected(self.keys, request, reason)


def _secret_part(scheme: TokenScheme | BasicScheme, key: bytes) -> bytes:
    return key.partition(b":")[2] if isinstance(scheme, BasicScheme) else key


def verifier(block: Mapping[str, object], secrets: Sequence[str]) -> Verifier:
    """Build a verifier from a ``signature:`` block and its secrets, ordered from oldest to newest.

    Raise :class:`ConfigurationError` for an invalid block or a missing or blank secret.
    """
    scheme, networks = check_block(block)
    if scheme is None:
        if secrets:
            raise ConfigurationError(
                "scheme 'none' takes no secrets; remove them, or choose another scheme"
            )
        return Verifier(scheme=None, keys=(), owners=(), networks=networks)
    owners, keys = zip(*_keys(scheme, secrets), strict=True)
    return Verifier(scheme=scheme, keys=keys, owners=owners, networks=networks)


def check_block(block: Mapping[str, object]) -> tuple[Scheme | None, tuple[Network, ...]]:
    """Check a ``signature:`` block, and return its scheme and IP networks."""
    block = expand_preset(block)
    return scheme_from_block(block), networks_from_block(block)


def scheme_of(block: Mapping[str, object]) -> str:
    """Return the name of a block's signature scheme. With ``none``, anyone can send requests."""
    return str(expand_preset(block)["scheme"])


def covers_query(scheme: Scheme | None) -> bool:
    """Return True if an attacker cannot change the query string of a valid request."""
    return not isinstance(scheme, SignedHeaderScheme) or "url" in scheme.content.names


def proved_headers(scheme: Scheme | None, names: Iterable[str]) -> frozenset[str]:
    """Return the given headers, except headers that an attacker could change to replay a request.

    If requests are signed, these are the headers that the signature covers. If it covers a
    timestamp but no headers, all are returned, because a captured request soon expires. With a
    token, all are returned too, because an attacker who has the token can send anything.
    """
    names = frozenset(names)
    if not isinstance(scheme, SignedHeaderScheme):
        return names
    return names & scheme.content.headers or (names if scheme.clock else frozenset())


def query_token(block: Mapping[str, object]) -> str | None:
    """Return the name of the query parameter that contains a source's token, or None."""
    scheme = scheme_from_block(expand_preset(block))
    return scheme.name if isinstance(scheme, TokenScheme) and scheme.place == "query" else None


def sign(
    block: Mapping[str, object], secret: str, request: WebhookRequest, now: float
) -> WebhookRequest:
    """Return the request, signed as its sender would sign it at ``now`` (Unix seconds).

    Raise :class:`ConfigurationError` for an invalid block or secret, and
    :class:`~adapter.exceptions.PayloadError` for a body that cannot carry the token.
    """
    scheme = scheme_from_block(expand_preset(block))
    if scheme is None:
        return request
    try:
        key = scheme.signing_key(trimmed(secret))
    except ConfigurationError as exc:
        raise ConfigurationError(f"the secret {exc}") from None
    return scheme.sign(key, request, now)


def _keys(scheme: Scheme, secrets: Sequence[str]) -> list[tuple[int, bytes]]:
    """Return each key with the index of its secret. An untrimmed secret has two possible keys.

    Raise ConfigurationError for a string, because each character would become a secret.
    """
    if isinstance(secrets, str) or not secrets:
        raise ConfigurationError("'secrets' must be a list of at least one secret, newest last")
    keys: list[tuple[int, bytes]] = []
    for index, secret in enumerate(secrets):
        try:
            found = scheme.keys(trimmed(secret))
        except ConfigurationError as exc:
            raise ConfigurationError(f"secret {index + 1} of {len(secrets)} {exc}") from None
        if secret != trimmed(secret):
            with contextlib.suppress(ConfigurationError):
                found += scheme.keys(secret)
        keys += [(index, key) for key in dict.fromkeys(found)]
    return keys
