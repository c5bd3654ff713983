-- Lists and searches, in pages.

-- name: search_bookings
-- Return bookings that match all filters, newest first. A NULL filter does not restrict the result.
-- A booking that was replaced when its event was mapped again is the same lead as its successor.
SELECT * FROM bookings
WHERE (%(states)s::text[] IS NULL OR state = ANY(%(states)s))
    AND (%(source)s::text IS NULL OR source = %(source)s)
    AND (%(community)s::text IS NULL OR community = %(community)s)
    AND (%(since)s::timestamptz IS NULL OR (created_at >= %(since)s AND id >= %(first_id)s))
    AND (%(until)s::timestamptz IS NULL OR (created_at < %(until)s AND id <= %(last_id)s))
    AND (reason IS DISTINCT FROM 'replayed' OR 'superseded' = ANY(%(states)s)
        OR NOT EXISTS (SELECT FROM bookings newer WHERE newer.event_id = bookings.event_id
            AND newer.reason IS DISTINCT FROM 'replayed'))
    AND (%(ids)s::bigint[] IS NULL OR id = ANY(%(ids)s))
    AND (%(words)s::text IS NULL OR (appointment ? 'last_name' AND to_tsvector('simple',
        COALESCE(appointment ->> 'first_name', '') || ' '
        || COALESCE(appointment ->> 'last_name', '')) @@ to_tsquery('simple', %(words)s)))
    AND (%(before)s::bigint IS NULL OR id < %(before)s)
ORDER BY id DESC LIMIT %(limit)s

-- name: count_newest_bookings
-- Count the newest bookings in a time range by state, source and community. At most `limit` are counted.
SELECT state, source, COALESCE(community, '') AS community, count(*) AS leads FROM (
    SELECT * FROM bookings
    WHERE (%(since)s::timestamptz IS NULL OR (created_at >= %(since)s AND id >= %(first_id)s))
        AND (%(until)s::timestamptz IS NULL OR (created_at < %(until)s AND id <= %(last_id)s))
        AND reason IS DISTINCT FROM 'replayed'
    ORDER BY id DESC LIMIT %(limit)s) newest
GROUP BY 1, 2, 3

-- name: search_events
-- Return events without their payloads, newest first. A NULL filter does not restrict the result.
SELECT id, source, state, received_at, content_type, '{}'::jsonb AS headers, '' AS query,
    ''::bytea AS body, octet_length(body) AS size, mapping_hash, reasons, kept, NULL AS fetched
FROM events
WHERE (%(states)s::text[] IS NULL OR state = ANY(%(states)s))
    AND (%(source)s::text IS NULL OR source = %(source)s)
    AND (%(since)s::timestamptz IS NULL OR (received_at >= %(since)s AND id >= %(first_id)s))
    AND (%(until)s::timestamptz IS NULL OR (received_at < %(until)s AND id <= %(last_id)s))
    AND (%(ids)s::bigint[] IS NULL OR id = ANY(%(ids)s))
    AND (%(before)s::bigint IS NULL OR id < %(before)s)
ORDER BY id DESC LIMIT %(limit)s

-- name: match_unbooked_events
-- Search the text of the newest events before an ID that have no booking, or a booking that needs review.
-- Return the IDs of events that match or are encrypted, the number of searched events, and the last ID.
WITH page AS MATERIALIZED (
    SELECT DISTINCT id FROM (
        -- Read a range of the index for each state. With IN, all events in these states would be sorted.
        SELECT newest.id FROM unnest(ARRAY['held', 'ignored', 'discarded']) AS one, LATERAL (
            SELECT id FROM events
            WHERE state = one AND state IN ('held', 'ignored', 'discarded')
                AND id >= %(first_id)s AND id < %(before)s
            ORDER BY id DESC LIMIT %(limit)s) newest
        UNION ALL (SELECT id FROM events
            WHERE state = 'received' AND id >= %(first_id)s AND id < %(before)s
            ORDER BY id DESC LIMIT %(limit)s)
        UNION ALL (SELECT event_id FROM bookings
            WHERE state IN ('held', 'failed', 'unknown', 'expired')
                AND event_id >= %(first_id)s AND event_id < %(before)s
            ORDER BY event_id DESC LIMIT %(limit)s)
    ) candidates ORDER BY id DESC LIMIT %(limit)s
)
SELECT count(*) AS searched, min(id) AS last_id,
    array_agg(id ORDER BY id DESC) FILTER (WHERE received_at >= %(since)s AND received_at < %(until)s
        AND kept <> 'nothing' AND (encryption_key IS NOT NULL
            OR lower(encode(body, 'escape')) ~ %(pattern)s OR lower(query) ~ %(pattern)s
            OR lower(headers::text) ~ %(pattern)s OR lower(fetched) ~ %(pattern)s)) AS ids
