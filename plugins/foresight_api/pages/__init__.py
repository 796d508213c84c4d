"""Pages for people, in Airflow's UI: HTML from templates, charts drawn by Plotly from data in the page."""
