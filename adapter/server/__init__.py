"""Run the processes: gunicorn, worker, supervisor, watchdog and demo."""
