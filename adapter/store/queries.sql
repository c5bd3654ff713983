-- Every statement the program runs, by name. `-- name:` opens one; the next line says its purpose.

-- name: hash_key
-- The key of this installation's hashes.
SELECT hash_key FROM installation

-- name: keep_hash_key
-- Keeps a new key unless there is one.
INSERT INTO installation (hash_key) VALUES (%(hash_key)s) ON CONFLICT DO NOTHING

-- name: insert_event
-- Claims the digest and stores the event; no row comes back when the digest was claimed before.
WITH claim AS (
    INSERT INTO claims (source, digest, lead_id, claimed_at)
    VALUES (%(source)s, %(digest)s, nextval('lead_ids'), %(received_at)s)
    ON CONFLICT ON CONSTRAINT claims_once DO NOTHING
    RETURNING lead_id
), event AS (
    INSERT INTO events (id, source, received_at, content_type, headers, query, body)
    SELECT lead_id, %(source)s, %(received_at)s, %(content_type)s, %(headers)s, %(query)s, %(body)s
    FROM claim
    RETURNING id
), noted AS (
    INSERT INTO history (event_id, at, to_state, why, by)
    SELECT id, %(received_at)s, 'received', 'webhook_verified', 'web' FROM event
)
SELECT id FROM event

-- name: count_repeat
-- Counts one more delivery of a claimed digest and says which event it was.
UPDATE claims SET repeats = repeats + 1, repeated_at = %(at)s
WHERE source = %(source)s AND digest = %(digest)s
RETURNING lead_id

-- name: claim_item
-- Claims one item of an event for a booking; no row comes back when it was claimed before.
INSERT INTO claims (source, digest, lead_id, claimed_at)
VALUES (%(source)s, %(digest)s, %(booking_id)s, %(at)s)
ON CONFLICT ON CONSTRAINT claims_once DO NOTHING
RETURNING lead_id

-- name: next_id
-- The next number for an event or a booking.
SELECT nextval('lead_ids') AS id

-- name: event
-- One event.
SELECT * FROM events WHERE id = %(id)s

-- name: lock_event
-- One event, locked until the transaction ends.
SELECT * FROM events WHERE id = %(id)s FOR UPDATE

-- name: settle_event
-- Says what became of an event that was still received.
WITH moved AS (
    UPDATE events
    SET state = %(state)s, mapping_hash = %(mapping_hash)s, reasons = %(reasons)s
    WHERE id = %(id)s AND state = 'received'
    RETURNING id
)
INSERT INTO history (event_id, at, from_state, to_state, why, by)
SELECT id, %(at)s, 'received', %(state)s, %(why)s, %(by)s FROM moved
RETURNING event_id

-- name: insert_booking
-- One appointment to be made.
WITH booking AS (
    INSERT INTO bookings (
        id, event_id, item, source, state, community, timezone, starts_at, appointment, reasons,
        due_at, created_at, updated_at, reason)
    VALUES (
        %(id)s, %(event_id)s, %(item)s, %(source)s, %(state)s, %(community)s, %(timezone)s,
        %(starts_at)s, %(appointment)s, %(reasons)s, %(due_at)s, %(at)s, %(at)s, %(reason)s)
    RETURNING id, event_id, state
)
INSERT INTO history (event_id, booking_id, at, to_state, why, by)
SELECT event_id, id, %(at)s, state, %(why)s, %(by)s FROM booking

-- name: booking
-- One booking.
SELECT * FROM bookings WHERE id = %(id)s

-- name: lock_booking
-- One booking, locked until the transaction ends.
SELECT * FROM bookings WHERE id = %(id)s FOR UPDATE

-- name: move_booking
-- Changes a booking's state and writes the change down; no row comes back when it was elsewhere.
WITH before AS (
    SELECT id, event_id, state FROM bookings
    WHERE id = %(id)s AND state = ANY(%(from_states)s) FOR UPDATE
), moved AS (
    UPDATE bookings SET
        state = %(to_state)s, reason = %(why)s, due_at = %(due_at)s, updated_at = %(at)s,
        job_id = COALESCE(%(job_id)s, job_id), reasons = reasons || %(reasons)s
    FROM before WHERE bookings.id = before.id
)
INSERT INTO history (event_id, booking_id, at, from_state, to_state, why, by)
SELECT event_id, id, %(at)s, state, %(to_state)s, %(why)s, %(by)s FROM before
RETURNING booking_id

