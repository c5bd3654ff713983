-- Available times in Knock, as Propexo last reported them.

-- name: read_free_times
-- Return the cached times of a community's calendar. `is_down` is true if any recent call got no response, and
-- `is_slow` if any got a slow response. Return one row, even if nothing is cached.
SELECT f.*, EXISTS (
    SELECT FROM free_times WHERE problem = 'no_answer' AND answered_at > %(since)s) AS is_down,
    EXISTS (SELECT FROM free_times WHERE slow_at > %(slow_since)s) AS is_slow
FROM (SELECT) one LEFT JOIN free_times f ON integration_id = %(integration_id)s
    AND community_id = %(community_id)s AND appointment_type = %(appointment_type)s

-- name: begin_question
-- Record that a process is requesting a community's available times, so that others do not.
INSERT INTO free_times (integration_id, community_id, appointment_type, asked_at)
VALUES (%(integration_id)s, %(community_id)s, %(appointment_type)s, %(asked_at)s)
ON CONFLICT (integration_id, community_id, appointment_type) DO UPDATE
SET asked_at = EXCLUDED.asked_at, answered_at = NULL

-- name: end_question
-- Save Propexo's response, unless the cached times have been deleted since the request. The response is not
-- shared if it still contains the time of one of our tours that has no outcome yet.
UPDATE free_times SET
    asked_at = CASE WHEN early.answer THEN 'epoch' ELSE asked_at END,
    answered_at = CASE WHEN asked_at = %(asked_at)s AND NOT early.answer THEN %(now)s END,
    times = %(times)s, is_complete = %(is_complete)s, problem = %(problem)s,
    shape = COALESCE(%(shape)s, shape),
    slow_at = CASE WHEN %(is_slow)s THEN %(now)s ELSE slow_at END,
    shape_at = CASE WHEN %(shape)s::text IS NULL THEN shape_at ELSE %(now)s END
FROM (SELECT %(problem)s::text IS NULL AND EXISTS (
    SELECT FROM bookings
    WHERE state IN ('sending', 'submitted') AND kind = 'appointment'
        AND appointment ->> 'community_id' = %(community_id)s AND posted_at > %(since)s
        AND starts_at = ANY(%(times)s::timestamptz[])
) AS answer) early
WHERE integration_id = %(integration_id)s AND community_id = %(community_id)s
    AND appointment_type = %(appointment_type)s

-- name: drop_free_times
-- Delete a community's cached times, because a booking may have taken one. Keep the shape and the problem.
UPDATE free_times SET asked_at = 'epoch', answered_at = NULL
WHERE integration_id = %(integration_id)s AND community_id = %(community_id)s AND problem IS NULL

-- name: all_free_times
-- Return the last response about each calendar.
SELECT * FROM free_times ORDER BY integration_id, community_id, appointment_type

-- name: end_postponement
-- Make a pending booking due that was postponed until the given time.
UPDATE bookings SET due_at = %(now)s
WHERE id = %(id)s AND state = 'pending' AND due_at = %(until)s

-- name: offer_times
-- Save the available times to offer instead of a tour's time.
UPDATE bookings SET free_times = %(times)s WHERE id = %(id)s

-- name: rival_in_flight
-- Return a row if another tour at this community and time was sent recently and has no outcome yet.
SELECT FROM bookings
WHERE state IN ('sending', 'submitted') AND id <> %(id)s AND kind = 'appointment'
    AND community = %(community)s AND starts_at = %(starts_at)s AND posted_at > %(since)s
LIMIT 1

-- name: own_tours
-- Return the times of other tours at a community that are not in Knock's calendar yet, or were sent recently.
SELECT DISTINCT COALESCE(moved_to, starts_at) AS at FROM bookings
WHERE community = %(community)s AND id <> %(id)s AND kind = 'appointment' AND NOT is_cancellation
    AND COALESCE(moved_to, starts_at) = ANY(%(times)s::timestamptz[])
    AND (state IN ('pending', 'sending', 'submitted') OR state = 'booked' AND posted_at > %(since)s
        AND gone_at IS NULL AND knock_status IS DISTINCT FROM 'canceled')

-- name: offered_at
-- Return when a booking was last held because its time is taken.
SELECT max(at) AS at FROM history WHERE event_id = %(event_id)s AND booking_id = %(id)s AND why = %(why)s

-- name: was_released
-- Return a row if a user has released the booking.
SELECT FROM history h JOIN bookings b ON b.event_id = h.event_id AND b.id = h.booking_id
WHERE b.id = %(id)s AND h.why = 'released' LIMIT 1
