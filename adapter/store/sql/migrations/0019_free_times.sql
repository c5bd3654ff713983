-- The free times in Knock that Propexo last reported for a community, and why a lead's time was not free.

CREATE TABLE free_times (
    integration_id text NOT NULL,
    community_id text NOT NULL,
    appointment_type text NOT NULL,
    asked_at timestamptz NOT NULL,
    answered_at timestamptz,
    times timestamptz[] NOT NULL DEFAULT '{}',
    is_complete boolean NOT NULL DEFAULT false,
    problem text,
    shape text,
    shape_at timestamptz,
    PRIMARY KEY (integration_id, community_id, appointment_type)
);

ALTER TABLE bookings ADD COLUMN free_times timestamptz[] NOT NULL DEFAULT '{}';
