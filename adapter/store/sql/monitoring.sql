-- Heartbeats, and facts for health checks. Each statement reads a limited number of rows, no matter how large
-- the tables are.

-- name: record_heartbeat
-- Record that a process is alive, and delete the rows of processes that ended long ago.
WITH old AS (
    DELETE FROM processes p
    WHERE seen_at < now() - interval '1 day' AND id <> %(id)s AND EXISTS (
        SELECT FROM processes n WHERE n.kind = p.kind AND n.seen_at > p.seen_at)
)
INSERT INTO processes (
    id, kind, host, pid, version, started_at, seen_at, looked_at, clock_ahead_seconds, outdated_since,
    write_seconds, is_waiting)
VALUES (
    %(id)s, %(kind)s, %(host)s, %(pid)s, %(version)s, now() - %(age)s::interval, clock_timestamp(),
    now() - %(looked_ago)s::interval,
    extract(epoch FROM %(at)s::timestamptz - clock_timestamp())::float8,
    now() - %(outdated_for)s::interval, %(write_seconds)s, %(is_waiting)s)
ON CONFLICT (id) DO UPDATE SET
    seen_at = EXCLUDED.seen_at, looked_at = EXCLUDED.looked_at,
    clock_ahead_seconds = EXCLUDED.clock_ahead_seconds, outdated_since = EXCLUDED.outdated_since,
    write_seconds = EXCLUDED.write_seconds, is_waiting = EXCLUDED.is_waiting

-- name: known_processes
-- Return the processes, newest heartbeat first. Times are returned as ages, based on the database's clock.
SELECT kind, host, pid, version, clock_timestamp() - started_at AS age,
    clock_timestamp() - seen_at AS seen_ago, clock_timestamp() - looked_at AS looked_ago,
    clock_ahead_seconds,
    clock_timestamp() - outdated_since AS outdated_for, write_seconds, is_waiting
FROM processes ORDER BY seen_at DESC LIMIT %(limit)s

-- name: queue_facts
-- Return the state of sending, and the numbers of rows to map and to send.
SELECT COALESCE(o.stopped_for, CASE WHEN o.is_unchecked THEN 'unchecked' END) AS stopped_for,
    g.stopped_at, g.stopped_why, g.paused_until, unmapped.*, pending.*, blocked.is_late, posts.*
FROM rate_limit g, gate o, (
    SELECT count(*) AS unmapped, min(since) AS oldest_unmapped_at FROM (
        SELECT GREATEST(due_at, received_at) AS since FROM events
        WHERE state = 'received' AND due_at <= %(now)s
        ORDER BY due_at, received_at LIMIT %(limit)s) e
) unmapped, (
    SELECT count(*) AS pending, min(due_at) FILTER (WHERE due_at <= %(now)s) AS oldest_due_at,
        COALESCE(bool_or(reason IN ('not_sent', 'rate_limited')), false) AS is_postponed
    FROM (
        SELECT due_at, reason FROM bookings
        WHERE (state = 'pending') IS TRUE AND (starts_at <= %(too_late)s) IS NOT TRUE
        ORDER BY source, starts_at, id LIMIT %(limit)s) b
) pending, (
    -- A booking has to wait if it is paused, or if its person has another one in flight. See
    -- send_queue.sql.
    SELECT count(*) > 0 AS is_late FROM (
        SELECT FROM bookings b
        WHERE (state = 'pending') IS TRUE AND (due_at <= %(late)s) IS TRUE
            AND (starts_at <= %(too_late)s) IS NOT TRUE AND 1 > (
            SELECT count(*) FROM pauses p
            WHERE p.source IN ('', b.source) AND p.community IN ('', b.community)) AND 1 > (
            SELECT count(*) FROM bookings o
            WHERE o.match_keys && b.match_keys AND o.state IN ('sending', 'submitted'))
        ORDER BY source, starts_at, id LIMIT 1) b
) blocked, (
    -- The latest POST with a clear response, and the POSTs after it.
    SELECT answered.started_at AS answered_at, failing.started_at AS failing_since,
        latest.outcome, latest.status, latest.answer
    FROM (VALUES (1)) one
        LEFT JOIN LATERAL (
            SELECT id, started_at FROM (SELECT * FROM attempts ORDER BY id DESC LIMIT %(limit)s) a
            WHERE outcome IN ('accepted', 'refused', 'job_failed')
            ORDER BY id DESC LIMIT 1) answered ON true
        LEFT JOIN LATERAL (
            SELECT started_at FROM attempts WHERE id > COALESCE(answered.id, 0) AND outcome IS NOT NULL
            ORDER BY id LIMIT 1) failing ON true
        LEFT JOIN LATERAL (
            SELECT outcome, status, answer FROM attempts WHERE outcome IS NOT NULL
            ORDER BY id DESC LIMIT 1) latest ON true
) posts

