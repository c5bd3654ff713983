-- Attempts: POST requests to Propexo.

-- name: begin_attempt
-- Record a POST before it is sent, and change the booking from pending to sending; no row is returned
-- if it was not pending.
WITH moved AS (
    UPDATE bookings
    SET state = 'sending', reason = 'sending', due_at = NULL, updated_at = %(at)s
    WHERE id = %(booking_id)s AND state = 'pending'
    RETURNING id, event_id, kind
), change AS (
    INSERT INTO history (event_id, booking_id, at, from_state, to_state, why, by)
    SELECT event_id, id, %(at)s, 'pending', 'sending', 'sending', 'worker' FROM moved
)
INSERT INTO attempts (booking_id, kind, request, started_at, lease_until)
SELECT id, kind, %(request)s, %(at)s, %(lease_until)s FROM moved
RETURNING *

-- name: finish_attempt
-- Save the outcome of a POST. A late response may correct an outcome that was unknown.
UPDATE attempts
SET outcome = %(outcome)s, finished_at = %(at)s, status = %(status)s, answer = %(answer)s
WHERE id = %(id)s AND (outcome IS NULL OR outcome = 'unknown')
RETURNING id

-- name: fail_job
-- Record that the job started by a booking's accepted POST has failed.
UPDATE attempts SET outcome = 'job_failed'
WHERE booking_id = %(booking_id)s AND outcome = 'accepted'

-- name: deny_attempts
-- Record that none of these attempts booked anything, as a user has confirmed.
UPDATE attempts SET outcome = 'job_failed', finished_at = COALESCE(finished_at, %(at)s)
WHERE booking_id = %(booking_id)s AND outcome IN ('accepted', 'unknown')

-- name: attempts_of_booking
-- The attempts of one booking, oldest first.
SELECT * FROM attempts WHERE booking_id = %(booking_id)s ORDER BY id

-- name: expired_attempts
-- Attempts whose process died before it saved the outcome.
SELECT a.* FROM bookings b JOIN attempts a ON a.booking_id = b.id
WHERE b.state = 'sending' AND b.due_at IS NULL AND a.outcome IS NULL AND a.lease_until < %(now)s
ORDER BY a.id LIMIT 100
