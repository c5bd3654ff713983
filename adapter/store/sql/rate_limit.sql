-- Propexo's rate limit.

-- name: lock_rate_limit
-- Lock the rate limit until the transaction ends. If this process is suspended in the meantime, or its machine
-- is lost, others wait 5 seconds at most.
SELECT set_config('idle_in_transaction_session_timeout', '5s', true) FROM rate_limit FOR UPDATE

-- name: read_rate_limit
-- Return the state of the rate limit, the number of calls in the window, and the number of bookings that could
-- be sent: 0, 1, or 2 for more than one.
SELECT theoretical_arrival_at, paused_until, allowed, failures, retry_at, note_failures, note_retry_at,
    c.calls, c.reads, c.oldest_at,
    COALESCE(g.stopped_for, CASE WHEN g.is_unchecked THEN 'unchecked' END) AS stopped_for,
    (SELECT count(*) FROM (
        SELECT FROM bookings b WHERE SENDABLE ORDER BY source, starts_at, id LIMIT 2) w) AS waiting
FROM rate_limit, gate g, (
    SELECT count(*) AS calls, count(*) FILTER (WHERE is_read) AS reads, min(at) AS oldest_at
    FROM calls WHERE at > %(since)s) c

-- name: count_call
-- Count a call, and delete calls that are no longer in the window. If the call is for a source, advance
-- that source's virtual time according to its weight. A trial after failures delays the next POST.
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
    virtual_time = GREATEST(virtual_time, (SELECT began FROM served)),
    retry_at = COALESCE(%(retry_at)s, retry_at)

-- name: save_limit
-- Save the limit that Propexo reported.
UPDATE rate_limit SET allowed = %(allowed)s, paused_until = GREATEST(paused_until, %(until)s)

-- name: pause_sending
-- Pause all calls until the given time.
UPDATE rate_limit SET paused_until = GREATEST(paused_until, %(until)s)

-- name: suspend_sending
-- Stop sending. Return no row if it was already stopped. A restore replaces the other reasons.
UPDATE rate_limit
SET stopped_for = %(reason)s, stopped_at = %(now)s, stopped_why = NULL, checked_at = %(now)s
WHERE stopped_for IS NULL OR (stopped_for <> 'restored' AND %(reason)s = 'restored')
RETURNING stopped_for

-- name: count_failure
-- Count a POST without a clear response.
UPDATE rate_limit SET failures = %(failures)s, retry_at = %(retry_at)s,
    stopped_for = %(stopped_for)s, stopped_why = %(why)s,
    stopped_at = CASE WHEN failures = 0 THEN %(now)s ELSE stopped_at END

-- name: end_failures
-- Record a clear response to a POST.
UPDATE rate_limit SET failures = 0,
    stopped_for = CASE WHEN stopped_for IN ('not_authorized', 'restored') THEN stopped_for END
WHERE failures > 0

-- name: count_note_failure
-- Count a POST of a note without a clear response.
UPDATE rate_limit SET note_failures = note_failures + 1, note_retry_at = %(retry_at)s

-- name: delay_notes
-- Delay all notes until the given time.
UPDATE rate_limit SET note_retry_at = %(until)s

-- name: end_note_failures
-- Record a clear response to a note.
UPDATE rate_limit SET note_failures = 0, note_retry_at = 'epoch' WHERE note_failures > 0

-- name: reserve_check
-- Reserve the next check of Propexo while sending is stopped. Return the reason for the stop and the time of the
-- previous check, or no row if no check is due.
UPDATE rate_limit r SET checked_at = %(now)s FROM rate_limit former
WHERE r.stopped_for <> 'restored' AND r.checked_at <= %(before)s AND r.retry_at <= %(now)s
RETURNING r.stopped_for, r.stopped_at, former.checked_at

-- name: resume_sending
-- Resume sending, unless the database was restored.
UPDATE rate_limit SET stopped_for = NULL WHERE stopped_for <> 'restored'

-- name: end_restore
-- Resume sending after a restore.
UPDATE rate_limit SET stopped_for = NULL WHERE stopped_for = 'restored'

-- name: lift_pause
-- End a temporary pause, and make the next check of Propexo due.
UPDATE rate_limit SET paused_until = 'epoch', theoretical_arrival_at = 'epoch', checked_at = 'epoch',
    retry_at = 'epoch', note_retry_at = 'epoch'

-- name: repair_clock
-- If there are calls in the future, move them and all other times of the rate limit to now.
WITH future AS (
    UPDATE calls SET at = %(now)s WHERE at > %(ahead)s RETURNING id
)
UPDATE rate_limit SET theoretical_arrival_at = LEAST(theoretical_arrival_at, %(now)s),
    paused_until = LEAST(paused_until, %(now)s), checked_at = LEAST(checked_at, %(now)s),
    retry_at = LEAST(retry_at, %(now)s), note_retry_at = LEAST(note_retry_at, %(now)s)
WHERE EXISTS (SELECT FROM future) RETURNING one
