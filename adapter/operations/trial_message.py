"""Send a signed sample to a source's URL as a test. Nothing is stored or booked."""

import dataclasses
import json
from typing import Final

from adapter import signatures
from adapter.exceptions import AdapterError, ConfigurationError, NotPossible
from adapter.mapping.samples import content_type_of
from adapter.mapping.source import Source
from adapter.models import Clock, WebhookRequest
from adapter.settings import Settings
from adapter.store import Database
from adapter.webhooks import signed_client, trial

TIMEOUT_SECONDS: Final = 10.0


def sample_of(source: Source) -> WebhookRequest | None:
    """Return the first sample in a mapping's tests that has a body, or None. It is unsigned."""
    for test in source.sections.get("tests", []):
        if not test.get("query"):
            return _request(source, test["payload"], test.get("content_type", ""), test)
    return None


def _request(
    source: Source, payload: object, content_type: str, test: dict[str, dict[str, str]]
) -> WebhookRequest | None:
    if not isinstance(payload, str):
        body, kind = json.dumps(payload).encode(), content_type or "application/json"
    else:
        file = source.path.parent / payload
        try:
            body = file.read_bytes()
        except OSError:
            return None
        kind = content_type or content_type_of(file, body) or "application/json"
    return WebhookRequest.from_body(body, kind, headers=test.get("headers", {}))


def may_sign(source: Source) -> bool:
    """Return True if the adapter can sign the source's messages, or if they need no signature."""
    return signatures.scheme_of(source.signature) != "public_key"


def send(source: Source, settings: Settings, store: Database, clock: Clock) -> None:
    """Send a test message. Raise :class:`NotPossible` with the reason if it is rejected."""
    sample = sample_of(source)
    if sample is None or not may_sign(source):
        raise NotPossible("There is no sample that can be signed for this source.")
    secret = _secret(source, settings)
    base = settings.public_url or f"http://127.0.0.1:{settings.port}"
    token = trial.token_for(store, source.name, sample.body, clock())
    request = dataclasses.replace(
        sample,
        url=f"{base.rstrip('/')}/hooks/{source.name}/test",
        headers={**sample.headers, trial.HEADER: token},
    )
    try:
        signed = signatures.sign(source.signature, secret, request, clock().timestamp())
        answer = signed_client.send(signed, timeout=TIMEOUT_SECONDS)
    except ConfigurationError as exc:
        reason = str(exc).rpartition(": ")[2]
        raise NotPossible(f"The test message did not reach {base} ({reason}).") from exc
    except AdapterError as exc:
        raise NotPossible("The sample cannot be signed.") from exc
    _check(answer.status, base)


def _secret(source: Source, settings: Settings) -> str:
    if not source.secrets:
        return ""
    secret = settings.environ.get(source.secrets[-1], "")
    if not secret.strip():
        raise NotPossible(f"{source.secrets[-1]} is not set. Tell your admin.")
    return secret


def _check(status: int, base: str) -> None:
    if status == 200:
        return
    if status == 401:
        raise NotPossible("The test message arrived, but its signature was not accepted.")
    if status == 404:
        raise NotPossible(
            f"The test message reached {base}, but not this adapter. Is the address right?"
        )
    raise NotPossible(f"The test message was not accepted. The response was HTTP {status}.")
