-- Statements for database.py, transaction.py and notify.py.

-- name: ping
-- Check that the database responds, and return whether it accepts writes.
SELECT NOT pg_is_in_recovery() AS writable

-- name: hash_key
-- Return the key for all keyed hashes.
SELECT hash_key FROM installation

-- name: record_propexo_host
-- Record the host unless it is null or a host is already recorded. Return the recorded host.
UPDATE installation SET propexo_host = coalesce(propexo_host, %(host)s) RETURNING propexo_host

-- name: lock_keys
-- Lock each key (a person at a community, an item) until the transaction ends, in a fixed order.
SELECT pg_advisory_xact_lock(key) FROM (
    SELECT DISTINCT key FROM unnest(%(keys)s::bigint[]) AS key ORDER BY key) AS keys

-- name: lock_related
-- Continues "related". Lock these keys and the related bookings' keys, in a fixed order. The locks are on
-- the keys modulo 1,024, because PostgreSQL has room for only a few thousand locks. Return which of these
-- keys have too many bookings.
SELECT pg_advisory_xact_lock(lock), ARRAY(
    SELECT unnest(%(keys)s::bigint[]) EXCEPT SELECT key FROM usable) AS crowded
FROM (
    SELECT DISTINCT key %% 1024 AS lock FROM (
        SELECT unnest(%(keys)s::bigint[]) AS key UNION SELECT unnest(match_keys) FROM related) AS keys
    ORDER BY lock) AS locks

-- name: listen_settled
-- Receive the IDs of completed events.
LISTEN settled

-- name: listen_received
-- Receive a notification when events are received.
LISTEN received

-- name: notify_received
-- Notify the workers of received events. A transaction that only notifies does not wait for the disk.
NOTIFY received

-- name: current_time
-- Return the current time, not that of the start of the transaction.
SELECT clock_timestamp() AS at
