"""Verify rejected requests again after a secret was fixed, and accept the valid ones."""

import collections
import dataclasses
import re
from collections.abc import Mapping

from adapter import signatures
from adapter.exceptions import VerificationError
from adapter.mapping.source import Source
from adapter.models import WebhookRequest
from adapter.store import Rejection
from adapter.webhooks.receive import Receiver, Verified, verified_from
from adapter.webhooks.rejections import proof_of


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Retried:
    """The result of verifying a source's rejected requests again."""

    #: Number of requests that are valid now, and were stored as events.
    accepted: int
    #: Number of requests that are valid now, but whose webhook was already accepted.
    repeated: int
    #: Number of requests that are still invalid, by reason.
    refused: Mapping[str, int]
    #: Number of requests that cannot be verified again because too little of them was stored.
    not_verifiable: int
    #: IDs of rejections, from any source, whose encryption key is not set.
    undecryptable: tuple[int, ...]


def retry(
    receiver: Receiver,
    source: Source,
    verifier: signatures.Verifier,
    *,
    by: str,
    dry_run: bool,
    only: int | None = None,
) -> Retried:
    """Verify a source's rejected requests again. Accept the valid ones, oldest first.

    Each request is stored as an event before it is removed. After a crash in between, the next run
    counts it as repeated. With ``dry_run``, nothing changes, and all valid requests count as
    accepted. ``only`` is the ID of a single rejection to verify.
    """
    refused: collections.Counter[str] = collections.Counter()
    counts = {"accepted": 0, "repeated": 0, "not_verifiable": 0}
    with receiver.database.transaction() as tx:
        rejections = tx.rejections.of_source(source.name)
        lost = tx.encryption.undecryptable_rejections()
        if not dry_run:
            tx.audit.record("let_in", by=by, at=receiver.clock(), detail=source.name)
    for rejection in rejections:
        if only not in (None, rejection.id):
            continue
        if not rejection.can_retry:
            counts["not_verifiable"] += 1
            continue
        try:
            verified = _verified(rejection, source, verifier, receiver)
        except VerificationError as exc:
            refused[exc.reason] += 1
            continue
        is_repeat = False if dry_run else _accept(receiver, rejection, verified)
        counts["repeated" if is_repeat else "accepted"] += 1
    return Retried(refused=dict(refused), undecryptable=lost, **counts)


def _verified(
    rejection: Rejection, source: Source, verifier: signatures.Verifier, receiver: Receiver
) -> Verified:
    """Verify a rejected request with the current secrets, as if it had just arrived.

    A token or password is verified by its keyed hash. ``allow_ips`` is not checked again, because a
    request that failed that check is never retried.
    """
    request = WebhookRequest(
        method=rejection.method,
        url=_current_url(rejection.url, receiver.settings.public_url),
        headers=rejection.headers,
        body=rejection.body or b"",
    )
    if rejection.proofs:
        key = receiver.database.hash_key()
        if not any(proof_of(key, source.name, one) in rejection.proofs for one in verifier.keys):
            raise VerificationError(rejection.reason)
    else:
        signed_only = dataclasses.replace(verifier, networks=())
        signed_only.verify(request, rejection.received_at.timestamp())
    return verified_from(source, verifier, request, rejection.received_at)


def _accept(receiver: Receiver, rejection: Rejection, verified: Verified) -> bool:
    receipt = receiver.store(verified)
    with receiver.database.transaction() as tx:
        tx.rejections.remove(rejection.id)
    return receipt.is_duplicate


def _current_url(url: str, public_url: str | None) -> str:
    """Return a request's URL with its base replaced by the current ADAPTER_PUBLIC_URL."""
    if public_url is None:
        return url
    return public_url + re.sub(r"(?i)^.*?(?=/+hooks/)", "", url.partition("://")[2] or url)
