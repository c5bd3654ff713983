"""The processes: gunicorn, worker, supervisor, watchdog."""
