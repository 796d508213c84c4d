# Airflow with Foresight's locked requirements. The project itself is mounted: see docker-compose.yaml.
FROM apache/airflow:slim-3.3.2-python3.11

COPY requirements.lock /tmp/requirements.lock
# The lock holds all of them, Airflow's own too: what the image brought in another version is replaced.
RUN pip install --no-cache-dir --require-hashes --no-deps -r /tmp/requirements.lock \
    # A volume takes over the owner of the folder that it is first mounted on.
    && mkdir -p /opt/airflow/state/registry
