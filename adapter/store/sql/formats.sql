-- Statistics about the format of webhooks.

-- name: lock_format_progress
-- Return the last event that was counted, locked until the transaction ends, unless another process counts.
SELECT position FROM format_progress FOR UPDATE SKIP LOCKED

-- name: events_to_count
-- Return the next events to count, including those whose payload was erased.
SELECT * FROM events WHERE id > %(position)s ORDER BY id LIMIT %(limit)s

-- name: move_format_progress
-- Record the last event that was counted.
UPDATE format_progress SET position = %(position)s

-- name: format_counts
-- Return the number of webhooks that were counted for each source.
SELECT source, events, accepted, mapping_hash FROM format_counts WHERE source = ANY(%(sources)s)

-- name: format_features
-- Return all features of these sources.
SELECT source, kind, name, value, seen, first, last, longest_gap, missed_at, missed_event, first_at,
    first_event
FROM format_features WHERE source = ANY(%(sources)s)

-- name: save_format_counts
-- Store how many of a source's webhooks were counted.
INSERT INTO format_counts (source, events, accepted, mapping_hash)
VALUES (%(source)s, %(events)s, %(accepted)s, %(mapping_hash)s)
ON CONFLICT (source) DO UPDATE SET events = EXCLUDED.events, accepted = EXCLUDED.accepted,
    mapping_hash = EXCLUDED.mapping_hash

-- name: save_format_features
-- Store the features of a source that have changed.
INSERT INTO format_features (source, kind, name, value, seen, first, last, longest_gap, missed_at,
    missed_event, first_at, first_event)
SELECT %(source)s, kind, name, value, seen, first, last, longest_gap, missed_at, missed_event, first_at,
    first_event
FROM jsonb_to_recordset(%(features)s) AS f (kind text, name text, value text, seen bigint, first bigint,
    last bigint, longest_gap bigint, missed_at timestamptz, missed_event bigint, first_at timestamptz,
    first_event bigint)
ON CONFLICT (source, kind, name, value) DO UPDATE SET seen = EXCLUDED.seen, last = EXCLUDED.last,
    longest_gap = EXCLUDED.longest_gap, missed_at = EXCLUDED.missed_at,
    missed_event = EXCLUDED.missed_event

-- name: delete_format_features
-- Delete features of a source.
DELETE FROM format_features f
USING jsonb_to_recordset(%(features)s) AS d (kind text, name text, value text)
WHERE f.source = %(source)s AND f.kind = d.kind AND f.name = d.name AND f.value = d.value

-- name: delete_format_changes
-- Delete a source's format changes, before the current ones are stored.
DELETE FROM format_changes WHERE source = %(source)s

-- name: save_format_changes
-- Store a source's current format changes.
INSERT INTO format_changes (source, kind, name, value, since, first_event, affected, of, new_paths)
SELECT %(source)s, kind, name, value, since, first_event, affected, of, new_paths
FROM jsonb_to_recordset(%(changes)s) AS c (kind text, name text, value text, since timestamptz,
    first_event bigint, affected bigint, of bigint, new_paths jsonb)

-- name: all_format_changes
-- Return the format changes of these sources. Changes that affect the most webhooks come first. An
-- unreadable field comes last, because it may be a consequence of another change.
SELECT source, kind, name, value, since, first_event, affected, of, new_paths FROM format_changes
WHERE source = ANY(%(sources)s)
ORDER BY source, affected DESC, kind = 'field', kind, name

-- name: events_since
-- Return a source's events from an ID on that still have a payload, oldest first.
SELECT * FROM events WHERE source = %(source)s AND id >= %(first_id)s AND kept = 'all'
ORDER BY id LIMIT %(limit)s
