-- Which database this is: cluster, timeline and OID. NULL if it cannot be known here, whatever the error:
-- each POST depends on it.
CREATE FUNCTION current_identity() RETURNS text LANGUAGE plpgsql STABLE AS $$
BEGIN
    RETURN concat_ws('/', (SELECT system_identifier FROM pg_control_system()),
        left(pg_walfile_name(pg_current_wal_lsn()), 8),
        (SELECT oid FROM pg_database WHERE datname = current_database()));
EXCEPTION WHEN OTHERS THEN
    RETURN NULL;
END $$;

-- The database on which workers last ran: one row, written by the first worker. A restored database
-- differs from it.
CREATE TABLE database_identity (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    identity text,
    -- The transaction that wrote the row. If pg_restore has copied it, xmin is another one.
    written_by xid8 NOT NULL,
    -- When a worker last ran.
    seen_at timestamptz NOT NULL
);
-- A backup from an earlier version has no mark. Its newest POST is one.
INSERT INTO database_identity (written_by, seen_at)
SELECT pg_current_xact_id(), max(started_at) FROM attempts HAVING count(*) > 0;

-- Whether bookings may be sent. stopped_for: why not, until someone fixes it. is_unchecked: no worker
-- ran for a while, and Propexo has not been asked yet whether this database is older than reality.
CREATE VIEW gate AS
SELECT COALESCE(r.stopped_for, CASE WHEN NOT i.is_own THEN 'restored' END) AS stopped_for,
    COALESCE(i.seen_at <= now() - interval '2 minutes', false) AS is_unchecked
FROM rate_limit r LEFT JOIN (
    SELECT seen_at, xmin = xid(written_by)
        AND COALESCE(identity = current_identity(), true) AS is_own
    FROM database_identity) i ON true;
