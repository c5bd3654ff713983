-- Work that is due.

-- name: due_rows
-- Count the rows that each task can process now, up to its number of slots. Pending bookings that may
-- not be sent yet are not counted; see send_queue.sql.
SELECT
    (SELECT count(*) FROM (
        SELECT FROM events WHERE state = 'received' AND due_at <= %(now)s
        ORDER BY due_at, received_at LIMIT %(map)s) e) AS map,
    (SELECT count(*) FROM (
        SELECT FROM bookings b
        WHERE (state = 'pending') IS TRUE AND (due_at <= %(now)s) IS TRUE
            AND (starts_at <= %(late)s) IS NOT TRUE AND 1 > (
            SELECT count(*) FROM bookings o
            WHERE o.match_keys && b.match_keys AND o.state IN ('sending', 'submitted'))
        ORDER BY source, starts_at, id LIMIT %(send)s * is_open) p) AS send,
    (SELECT count(*) FROM (
        SELECT FROM bookings WHERE state IN ('submitted', 'unknown') AND due_at <= %(now)s
        ORDER BY due_at LIMIT %(check)s * is_open) c) AS check
FROM (SELECT (stopped_for IS NULL)::int AS is_open FROM rate_limit) g