-- name: review_facts
-- Return the arrival of the oldest lead that needs review, the soonest tour of these leads, the number of expired
-- leads, and the number of unknown leads that are no longer expected to be found.
SELECT
    (SELECT min(created_at) FROM unnest(ARRAY['held', 'failed', 'unknown', 'expired']) AS name, LATERAL (
        -- Ordering by both columns makes the planner use their index.
        SELECT created_at FROM bookings WHERE state >= name AND state <= name
        ORDER BY state, id LIMIT 1) b) AS oldest_booking_at,
    (SELECT received_at FROM events WHERE state = 'held' ORDER BY id LIMIT 1) AS oldest_event_at,
    (SELECT starts_at FROM bookings WHERE state IN ('held', 'failed', 'unknown', 'expired')
        AND starts_at > %(now)s ORDER BY starts_at, id LIMIT 1) AS soonest_at,
    expired.*, unknown.*
FROM (
    SELECT count(*) AS expired, max(updated_at) AS expired_at FROM (
        SELECT updated_at FROM bookings WHERE state = 'expired' ORDER BY id DESC LIMIT %(limit)s) b
) expired, (
    SELECT count(*) AS unknown, min(updated_at) AS unknown_since FROM (
        SELECT updated_at FROM bookings
        WHERE state = 'unknown' AND (due_at IS NULL OR updated_at <= %(unknown_before)s)
        ORDER BY id DESC LIMIT %(limit)s) b
) unknown

