-- Rows that are due.

-- name: due_rows
-- Count the rows that each task can process now, up to its number of free threads.
SELECT
    (SELECT count(*) FROM (
        SELECT FROM events WHERE state = 'received' AND due_at <= %(now)s
        ORDER BY due_at, received_at LIMIT %(map)s) e) AS map,
    (SELECT count(*) FROM (
        SELECT FROM bookings b WHERE SENDABLE
        ORDER BY source, starts_at, id LIMIT %(send)s * is_open) p) AS send,
    (SELECT count(*) FROM (
        SELECT FROM bookings WHERE state IN ('submitted', 'unknown') AND due_at <= %(now)s
        ORDER BY due_at LIMIT %(check)s * is_readable) c) AS check,
    (SELECT count(*) FROM (
        SELECT FROM messages WHERE due_at <= %(now)s AND (state <> 'waiting' OR may_send_notes)
        ORDER BY due_at, id LIMIT %(message)s * is_open) m) AS message
FROM (
    SELECT (stopped_for IS NULL AND NOT is_unchecked)::int AS is_open,
        (stopped_for IS DISTINCT FROM 'not_authorized')::int AS is_readable,
        (SELECT note_retry_at FROM rate_limit) <= %(now)s AS may_send_notes
    FROM gate) g
