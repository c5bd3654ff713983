-- The send queue, which contains the bookings to send.
--
-- Some conditions are written for the planner, whose statistics do not cover a queue that grew in the last
-- few minutes. `(state = 'pending') IS TRUE` matches only the send queue's own indexes (see schema.sql).
-- Any other `(...) IS TRUE`, and `IS NOT DISTINCT FROM`, matches no index, so that it is only checked in
-- rows found by another condition.

-- name: next_soon_tour
-- Return the soonest tour before a limit whose person has no other booking in flight. Because of the count,
-- here and below, the planner checks one pending booking at a time, in queue order. With EXISTS, it would
-- join the whole queue or assume an early match. With "0 =" instead of "1 >", it would expect hardly any
-- match and read the whole queue.
SELECT b.* FROM bookings b
WHERE (state = 'pending') IS TRUE AND kind = 'appointment' AND (due_at <= %(now)s) IS TRUE
    AND starts_at > %(late)s AND starts_at < %(soon)s AND 1 > (
    SELECT count(*) FROM bookings o
    WHERE o.match_keys && array_remove(b.match_keys, b.item_key) AND o.state IN ('sending', 'submitted'))
ORDER BY starts_at, id LIMIT 1 FOR UPDATE SKIP LOCKED

-- name: next_in_turn
-- Return the soonest tour from the source whose turn it is and whose person has no other booking in flight.
-- Guest cards have no time. They follow after all tours, and their sources take turns too.
WITH first AS (
    SELECT b.id
    FROM source_turns t, rate_limit g, LATERAL (
        SELECT id, starts_at IS NULL AS can_wait FROM bookings b
        WHERE (state = 'pending') IS TRUE AND source = t.source AND (due_at <= %(now)s) IS TRUE
            AND (starts_at <= %(late)s) IS NOT TRUE AND 1 > (
            SELECT count(*) FROM bookings o
            WHERE o.match_keys && array_remove(b.match_keys, b.item_key) AND o.state IN ('sending', 'submitted'))
        ORDER BY starts_at, id LIMIT 1) b
    ORDER BY b.can_wait, GREATEST(t.virtual_time, g.virtual_time), t.source LIMIT 1
)
SELECT * FROM bookings WHERE id = (SELECT id FROM first)
    -- The row may have changed since it was selected, so it is checked again once it is locked.
    AND state IS NOT DISTINCT FROM 'pending' AND (due_at <= %(now)s) IS TRUE
FOR UPDATE SKIP LOCKED

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
