-- Status webhooks report state changes to another system. They are queued from the history.

-- name: history_horizon
-- Return the last ID in the history, and the transactions that may still commit an earlier one. A
-- transaction locks the table before it gets an ID, and keeps the lock until it ends.
SELECT (SELECT max(id) FROM history) AS newest, ARRAY(
    SELECT virtualtransaction FROM pg_locks
    WHERE locktype = 'relation' AND mode = 'RowExclusiveLock' AND relation = 'history'::regclass
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
) AS writers

-- name: lock_status_webhook_progress
-- Return the last ID in the history that was read, unless another worker is reading it now.
SELECT position FROM status_webhook_progress FOR UPDATE SKIP LOCKED

-- name: history_part_end
-- Return the ID of the last entry in the next part of the history.
SELECT max(id) AS id FROM (
    SELECT id FROM history WHERE id > %(after)s AND id <= %(until)s ORDER BY id LIMIT %(limit)s) part

-- name: queue_status_webhooks
-- Queue the state changes in a part of the history: each change of a lead's status, the tours that a user
-- reported as canceled in Knock by discarding the sender's cancellation, and those that Knock reported.
WITH change AS (
    SELECT h.*, b.is_cancellation, b.match_keys, status_of.status
    FROM history h LEFT JOIN bookings b ON b.id = h.booking_id, LATERAL (
        SELECT min(status) FILTER (WHERE state = h.to_state) AS status,
            min(status) FILTER (WHERE state = h.from_state) AS former
        FROM (VALUES ('booked', 'booked'), ('failed', 'failed'), ('discarded', 'canceled'),
            ('held', 'needs_review'), ('unknown', 'needs_review'), ('expired', 'needs_review')
        ) AS names (state, status)) status_of
    WHERE h.id > %(after)s AND h.id <= %(until)s AND h.at >= %(oldest)s
        AND status_of.status IS DISTINCT FROM status_of.former
)
INSERT INTO status_webhooks (history_id, event_id, booking_id, status, at, due_at)
SELECT history_id, event_id, booking_id, status, at, at FROM (
    SELECT id AS history_id, event_id, booking_id, status, at FROM change
    WHERE status IS NOT NULL AND (status <> 'canceled' OR is_cancellation IS NOT TRUE)
    UNION ALL
    SELECT change.id, gone.event_id, gone.id, 'canceled', change.at
    FROM change JOIN bookings gone
        ON gone.match_keys && change.match_keys AND gone.gone_at = change.at
    WHERE change.status = 'canceled' AND change.is_cancellation
    UNION ALL
    SELECT id, event_id, booking_id, CASE why WHEN 'canceled_in_knock' THEN 'canceled' ELSE 'booked' END, at
    FROM history
    WHERE id > %(after)s AND id <= %(until)s AND at >= %(oldest)s
        AND why IN ('canceled_in_knock', 'booked_again_in_knock')
) queued ORDER BY history_id, booking_id

-- name: move_status_webhook_progress
-- Record the last ID in the history that was read.
UPDATE status_webhook_progress SET position = %(position)s

-- name: claim_status_webhook
-- Claim the webhook that has been due longest, and return it with its lead. Skip it if an earlier one for
-- the same lead is undelivered.
WITH claimed AS (
    UPDATE status_webhooks SET attempts = attempts + 1, due_at = %(lease_until)s
    WHERE id = (
        SELECT id FROM status_webhooks w
        WHERE due_at <= %(now)s
            AND (SELECT paused_until FROM status_webhook_progress) <= %(now)s
            AND NOT EXISTS (
                SELECT FROM status_webhooks o WHERE o.event_id = w.event_id AND o.id < w.id)
        ORDER BY due_at, id LIMIT 1 FOR UPDATE SKIP LOCKED)
    RETURNING *
)
SELECT c.id, c.history_id, c.event_id, c.booking_id, c.status, c.at, c.attempts, h.to_state, h.why, h.by, e.source, b.kind, b.community, b.timezone, b.starts_at, b.job_id,
    b.id IS DISTINCT FROM h.booking_id AS is_gone
FROM claimed c JOIN history h ON h.id = c.history_id JOIN events e ON e.id = c.event_id
    LEFT JOIN bookings b ON b.id = c.booking_id

-- name: delete_status_webhook
-- Delete a delivered webhook.
DELETE FROM status_webhooks WHERE id = %(id)s

-- name: clear_status_webhook_failures
-- Record that the receiver responds. Return the number of failures before this.
UPDATE status_webhook_progress p
SET failures = 0, failing_since = NULL, paused_until = 'epoch'
FROM status_webhook_progress former WHERE p.failures > 0 RETURNING former.failures

-- name: postpone_status_webhook
-- Set when to retry a webhook.
UPDATE status_webhooks SET due_at = %(due_at)s WHERE id = %(id)s

-- name: record_status_webhook_failure
-- Record a failed attempt, and pause all deliveries. The pause grows with each failure. Return their
-- number.
UPDATE status_webhook_progress SET failures = failures + 1, last_error = %(error)s,
    failing_since = COALESCE(failing_since, %(now)s),
    paused_until = %(now)s::timestamptz
        + LEAST(power(2, LEAST(failures, 20)), %(max_pause)s) * interval '1 second'
RETURNING failures

-- name: give_up_status_webhooks
-- Delete the webhooks for changes before the given time. Return their number.
WITH old AS (
    DELETE FROM status_webhooks WHERE id IN (
        SELECT id FROM status_webhooks WHERE at < %(before)s LIMIT %(limit)s)
    RETURNING id
)
UPDATE status_webhook_progress SET given_up = given_up + (SELECT count(*) FROM old), given_up_at = %(now)s
WHERE EXISTS (SELECT FROM old) RETURNING (SELECT count(*) FROM old) AS count

-- name: status_webhook_summary
-- Return the number of undelivered webhooks, up to a limit, the number of them that failed before, and the state
-- of the receiver.
SELECT p.failing_since, p.last_error, p.given_up, p.given_up_at, w.waiting, w.failed,
    w.oldest_at
FROM status_webhook_progress p, LATERAL (
    SELECT count(*) AS waiting, count(*) FILTER (WHERE attempts > 0) AS failed, min(at) AS oldest_at
    FROM (SELECT at, attempts FROM status_webhooks ORDER BY id LIMIT %(limit)s) oldest) w
