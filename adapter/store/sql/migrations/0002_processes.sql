-- Which processes run, and since when sending is suspended.

CREATE TABLE processes (
    id text PRIMARY KEY,
    kind text NOT NULL CONSTRAINT processes_kind CHECK (kind IN ('web', 'worker')),
    host text NOT NULL,
    pid integer NOT NULL,
    version text NOT NULL,
    started_at timestamptz NOT NULL,
    seen_at timestamptz NOT NULL,
    looked_at timestamptz,
    clock_ahead_seconds double precision NOT NULL,
    outdated_since timestamptz
);

ALTER TABLE rate_limit ADD COLUMN stopped_at timestamptz;
