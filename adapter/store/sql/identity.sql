-- The database's identity, and the recovery after a restore.

-- name: record_worker
-- Record that a worker is running. Return no row if the database was restored, or if no worker ran for a
-- while.
UPDATE database_identity SET seen_at = now(), written_by = pg_current_xact_id(),
    identity = COALESCE(current_identity(), identity)
WHERE xmin = xid(written_by) AND COALESCE(identity = current_identity(), true)
    AND seen_at > now() - interval '2 minutes'
RETURNING seen_at

-- name: read_identity
-- Return the last run of a worker and the changes since then, or no row if no worker has run.
SELECT seen_at, xmin <> xid(written_by) AS is_copied, identity, current_identity() AS current,
    (SELECT stopped_for FROM rate_limit) AS stopped_for,
    (SELECT stopped_at FROM rate_limit) AS stopped_at
FROM database_identity

-- name: lock_identity
-- Lock the row. Return no row if it has changed since it was read.
SELECT one FROM database_identity
WHERE seen_at = %(seen_at)s AND (xmin <> xid(written_by)) = %(is_copied)s
    AND identity IS NOT DISTINCT FROM %(identity)s
    AND current_identity() IS NOT DISTINCT FROM %(current)s
FOR UPDATE

-- name: adopt_identity
-- Record this database as the one that workers use.
INSERT INTO database_identity (identity, written_by, seen_at)
VALUES (current_identity(), pg_current_xact_id(), now())
ON CONFLICT (one) DO UPDATE SET
    identity = EXCLUDED.identity, written_by = EXCLUDED.written_by, seen_at = EXCLUDED.seen_at

-- name: skip_ids
-- Skip IDs that were assigned after the backup. setval would require another privilege than nextval.
SELECT max(nextval('lead_ids')) AS id FROM generate_series(1, %(count)s)

-- name: newest_jobs
-- Return the jobs of the newest bookings posted before the given time.
SELECT job_id, posted_at FROM bookings
WHERE state = 'booked' AND job_id IS NOT NULL AND posted_at BETWEEN %(since)s AND %(until)s
ORDER BY posted_at DESC LIMIT %(limit)s

-- name: bookings_that_may_be_sent
-- Return the bookings that may have been sent since a backup.
SELECT * FROM bookings
WHERE state IN ('pending', 'held', 'failed', 'expired', 'sending', 'unknown') ORDER BY id

-- name: unmapped_events
-- Count the events that were received before sending was suspended, and are not mapped.
SELECT count(*) AS events FROM events, rate_limit WHERE state = 'received' AND received_at <= stopped_at

-- name: insert_lost_event
-- Store a placeholder event for a booking whose webhook was lost.
INSERT INTO events (source, state, received_at, content_type, headers, query, body, kept)
VALUES (%(source)s, 'mapped', %(at)s, '', '{}', '', '', 'lead') RETURNING id

-- name: senders_since
-- Return the sources that have sent webhooks since the given time.
SELECT DISTINCT source FROM events WHERE received_at > %(since)s ORDER BY source
