"""Make a second sample from a real one, in the same format but with another renter and time."""

import re
from collections.abc import Collection

#: Text that differs from one webhook to the next, with a replacement of the same format.
CHANGES = (
    (re.compile(rb"[\w.+-]+@([\w-]+\.[\w.]+)"), rb"morgan.reyes@\1"),
    (
        re.compile(rb"(?<![\d.])([2-9]\d\d)([-. )]{0,2})555([-. ]?)\d{4}(?!\d)"),
        rb"\g<1>\g<2>555\g<3>0186",
    ),
)
#: Parts of keys that must stay readable.
DATE_OR_TIME = re.compile(r"\d[:/]\d|\d{4}-\d\d-\d\d")


def varied(body: bytes, ids: Collection[str]) -> bytes:
    """Return the body with a different email address and phone number, and different ``ids``."""
    for one in ids:
        if "@" not in one and len(one) > 2 and not DATE_OR_TIME.search(one):
            other = one[:-1] + ("7" if one[-1] != "7" else "8")
            body = body.replace(one.encode(), other.encode())
    for pattern, replacement in CHANGES:
        body = pattern.sub(replacement, body)
    return body
