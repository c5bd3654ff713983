-- The send queue, which contains the bookings to send.
--
-- Some conditions are written for the planner, whose statistics do not cover a queue that grew in the last
-- few minutes. `(state = 'pending') IS TRUE` matches only the send queue's own indexes (see schema.sql).
-- Any other `(...) IS TRUE`, and `IS NOT DISTINCT FROM`, matches no index, so that it is only checked in
-- rows found by another condition.

-- name: sendable
-- Not a statement: the condition SENDABLE in others, for a booking b that could be sent now. It is neither
-- paused nor too late, and none of its person's bookings is in flight.
-- With the counts, the planner checks one pending booking at a time, in queue order. It would join EXISTS
-- with the whole queue, or assume an early match. It estimates that "0 =" matches hardly any row, and would
-- read the whole queue.
(b.state = 'pending') IS TRUE AND (b.due_at <= %(now)s) IS TRUE AND (b.starts_at <= %(late)s) IS NOT TRUE
    AND 1 > (
        SELECT count(*) FROM pauses p
        WHERE p.source IN ('', b.source) AND p.community IN ('', b.community))
    AND 1 > (
        SELECT count(*) FROM bookings o
        WHERE o.match_keys && array_remove(b.match_keys, b.item_key)
            AND o.state IN ('sending', 'submitted'))

-- name: next_soon_tour
-- Return the soonest tour before a limit.
SELECT b.* FROM bookings b
WHERE SENDABLE AND kind = 'appointment' AND starts_at > %(late)s AND starts_at < %(soon)s
ORDER BY starts_at, id LIMIT 1 FOR UPDATE SKIP LOCKED

-- name: next_in_turn
-- Return the booking that a user released first. If there is none, return the soonest tour from the source whose
-- turn it is. Guest cards have no time. They come after all tours, and their sources take turns too.
WITH released AS (
    SELECT b.id FROM bookings b
    WHERE SENDABLE AND reason = 'released' ORDER BY due_at LIMIT 1
), first AS (
    SELECT b.id
    FROM source_turns t, rate_limit g, LATERAL (
        SELECT id, starts_at IS NULL AS can_wait FROM bookings b
        WHERE source = t.source AND SENDABLE
        ORDER BY starts_at, id LIMIT 1) b
    ORDER BY b.can_wait, GREATEST(t.virtual_time, g.virtual_time), t.source LIMIT 1
)
SELECT * FROM bookings WHERE id = COALESCE((SELECT id FROM released), (SELECT id FROM first))
    -- The row may have changed since it was selected, so it is checked again once it is locked.
    AND state IS NOT DISTINCT FROM 'pending' AND (due_at <= %(now)s) IS TRUE
FOR UPDATE SKIP LOCKED

-- name: longest_due
-- Return the booking that has been due longest, for a trial after failures. A booking that fails each time is
-- due again later than the others, so that it is not every trial.
SELECT b.* FROM bookings b WHERE SENDABLE ORDER BY due_at, id LIMIT 1 FOR UPDATE SKIP LOCKED

-- name: expired_tours
-- Return pending bookings whose tour starts too soon to be booked.
SELECT id FROM bookings
WHERE (state = 'pending') IS TRUE AND kind = 'appointment' AND starts_at <= %(before)s
ORDER BY starts_at LIMIT 100 FOR UPDATE SKIP LOCKED

-- name: expired_prospects
-- Return pending guest cards that were not sent in time.
SELECT id FROM bookings
WHERE (state = 'pending') IS TRUE AND kind = 'prospect'
    AND GREATEST(created_at, asked_at) <= %(before)s
ORDER BY GREATEST(created_at, asked_at) LIMIT 100 FOR UPDATE SKIP LOCKED

-- name: pause
-- Pause bookings. If they are already paused, replace only the reason and the user.
INSERT INTO pauses (source, community, reason, by, since)
VALUES (%(source)s, %(community)s, %(reason)s, %(by)s, %(at)s)
ON CONFLICT (source, community) DO UPDATE SET reason = EXCLUDED.reason, by = EXCLUDED.by

-- name: end_pause
-- End a pause. Return no row if there is none.
DELETE FROM pauses WHERE source = %(source)s AND community = %(community)s RETURNING since

-- name: pauses
-- Return all pauses, oldest first.
SELECT source, community, reason, by, since FROM pauses ORDER BY since, source, community

-- name: has_bookings
-- Return a row if there is a booking of this source, or at this community.
SELECT WHERE EXISTS (SELECT FROM bookings WHERE source = %(source)s)
    OR EXISTS (SELECT FROM bookings WHERE community = %(community)s)

-- name: bring_forward
-- Make all bookings due that were postponed to be sent or checked later.
UPDATE bookings SET due_at = %(now)s
WHERE state IN ('pending', 'submitted') AND due_at > %(now)s

-- name: delay_event
-- Delay the sending of an event's pending bookings until the given time.
UPDATE bookings SET due_at = %(until)s
WHERE event_id = %(event_id)s AND state = 'pending' AND due_at < %(until)s
