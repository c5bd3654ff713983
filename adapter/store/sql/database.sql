-- Statements for database.py, transaction.py, notify.py and migrate.py.

-- name: ping
-- Check that the database responds. Return true if it accepts writes.
SELECT NOT pg_is_in_recovery() AS writable

-- name: configure
-- Prepare a new connection. Set the timeout for the session, unless a pooler is between us and
-- PostgreSQL: then the process ID is not the one that was reported at the login. PgBouncer restores the
-- time zone in each session.
SELECT is_pooled, set_config('statement_timeout', %(timeout)s, is_pooled), set_config('TimeZone', 'UTC', false)
FROM (SELECT pg_backend_pid() <> %(pid)s AS is_pooled) s

-- name: write_temporary_file
-- Write a megabyte to a temporary file, which fails if the disk is full. Needs a small work_mem.
SELECT count(*) FROM unnest(ARRAY(SELECT repeat('x', 8192) FROM generate_series(1, 128)))

-- name: is_read_only
-- Return true if PostgreSQL accepts no writes, for example because it is a standby.
SELECT current_setting('transaction_read_only')::boolean AS is_read_only

-- name: recorded_migrations
-- Return the migrations that ran, with the digests of their files. Version 0.2.0 has no such column.
SELECT name, to_jsonb(m) ->> 'sha256' AS sha256 FROM migrations m

-- name: migration_lock
-- Return the process that holds the migration lock.
SELECT a.pid, a.usename AS role, a.application_name AS program, host(a.client_addr) AS address,
    a.backend_start AT TIME ZONE 'UTC' AS since
FROM pg_locks l JOIN pg_stat_activity a USING (pid)
WHERE l.locktype = 'advisory' AND l.granted AND l.classid::bigint = %(key)s::bigint >> 32
    AND l.objid::bigint = %(key)s::bigint & 4294967295
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())

-- name: rights
-- Return the schema where the role would create tables, and true if it has the privilege.
SELECT current_user AS role, current_database() AS database,
    COALESCE(current_schema(), 'public') AS schema,
    has_schema_privilege(COALESCE(current_schema(), 'public'), 'CREATE') AS can_create

-- name: hash_key
-- Return the key for all keyed hashes.
SELECT hash_key FROM installation

-- name: record_propexo_host
-- Record the host unless a host is already recorded.
UPDATE installation SET propexo_host = %(host)s WHERE propexo_host IS NULL

-- name: propexo_host
-- Return the recorded host.
SELECT propexo_host FROM installation

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
-- Return the current time, not the time when the transaction started.
SELECT clock_timestamp() AS at

-- name: server_facts
-- Return facts about the server. Some of its connections are reserved for superusers, and the role and the
-- database may have their own limits.
SELECT current_user AS role, current_database() AS database,
    COALESCE(current_schema(), 'public') AS schema,
    has_schema_privilege(COALESCE(current_schema(), 'public'), 'CREATE') AS can_create,
    current_setting('transaction_read_only')::boolean AS is_read_only,
    clock_timestamp() AS now,
    LEAST(
        current_setting('max_connections')::integer
            - current_setting('superuser_reserved_connections')::integer,
        NULLIF(r.rolconnlimit, -1), NULLIF(d.datconnlimit, -1)) AS most_connections,
    pg_database_size(d.oid) AS size_bytes
FROM pg_roles r, pg_database d WHERE r.rolname = current_user AND d.datname = current_database()

-- name: forbidden
-- Return the tables and sequences that the role may not use.
SELECT COALESCE(array_agg(relname ORDER BY relname), '{}') AS names FROM pg_class
WHERE relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema()) AND CASE relkind
    WHEN 'r' THEN NOT (has_table_privilege(oid, 'SELECT') AND (relname = 'migrations' OR
        has_table_privilege(oid, 'INSERT') AND has_table_privilege(oid, 'UPDATE')
        AND has_table_privilege(oid, 'DELETE')))
    WHEN 'S' THEN NOT has_sequence_privilege(oid, 'USAGE')
    ELSE false END
