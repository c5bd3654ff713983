-- Pauses: users stop sending all bookings, one source's or one community's.

CREATE TABLE pauses (
    -- Whose bookings are paused. Empty: those of every source, or at every community.
    source text NOT NULL DEFAULT '',
    community text NOT NULL DEFAULT '',
    reason text NOT NULL,
    by text NOT NULL,
    since timestamptz NOT NULL,
    PRIMARY KEY (source, community)
);
