"""Lets refused requests in after the secret was mended: verified again, then stored as ever."""

import collections
import dataclasses
from collections.abc import Mapping

from adapter import signatures
from adapter.exceptions import VerificationError
from adapter.mapping.source import Source
from adapter.models import WebhookRequest
from adapter.settings import Settings
from adapter.store import Rejection
from adapter.webhooks.receive import Receiver, Verified, verified_from


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Retried:
    """What became of a source's rejections."""

    #: Good now: stored as events, and no longer rejections.
    accepted: int
    #: Good now, and the same webhook had come in meanwhile.
    repeated: int
    #: Still refused, by reason.
    refused: Mapping[str, int]
    #: Nothing is left that could be verified again.
    not_verifiable: int


def retry(
    receiver: Receiver, source: Source, verifier: signatures.Verifier, *, by: str, dry_run: bool
) -> Retried:
    """Verifies the rejections of one source again and lets the good ones in, oldest first.

    Each is stored before it is removed: an end between the two makes a repeat of the next try.
    With ``dry_run`` nothing is changed, and all good ones count as accepted.
    """
    refused: collections.Counter[str] = collections.Counter()
    counts = {"accepted": 0, "repeated": 0, "not_verifiable": 0}
    with receiver.database.transaction() as tx:
        kept = tx.rejections.of_source(source.name)
        if not dry_run:
            tx.audit.record("let_in", by=by, at=receiver.clock(), detail=source.name)
    for rejection in kept:
        if not rejection.can_retry:
            counts["not_verifiable"] += 1
            continue
        try:
            verified = _verified(rejection, source, verifier, receiver.settings)
        except VerificationError as exc:
            refused[exc.reason] += 1
            continue
        is_repeat = False if dry_run else _let_in(receiver, rejection, verified)
        counts["repeated" if is_repeat else "accepted"] += 1
    return Retried(refused=dict(refused), **counts)


def _verified(
    rejection: Rejection, source: Source, verifier: signatures.Verifier, settings: Settings
) -> Verified:
    """The request, judged by the secrets of now and by the time at which it came.

    ``allow_ips`` is not looked at again: a request that failed it is never tried, and the
    address of any other one was allowed.
    """
    request = WebhookRequest(
        method=rejection.method,
        url=_url_of_now(rejection.url, settings.public_url),
        headers=rejection.headers,
        body=rejection.body or b"",
    )
    signed_only = dataclasses.replace(verifier, networks=())
    signed_only.verify(request, rejection.received_at.timestamp())
    return verified_from(source, verifier, request, rejection.received_at)


def _let_in(receiver: Receiver, rejection: Rejection, verified: Verified) -> bool:
    receipt = receiver.store(verified)
    with receiver.database.transaction() as tx:
        tx.rejections.remove(rejection.id)
    return receipt.is_duplicate


def _url_of_now(url: str, public_url: str | None) -> str:
    """The address with today's ADAPTER_PUBLIC_URL: it may have been what was wrong."""
    if public_url is None:
        return url
    target = url if url.startswith("/") else url.partition("://")[2]
    path = target.partition("/hooks/")[2]
    return f"{public_url}/hooks/{path}"
