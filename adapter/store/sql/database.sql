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
-- Lock these keys, and those of the newest bookings that share one of them, in one order. Keys are
-- locked by their remainder, because PostgreSQL has room for some thousands of locks.
WITH related AS MATERIALIZED (
    SELECT id, match_keys FROM bookings
    WHERE match_keys && %(keys)s::bigint[] AND (
        state IN ('pending', 'sending', 'submitted', 'unknown', 'held', 'failed')
        OR starts_at > %(now)s OR created_at > %(since)s) IS TRUE
), newest AS (
    SELECT match_keys FROM related ORDER BY id DESC LIMIT %(limit)s
)
SELECT pg_advisory_xact_lock(lock) FROM (
    SELECT DISTINCT key %% 1024 AS lock FROM (
        SELECT unnest(%(keys)s::bigint[]) AS key UNION SELECT unnest(match_keys) FROM newest) AS keys
    ORDER BY lock) AS locks

-- name: listen
-- Receive the ids of settled events.
LISTEN settled
