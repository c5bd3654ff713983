-- Statements of database.py, transaction.py and notify.py.

-- name: ping
-- Check that the database answers, and whether it accepts writes.
SELECT NOT pg_is_in_recovery() AS writable

-- name: hash_key
-- The key of all keyed hashes.
SELECT hash_key FROM installation

-- name: lock_keys
-- Lock each key (a person at a community, an item) until the transaction ends, in one order.
SELECT pg_advisory_xact_lock(key) FROM (
    SELECT DISTINCT key FROM unnest(%(keys)s::bigint[]) AS key ORDER BY key) AS keys

-- name: lock_related
-- Lock these keys and the keys of bookings that share any of them, in a fixed order.
SELECT pg_advisory_xact_lock(key) FROM (
    SELECT unnest(%(keys)s::bigint[]) AS key
    UNION SELECT unnest(match_keys) FROM bookings WHERE match_keys && %(keys)s::bigint[]
    ORDER BY key) AS keys

-- name: listen
-- Receive the ids of settled events.
LISTEN settled
