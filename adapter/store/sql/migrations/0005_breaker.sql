-- A circuit breaker: after several POSTs in a row without a clear answer, sending stops for a while.

ALTER TABLE rate_limit
    -- POSTs in a row without a clear answer, since sending last worked.
    ADD COLUMN failures integer NOT NULL DEFAULT 0,
    -- After several of them, no POST begins before this time.
    ADD COLUMN retry_at timestamptz NOT NULL DEFAULT 'epoch',
    -- The last error, while sending is stopped.
    ADD COLUMN stopped_why text;