FROM page JOIN events USING (id)

-- name: booking_id_range
-- Return the IDs of the first and last booking in a time range, to limit a list by time.
-- Several rows are read at each end, because a late insert has a higher ID than its time suggests.
SELECT (SELECT min(id) FROM (
        SELECT id FROM bookings WHERE created_at >= %(since)s AND reason IS DISTINCT FROM 'replayed'
        ORDER BY created_at LIMIT %(limit)s) a) AS first_id,
    (SELECT max(id) FROM (
        SELECT id FROM bookings WHERE created_at < %(until)s AND reason IS DISTINCT FROM 'replayed'
        ORDER BY created_at DESC LIMIT %(limit)s) b) AS last_id

-- name: event_id_range
-- Return the IDs of the first and last event in a time range, in the same way.
SELECT (SELECT min(id) FROM (
        SELECT id FROM events WHERE received_at >= %(since)s
        ORDER BY received_at LIMIT %(limit)s) a) AS first_id,
    (SELECT max(id) FROM (
        SELECT id FROM events WHERE received_at < %(until)s
        ORDER BY received_at DESC LIMIT %(limit)s) b) AS last_id

-- name: find_by_email
-- Return bookings whose email address starts with a string.
SELECT id FROM bookings
WHERE appointment ? 'email_1' AND appointment ->> 'email_1' LIKE %(text)s LIMIT %(limit)s

-- name: find_by_phone
-- Return bookings whose phone number ends with a string. Both are reversed, so that an index can be used.
SELECT id FROM bookings
WHERE appointment ? 'phone_1' AND reverse(appointment ->> 'phone_1') LIKE %(text)s LIMIT %(limit)s

-- name: find_by_id
-- Return bookings by their ID, their event's ID, or Propexo's job ID. A booking that was replaced when
-- its event was mapped again leads to its successors.
SELECT id FROM bookings WHERE id = %(number)s OR event_id = %(number)s OR job_id = %(text)s
    OR event_id = ANY(ARRAY(SELECT event_id FROM bookings
        WHERE (id = %(number)s OR job_id = %(text)s) AND reason = 'replayed'))

-- name: lead_totals
-- Count the leads of each source and community in a time range, in total and by state.
SELECT source, community, count(*) AS received,
    count(*) FILTER (WHERE state = 'booked') AS booked,
    count(*) FILTER (WHERE state = 'duplicate') AS duplicate,
    count(*) FILTER (WHERE state = 'held') AS held,
    count(*) FILTER (WHERE state = 'failed') AS failed,
    count(*) FILTER (WHERE state = 'unknown') AS unknown,
    count(*) FILTER (WHERE state = 'expired') AS expired,
    count(*) FILTER (WHERE state NOT IN ('booked', 'duplicate', 'held', 'failed', 'unknown', 'expired'))
        AS others
FROM (
    SELECT e.source, COALESCE(b.community, '') AS community, COALESCE(b.state, e.state) AS state
    FROM events e
        LEFT JOIN bookings b ON b.event_id = e.id AND b.reason IS DISTINCT FROM 'replayed'
    WHERE e.received_at >= %(since)s AND e.received_at < %(until)s
        AND (%(source)s::text IS NULL OR e.source = %(source)s)
        AND (%(community)s::text IS NULL OR b.community = %(community)s)
) leads
WHERE state <> 'ignored'
GROUP BY source, community ORDER BY source COLLATE "C", community COLLATE "C"

-- name: recent_events
-- Return a source's newest events before an ID that still have a payload.
-- The inner LIMIT keeps the search short if most payloads have been erased.
SELECT * FROM (
    SELECT * FROM events WHERE source = %(source)s AND id < %(before)s
    ORDER BY id DESC LIMIT %(looked_at)s) newest
WHERE kept = 'all' ORDER BY id DESC LIMIT %(limit)s
