"""Check settings, secrets and mappings for ``adapter doctor``."""

import dataclasses
import hashlib
import stat
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import Final

from adapter.exceptions import AdapterError, ConfigurationError
from adapter.mapping import registry
from adapter.mapping.source import Source
from adapter.operations.finding import Finding, fault, ok, warning
from adapter.operations.start_checks import check_token
from adapter.settings import (
    FILE_SUFFIX,
    SECRET_NAMES,
    SETTINGS,
    EnvFile,
    Settings,
    service_links,
    trimmed,
    untrimmed,
)
from adapter.webhooks import endpoints

AREA: Final = "settings"
MAPPINGS: Final = "mappings"
#: A shorter secret can be guessed, even from its fingerprint.
SHORTEST_SECRET: Final = 16


@dataclasses.dataclass(frozen=True, slots=True)
class GivenSettings:
    """The settings to check, the file that contains them, and any errors in them."""

    settings: Settings
    faults: list[str]
    env_file: EnvFile

    def origin(self, name: str) -> str:
        """Return the origin of a variable: the name of the file, or the environment."""
        variable = name if self.environ.get(name + FILE_SUFFIX, "") == "" else name + FILE_SUFFIX
        if variable in self.env_file.names:
            return str(self.env_file.path and self.env_file.path.resolve())
        return "the environment" if variable == name else f"the file in {variable}"

    @property
    def environ(self) -> Mapping[str, str]:
        """The environment variables that contain the settings."""
        return self.settings.environ

    def sources(self) -> Mapping[str, Source]:
        """Return all mappings, keyed by source, or an empty dictionary if one is invalid."""
        try:
            return registry.load(self.settings.mappings_dir, self.settings.policy)
        except ConfigurationError:
            return {}


def setting_findings(given: GivenSettings) -> Iterator[Finding]:
    """Check all settings and secrets, and yield the findings."""
    for text in given.faults:
        yield fault(AREA, text, "correct the variable where it is set")
    yield from _env_file(given.env_file)
    yield from _values(given)
    secrets = _secrets(given)
    yield from _each_secret(given, secrets)
    for names in _equal(secrets):
        text = f"{' and '.join(names)} have the same value, so one sender could forge the other's"
        yield warning(AREA, text, "give each sender its own secret")
    if names := service_links(given.environ):
        text = f"{', '.join(names)}: ignored, because Kubernetes set it for a service"
        yield warning(AREA, text, "set enableServiceLinks: false, or rename the service")
    try:
        check_token(given.settings)
    except ConfigurationError as exc:
        yield fault(AREA, str(exc), "set PROPEXO_TOKEN")


def _env_file(file: EnvFile) -> Iterator[Finding]:
    if file.path is None:
        return
    yield ok(AREA, f"{file.path}: {len(file.names)} variables are read from this file")
    if file.path.stat().st_mode & stat.S_IROTH:
        yield warning(AREA, f"{file.path} can be read by other users", f"chmod 600 {file.path}")


def _values(given: GivenSettings) -> Iterator[Finding]:
    for one in SETTINGS:
        if not one.is_secret and (text := given.environ.get(one.name, "").strip()):
            yield ok(AREA, f"{one.name}: {text} (from {given.origin(one.name)})")


def _secrets(given: GivenSettings) -> dict[str, str]:
    """Return the secrets that are set, keyed by variable name."""
    own = (name for source in given.sources().values() for name in endpoints.secret_names(source))
    values = {}
    for name in dict.fromkeys((*SECRET_NAMES, *own)):
        try:
            values[name] = given.environ.get(name)
        except ConfigurationError:
            continue  # its file cannot be read, which is one of the faults
    return {name: text for name, text in values.items() if text is not None}


def _each_secret(given: GivenSettings, secrets: Mapping[str, str]) -> Iterator[Finding]:
    surrounded = untrimmed(given.environ, secrets)
    for name, text in secrets.items():
        value, origin = trimmed(text), given.origin(name)
        if not value:
            # Reported with the mappings if a source needs it, or else with the token.
            yield ok(AREA, f"{name} is empty, which counts as unset (from {origin})")
            continue
        if name in surrounded:
            fix = "remove the extra characters where it is set"
            yield warning(AREA, f"{name} has whitespace or quotes around its value", fix)
        shown = f"{name}: {_fingerprint(name, value)} (from {origin})"
        if name not in SECRET_NAMES and len(value) < SHORTEST_SECRET:
            yield warning(AREA, f"{shown}: too short to be safe", "agree on a longer secret")
        else:
            yield ok(AREA, shown)


def _fingerprint(name: str, value: str) -> str:
    """Return a secret's length and, if it is long enough, the start of its SHA-256."""
    length = f"{len(value)} characters"
    if len(value) < SHORTEST_SECRET or name == "DATABASE_URL":
        return length
    return f"{length}, fingerprint {hashlib.sha256(value.encode()).hexdigest()[:8]}"


def _equal(secrets: Mapping[str, str]) -> list[list[str]]:
    """Return groups of variables that contain the same secret."""
    names = defaultdict(list)
    for name, text in secrets.items():
        if trimmed(text):
            names[trimmed(text)].append(name)
    return [group for group in names.values() if len(group) > 1]


def mapping_findings(given: GivenSettings) -> Iterator[Finding]:
    """Check the mappings as ``adapter check`` does, and check that their secrets are set."""
    settings = given.settings
    for problem in registry.check([settings.mappings_dir], settings.policy):
        kind = warning if problem.warning else fault
        yield kind(MAPPINGS, str(problem), "correct the mapping, and run adapter check")
    sources = given.sources()
    try:
        endpoints.build_endpoints(sources, settings)
    except AdapterError as exc:
        for line in str(exc).splitlines():
            yield fault(MAPPINGS, line, "set the secret; web does not start without it")
    for name in endpoints.unsigned_sources(sources):
        text = f"{name} is unsigned (scheme: none): anyone who knows its URL can send webhooks"
        yield warning(MAPPINGS, text, "use a signature or a token if the sender supports one")
    for text in endpoints.invitation_problems(sources, settings):
        fix = "see docs/invitations.md; until then, these leads are only guest cards"
        yield warning(MAPPINGS, text, fix)
    if sources:
        folder = settings.mappings_dir.resolve()
        yield ok(MAPPINGS, f"{len(sources)} mappings in {folder}: {', '.join(sources)}")
