# PostgreSQL with our pgml: PL/Python, and the engine with its locked libraries in a virtual environment of the server's.
# Debian 12's Python is the one that PL/Python is linked to, and the one that the lock is made for.
FROM postgres:15-bookworm

RUN apt-get update \
    # LightGBM's wheel uses the system's OpenMP.
    && apt-get install --yes --no-install-recommends postgresql-plpython3-15 python3 python3-venv libgomp1 \
    && rm -rf /var/lib/apt/lists/*

COPY include/pgml_engine/requirements.lock /tmp/requirements.lock
RUN python3 -m venv /opt/pgml \
    && /opt/pgml/bin/pip install --no-cache-dir --require-hashes --no-deps -r /tmp/requirements.lock

COPY include/pgml_engine /tmp/pgml_engine
RUN cp -r /tmp/pgml_engine "$(/opt/pgml/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/" \
    # Readable whatever the checkout's own modes are.
    && chmod -R u=rwX,go=rX /opt/pgml \
    && /opt/pgml/bin/python -c 'import pgml_engine'

# PL/Python takes the first python3 on the postmaster's PATH for its home; two sessions that fit with two threads each get
# a fifth of the work done.
ENV PATH=/opt/pgml/bin:$PATH OMP_NUM_THREADS=1
