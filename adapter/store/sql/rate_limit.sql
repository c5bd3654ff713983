-- Propexo's rate limit.

-- name: lock_rate_limit
-- Lock the rate limit until the transaction ends.
SELECT FROM rate_limit FOR UPDATE

-- name: read_rate_limit
-- Return the state of the rate limit, the calls in the window, and how many bookings are due: 0, 1 or 2
-- (more than one).
SELECT theoretical_arrival_at, paused_until, stopped_for, allowed, c.calls, c.reads, c.oldest_at,
    (SELECT count(*) FROM (
        SELECT FROM bookings WHERE (state = 'pending') IS TRUE AND (due_at <= %(now)s) IS TRUE
        ORDER BY source, starts_at, id LIMIT 2) w) AS waiting
FROM rate_limit, (
    SELECT count(*) AS calls, count(*) FILTER (WHERE is_read) AS reads, min(at) AS oldest_at
    FROM calls WHERE at > %(since)s) c

-- name: count_call
-- Count a call, and delete those that have left the window. If the call is for a source, advance that
-- source's virtual time according to its weight.
WITH old AS (
    DELETE FROM calls WHERE at <= %(since)s
), call AS (
    INSERT INTO calls (at, is_read) VALUES (%(at)s, %(is_read)s)
), served AS (
    UPDATE source_turns t SET virtual_time = GREATEST(t.virtual_time, g.virtual_time) + 1.0 / %(weight)s
    FROM rate_limit g WHERE t.source = %(source)s
    RETURNING t.virtual_time - 1.0 / %(weight)s AS began
)
UPDATE rate_limit SET theoretical_arrival_at = %(theoretical_arrival_at)s,
    virtual_time = GREATEST(virtual_time, (SELECT began FROM served))

-- name: save_limit
-- Save the limit that Propexo reported.
UPDATE rate_limit SET allowed = %(allowed)s, paused_until = GREATEST(paused_until, %(until)s)

-- name: pause_sending
-- Pause all calls until a time.
UPDATE rate_limit SET paused_until = GREATEST(paused_until, %(until)s)

-- name: suspend_sending
-- Suspend sending. Return no row if it was already suspended.
UPDATE rate_limit SET stopped_for = %(reason)s, stopped_at = %(now)s, checked_at = %(now)s
WHERE stopped_for IS NULL
RETURNING stopped_for

-- name: reserve_check
-- Reserve the next check of whether sending can resume. Return no row if none is due.
UPDATE rate_limit SET checked_at = %(now)s
WHERE stopped_for IS NOT NULL AND checked_at <= %(before)s
RETURNING stopped_for

-- name: resume_sending
-- Resume sending.
UPDATE rate_limit SET stopped_for = NULL, stopped_at = NULL
