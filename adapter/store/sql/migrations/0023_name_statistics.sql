-- Show the planner how common each name is, so that a search for a common one reads only the newest leads.

CREATE STATISTICS bookings_name_words ON (to_tsvector('simple',
    COALESCE(appointment ->> 'first_name', '') || ' ' || COALESCE(appointment ->> 'last_name', '')))
    FROM bookings;
