"""Why a request was refused: each constant word with a sentence for a person."""

REASONS = {
    "address_not_allowed": "It came from an address outside allow_ips.",
    "address_unknown": "allow_ips is set, and the sender's address is not known.",
    "body_hash_mismatch": "The body is not the one whose hash stands in the signed address.",
    "body_not_signed": "The signature covers an address and a form, and this body is neither.",
    "body_unreadable": "The body or query that should carry the token cannot be read.",
    "credentials_mismatch": "User name and password are not the configured ones.",
    "header_malformed": "The header does not have the form that `format` describes.",
    "header_missing": "The header with the signature or token is absent or empty.",
    "header_too_long": "A header is longer than any real one.",
    "signature_mismatch": "No secret gives this signature: a wrong secret, or a changed request.",
    "signed_header_missing": "A header that is part of the signed text is absent.",
    "timestamp_malformed": "The time of signing is not written in the configured unit.",
    "timestamp_missing": "The time of signing is absent.",
    "timestamp_outside_tolerance": "Rightly signed, but too long ago, or ahead of our clock.",
    "timestamp_repeated": "The header gives more than one time of signing.",
    "token_mismatch": "The token is none of the configured ones.",
    "token_missing": "The request carries no token where one is expected.",
    "token_repeated": "The token's field stands there more than once.",
    "too_many_signatures": "The header offers more signatures than any sender makes.",
}