-- name: source_facts
-- Return, for each source, the time of its latest verified request, the number of requests that failed
-- verification since then, and the usual number of webhooks in that time. This is the average for the same
-- hours in up to four earlier weeks, or on earlier days until a week has been counted.
WITH known AS (
    SELECT asked.name, first.hour AS first_hour,
        GREATEST(last.received_at, used.used_at) AS accepted_at
    FROM unnest(%(sources)s::text[]) AS asked (name)
        LEFT JOIN LATERAL (
            -- See source_activity.
            SELECT received_at FROM events WHERE source >= asked.name AND source <= asked.name
            ORDER BY source DESC, id DESC LIMIT 1) last ON true
        LEFT JOIN LATERAL (
            SELECT max(used_at) AS used_at FROM secret_uses WHERE source = asked.name) used ON true
        LEFT JOIN LATERAL (
            SELECT hour FROM hourly_counts WHERE source = asked.name
            ORDER BY hour LIMIT 1) first ON true
), stepped AS (
    SELECT name, accepted_at, first_hour, CASE WHEN accepted_at - first_hour >= interval '7 days'
        THEN interval '7 days' ELSE interval '1 day' END AS step
    FROM known
), spans AS (
    SELECT name, accepted_at, step, LEAST(%(now)s, accepted_at + step) AS until,
        LEAST(4, floor(extract(epoch FROM accepted_at - first_hour) / extract(epoch FROM step)))::int
            AS steps
    FROM stepped
), shares AS (
    -- The share of each counted hour that overlaps with the same hours.
    SELECT s.name, s.steps, h.events, extract(epoch FROM
        LEAST(h.hour + interval '1 hour', s.until - k * s.step)
        - GREATEST(h.hour, s.accepted_at - k * s.step)) / 3600 AS share
    FROM spans s, generate_series(1, s.steps) AS k, LATERAL (
        SELECT hour, events FROM hourly_counts WHERE source = s.name
            AND hour > s.accepted_at - k * s.step - interval '1 hour' AND hour < s.until - k * s.step
    ) h
    -- One day is not enough to know what is usual.
    WHERE s.steps > 1 OR s.step = interval '7 days'
), usual AS (
    -- A sender may send everything in one minute of an hour, so a part of an hour counts only up to a
    -- limit.
    SELECT name, COALESCE(sum(events) FILTER (WHERE share >= 1), 0) / max(steps)
        + LEAST(COALESCE(sum(events * share) FILTER (WHERE share < 1), 0) / max(steps), %(most_partial)s)
        AS usual
    FROM shares GROUP BY name
)
SELECT name, accepted_at, usual.usual::float8, refused.*
FROM spans LEFT JOIN usual USING (name), LATERAL (
    SELECT count(*) AS refused, min(received_at) AS refused_since FROM (
        SELECT received_at FROM rejections
        WHERE source = name AND reason = ANY(%(reasons)s) AND received_at > %(refused_after)s
            AND received_at > COALESCE(accepted_at, '-infinity')
        ORDER BY id DESC LIMIT 100) r
) refused
ORDER BY name COLLATE "C"

-- name: connections
-- Return the number of open connections and the maximum, for the limit (of the server, the database or the
-- role) that is closest to being reached.
SELECT used, allowed FROM (
    SELECT count(*) AS used, current_setting('max_connections')::int
        - current_setting('superuser_reserved_connections')::int AS allowed
    FROM pg_stat_activity WHERE datid IS NOT NULL
    UNION ALL
    SELECT count(*), min(datconnlimit) FROM pg_stat_activity a JOIN pg_database d ON d.oid = a.datid
    WHERE d.datname = current_database() AND datconnlimit > 0
    UNION ALL
    SELECT count(*), min(rolconnlimit) FROM pg_stat_activity a JOIN pg_roles r ON r.oid = a.usesysid
    WHERE r.rolname = session_user AND rolconnlimit > 0
) limits
WHERE allowed > 0 ORDER BY used::float8 / allowed DESC LIMIT 1

-- name: data_folder
-- Return the server's data folder if it is on this machine and this user may read the setting.
SELECT setting FROM pg_settings WHERE name = 'data_directory' AND inet_server_addr() IS NULL

-- name: held_for_paths
-- Return the paths for which leads are held because they are missing from webhooks, according to the mappings in use.
SELECT b.source, split_part(b.reason, ' is not in the payload', 1) AS path,
    bool_or(b.reason LIKE '%%(there is %%') AS has_new_name, count(*) AS leads, min(b.created_at) AS since
FROM (
    SELECT source, event_id, created_at, reasons -> 0 ->> 'reason' AS reason FROM bookings
    WHERE state >= 'held' AND state <= 'held' ORDER BY state DESC, id DESC LIMIT %(limit)s
) b JOIN events e ON e.id = b.event_id
    JOIN format_counts f ON f.source = b.source AND f.mapping_hash = e.mapping_hash
WHERE b.reason LIKE '%% is not in the payload%%'
GROUP BY 1, 2 ORDER BY 1, 4 DESC

-- name: rejected_leads
-- Count the latest rejected requests that may be leads, by source.
SELECT source, count(*) AS requests, max(received_at) AS latest_at
FROM (SELECT * FROM rejections ORDER BY id DESC LIMIT %(limit)s) r
WHERE can_retry AND reason = ANY(%(reasons)s) AND received_at > %(since)s
GROUP BY 1 ORDER BY 1
