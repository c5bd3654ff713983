-- Events: verified webhook requests.

-- name: insert_events
-- Claim the digests and store the events. Rows whose digest is already claimed are missing from the result.
-- ROWS is replaced by one row of parameters for each event.
WITH new (
    position, source, digest, content, received_at, content_type, headers, query, body, encryption_key
) AS (
    VALUES (ROWS)
), numbered AS MATERIALIZED (
    SELECT nextval('lead_ids') AS id, new.* FROM new
), claim AS (
    INSERT INTO claims (source, digest, content, lead_id, latest_id, claimed_at)
    SELECT source, digest, content, id, id, received_at FROM numbered
    -- Processes that claim the same digests use the same order, so that they cannot deadlock.
    ORDER BY source, digest
    ON CONFLICT ON CONSTRAINT claims_once DO NOTHING
    RETURNING lead_id
), event AS (
    INSERT INTO events (
        id, source, received_at, content_type, headers, query, body, encryption_key)
    SELECT id, source, received_at, content_type, headers, query, body, encryption_key
    FROM numbered JOIN claim ON lead_id = id
    RETURNING id, received_at
), change AS (
    INSERT INTO history (event_id, at, to_state, why, by)
    SELECT id, received_at, 'received', 'webhook_verified', 'web' FROM event
)
SELECT position, id FROM numbered JOIN event USING (id)

-- name: get_event
-- Return one event.
SELECT * FROM events WHERE id = %(id)s

-- name: lock_event
-- Return one event, locked until the transaction ends. History entries that refer to it may still be added.
SELECT * FROM events WHERE id = %(id)s FOR NO KEY UPDATE

-- name: next_received
-- Lock and return the received event that has been due longest, unless another worker is mapping it. `has_more`
-- is true if more events are due.
SELECT e.*, 1 < (SELECT count(*) FROM (
    SELECT FROM events WHERE state = 'received' AND due_at <= %(now)s
    ORDER BY due_at, received_at LIMIT 2) w) AS has_more
FROM events e WHERE state = 'received' AND due_at <= %(now)s
ORDER BY due_at, received_at LIMIT 1 FOR UPDATE SKIP LOCKED

-- name: postpone_event
-- Postpone the mapping of a received event.
UPDATE events SET due_at = %(due_at)s WHERE id = %(id)s AND state = 'received'

-- name: received_event
-- Return an event that is not mapped yet, locked until the transaction ends.
SELECT * FROM events WHERE id = %(id)s AND state = ANY(%(states)s::text[]) AND kept = 'all' FOR NO KEY UPDATE

-- name: state_of_event
-- Return one event's state, without its body.
SELECT state, reasons FROM events WHERE id = %(id)s

-- name: lock_state_of_event
-- Do the same, and lock it until the transaction ends.
SELECT state, reasons FROM events WHERE id = %(id)s FOR NO KEY UPDATE

-- name: possible_repeats
-- Return the events that have the same bytes as the first one, or may have them because one of the two is
-- encrypted. Headers with a delivery ID are never encrypted.
SELECT o.id, o.headers, o.encryption_key IS NOT NULL OR e.encryption_key IS NOT NULL AS is_encrypted
FROM events e, events o
WHERE e.id = %(id)s AND o.id = ANY(%(ids)s) AND (o.encryption_key IS NOT NULL
    OR e.encryption_key IS NOT NULL
    OR o.body = e.body AND (o.query = e.query OR NOT %(has_query)s))

-- name: settle_event
-- Set a received event's final state, and notify the requests that wait for its outcome.
WITH moved AS (
    UPDATE events
    SET state = %(state)s, mapping_hash = %(mapping_hash)s, reasons = %(reasons)s
    WHERE id = %(id)s AND state = 'received'
    RETURNING id
)
INSERT INTO history (event_id, at, from_state, to_state, why, by)
SELECT id, %(at)s, 'received', %(state)s, %(why)s, %(by)s FROM moved
RETURNING event_id, pg_notify('settled', event_id::text)

-- name: discard_event
-- Discard a held or received event.
WITH moved AS (
    UPDATE events e SET state = 'discarded' FROM events before
    WHERE e.id = %(id)s AND before.id = e.id AND before.state IN ('held', 'received')
    RETURNING e.id, before.state AS from_state
)
INSERT INTO history (event_id, at, from_state, to_state, why, by)
SELECT id, %(at)s, from_state, 'discarded', %(why)s, %(by)s FROM moved
RETURNING event_id

