-- Statements for what people look at. `-- name:` opens one; the next line says its purpose.

-- name: waiting_groups
-- What waits for a person, by what is wrong: bookings, then events of which nothing was made.
-- At most so many of each kind are counted: tours to come first, none hides behind what is past.
WITH upcoming AS (
    SELECT * FROM bookings WHERE state IN ('held', 'failed', 'unknown', 'expired')
        AND starts_at > %(now)s
    ORDER BY starts_at, id LIMIT %(limit)s
), timeless AS (
    SELECT * FROM bookings WHERE state IN ('held', 'failed', 'unknown', 'expired')
        AND starts_at IS NULL
    ORDER BY id DESC LIMIT %(limit)s
), past AS (
    SELECT * FROM bookings WHERE state IN ('held', 'failed', 'unknown', 'expired')
        AND starts_at <= %(now)s
    ORDER BY starts_at DESC, id DESC LIMIT %(limit)s
), events AS (
    SELECT * FROM events WHERE state = 'held' ORDER BY id DESC LIMIT %(limit)s
), waiting AS (
    SELECT 'booking' AS kind, source, state, COALESCE(reason, '') AS word, starts_at, created_at,
        id, due_at IS NOT NULL AS is_looked_for, reasons -> 0 AS first,
        concat_ws(' ', appointment ->> 'first_name', appointment ->> 'last_name') AS name
    FROM (TABLE upcoming UNION ALL TABLE timeless UNION ALL TABLE past) b
    UNION ALL
    SELECT 'event', source, state, '', NULL, received_at, id, false, reasons -> 0, '' FROM events
)
SELECT kind, source, state, word, is_looked_for,
    COALESCE(first ->> 'field', '') AS field,
    -- Times and numbers of bookings differ where the trouble is the same.
    regexp_replace(COALESCE(first ->> 'reason', ''), '[0-9]+(:[0-9]+)*', '…', 'g') AS sentence,
    COALESCE(CASE WHEN first ->> 'field' IN ('community', 'attribution_id') THEN first ->> 'value' END, '')
        AS value,
    max(first ->> 'at') AS at, count(*) AS leads, max(id) AS last_id,
    (array_agg(name ORDER BY starts_at) FILTER (WHERE name <> ''))[1:3] AS names,
    min(starts_at) FILTER (WHERE starts_at > %(now)s) AS soonest_at, min(created_at) AS oldest_at
FROM waiting GROUP BY 1, 2, 3, 4, 5, 6, 7, 8
-- Where a place is not known its hour is not either: it may be the soonest of all.
ORDER BY COALESCE(first ->> 'field', '') <> 'community', soonest_at NULLS LAST, oldest_at

-- name: waiting_bookings
-- The bookings of one group, soonest tour first, after one of them.
SELECT * FROM bookings
WHERE state IN ('held', 'failed', 'unknown', 'expired') AND state = %(state)s
    AND source = %(source)s AND COALESCE(reason, '') = %(word)s
    AND (due_at IS NOT NULL) = %(is_looked_for)s
    AND COALESCE(reasons -> 0 ->> 'field', '') = %(field)s
    AND regexp_replace(COALESCE(reasons -> 0 ->> 'reason', ''), '[0-9]+(:[0-9]+)*', '…', 'g')
        = %(sentence)s
    AND (%(value)s = '' OR reasons -> 0 ->> 'value' = %(value)s)
    AND id <= %(last_id)s
    AND (COALESCE(starts_at, 'infinity'), id) > (%(after_at)s, %(after_id)s)
ORDER BY COALESCE(starts_at, 'infinity'), id LIMIT %(limit)s

-- name: waiting_events
-- The events of one group, oldest first, after one of them.
SELECT * FROM events
WHERE state = 'held' AND source = %(source)s
    AND COALESCE(reasons -> 0 ->> 'field', '') = %(field)s
    AND regexp_replace(COALESCE(reasons -> 0 ->> 'reason', ''), '[0-9]+(:[0-9]+)*', '…', 'g')
        = %(sentence)s
    AND id > %(after_id)s AND id <= %(last_id)s
ORDER BY id LIMIT %(limit)s

-- name: bookings
-- Bookings, newest first, as far as the filters say.
SELECT * FROM bookings
WHERE (%(states)s::text[] IS NULL OR state = ANY(%(states)s))
    AND (%(source)s::text IS NULL OR source = %(source)s)
    AND (%(community)s::text IS NULL OR community = %(community)s)
    AND (%(since)s::timestamptz IS NULL OR (created_at >= %(since)s AND id >= %(first_id)s))
    AND (%(until)s::timestamptz IS NULL OR (created_at < %(until)s AND id <= %(last_id)s))
    AND (%(ids)s::bigint[] IS NULL OR id = ANY(%(ids)s))
    AND (%(words)s::text IS NULL OR (appointment ? 'last_name' AND to_tsvector('simple',
        COALESCE(appointment ->> 'first_name', '') || ' '
        || COALESCE(appointment ->> 'last_name', '')) @@ to_tsquery('simple', %(words)s)))
    AND (%(before)s::bigint IS NULL OR id < %(before)s)
