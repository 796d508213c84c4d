"""What Foresight does, apart from Airflow: clients, models, features, training, gate, promotion, enrichment."""
