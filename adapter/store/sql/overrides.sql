-- Users' changes in the console: aliases, communities and mappings.

-- name: changes_in_place
-- Return the number of changes so far.
SELECT changes FROM put_in_place

-- name: lock_changes_in_place
-- Return the number of changes so far, and lock it until the transaction ends.
SELECT changes FROM put_in_place FOR SHARE

-- name: count_change_in_place
-- Count a change. This locks the row, so that changes take place one after another.
INSERT INTO put_in_place (changes) VALUES (1)
ON CONFLICT (one) DO UPDATE SET changes = put_in_place.changes + 1

-- name: list_aliases
-- Return all aliases.
SELECT source, key, name, community, attribution_id, by, at FROM community_aliases
ORDER BY source, name

-- name: add_alias
-- Add an alias. Return no row if the source already has one with this key.
INSERT INTO community_aliases (source, key, name, community, attribution_id, by, at)
VALUES (%(source)s, %(key)s, %(name)s, %(community)s, %(attribution_id)s, %(by)s, %(at)s)
ON CONFLICT DO NOTHING RETURNING key

-- name: remove_alias
-- Remove an alias.
DELETE FROM community_aliases WHERE source = %(source)s AND key = %(key)s
RETURNING source, key, name, community, attribution_id, by, at

-- name: list_added_communities
-- Return the communities that were added.
SELECT key, name, integration_id, community_id, timezone, by, at, tour_hours, check_availability, pms
FROM added_communities ORDER BY key

-- name: add_community
-- Add a community. Return no row if the key is taken.
INSERT INTO added_communities (key, name, integration_id, community_id, timezone, by, at)
VALUES (%(key)s, %(name)s, %(integration_id)s, %(community_id)s, %(timezone)s, %(by)s, %(at)s)
ON CONFLICT DO NOTHING RETURNING key

-- name: change_community
-- Change the hours and options of a community that was added. Return no row if there is no such community.
UPDATE added_communities
SET tour_hours = %(tour_hours)s, check_availability = %(check_availability)s, pms = %(pms)s
WHERE key = %(key)s RETURNING key

-- name: newest_versions
-- Return each source's newest version.
SELECT DISTINCT ON (source) source, number, text, file_hash, reason, by, at
FROM mapping_versions ORDER BY source, number DESC

-- name: versions_of
-- Return a source's versions, newest first.
SELECT source, number, text, file_hash, reason, by, at
FROM mapping_versions WHERE source = %(source)s ORDER BY number DESC LIMIT %(limit)s

-- name: add_version
-- Add a version with the source's next number.
INSERT INTO mapping_versions (source, number, text, file_hash, reason, by, at)
SELECT %(source)s, COALESCE(max(number), 0) + 1, %(text)s, %(file_hash)s, %(reason)s, %(by)s, %(at)s
FROM mapping_versions WHERE source = %(source)s
RETURNING source, number, text, file_hash, reason, by, at

-- name: bookings_at_alias
-- Return a source's bookings at a community that were created since the given time, newest first.
SELECT * FROM bookings
WHERE source = %(source)s AND community = %(community)s AND created_at >= %(since)s
    AND state = ANY(%(states)s) AND (id < %(before)s::bigint OR %(before)s::bigint IS NULL)
ORDER BY id DESC LIMIT %(limit)s

-- name: events_at_alias
-- Return the events of a source's first bookings at a community since the given time.
SELECT event_id FROM bookings
WHERE source = %(source)s AND community = %(community)s AND created_at >= %(since)s
ORDER BY created_at, id LIMIT %(limit)s

-- name: events_waiting
-- Return the events with leads that are held because this name of a community is unknown, oldest first.
SELECT event_id FROM bookings b
WHERE state = 'held' AND community IS NULL AND source = %(source)s
    AND EXISTS (
    SELECT FROM jsonb_array_elements(reasons) AS why
    WHERE why ->> 'field' = 'community' AND why ->> 'value' = %(value)s)
GROUP BY event_id ORDER BY event_id LIMIT %(limit)s