-- name: look_again
-- Puts off the next look at a booking whose state does not change.
UPDATE bookings SET due_at = %(due_at)s WHERE id = %(id)s AND state = %(state)s

-- name: insert_attempt
-- Writes down that a POST is about to leave.
INSERT INTO attempts (booking_id, request, started_at, lease_until)
VALUES (%(booking_id)s, %(request)s, %(started_at)s, %(lease_until)s)
RETURNING *

-- name: finish_attempt
-- What became of a POST. A late answer may mend an outcome that was given up as unknown.
UPDATE attempts
SET outcome = %(outcome)s, finished_at = %(at)s, status = %(status)s, answer = %(answer)s
WHERE id = %(id)s AND (outcome IS NULL OR outcome = 'unknown')
RETURNING id

-- name: fail_job_of
-- The job that this booking's accepted POST started has failed.
UPDATE attempts SET outcome = 'job_failed'
WHERE booking_id = %(booking_id)s AND outcome = 'accepted'

-- name: attempts_of
-- The attempts of one booking, oldest first.
SELECT * FROM attempts WHERE booking_id = %(booking_id)s ORDER BY id

-- name: abandoned
-- Bookings whose POST was begun by a process that did not live to write its outcome.
SELECT a.* FROM bookings b JOIN attempts a ON a.booking_id = b.id
WHERE b.state = 'sending' AND a.outcome IS NULL AND a.lease_until < %(now)s
ORDER BY a.id LIMIT 100

-- name: events_without_task
-- Events that wait for a task which is not there.
SELECT id FROM events e
WHERE state = 'received' AND received_at < %(before)s AND NOT EXISTS (
    SELECT FROM procrastinate_jobs j
    WHERE j.queueing_lock = 'map_event:' || e.id AND j.status = 'todo')
ORDER BY received_at LIMIT 100

-- name: bookings_without_task
-- Bookings that are due and wait for a task which is not there.
SELECT id, state FROM bookings b
WHERE due_at < %(before)s AND NOT EXISTS (
    SELECT FROM procrastinate_jobs j
    WHERE j.status = 'todo' AND j.queueing_lock =
        CASE state WHEN 'pending' THEN 'send_booking:' ELSE 'follow_up:' END || b.id)
ORDER BY due_at LIMIT 100

-- name: bookings
-- Bookings, newest first, by state and source where these are given.
SELECT * FROM bookings
WHERE (%(states)s::text[] IS NULL OR state = ANY(%(states)s))
    AND (%(source)s::text IS NULL OR source = %(source)s)
ORDER BY id DESC LIMIT %(limit)s

-- name: events
-- Events, newest first, by state and source where these are given.
SELECT * FROM events
WHERE (%(states)s::text[] IS NULL OR state = ANY(%(states)s))
    AND (%(source)s::text IS NULL OR source = %(source)s)
ORDER BY id DESC LIMIT %(limit)s

-- name: event_of_booking
-- The event that a booking was made of.
SELECT event_id AS id FROM bookings WHERE id = %(id)s

-- name: event_of_job
-- The event whose booking Propexo gave this job id.
SELECT event_id AS id FROM bookings WHERE job_id = %(job_id)s

-- name: bookings_of_event
-- The bookings of one event, in the order of its items.
SELECT * FROM bookings WHERE event_id = %(event_id)s ORDER BY item

-- name: history_of_event
-- Every change of state of one event and its bookings, oldest first.
SELECT booking_id, at, from_state, to_state, why, by FROM history
WHERE event_id = %(event_id)s ORDER BY id

-- name: repeats_of_event
-- How often the event was delivered again, and when last.
SELECT repeats, repeated_at FROM claims WHERE lead_id = %(event_id)s

-- name: ping
-- Whether the database answers and can be written to.
SELECT NOT pg_is_in_recovery() AS writable
