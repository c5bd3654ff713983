-- Claims: dedupe keys of deliveries that were used.

-- name: record_duplicate
-- Count a delivery under a claimed key. It is outdated if one of the latest delivery's bookings was
-- replaced or canceled since.
UPDATE claims c SET repeats = repeats + 1, repeated_at = %(at)s
WHERE source = %(source)s AND digest = %(digest)s
RETURNING lead_id AS first_id, latest_id, content IS NOT DISTINCT FROM %(content)s AS is_same,
    repeats, EXISTS (
        SELECT FROM bookings b WHERE b.event_id = c.latest_id AND (
            b.reason IN ('newer_request', 'newer_request_came_first', 'cancelled_by_sender')
            OR EXISTS (
                SELECT FROM bookings o WHERE o.match_keys @> ARRAY[b.item_key] AND o.is_cancellation
                    AND o.id > b.id))) AS is_outdated

-- name: set_latest_delivery
-- Record the latest delivery under a key.
UPDATE claims SET latest_id = %(id)s, content = %(content)s
WHERE source = %(source)s AND digest = %(digest)s