-- name: bring_back_event
-- Return a discarded event to the leads that need review.
WITH moved AS (
    UPDATE events SET state = 'held' WHERE id = %(id)s AND state = 'discarded' AND kept = 'all'
    RETURNING id
)
INSERT INTO history (event_id, at, from_state, to_state, why, by)
SELECT id, %(at)s, 'discarded', 'held', 'brought_back', %(by)s FROM moved
RETURNING event_id

-- name: reopen_event
-- Reset an event to received, so that it is mapped again.
WITH moved AS (
    UPDATE events e SET state = 'received', due_at = 'epoch' FROM events before
    WHERE e.id = %(id)s AND before.id = e.id AND before.state <> 'received'
    RETURNING e.id, before.state AS from_state
)
INSERT INTO history (event_id, at, from_state, to_state, why, by)
SELECT id, %(at)s, from_state, 'received', %(why)s, %(by)s FROM moved
RETURNING event_id

-- name: events_to_replay
-- Return IDs of events by source, time, and state of the event or one of its bookings, oldest first.
SELECT e.id FROM events e
WHERE (%(ids)s::bigint[] IS NULL OR e.id = ANY(%(ids)s)
        OR e.id IN (SELECT event_id FROM bookings WHERE id = ANY(%(ids)s)))
    AND (%(source)s::text IS NULL OR e.source = %(source)s)
    AND (%(since)s::timestamptz IS NULL OR e.received_at >= %(since)s)
    AND (%(until)s::timestamptz IS NULL OR e.received_at < %(until)s)
    AND (%(states)s::text[] IS NULL OR e.state = ANY(%(states)s) OR EXISTS (
        SELECT FROM bookings b WHERE b.event_id = e.id AND b.state = ANY(%(states)s)))
ORDER BY e.id LIMIT %(limit)s

-- name: unbooked_events
-- Return a source's events in a time range that are ignored, or held because of their mapping, newest first.
-- Only the newest events are searched.
SELECT id FROM (
    SELECT id, state, kept FROM events
    WHERE source = %(source)s AND received_at >= %(since)s AND received_at < %(until)s
    ORDER BY id DESC LIMIT %(searched)s
) newest
WHERE kept = 'all' AND (state IN ('held', 'ignored') OR EXISTS (
    SELECT FROM bookings b
    WHERE b.event_id = newest.id AND b.state = 'held' AND b.reason = 'held_by_mapping'))
ORDER BY id DESC LIMIT %(limit)s

-- name: events_to_read_again
-- Return a source's events that are held, or have a booking that their mapping holds, and that were read with an
-- earlier version of the mapping or of the communities. Return the newest ones, oldest first.
SELECT id FROM (
    SELECT id FROM events
    WHERE kept = 'all' AND mapping_hash IS DISTINCT FROM %(mapping_hash)s AND id IN (
        SELECT id FROM events WHERE state = 'held' AND source = %(source)s
        UNION ALL SELECT event_id FROM bookings
        WHERE state = 'held' AND source = %(source)s AND reason = 'held_by_mapping')
    ORDER BY id DESC LIMIT %(limit)s
) newest ORDER BY id

-- name: times_of_events
-- Return when these events were received.
SELECT id, received_at FROM events WHERE id = ANY(%(ids)s::bigint[])

-- name: event_of_booking
-- Return a booking's event.
SELECT event_id AS id FROM bookings WHERE id = %(id)s

-- name: event_of_job
-- Return the event of the booking with this Propexo job.
SELECT event_id AS id FROM bookings WHERE job_id = %(job_id)s

-- name: history_of_event
-- Return every state change of an event and its bookings, oldest first.
SELECT booking_id, at, from_state, to_state, why, by, because_of FROM history
WHERE event_id = %(event_id)s ORDER BY id

-- name: duplicates_of_event
-- Return how many times an event's key was used again, and whether one of those deliveries was stored too.
SELECT repeats, latest_id <> lead_id AS has_versions FROM claims WHERE lead_id = %(event_id)s AND repeats > 0
