-- Automatic decisions: leads that were merged, replaced, discarded or ignored.

-- name: decision_counts
-- Count the leads that rules handled since the given time, by rule and source, with the newest leads as examples.
-- `IS TRUE` makes the planner use the index by time. With the index by state, it would read every ignored
-- webhook.
WITH decided AS (
    SELECT reason AS rule, source, NULL AS at, id,
        concat_ws(' ', appointment ->> 'first_name', appointment ->> 'last_name') AS person
    FROM bookings
    WHERE because_of IS NOT NULL AND state IN ('superseded', 'duplicate', 'discarded')
        AND updated_at >= %(since)s
    UNION ALL
    SELECT 'ignored', source, reasons -> 0 ->> 'at', id, '' FROM events
    WHERE received_at >= %(since)s AND (state = 'ignored') IS TRUE
)
SELECT rule, source, at, count(*) AS leads,
    (array_agg(jsonb_build_object('id', id, 'person', person) ORDER BY id DESC))[1:3] AS examples
FROM decided GROUP BY 1, 2, 3
ORDER BY rule = 'ignored', sum(count(*)) OVER (PARTITION BY rule) DESC, rule, leads DESC, source, at

-- name: decided_bookings
-- Return the bookings that one rule handled since the given time, newest first. This is materialized, because
-- otherwise the planner would read the whole table backward to find a few.
WITH decided AS MATERIALIZED (
    SELECT * FROM bookings
    WHERE because_of IS NOT NULL AND state IN ('superseded', 'duplicate', 'discarded')
        AND updated_at >= %(since)s AND reason = %(rule)s AND source = %(source)s
        AND id < %(before)s
)
SELECT * FROM decided ORDER BY id DESC LIMIT %(limit)s

-- name: contacts_of_several
-- Return the email addresses and phone numbers that were used with several names in the newest bookings.
WITH newest AS MATERIALIZED (
    SELECT appointment FROM bookings
    WHERE created_at >= %(since)s AND reason IS DISTINCT FROM 'replayed'
    ORDER BY created_at DESC LIMIT %(limit)s
), named AS (
    SELECT contact,
        lower(concat_ws(' ', appointment ->> 'first_name', appointment ->> 'last_name')) AS name
    FROM newest, unnest(ARRAY[appointment ->> 'email_1', appointment ->> 'phone_1']) AS contact
)
SELECT contact, count(*) AS leads, array_agg(DISTINCT name) AS names
FROM named WHERE contact IS NOT NULL AND name <> ''
GROUP BY contact HAVING count(DISTINCT name) >= %(names)s ORDER BY leads DESC, contact
