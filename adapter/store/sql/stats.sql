-- Statistics.

-- name: outcomes
-- Count leads (bookings, and events without bookings) per hour since the given time, by state.
SELECT 'booking' AS kind, source, date_trunc('hour', created_at, 'UTC') AS hour, state,
    count(*) AS leads
FROM bookings WHERE created_at >= %(since)s AND reason IS DISTINCT FROM 'replayed'
GROUP BY 2, 3, 4
UNION ALL
SELECT 'event', source, date_trunc('hour', received_at, 'UTC'), state, count(*)
FROM events WHERE received_at >= %(since)s AND state <> 'mapped' GROUP BY 2, 3, 4

-- name: daily_outcomes
-- Count leads (bookings, and events without bookings) per day in a time zone since the given time, by state. Each
-- day is a range of the index by time, which costs half as much as converting each lead's time to a day.
WITH days AS MATERIALIZED (
    SELECT day::date AS day, day AT TIME ZONE %(zone)s AS begins,
        (day + interval '1 day') AT TIME ZONE %(zone)s AS ends
    FROM generate_series(date_trunc('day', %(since)s AT TIME ZONE %(zone)s),
        %(until)s AT TIME ZONE %(zone)s, interval '1 day') AS day
)
SELECT day, state, leads FROM days, LATERAL (
    SELECT state, count(*) AS leads FROM bookings
    WHERE created_at >= begins AND created_at < ends AND reason IS DISTINCT FROM 'replayed'
    GROUP BY state) b
UNION ALL
SELECT day, state, leads FROM days, LATERAL (
    SELECT state, count(*) AS leads FROM events
    WHERE received_at >= begins AND received_at < ends AND state <> 'mapped' GROUP BY state) e

-- name: source_activity
-- Return, for each source, the number of events since the given time, the time of the last event, the usual number
-- in the same 24 hours of recent weeks (NULL until the source has been counted for a week), and the seconds from
-- webhook to booking for the newest bookings that no person was involved in.
WITH arrivals AS (
    SELECT source, count(*) AS events FROM events WHERE received_at >= %(since)s GROUP BY source
), counted AS (
    SELECT source, LEAST(4, floor(extract(epoch FROM %(since)s - min(hour)) / 604800)) AS weeks
    FROM hourly_counts GROUP BY source
), usual AS (
    SELECT source, sum(events) AS events FROM hourly_counts, generate_series(1, 4) AS week
    WHERE hour >= %(since)s - week * interval '7 days'
        AND hour < %(until)s - week * interval '7 days'
    GROUP BY source
), booked AS (
    SELECT source, event_id, updated_at FROM bookings
    WHERE created_at >= %(since)s AND state = 'booked' AND reason IS DISTINCT FROM 'replayed'
        -- Leads that waited for a user or the renter do not count, including those that were processed again. With
        -- OFFSET, the planner uses a lookup for each booking. A join would read the whole history.
        AND NOT EXISTS (
        SELECT FROM history h WHERE h.event_id = bookings.event_id
            AND (h.booking_id = bookings.id OR h.booking_id IS NULL)
            AND (h.to_state IN ('held', 'failed', 'unknown', 'expired')
                OR h.by NOT IN ('worker', 'web', 'system')) OFFSET 0)
    ORDER BY created_at DESC LIMIT %(limit)s
), latency AS (
    SELECT b.source, percentile_cont(0.5) WITHIN GROUP (ORDER BY s.seconds) AS p50_seconds,
        percentile_cont(0.95) WITHIN GROUP (ORDER BY s.seconds) AS p95_seconds
    FROM booked b JOIN events e ON e.id = b.event_id,
        LATERAL (SELECT extract(epoch FROM b.updated_at - e.received_at)::float8 AS seconds) s
    GROUP BY b.source
)
SELECT name, last.received_at AS last_event_at, COALESCE(arrivals.events, 0) AS events,
    CASE WHEN weeks >= 1 THEN COALESCE(usual.events, 0) / weeks END::float8 AS usual,
    p50_seconds, p95_seconds
FROM unnest(%(sources)s::text[]) AS name
    LEFT JOIN counted ON counted.source = name
    LEFT JOIN arrivals ON arrivals.source = name
    LEFT JOIN usual ON usual.source = name
    LEFT JOIN latency ON latency.source = name
    LEFT JOIN LATERAL (
        -- Ordering a source's range by both columns makes the planner use the index by source. With ORDER
        -- BY id alone, it would scan all events for a source that has never sent any.
        SELECT received_at FROM events WHERE source >= name AND source <= name
        ORDER BY source DESC, id DESC LIMIT 1
    ) last ON true
ORDER BY name COLLATE "C"

-- name: sending
-- Return the state of the rate limit without locking it, the calls to Propexo since the given time, and the
-- number of pending bookings, up to a limit.
SELECT g.stopped_for, CASE WHEN r.stopped_for IS NOT NULL THEN stopped_at END AS stopped_at,
    CASE WHEN r.stopped_for IS NOT NULL THEN stopped_why END AS stopped_why, paused_until, allowed,
    (SELECT count(*) FROM calls WHERE at > %(since)s) AS calls,
    (SELECT count(*) FROM (SELECT FROM bookings WHERE state = 'pending' LIMIT %(limit)s) b) AS pending
FROM rate_limit r, gate g

-- name: count_hours
-- Count the events in past hours that have not been counted yet.
INSERT INTO hourly_counts (source, hour, events)
SELECT source, date_trunc('hour', received_at, 'UTC'), count(*) FROM events
WHERE received_at >= COALESCE((SELECT max(hour) + interval '1 hour' FROM hourly_counts), '-infinity')
    AND received_at < %(until)s
GROUP BY 1, 2 ON CONFLICT DO NOTHING

-- name: record_secret_use
-- Save the time when a secret last verified a request.
INSERT INTO secret_uses (source, name, used_at) VALUES (%(source)s, %(name)s, %(at)s)
ON CONFLICT (source, name) DO UPDATE SET used_at = GREATEST(secret_uses.used_at, EXCLUDED.used_at)

-- name: secret_uses
-- Return the time when each secret last verified a request.
SELECT source, name, used_at FROM secret_uses

-- name: unknown_communities
-- Return the unknown community names in each source's leads and the number of leads that each name holds up,
-- most frequent first.
SELECT b.source, why ->> 'value' AS value, why ->> 'path' AS path, count(*) AS waiting,
    max(b.created_at) AS last_at, max(b.event_id) AS event_id
FROM bookings b, jsonb_array_elements(b.reasons) AS why
WHERE b.state = 'held' AND b.community IS NULL AND why ->> 'field' = 'community'
GROUP BY 1, 2, 3 ORDER BY 1, 4 DESC, 2

-- name: event_counts
-- Count each source's events by state, and return the time of the last event.
SELECT source, jsonb_object_agg(state, events) AS events, max(last_at) AS last_event_at
FROM (
    SELECT source, state, count(*) AS events, max(received_at) AS last_at FROM events
    GROUP BY source, state
) counts GROUP BY source
