-- Claims: dedupe keys that were used.

-- name: claim_item
-- Claim an item of an event for a booking; no row is returned if it was claimed before.
INSERT INTO claims (source, digest, lead_id, claimed_at)
VALUES (%(source)s, %(digest)s, %(booking_id)s, %(at)s)
ON CONFLICT ON CONSTRAINT claims_once DO NOTHING
RETURNING lead_id

-- name: record_duplicate
-- Count a repeat of a claimed delivery; return the first event, and whether its content is equal.
UPDATE claims SET repeats = repeats + 1, repeated_at = %(at)s
WHERE source = %(source)s AND digest = %(digest)s
RETURNING lead_id, content IS NOT DISTINCT FROM %(content)s AS is_same

-- name: owner_of_claim
-- The event or booking that claimed a digest first.
SELECT lead_id FROM claims WHERE source = %(source)s AND digest = %(digest)s

-- name: reassign_claim
-- Point a claim to the booking that replaced the first one.
UPDATE claims SET lead_id = %(booking_id)s WHERE source = %(source)s AND digest = %(digest)s

-- name: reassign_claims
-- Point all claims of one booking to another one.
UPDATE claims SET lead_id = %(to_id)s WHERE lead_id = %(from_id)s
