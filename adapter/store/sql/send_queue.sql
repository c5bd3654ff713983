-- The send queue: bookings that wait to be sent.
--
-- Some conditions are written for the planner, whose statistics do not know a queue that grew in the
-- last minutes. `(state = 'pending') IS TRUE` is served by the send queue's own indexes and by no
-- other (see schema.sql). Any other `(...) IS TRUE`, and `IS NOT DISTINCT FROM`, is meant to be
-- checked in rows that were found by another condition.

-- name: next_soon_tour
-- The soonest tour before a limit, of a person with no other booking in flight.
-- The count, here and below, has the planner look up one waiting booking at a time in the order of
-- the queue. EXISTS would be joined with the whole queue, or planned as if the first match came
-- soon; "0 =" is estimated to match hardly any row, so that the whole queue would be read.
SELECT b.* FROM bookings b
WHERE (state = 'pending') IS TRUE AND kind = 'appointment' AND (due_at <= %(now)s) IS TRUE
    AND starts_at > %(late)s AND starts_at < %(soon)s AND 1 > (
    SELECT count(*) FROM bookings o
    WHERE o.match_keys && b.match_keys AND o.state IN ('sending', 'submitted'))
ORDER BY starts_at, id LIMIT 1 FOR UPDATE SKIP LOCKED

-- name: next_in_turn
-- The soonest tour of the source whose turn it is, of a person with no other booking in flight.
-- Guest cards have no time: they follow after all tours, by turns as well.
WITH first AS (
    SELECT b.id
    FROM source_turns t, rate_limit g, LATERAL (
        SELECT id, starts_at IS NULL AS can_wait FROM bookings b
        WHERE (state = 'pending') IS TRUE AND source = t.source AND (due_at <= %(now)s) IS TRUE
            AND (starts_at <= %(late)s) IS NOT TRUE AND 1 > (
            SELECT count(*) FROM bookings o
            WHERE o.match_keys && b.match_keys AND o.state IN ('sending', 'submitted'))
        ORDER BY starts_at, id LIMIT 1) b
    ORDER BY b.can_wait, GREATEST(t.virtual_time, g.virtual_time), t.source LIMIT 1
)
SELECT * FROM bookings WHERE id = (SELECT id FROM first)
    -- It may have changed since it was selected, so the locked row is checked again.
    AND state IS NOT DISTINCT FROM 'pending' AND (due_at <= %(now)s) IS TRUE
FOR UPDATE SKIP LOCKED

-- name: take_turn
-- Advance the virtual time of a source that was served, by its weight.
WITH served AS (
    UPDATE source_turns t SET virtual_time = GREATEST(t.virtual_time, g.virtual_time) + 1.0 / %(weight)s
    FROM rate_limit g WHERE t.source = %(source)s
    RETURNING GREATEST(t.virtual_time, g.virtual_time) - 1.0 / %(weight)s AS began
)
UPDATE rate_limit SET virtual_time = GREATEST(rate_limit.virtual_time, served.began) FROM served

-- name: expired_tours
-- Pending bookings whose tour starts too soon to be booked.
SELECT id FROM bookings
WHERE (state = 'pending') IS TRUE AND kind = 'appointment' AND starts_at <= %(before)s
ORDER BY starts_at LIMIT 100 FOR UPDATE SKIP LOCKED

-- name: expired_prospects
-- Pending guest cards that were not sent in time.
SELECT id FROM bookings
WHERE (state = 'pending') IS TRUE AND kind = 'prospect'
    AND GREATEST(created_at, asked_at) <= %(before)s
ORDER BY GREATEST(created_at, asked_at) LIMIT 100 FOR UPDATE SKIP LOCKED

-- name: has_overdue_booking
-- Whether a booking has been due since then; the queue is read up to the first one.
SELECT COALESCE((
    SELECT true FROM bookings WHERE (state = 'pending') IS TRUE AND (due_at < %(before)s) IS TRUE
    ORDER BY source, starts_at, id LIMIT 1), false) AS is_overdue

-- name: events_without_task
-- Received events whose task is missing.
SELECT id FROM events e
WHERE state = 'received' AND received_at < %(before)s AND NOT EXISTS (
    SELECT FROM procrastinate_jobs j
    WHERE j.queueing_lock = 'map_event:' || e.id AND j.status = 'todo')
ORDER BY received_at LIMIT 100

-- name: bookings_without_task
-- Bookings that are due for a check and whose task is missing.
SELECT id, state FROM bookings b
WHERE state IN ('submitted', 'unknown') AND due_at < %(before)s AND NOT EXISTS (
    SELECT FROM procrastinate_jobs j
    WHERE j.status = 'todo' AND j.queueing_lock =
        CASE state WHEN 'submitted' THEN 'follow_up:' ELSE 'reconcile:' END || b.id)
ORDER BY due_at LIMIT 100
