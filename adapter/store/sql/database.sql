-- Statements of database.py, transaction.py and notify.py.

-- name: ping
-- Check that the database answers, and whether it accepts writes.
SELECT NOT pg_is_in_recovery() AS writable

-- name: hash_key
-- The key of all keyed hashes.
SELECT hash_key FROM installation

-- name: record_propexo_host
-- Record the first host, unless it is null, and return the recorded one.
UPDATE installation SET propexo_host = coalesce(propexo_host, %(host)s) RETURNING propexo_host

-- name: lock_keys
-- Lock each key (a person at a community, an item) until the transaction ends, in one order.
SELECT pg_advisory_xact_lock(key) FROM (
    SELECT DISTINCT key FROM unnest(%(keys)s::bigint[]) AS key ORDER BY key) AS keys

-- name: lock_related
-- After "related": lock these keys, and those of the related bookings, in one order. Keys are locked
-- by their remainder, because PostgreSQL has room for some thousands of locks. Return which of these
-- keys have too many bookings.
SELECT pg_advisory_xact_lock(lock), ARRAY(
    SELECT unnest(%(keys)s::bigint[]) EXCEPT SELECT key FROM usable) AS crowded
FROM (
    SELECT DISTINCT key %% 1024 AS lock FROM (
        SELECT unnest(%(keys)s::bigint[]) AS key UNION SELECT unnest(match_keys) FROM related) AS keys
    ORDER BY lock) AS locks

-- name: listen_settled
-- Receive the ids of settled events.
LISTEN settled

-- name: listen_received
-- Receive a notification when events were received.
LISTEN received

-- name: notify_received
-- Notify the workers of received events. A transaction that only notifies waits for no disk.
NOTIFY received
