"""The reasons for rejecting a request, each with a sentence for people."""

REASONS = {
    "address_not_allowed": "The sender's address is not in allow_ips.",
    "address_unknown": "allow_ips is set, and the sender's address is unknown.",
    "body_hash_mismatch": "The body does not match its hash in the signed address.",
    "body_not_signed": "The signature covers the address and a form, and this body is not a form.",
    "body_unreadable": "The body or query that should hold the token cannot be read.",
    "credentials_mismatch": "The user name or the password is wrong.",
    "header_malformed": "The header does not have the form that `format` defines.",
    "header_missing": "The header with the signature or token is missing or empty.",
    "header_too_long": "A header is longer than 4096 characters.",
    "signature_mismatch": "No secret gives this signature: a wrong secret, or a changed request.",
    "signed_header_missing": "A header that is part of the signed text is missing.",
    "timestamp_malformed": "The time of signing is not in the configured unit.",
    "timestamp_missing": "The time of signing is missing.",
    "timestamp_outside_tolerance": "The signature is valid, but too old, or ahead of our clock.",
    "timestamp_repeated": "The header holds more than one time of signing.",
    "token_mismatch": "The token matches none of the secrets.",
    "token_missing": "The request holds no token where one is expected.",
    "token_repeated": "The request holds the token more than once.",
    "too_many_signatures": "The header holds more than 16 signatures.",
}