ORDER BY id DESC LIMIT %(limit)s

-- name: events
-- Events, newest first, as far as the filters say; without what was sent.
SELECT id, source, state, received_at, content_type, '{}'::jsonb AS headers, '' AS query,
    ''::bytea AS body, octet_length(body) AS size, mapping_hash, reasons, kept
FROM events
WHERE (%(states)s::text[] IS NULL OR state = ANY(%(states)s))
    AND (%(source)s::text IS NULL OR source = %(source)s)
    AND (%(since)s::timestamptz IS NULL OR (received_at >= %(since)s AND id >= %(first_id)s))
    AND (%(until)s::timestamptz IS NULL OR (received_at < %(until)s AND id <= %(last_id)s))
    AND (%(before)s::bigint IS NULL OR id < %(before)s)
ORDER BY id DESC LIMIT %(limit)s

-- name: booking_ids_at
-- Numbers of the first booking from then on and of the last one before, to bound a list by time.
-- A few of both ends are looked at: what was let in late has a newer number than its time.
SELECT (SELECT min(id) FROM (
        SELECT id FROM bookings WHERE created_at >= %(since)s AND reason IS DISTINCT FROM 'replayed'
        ORDER BY created_at LIMIT %(limit)s) a) AS first_id,
    (SELECT max(id) FROM (
        SELECT id FROM bookings WHERE created_at < %(until)s AND reason IS DISTINCT FROM 'replayed'
        ORDER BY created_at DESC LIMIT %(limit)s) b) AS last_id

-- name: event_ids_at
-- The same for events.
SELECT (SELECT min(id) FROM (
        SELECT id FROM events WHERE received_at >= %(since)s
        ORDER BY received_at LIMIT %(limit)s) a) AS first_id,
    (SELECT max(id) FROM (
        SELECT id FROM events WHERE received_at < %(until)s
        ORDER BY received_at DESC LIMIT %(limit)s) b) AS last_id

-- name: ids_of_email
-- Bookings whose e-mail address begins so.
SELECT id FROM bookings
WHERE appointment ? 'email_1' AND appointment ->> 'email_1' LIKE %(text)s LIMIT %(limit)s

-- name: ids_of_phone
-- Bookings whose phone number ends so: the pattern is of the number from its end.
SELECT id FROM bookings
WHERE appointment ? 'phone_1' AND reverse(appointment ->> 'phone_1') LIKE %(text)s LIMIT %(limit)s

-- name: ids_of_number
-- Bookings by their own number, their event's, or Propexo's job.
SELECT id FROM bookings WHERE id = %(number)s OR event_id = %(number)s OR job_id = %(text)s

-- name: outcomes
-- How many leads came in each hour since then and where they stand: bookings, and events without.
SELECT 'booking' AS kind, source, date_trunc('hour', created_at, 'UTC') AS hour, state,
    count(*) AS leads
FROM bookings WHERE created_at >= %(since)s AND reason IS DISTINCT FROM 'replayed'
GROUP BY 2, 3, 4
UNION ALL
SELECT 'event', source, date_trunc('hour', received_at, 'UTC'), state, count(*)
FROM events WHERE received_at >= %(since)s AND state <> 'mapped' GROUP BY 2, 3, 4

-- name: arrivals
-- How many events came since then, of each source.
SELECT source, count(*) AS events FROM events WHERE received_at >= %(since)s GROUP BY source

-- name: last_arrivals
-- When each of these sources sent its last event, found by its newest number.
SELECT name AS source, e.received_at AS last_at
FROM unnest(%(sources)s::text[]) AS name, LATERAL (
    -- A range of one, and ordered by both: only the index by source serves it. By number alone, a
    -- source that never sent anything would cost a walk through all events.
    SELECT received_at FROM events WHERE source >= name AND source <= name
    ORDER BY source DESC, id DESC LIMIT 1) e

-- name: usual
-- How many events each source sent in the same 24 hours of each of the last four weeks, in all.
SELECT source, sum(events) AS events FROM hourly_counts, generate_series(1, 4) AS week
WHERE hour >= %(since)s - week * interval '7 days' AND hour < %(until)s - week * interval '7 days'
GROUP BY source

-- name: first_hour
-- The first hour that was counted.
SELECT min(hour) AS hour FROM hourly_counts

-- name: booked_within
-- How many seconds lay between a webhook and its tour's standing in Knock, for the newest booked.
SELECT b.source, count(*) AS booked,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY s.seconds) AS p50,
    percentile_cont(0.95) WITHIN GROUP (ORDER BY s.seconds) AS p95
