-- The review queue: leads that need review.

-- name: review_groups
-- Return the groups of leads that need review, by issue: bookings, then events without bookings. At most
-- `limit` leads of each kind are counted, and each kind separately, so that past tours cannot hide upcoming
-- ones.
WITH upcoming AS (
    SELECT * FROM bookings WHERE state IN ('held', 'failed', 'unknown', 'expired')
        AND starts_at > %(now)s
    ORDER BY starts_at, id LIMIT %(limit)s
), timeless AS (
    SELECT * FROM bookings WHERE state IN ('held', 'failed', 'unknown', 'expired')
        AND starts_at IS NULL
    ORDER BY wall_time, id LIMIT %(limit)s
), past AS (
    SELECT * FROM bookings WHERE state IN ('held', 'failed', 'unknown', 'expired')
        AND starts_at <= %(now)s
    ORDER BY starts_at DESC, id DESC LIMIT %(limit)s
), events AS (
    SELECT * FROM events WHERE state = 'held' ORDER BY id DESC LIMIT %(limit)s
), waiting AS (
    -- If the zone is unknown, the tour may start as early as in the easternmost one.
    SELECT 'booking' AS kind, source, state, COALESCE(reason, '') AS code,
        COALESCE(starts_at, wall_time AT TIME ZONE 'America/New_York') AS starts_at, created_at,
        id, snoozed_until > %(now)s AS is_snoozed, assigned_to, due_at IS NOT NULL AS is_looked_for, reasons -> 0 AS first,
        concat_ws(' ', appointment ->> 'first_name', appointment ->> 'last_name') AS name
    FROM (TABLE upcoming UNION ALL TABLE timeless UNION ALL TABLE past) b
    UNION ALL
    SELECT 'event', source, state, '', NULL, received_at, id, false, NULL, false, reasons -> 0, '' FROM events
)
SELECT kind, source, state, code, is_looked_for,
    COALESCE(first ->> 'field', '') AS field,
    -- Times and IDs differ within one issue.
    regexp_replace(COALESCE(first ->> 'reason', ''), '[0-9]+(:[0-9]+)*', '…', 'g') AS message,
    COALESCE(CASE WHEN first ->> 'field' IN ('community', 'attribution_id') THEN first ->> 'value' END, '')
        AS value,
    max(first ->> 'at') AS at, count(*) AS leads, max(id) AS last_id,
    -- Arrays in the same order, soonest tour first.
    array_agg(id ORDER BY starts_at, id) AS ids,
    array_agg(extract(epoch FROM starts_at)::float8 ORDER BY starts_at, id) AS tours,
    array_agg(COALESCE(is_snoozed, false) ORDER BY starts_at, id) AS snoozed,
    array_agg(assigned_to ORDER BY starts_at, id) AS assigned,
    (array_agg(name ORDER BY starts_at) FILTER (WHERE name <> ''))[1:3] AS names,
    min(starts_at) FILTER (WHERE starts_at > %(now)s) AS soonest_at, min(created_at) AS oldest_at
FROM waiting GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
ORDER BY soonest_at NULLS LAST, oldest_at

-- name: review_count
-- Count the leads that need review and are not snoozed.
SELECT (SELECT count(*) FROM (
    SELECT FROM bookings WHERE state IN ('held', 'failed', 'unknown', 'expired')
        AND (snoozed_until > %(now)s) IS NOT TRUE LIMIT %(limit)s) b)
    + (SELECT count(*) FROM (SELECT FROM events WHERE state = 'held' LIMIT %(limit)s) e) AS leads

-- name: review_mapped_with
-- Return the hash of the mapping that each lead in review was read with.
SELECT b.id, b.source, e.mapping_hash FROM bookings b JOIN events e ON e.id = b.event_id
WHERE b.id = ANY(%(ids)s) ORDER BY b.id DESC

-- name: review_bookings
-- Return the bookings in a group that follow this booking, soonest tour first.
SELECT * FROM bookings
WHERE state IN ('held', 'failed', 'unknown', 'expired') AND state = %(state)s
    AND source = %(source)s AND COALESCE(reason, '') = %(code)s
    AND (due_at IS NOT NULL) = %(is_looked_for)s
    AND COALESCE(reasons -> 0 ->> 'field', '') = %(field)s
    AND regexp_replace(COALESCE(reasons -> 0 ->> 'reason', ''), '[0-9]+(:[0-9]+)*', '…', 'g')
        = %(message)s
    AND (%(value)s = '' OR reasons -> 0 ->> 'value' = %(value)s)
    AND id <= %(last_id)s
    AND (%(after)s = 0 OR (COALESCE(starts_at, 'infinity'), id)
        > (SELECT COALESCE(starts_at, 'infinity'), id FROM bookings WHERE id = %(after)s))
ORDER BY COALESCE(starts_at, 'infinity'), id LIMIT %(limit)s

-- name: review_events
-- Return the events in a group that follow this event, oldest first.
SELECT * FROM events
WHERE state = 'held' AND source = %(source)s
    AND COALESCE(reasons -> 0 ->> 'field', '') = %(field)s
    AND regexp_replace(COALESCE(reasons -> 0 ->> 'reason', ''), '[0-9]+(:[0-9]+)*', '…', 'g')
        = %(message)s
    AND id > %(after)s AND id <= %(last_id)s
ORDER BY id LIMIT %(limit)s
