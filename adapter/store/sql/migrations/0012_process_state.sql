-- How long a process's writes take, and whether it waits because another version migrated the database.

ALTER TABLE processes
    ADD COLUMN write_seconds double precision,
    ADD COLUMN is_waiting boolean NOT NULL DEFAULT false;
