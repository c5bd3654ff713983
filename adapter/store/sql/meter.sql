-- Metrics: counters and histograms of all processes.

-- name: add_metric_values
-- Add a process's metrics to the totals.
INSERT INTO metric_values (metric, labels, sample, value)
SELECT * FROM unnest(%(metrics)s::text[], %(labels)s::text[], %(samples)s::text[], %(values)s::float8[])
ON CONFLICT (metric, labels, sample) DO UPDATE SET value = metric_values.value + EXCLUDED.value

-- name: metric_values
-- Return the totals of all metrics.
SELECT metric, labels, sample, value FROM metric_values ORDER BY metric, labels, sample

-- name: lock_metric_progress
-- Return the last ID in the history that was counted, unless another worker is counting now.
SELECT position FROM metric_progress FOR UPDATE SKIP LOCKED

-- name: count_history
-- Count the changes in a part of the history, and record its end. A time counts once per booking, and
-- only if no user changed the lead and the booking did not need review before.
WITH change AS MATERIALIZED (
    SELECT h.id, h.event_id, h.booking_id, h.to_state, h.at, e.source, e.received_at
    FROM history h JOIN events e ON e.id = h.event_id
    WHERE h.id > %(after)s AND h.id <= %(until)s AND h.to_state <> 'received'
        AND h.from_state IS DISTINCT FROM h.to_state
), timed AS MATERIALIZED (
    SELECT CASE to_state WHEN 'booked' THEN 'time_to_booked_seconds' ELSE 'time_to_post_seconds' END
            AS metric, source, GREATEST(extract(epoch FROM at - received_at), 0)::float8 AS seconds
    FROM change c
    WHERE booking_id IS NOT NULL AND to_state IN ('sending', 'booked') AND NOT EXISTS (
        -- With OFFSET, the planner uses a lookup for each row. A join would read the whole history.
        SELECT FROM history o WHERE o.event_id = c.event_id AND o.id < c.id
            AND (o.by NOT IN ('web', 'worker') OR o.booking_id = c.booking_id
                AND o.to_state IN ('held', 'failed', 'unknown', 'expired', c.to_state)) OFFSET 0)
), counted (metric, labels, sample, value) AS (
    SELECT CASE WHEN booking_id IS NULL THEN 'events' ELSE 'bookings' END,
        source || E'\n' || to_state, '', count(*)::float8
    FROM change GROUP BY 1, 2
    UNION ALL
    SELECT metric, source, COALESCE((
        SELECT min(le)::text FROM unnest(%(buckets)s::float8[]) AS le WHERE seconds <= le), '+Inf'),
        count(*)
    FROM timed GROUP BY 1, 2, 3
    UNION ALL
    SELECT metric, source, 'sum', sum(seconds) FROM timed GROUP BY 1, 2
), added AS (
    INSERT INTO metric_values SELECT * FROM counted ORDER BY metric, labels, sample
    ON CONFLICT (metric, labels, sample) DO UPDATE SET value = metric_values.value + EXCLUDED.value
)
UPDATE metric_progress SET position = %(until)s