FROM (
    SELECT source, event_id, updated_at FROM bookings
    WHERE created_at >= %(since)s AND state = 'booked' AND reason IS DISTINCT FROM 'replayed'
        -- What waited for a person says nothing of our own speed. With OFFSET it is looked up for
        -- each booking; as a join it would read the whole history, which holds few such lines.
        AND NOT EXISTS (
        SELECT FROM history h WHERE h.event_id = bookings.event_id
            AND h.booking_id = bookings.id AND h.to_state IN ('held', 'failed', 'unknown') OFFSET 0)
    ORDER BY created_at DESC LIMIT %(limit)s
) b JOIN events e ON e.id = b.event_id,
    LATERAL (SELECT extract(epoch FROM b.updated_at - e.received_at)::float8 AS seconds) s
GROUP BY b.source

-- name: calls_since
-- Calls to Propexo since then.
SELECT count(*) AS calls FROM calls WHERE at > %(since)s

-- name: rate_limit_state
-- Whether calls to Propexo may pass, without waiting for the rate limit.
SELECT stopped_for, paused_until, allowed FROM rate_limit

-- name: pending_count
-- How many bookings wait to be sent, up to a limit.
SELECT count(*) AS bookings FROM (SELECT FROM bookings WHERE state = 'pending' LIMIT %(limit)s) b

-- name: count_hours
-- Counts the events of the hours that are over and were not counted yet.
INSERT INTO hourly_counts (source, hour, events)
SELECT source, date_trunc('hour', received_at, 'UTC'), count(*) FROM events
WHERE received_at >= COALESCE((SELECT max(hour) + interval '1 hour' FROM hourly_counts), '-infinity')
    AND received_at < %(until)s
GROUP BY 1, 2 ON CONFLICT DO NOTHING

-- name: leads_of_period
-- How many leads of each source and community came in a time, by what became of them.
SELECT e.source, b.community, COALESCE(b.state, e.state) AS state, count(*) AS leads
FROM events e
    LEFT JOIN bookings b ON b.event_id = e.id AND b.reason IS DISTINCT FROM 'replayed'
WHERE e.received_at >= %(since)s AND e.received_at < %(until)s
    AND (%(source)s::text IS NULL OR e.source = %(source)s)
    AND (%(community)s::text IS NULL OR b.community = %(community)s)
GROUP BY 1, 2, 3

-- name: recent_events
-- The newest events of one source before a number, whose payload is still kept.
-- So many are looked at that there is an end where most are erased.
SELECT * FROM (
    SELECT * FROM events WHERE source = %(source)s AND id < %(before)s
    ORDER BY id DESC LIMIT %(looked_at)s) newest
WHERE kept = 'all' ORDER BY id DESC LIMIT %(limit)s

-- name: add_user
-- Lets somebody sign in, or gives them another password or role.
INSERT INTO users (name, role, password, added_at) VALUES (%(name)s, %(role)s, %(password)s, %(at)s)
ON CONFLICT (name) DO UPDATE SET role = EXCLUDED.role, password = EXCLUDED.password

-- name: remove_user
-- Lets somebody sign in no more.
DELETE FROM users WHERE name = %(name)s RETURNING role

-- name: users
-- Everybody who may sign in.
SELECT name, role, password, added_at FROM users ORDER BY name

-- name: note_failed_sign_in
-- A sign-in failed.
INSERT INTO failed_sign_ins (who, at) SELECT who, %(at)s FROM unnest(%(whos)s::text[]) AS who
RETURNING id

-- name: failed_sign_ins
-- How many sign-ins of each of these failed since then.
SELECT who, count(*) AS failures FROM failed_sign_ins
WHERE who = ANY(%(whos)s) AND at > %(since)s GROUP BY who

-- name: forget_failed_sign_ins
-- Drops those of somebody who has signed in, and what was noted before the password was known.
DELETE FROM failed_sign_ins WHERE who = ANY(%(whos)s) OR id = ANY(%(noted)s)

-- name: forget_old_sign_ins
-- Drops the oldest failures, those that no longer count. They are numbered in the order of time.
DELETE FROM failed_sign_ins WHERE at < %(before)s AND id IN (
    SELECT id FROM failed_sign_ins ORDER BY id LIMIT %(limit)s)
RETURNING id

-- name: delete_old_audit_entries
-- Drops the oldest acts. They are numbered in the order of time.
DELETE FROM audit_log WHERE at < %(before)s AND id IN (SELECT id FROM audit_log ORDER BY id LIMIT %(limit)s)
RETURNING id

-- name: insert_audit_entry
-- Writes down what somebody did.
INSERT INTO audit_log (at, by, action, lead_id, detail)
VALUES (%(at)s, %(by)s, %(action)s, %(lead_id)s, %(detail)s)

-- name: audit_entries
-- What people did, newest first; nothing of one kind, where it is named.
SELECT * FROM audit_log
WHERE (%(by)s::text IS NULL OR by = %(by)s) AND (%(lead_id)s::bigint IS NULL OR lead_id = %(lead_id)s)
    AND (%(except_action)s::text IS NULL OR action <> %(except_action)s)
    AND (%(before)s::bigint IS NULL OR id < %(before)s)
ORDER BY id DESC LIMIT %(limit)s
