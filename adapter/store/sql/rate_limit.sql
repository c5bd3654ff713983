-- The rate limit of Propexo's API.

-- name: lock_rate_limit
-- Lock the rate limit until the transaction ends.
SELECT FROM rate_limit FOR UPDATE

-- name: delete_old_calls
-- Delete calls that have left the window.
DELETE FROM calls WHERE at <= %(before)s

-- name: read_rate_limit
-- The state of the rate limit, with the calls of the window.
SELECT theoretical_arrival_at, paused_until, stopped_for, allowed, c.calls, c.reads, c.oldest_at,
    COALESCE((
        SELECT true FROM bookings WHERE (state = 'pending') IS TRUE AND (due_at <= %(now)s) IS TRUE
        ORDER BY source, starts_at, id LIMIT 1), false) AS is_awaited
FROM rate_limit, (
    SELECT count(*) AS calls, count(*) FILTER (WHERE is_read) AS reads, min(at) AS oldest_at
    FROM calls) c

-- name: count_call
-- Count one call.
WITH call AS (INSERT INTO calls (at, is_read) VALUES (%(at)s, %(is_read)s))
UPDATE rate_limit SET theoretical_arrival_at = %(theoretical_arrival_at)s

-- name: save_limit
-- Save what Propexo reported about its limit.
UPDATE rate_limit SET allowed = %(allowed)s, paused_until = GREATEST(paused_until, %(until)s)

-- name: pause_sending
-- Allow no call before then.
UPDATE rate_limit SET paused_until = GREATEST(paused_until, %(until)s)

-- name: suspend_sending
-- Suspend sending; no row is returned if it was suspended before.
UPDATE rate_limit SET stopped_for = %(reason)s, checked_at = %(now)s WHERE stopped_for IS NULL
RETURNING stopped_for

-- name: reserve_check
-- Reserve the next check of a suspension; no row is returned if none is due.
UPDATE rate_limit SET checked_at = %(now)s
WHERE stopped_for IS NOT NULL AND checked_at <= %(before)s
RETURNING stopped_for

-- name: resume_sending
-- Resume sending.
UPDATE rate_limit SET stopped_for = NULL
