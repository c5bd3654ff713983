-- Tours that Knock moved to another time.

ALTER TABLE bookings
    -- The tour's start in Knock, if Knock moved it, and since when its record has it.
    ADD COLUMN moved_to timestamptz,
    ADD COLUMN moved_at timestamptz;
