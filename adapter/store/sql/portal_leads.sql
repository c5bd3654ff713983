-- Leads of one source, to compare with a portal's list.

-- name: first_message_at
-- Return the time of the first webhook of a source that is still stored.
SELECT received_at FROM events WHERE source = %(source)s ORDER BY id LIMIT 1

-- name: id_before
-- Return an ID below the ID of every lead received since the given time.
SELECT COALESCE((SELECT id FROM events WHERE received_at >= %(since)s ORDER BY received_at LIMIT 1),
    9223372036854775807) - %(slack)s AS id

-- name: leads_to_compare
-- Return a page of a source's leads from a period, in order of ID. Keyed hashes are only needed for those
-- whose personal data was erased.
SELECT b.id, b.event_id, b.community, b.timezone, b.state, b.because_of, b.gone_at, b.knock_status,
    b.item_key, CASE WHEN e.kept = 'nothing' THEN b.match_keys ELSE '{}' END AS erased_keys,
    e.kept = 'nothing' AS is_erased, e.received_at,
    lower(b.appointment ->> 'email_1') AS email, b.appointment ->> 'phone_1' AS phone,
    concat_ws(' ', b.appointment ->> 'first_name', b.appointment ->> 'last_name') AS name
FROM bookings b JOIN events e ON e.id = b.event_id
WHERE b.source = %(source)s AND b.id > %(after)s AND b.reason IS DISTINCT FROM 'replayed'
    AND e.received_at >= %(since)s AND e.received_at < %(until)s
ORDER BY b.id LIMIT %(limit)s

-- name: messages_to_compare
-- Return a page of a source's webhooks without bookings from a period, in order of ID.
SELECT * FROM events
WHERE state = %(state)s AND state IN ('held', 'ignored', 'discarded') AND source = %(source)s
    AND id > %(after)s AND received_at >= %(since)s AND received_at < %(until)s
ORDER BY id LIMIT %(limit)s

-- name: new_messages_to_compare
-- Return a page of a source's webhooks that are not mapped yet, in order of ID.
SELECT * FROM events
WHERE state = 'received' AND source = %(source)s AND id > %(after)s
    AND received_at >= %(since)s AND received_at < %(until)s
ORDER BY id LIMIT %(limit)s

-- name: leads_from_others
-- Return leads of other sources with one of these emails or phones.
SELECT b.source, lower(b.appointment ->> 'email_1') AS email, b.appointment ->> 'phone_1' AS phone,
    b.created_at AS received_at, b.timezone
FROM bookings b
WHERE b.source <> %(source)s AND b.reason IS DISTINCT FROM 'replayed' AND b.id = ANY(ARRAY(
    SELECT id FROM bookings WHERE appointment ? 'email_1'
        AND appointment ->> 'email_1' = ANY(%(emails)s::text[])
    UNION SELECT id FROM bookings WHERE appointment ? 'phone_1'
        AND reverse(appointment ->> 'phone_1') = ANY(%(reversed)s::text[])))
ORDER BY b.id LIMIT %(limit)s

-- name: states_of_leads
-- Return the states of these leads, and the leads that caused them.
SELECT id, state, because_of, gone_at, knock_status FROM bookings WHERE id = ANY(%(ids)s::bigint[])
