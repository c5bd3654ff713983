-- Counters and histograms for Prometheus.

CREATE TABLE metric_values (
    metric text NOT NULL,
    labels text NOT NULL,
    sample text NOT NULL,
    value double precision NOT NULL,
    PRIMARY KEY (metric, labels, sample)
);

CREATE TABLE metric_progress (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    position bigint NOT NULL
);
INSERT INTO metric_progress (position) SELECT COALESCE(max(id), 0) FROM history;
