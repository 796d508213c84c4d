"""Foresight inside Airflow's own processes: listeners and the prediction API."""
