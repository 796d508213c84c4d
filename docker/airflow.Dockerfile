# Airflow with Foresight's locked requirements and Foresight itself: a running service keeps the code it was started with.
FROM apache/airflow:slim-3.3.2-python3.11

COPY --chown=airflow:root requirements.lock /tmp/requirements.lock
# The lock holds all of them, Airflow's own too: what the image brought in another version is replaced.
RUN pip install --no-cache-dir --require-hashes --no-deps -r /tmp/requirements.lock \
    # A volume takes over the owner of the folder that it is first mounted on.
    && mkdir -p /opt/airflow/state/registry /opt/airflow/connections

COPY .airflowignore /opt/foresight/
COPY dags /opt/foresight/dags
COPY demo /opt/foresight/demo
COPY docker /opt/foresight/docker
COPY include /opt/foresight/include
COPY launcher /opt/foresight/launcher
COPY plugins /opt/foresight/plugins
COPY sql /opt/foresight/sql
USER root
# Of root, and readable whatever the checkout's own modes are.
RUN chmod -R u=rwX,go=rX /opt/foresight
USER airflow
WORKDIR /opt/foresight
