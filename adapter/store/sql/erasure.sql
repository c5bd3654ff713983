-- Erasure of payloads and personal data.

-- name: erasable_events
-- Return events that were received before the given time, still have data, and have no tour that is upcoming or in
-- flight.
SELECT e.id FROM events e
WHERE e.kept = ANY(%(kept)s) AND e.kept <> 'nothing' AND e.state <> 'received'
    AND e.received_at < %(before)s
    AND NOT EXISTS (
    SELECT FROM bookings b WHERE b.event_id = e.id
        AND (b.state IN ('pending', 'sending', 'submitted') OR b.due_at IS NOT NULL
            OR GREATEST(b.starts_at, b.moved_to) > %(now)s OR EXISTS (
            SELECT FROM messages m
            WHERE m.booking_id = b.id AND m.state IN ('sending', 'submitted'))))
ORDER BY e.received_at LIMIT %(limit)s FOR NO KEY UPDATE SKIP LOCKED

-- name: lock_bookings_to_erase
-- Lock the bookings of these events, in the same order as all other code.
SELECT FROM bookings WHERE event_id = ANY(%(ids)s) ORDER BY id FOR UPDATE

-- name: erase_payloads
-- Erase the payloads received and sent. Keep states and appointments.
WITH stripped AS (
    UPDATE events SET
        kept = 'lead', body = '', headers = '{}', query = '', fetched = NULL, encryption_key = NULL,
        reasons = (SELECT COALESCE(jsonb_agg(one - 'value'), '[]')
            FROM jsonb_array_elements(reasons) AS one)
    WHERE id = ANY(%(ids)s)
), trimmed AS (
    UPDATE bookings SET reasons = (SELECT COALESCE(jsonb_agg(one - 'value'), '[]')
        FROM jsonb_array_elements(reasons) AS one)
    WHERE event_id = ANY(%(ids)s)
)
UPDATE attempts SET request = '{}', answer = NULL
WHERE booking_id IN (SELECT id FROM bookings WHERE event_id = ANY(%(ids)s))

-- name: erase_rare_keys
-- Delete the names of rare keys that were first seen in these events. They may contain personal data.
DELETE FROM format_features WHERE kind = 'leaf' AND seen < %(rare)s AND first_event = ANY(%(ids)s)

-- name: erase_old_lost_notes
-- Erase notes that were found in Propexo's log after a restore, and that were sent before the given time. They belong
-- to no event.
UPDATE messages SET body = NULL, encryption_key = NULL, prospect_id = NULL
WHERE booking_id IS NULL AND body IS NOT NULL AND asked_at < %(before)s

-- name: erase_lost_notes
-- Erase the notes that were found in Propexo's log and are on the guest cards of these events.
UPDATE messages SET body = NULL, encryption_key = NULL, prospect_id = NULL
WHERE booking_id IS NULL AND prospect_id IN (
    SELECT prospect_id FROM bookings WHERE event_id = ANY(%(ids)s) AND prospect_id IS NOT NULL)

-- name: erase_people
-- Erase personal data. Keep only these appointment fields and the reason codes in the history.
WITH erased AS (
    UPDATE events SET kept = 'nothing' WHERE id = ANY(%(ids)s)
), anonymized AS (
    UPDATE bookings SET appointment = (SELECT COALESCE(jsonb_object_agg(key, value), '{}')
        FROM jsonb_each(appointment) WHERE key = ANY(%(fields)s)), prospect_id = NULL, tour_id = NULL
    WHERE event_id = ANY(%(ids)s)
), detached AS (
    UPDATE messages SET prospect_id = NULL
    WHERE booking_id IN (SELECT id FROM bookings WHERE event_id = ANY(%(ids)s))
)
UPDATE history SET why = 'erased' WHERE event_id = ANY(%(ids)s) AND why !~ '^[a-z_]+$'

-- name: erase_booking_reasons
-- Erase the reasons that users wrote for bookings.
UPDATE bookings SET reason = 'erased' WHERE event_id = ANY(%(ids)s) AND reason !~ '^[a-z_]+$'

-- name: erase_rejections
-- Delete rejected requests received before the given time.
DELETE FROM rejections WHERE id IN (
    SELECT id FROM rejections WHERE received_at < %(before)s ORDER BY received_at LIMIT %(limit)s)
RETURNING id

-- name: last_event_id
-- Return the newest event's ID.
SELECT max(id) AS id FROM events

-- name: matching_events
-- Return events in a range of IDs whose stored text matches or is encrypted.
SELECT e.id FROM events e
WHERE e.id > %(after)s AND e.id <= %(until)s AND e.kept <> 'nothing' AND (
    e.encryption_key IS NOT NULL OR lower(encode(e.body, 'escape')) ~ %(pattern)s OR lower(e.query) ~ %(pattern)s
    OR lower(e.headers::text) ~ %(pattern)s OR lower(e.fetched) ~ %(pattern)s OR EXISTS (
    SELECT FROM bookings b WHERE b.event_id = e.id AND lower(b.appointment::text) ~ %(pattern)s))
ORDER BY e.id

-- name: matching_rejections
-- Return rejected requests whose stored text matches or is encrypted.
SELECT id FROM rejections
WHERE encryption_key IS NOT NULL OR lower(encode(body, 'escape')) ~ %(pattern)s OR lower(url) ~ %(pattern)s
    OR lower(headers::text) ~ %(pattern)s
