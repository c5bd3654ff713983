-- Attempts: POST requests to Propexo.

-- name: begin_attempt
-- Record a POST before it is sent, and change the booking from pending to sending. Return no row if it
-- was not pending.
WITH moved AS (
    UPDATE bookings
    SET state = 'sending', reason = 'sending', because_of = NULL, due_at = NULL,
        updated_at = %(at)s, posted_at = %(at)s
    WHERE id = %(booking_id)s AND state = 'pending'
    RETURNING id, event_id, kind
), change AS (
    INSERT INTO history (event_id, booking_id, at, from_state, to_state, why, by)
    SELECT event_id, id, %(at)s, 'pending', 'sending', %(why)s, 'worker' FROM moved
)
INSERT INTO attempts (booking_id, kind, request, started_at, lease_until)
SELECT id, kind, %(request)s, %(at)s, %(lease_until)s FROM moved
RETURNING *, (SELECT event_id FROM moved) AS event_id

-- name: accept_attempt
-- Save that a POST was accepted, change its booking to submitted, and save the rate limit if Propexo
-- reported it. This is a clear response, so earlier failures no longer count. If an outcome was already
-- saved, save only the limit and return no row. A late response may correct an unknown outcome.
WITH finished AS (
    UPDATE attempts
    SET outcome = 'accepted', finished_at = %(at)s, status = %(status)s, answer = %(answer)s
    WHERE id = %(id)s AND (outcome IS NULL OR outcome = 'unknown')
    RETURNING booking_id
), before AS (
    SELECT id, event_id, state FROM bookings
    WHERE id = (SELECT booking_id FROM finished) AND state IN ('sending', 'unknown') FOR UPDATE
), moved AS (
    UPDATE bookings SET
        state = 'submitted', reason = 'accepted', due_at = %(due_at)s, updated_at = %(at)s,
        job_id = %(job_id)s
    FROM before WHERE bookings.id = before.id
), change AS (
    INSERT INTO history (event_id, booking_id, at, from_state, to_state, why, by)
    SELECT event_id, id, %(at)s, state, 'submitted', 'accepted', 'worker' FROM before
), reported AS (
    UPDATE rate_limit SET allowed = COALESCE(%(allowed)s, allowed), failures = 0,
        paused_until = GREATEST(paused_until, %(until)s),
        stopped_for = CASE WHEN stopped_for IN ('not_authorized', 'restored') THEN stopped_for END
    WHERE %(allowed)s::integer IS NOT NULL OR failures > 0
)
SELECT booking_id FROM finished

-- name: finish_attempt
-- Save the outcome of a POST. A late response may correct an unknown outcome.
UPDATE attempts
SET outcome = %(outcome)s, finished_at = %(at)s, status = %(status)s, answer = %(answer)s
WHERE id = %(id)s AND (outcome IS NULL OR outcome = 'unknown')
RETURNING id

-- name: fail_job
-- Record that the job started by a booking's accepted POST has failed.
UPDATE attempts SET outcome = 'job_failed'
WHERE booking_id = %(booking_id)s AND outcome = 'accepted'

-- name: deny_attempts
-- Record that, according to a user, none of these attempts booked anything.
UPDATE attempts SET outcome = 'job_failed', finished_at = COALESCE(finished_at, %(at)s)
WHERE booking_id = %(booking_id)s AND outcome IN ('accepted', 'unknown')

-- name: attempts_of_booking
-- Return one booking's attempts, oldest first.
SELECT * FROM attempts WHERE booking_id = %(booking_id)s ORDER BY id

-- name: accepted_since
-- Return a row if Propexo has accepted an attempt after this one.
SELECT id FROM attempts WHERE id > %(id)s AND outcome IN ('accepted', 'job_failed') ORDER BY id DESC LIMIT 1

-- name: expired_attempts
-- Return unfinished attempts whose lease has expired, because their process died.
SELECT a.* FROM bookings b JOIN attempts a ON a.booking_id = b.id
WHERE b.state = 'sending' AND b.due_at IS NULL AND a.outcome IS NULL AND a.lease_until < %(now)s
ORDER BY a.id LIMIT 100

-- name: shorten_leases
-- End the leases of all unfinished attempts by the given time.
UPDATE attempts a SET lease_until = %(until)s FROM bookings b
WHERE b.state = 'sending' AND a.booking_id = b.id AND a.outcome IS NULL AND a.lease_until > %(until)s
