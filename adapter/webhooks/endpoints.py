"""Build each source's webhook endpoint from its verifier, handshake and secrets."""

import dataclasses
from collections.abc import Iterator, Mapping

from adapter import signatures
from adapter.exceptions import ConfigurationError
from adapter.mapping import registry
from adapter.mapping.engine import WithoutTime
from adapter.mapping.respond import Respond
from adapter.mapping.source import Source
from adapter.settings import FILE_SUFFIX, SECRET_NAMES, Settings, untrimmed
from adapter.signatures import handshakes


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """The webhook endpoint of one lead source."""

    source: Source
    verifier: signatures.Verifier
    #: None if the sender's platform sends no verification request.
    handshake: handshakes.Handshake | None
    #: The token that Meta's handshake must contain. Empty for other handshakes.
    verify_token: str = dataclasses.field(default="", repr=False)
    #: None for the default response, without waiting for the outcome.
    respond: Respond | None = None

    @property
    def expects_get(self) -> bool:
        """True if Meta verifies this endpoint with a GET request."""
        return self.handshake is not None and self.handshake.kind == "meta"

    def with_source(self, source: Source) -> "Endpoint":
        """Return a copy of the endpoint for another version of its mapping."""
        return dataclasses.replace(self, source=source, respond=_respond_of(source))


def check(settings: Settings) -> None:
    """Check all mappings and secrets. Raise ConfigurationError if any is invalid or missing."""
    build_endpoints(registry.load(settings.mappings_dir, settings.policy), settings)


def build_endpoints(all_sources: Mapping[str, Source], settings: Settings) -> dict[str, Endpoint]:
    """Build the endpoints of all sources. Raise ConfigurationError if any of them is invalid."""
    problems, endpoints = [], {}
    for source in all_sources.values():
        try:
            endpoints[source.name] = build_endpoint(source, settings)
        except ConfigurationError as exc:
            problems.append(str(exc))
    if problems:
        raise ConfigurationError("\n".join(problems))
    return endpoints


def build_endpoint(source: Source, settings: Settings) -> Endpoint:
    """Build one source's endpoint. Raise ConfigurationError if a secret is missing or unusable."""
    handshake = handshakes.handshake_from(source.handshake)  # checked when the mapping loaded
    variable = handshake.variable if handshake else None
    missing = [name for name in secret_names(source) if not settings.environ.get(name, "").strip()]
    if missing:
        raise ConfigurationError(
            "\n".join(
                f"{source.path}: {name} is not set; set it to the secret, or "
                f"{name}{FILE_SUFFIX} to the file that contains it"
                for name in missing
            )
        )
    verifier = build_verifier(source, settings)
    if verifier.signs_url and settings.public_url is None:
        raise ConfigurationError(
            f"{source.path}: its signature covers the URL that the sender calls; "
            "set ADAPTER_PUBLIC_URL to the public base URL, such as https://leads.example.com"
        )
    return Endpoint(
        source=source,
        verifier=verifier,
        handshake=handshake,
        verify_token=settings.environ[variable] if variable else "",
        respond=_respond_of(source),
    )


def _respond_of(source: Source) -> Respond | None:
    return Respond.from_section(source.respond) if source.respond is not None else None


def build_verifier(source: Source, settings: Settings) -> signatures.Verifier:
    """Build one source's signature verifier with the secrets from the environment."""
    secrets = [settings.environ.get(name, "") for name in source.secrets]
    try:
        return signatures.verifier(source.signature, secrets)
    except ConfigurationError as exc:
        raise ConfigurationError(f"{source.path}: signature: {exc}") from exc


def untrimmed_secrets(all_sources: Mapping[str, Source], settings: Settings) -> list[str]:
    """Return the environment variables whose secrets are surrounded by whitespace or quotes."""
    names = [name for source in all_sources.values() for name in secret_names(source)]
    return untrimmed(settings.environ, (*SECRET_NAMES, *names))


def unsigned_sources(all_sources: Mapping[str, Source]) -> list[str]:
    """Return the names of unsigned sources. Anyone who knows their URL can send webhooks."""
    return [source.name for source in all_sources.values() if source.is_open]


def secret_names(source: Source) -> list[str]:
    """Return the names of the environment variables that contain a source's secrets."""
    handshake = handshakes.handshake_from(source.handshake)
    return [*source.secrets, *([handshake.variable] if handshake and handshake.variable else [])]


def invitation_problems(all_sources: Mapping[str, Source], settings: Settings) -> list[str]:
    """Return the configuration problems that keep renters from getting their tour links."""
    unsent = "ADAPTER_SMTP_URL is not used, because ADAPTER_PUBLIC_URL is not set"
    missing = [unsent] * (settings.smtp_url is not None and settings.public_url is None)
    return missing + [
        text for source in all_sources.values() for text in _problems(source, settings)
    ]


def _problems(source: Source, settings: Settings) -> Iterator[str]:
    is_inviting = source.compiled.without_time is WithoutTime.INVITE
    has_links = is_inviting or "{booking.change_link}" in str(source.respond)
    if has_links and settings.public_url is None:
        yield f"{source.path}: renters get no links, because ADAPTER_PUBLIC_URL is not set"
    if not is_inviting or source.checks_availability:
        return
    for one in source.communities.values():
        if source.name in one.known_as and not (one.tour_hours or one.check_availability):
            yield (
                f"{source.path}: renters at {one.key} get no link to choose a time: add its "
                "tour_hours or check_availability to communities.yaml"
            )
