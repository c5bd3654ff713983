-- What Knock's own records say about tours, and whether Propexo lets us read those records.

ALTER TABLE bookings
    -- Propexo's ID of the renter's guest card.
    ADD COLUMN prospect_id text,
    -- Propexo's ID of the tour's event record.
    ADD COLUMN tour_id text,
    -- When Knock's own records confirmed the tour.
    ADD COLUMN confirmed_at timestamptz,
    -- The tour's status in Knock, and since when its record has it.
    ADD COLUMN knock_status text
        CONSTRAINT bookings_knock_status CHECK (knock_status IN (
            'waiting', 'booked', 'canceled', 'visited', 'no_show')),
    ADD COLUMN knock_status_at timestamptz;
CREATE INDEX bookings_by_prospect ON bookings (prospect_id) WHERE prospect_id IS NOT NULL;
CREATE INDEX bookings_by_tour ON bookings (tour_id) WHERE tour_id IS NOT NULL;

CREATE TABLE crm_models (
    integration_id text NOT NULL,
    -- crm_events or crm_prospects.
    model text NOT NULL,
    -- readable: the list has records. empty: it never had any. off: Propexo rejects the request.
    state text NOT NULL CONSTRAINT crm_models_state CHECK (state IN ('readable', 'empty', 'off')),
    -- When Propexo last answered a request for the list, and last sent a webhook about a record.
    checked_at timestamptz NOT NULL,
    heard_at timestamptz,
    PRIMARY KEY (integration_id, model)
);
