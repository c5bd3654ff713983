-- Problems that people are notified of.

CREATE TABLE alarms (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    code text NOT NULL,
    -- The source concerned, or empty.
    source text NOT NULL,
    level text NOT NULL,
    sentence text NOT NULL,
    next_step text NOT NULL,
    began_at timestamptz NOT NULL,
    -- When a process last noticed the problem.
    seen_at timestamptz NOT NULL,
    ended_at timestamptz,
    -- When people were last notified of it.
    sent_at timestamptz,
    -- Until then, a process may be sending a message about it.
    claimed_until timestamptz NOT NULL DEFAULT 'epoch',
    -- True if it is over, and people were notified of that, or never of the problem.
    is_closed boolean NOT NULL DEFAULT false,
    acknowledged_by text,
    snoozed_until timestamptz
);
CREATE UNIQUE INDEX alarms_open ON alarms (code, source) WHERE NOT is_closed;
