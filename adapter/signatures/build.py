"""How a lead source proves itself: ``verifier(block, secrets).verify(request, now)``.

The ``signature:`` block of a mapping says what to check (:mod:`adapter.signatures.config`);
whatever is wrong with a request, it raises :class:`VerificationError` with one of
:data:`~adapter.signatures.reasons.REASONS`, and nothing else.
"""

import dataclasses
from collections.abc import Mapping, Sequence

from adapter.exceptions import ConfigurationError
from adapter.models import WebhookRequest
from adapter.signatures.config import Scheme, expanded, scheme_from_block
from adapter.signatures.hmac_scheme import DigestScheme
from adapter.signatures.ip_allowlist import Network, check_address, networks_from_block
from adapter.signatures.token_scheme import BasicScheme, TokenScheme


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Verifier:
    """Tells whether a request comes from one source."""

    #: None: the source proves nothing (``scheme: none``).
    scheme: Scheme | None
    keys: tuple[bytes, ...] = dataclasses.field(repr=False)
    networks: tuple[Network, ...]

    def verify(self, request: WebhookRequest, now: float) -> None:
        """Raises :class:`VerificationError` unless it is proved at ``now``, in Unix seconds."""
        self.verified_by(request, now)

    def verified_by(self, request: WebhookRequest, now: float) -> int | None:
        """The index of the secret that matched, None where the scheme has no secret.

        Raises :class:`VerificationError` like :meth:`verify`.
        """
        if self.networks:
            check_address(request.client, self.networks)
        return self.scheme.verified_by(self.keys, request, now) if self.scheme else None

    @property
    def is_open(self) -> bool:
        """Whether anybody who knows the address may send."""
        return self.scheme is None

    @property
    def signs_url(self) -> bool:
        """Whether the request's address is signed: it must be the one the sender wrote."""
        return isinstance(self.scheme, DigestScheme) and "url" in self.scheme.content.names

    @property
    def covers_query(self) -> bool:
        """Whether the query is the sender's word: signed, or sent by whoever knows the secret."""
        return self.signs_url or not isinstance(self.scheme, DigestScheme)

    @property
    def can_verify_again(self) -> bool:
        """Whether a request can be verified once more after it was stored.

        A digest can. Where the proof is the secret itself it was not stored.
        """
        return isinstance(self.scheme, DigestScheme)

    @property
    def proof_headers(self) -> frozenset[str]:
        """Headers that a digest stands in or covers, in lower case."""
        if not isinstance(self.scheme, DigestScheme):
            return frozenset()
        clock = self.scheme.clock
        names = [*self.scheme.headers, *self.scheme.content.headers]
        names += [clock.header] if clock and clock.header else []
        return frozenset(name.lower() for name in names)

    def without_secret(self, request: WebhookRequest) -> WebhookRequest:
        """The request as it may be stored: a token or password that travels in it is taken out."""
        if isinstance(self.scheme, TokenScheme | BasicScheme):
            return self.scheme.without_secret(request)
        return request

    def strip_rejected(self, request: WebhookRequest, reason: str) -> WebhookRequest:
        """A refused request as it may be stored.

        A token that was found wrong may be the right one of tomorrow, so it is taken out like
        a right one. Where it was not found, it may stand anywhere in the body: the body is not
        kept, and nothing that holds a secret of ours.
        """
        if not isinstance(self.scheme, TokenScheme):
            return self.without_secret(request)
        return self.scheme.strip_rejected(self.keys, request, reason)


def verifier(block: Mapping[str, object], secrets: Sequence[str]) -> Verifier:
    """The verifier of a ``signature:`` block; the newest secret stands last.

    Raises :class:`ConfigurationError` for a wrong block, and for no, an empty or a blank secret.
    """
    block = expanded(block)
    scheme = scheme_from_block(block)
    networks = networks_from_block(block)
    if scheme is None:
        if secrets:
            raise ConfigurationError("scheme 'none' takes no secrets: remove them, or sign")
        return Verifier(scheme=None, keys=(), networks=networks)
    return Verifier(scheme=scheme, keys=_keys(scheme, secrets), networks=networks)


def check_block(block: Mapping[str, object]) -> None:
    """Raises :class:`ConfigurationError` for a wrong block. Needs no secrets."""
    block = expanded(block)
    scheme_from_block(block)
    networks_from_block(block)


def scheme_of(block: Mapping[str, object]) -> str:
    """The name of a block's scheme; ``none``: anybody may send."""
    return str(expanded(block)["scheme"])


def signed_headers(block: Mapping[str, object]) -> frozenset[str]:
    """Headers that the block's signature covers, in lower case. All others could be forged."""
    scheme = scheme_from_block(expanded(block))
    if not isinstance(scheme, DigestScheme):
        return frozenset()
    clock = scheme.clock
    own = {clock.header.lower()} if clock and clock.header else set()
    return scheme.content.headers | own


def query_token(block: Mapping[str, object]) -> str | None:
    """The field of the address that carries a source's token; None where the token is elsewhere."""
    scheme = scheme_from_block(expanded(block))
    return scheme.name if isinstance(scheme, TokenScheme) and scheme.place == "query" else None


def sign(
    block: Mapping[str, object], secret: str, request: WebhookRequest, now: float
) -> WebhookRequest:
    """The request as this source would send it at ``now``: with headers, address or body completed.

    Raises :class:`ConfigurationError` for a wrong block or secret, and
    :class:`~adapter.exceptions.PayloadError` for a body that cannot carry the token.
    """
    scheme = scheme_from_block(expanded(block))
    if scheme is None:
        return request
    return scheme.sign(_keys(scheme, [secret])[0], request, now)


def _keys(scheme: Scheme, secrets: Sequence[str]) -> tuple[bytes, ...]:
    """The key of each secret. A text in the place of the list would give a key per character."""
    if isinstance(secrets, str) or not secrets:
        raise ConfigurationError("'secrets' must be a list of at least one secret, newest last")
    keys = []
    for number, secret in enumerate(secrets, start=1):
        try:
            keys.append(scheme.key(secret))
        except ConfigurationError as exc:
            raise ConfigurationError(f"secret {number} of {len(secrets)} {exc}") from None
    return tuple(keys)
