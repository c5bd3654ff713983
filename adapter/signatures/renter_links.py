"""Sign the links that renters use to choose, move or cancel their tours.

A link contains only a booking's ID and the time when it was created, signed with a key derived from
the installation's own key. Anyone who has the link can use it, so it is never logged.
"""

import datetime as dt
import functools
import hashlib
from collections.abc import Callable
from typing import Any, Final

from itsdangerous import BadData, SignatureExpired, TimestampSigner, URLSafeTimedSerializer

from adapter.exceptions import LinkRefused
from adapter.signatures.crypto import keyed_hash

#: The path of the pages for renters.
PATH: Final = "/tour/"
#: How many days a link for choosing a tour works.
LINK_DAYS: Final = 30
#: How many seconds after loading its page a form can be submitted.
FORM_SECONDS: Final = 3 * 3600


class _Signer(TimestampSigner):
    """An itsdangerous signer that uses a clock passed as an argument."""

    def __init__(self, *args: Any, now: Callable[[], dt.datetime], **options: Any) -> None:
        super().__init__(*args, **options)
        self._now = now

    def get_timestamp(self) -> int:
        """Return the current time in seconds since 1970."""
        return int(self._now().timestamp())


class RenterLinks:
    """Creates and verifies the signed tour links that an installation sends to renters."""

    def __init__(
        self, key: Callable[[], bytes], public_url: str, now: Callable[[], dt.datetime]
    ) -> None:
        """Set the public URL and the functions that return the signing key and current time."""
        self._key, self._public_url, self._now = key, public_url, now

    @functools.cached_property
    def _link(self) -> URLSafeTimedSerializer:
        return self._serializer("renter link")

    @functools.cached_property
    def _form(self) -> URLSafeTimedSerializer:
        return self._serializer("renter form")

    def _serializer(self, salt: str) -> URLSafeTimedSerializer:
        options = {"now": self._now, "key_derivation": "hmac", "digest_method": hashlib.sha256}
        secret = keyed_hash(self._key(), b"renter links")
        return URLSafeTimedSerializer(secret, salt, signer=_Signer, signer_kwargs=options)

    def url(self, booking_id: int, language: str = "") -> str:
        """Return the URL of a booking's page, with ``?lang=`` unless the language is English."""
        query = f"?lang={language}" if language not in ("", "en") else ""
        return f"{self._public_url}{PATH}{self._link.dumps(booking_id)}{query}"

    def read(self, token: str) -> tuple[int, dt.datetime]:
        """Verify a link's token, and return the booking's ID and the link's creation time.

        Raise :class:`LinkRefused` if the link was changed or is from another installation.
        """
        try:
            booking_id, made_at = self._link.loads(token, return_timestamp=True)
        except BadData:
            raise LinkRefused("changed") from None
        return int(booking_id), made_at

    def form_token(self, booking_id: int, tour_id: int | None) -> str:
        """Return a signed form token with the ID of the tour that the page shows."""
        return str(self._form.dumps([booking_id, tour_id or 0]))

    def tour_seen(self, booking_id: int, form_token: str) -> int | None:
        """Return the ID of the tour in a form's token, or None if the page showed no tour.

        Raise :class:`LinkRefused` if the form is from another page or too old.
        """
        try:
            for_booking, tour_id = self._form.loads(form_token, max_age=FORM_SECONDS)
        except (SignatureExpired, BadData, ValueError, TypeError):
            raise LinkRefused("old_form") from None
        if for_booking != booking_id:
            raise LinkRefused("old_form")
        return tour_id or None
