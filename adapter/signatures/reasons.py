"""Define the reasons for rejecting a request, with a description of each reason."""

REASONS = {
    "address_not_allowed": "The sender's IP address is not in allow_ips.",
    "address_unknown": "allow_ips is set, but the sender's IP address is unknown.",
    "body_hash_mismatch": "The body does not match the hash in the signed URL.",
    "body_not_signed": "The signature covers the URL and a form, but the body is not a form.",
    "body_unreadable": "The body or query that should contain the token cannot be read.",
    "credentials_mismatch": "The username or the password is wrong.",
    "header_malformed": "The header does not match `format`.",
    "header_missing": "The header with the signature or token is missing or empty.",
    "header_too_long": "A header is longer than 4096 characters.",
    "signature_mismatch": "A secret is wrong, or the request was changed after signing.",
    "signed_header_missing": "A header that the signature covers is missing.",
    "timestamp_malformed": "The timestamp is not in the configured unit.",
    "timestamp_missing": "The timestamp is missing.",
    "timestamp_outside_tolerance": "The signature is valid, but too old or dated in the future.",
    "timestamp_repeated": "The header contains more than one timestamp.",
    "token_mismatch": "The token matches none of the secrets.",
    "token_missing": "The request has no token where the mapping expects one.",
    "token_repeated": "The request contains the token more than once.",
    "too_many_signatures": "The header contains more than 16 signatures.",
}
