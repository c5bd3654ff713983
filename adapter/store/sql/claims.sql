-- Claims: used dedupe keys of deliveries.

-- name: record_duplicate
-- Count a delivery with a claimed key. `is_other_delivery` is true if its ID differs from the latest delivery's, and
-- NULL if either has no ID. The delivery is outdated if another request for the same person or item has arrived
-- since the latest delivery. An event that is not mapped yet, or a held event from the same source, may be
-- such a request. After an erasure, nothing is stored again.
UPDATE claims c SET repeats = repeats + 1, repeated_at = %(at)s
WHERE source = %(source)s AND digest = %(digest)s
RETURNING lead_id AS first_id, latest_id, content IS NOT DISTINCT FROM %(content)s AS is_same,
    repeats, EXISTS (SELECT FROM events WHERE id = c.latest_id AND kept <> 'nothing') AND (
        EXISTS (
            SELECT FROM bookings b JOIN bookings o ON o.match_keys && b.match_keys AND o.id > b.id
            WHERE b.event_id = c.latest_id AND o.event_id <> b.event_id
                AND o.created_at > %(at)s - interval '30 days')
        OR EXISTS (
            SELECT FROM events e WHERE e.state = 'held' AND e.source = c.source AND e.id > c.latest_id)
        OR EXISTS (SELECT FROM events WHERE state = 'received')
            AND c.latest_id < (SELECT max(id) FROM events)
    ) AS is_outdated, (
        SELECT bool_or(e.headers ->> id.key <> id.value)
        FROM events e, jsonb_each_text(%(delivery)s) AS id WHERE e.id = c.latest_id
    ) AS is_other_delivery

-- name: set_latest_delivery
-- Record the latest delivery for a key.
UPDATE claims SET latest_id = %(id)s, content = %(content)s
WHERE source = %(source)s AND digest = %(digest)s
