FROM python:3.14-slim AS build
ENV PATH="/opt/venv/bin:$PATH" PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/venv
WORKDIR /srv/chatkeep
# The locked packages are a layer of their own: a change of the code does not install them again.
COPY requirements.txt requirements-build.txt ./
RUN pip install --no-deps --require-hashes --only-binary :all: -r requirements.txt -r requirements-build.txt
COPY pyproject.toml README.md LICENSE alembic.ini ./
COPY alembic alembic
COPY app app
RUN pip install --no-deps --no-build-isolation --editable . \
    && pip check \
    && pip uninstall --yes uv-build pip \
    && python -m compileall -q app alembic

FROM python:3.14-slim
RUN useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin chatkeep \
    && install --directory --owner 10001 --group 10001 --mode 0700 /data
COPY --from=build /opt/venv /opt/venv
COPY --from=build /srv/chatkeep /srv/chatkeep
ENV PATH="/opt/venv/bin:$PATH" \
    PYTHONUNBUFFERED=1 \
    CHATKEEP_DATA_DIR=/data \
    CHATKEEP_HOST=0.0.0.0 \
    CHATKEEP_PORT=8000
WORKDIR /srv/chatkeep
USER 10001
VOLUME /data
EXPOSE 8000
# http.client and not urllib: a proxy in the environment must not be asked for the own health.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["python", "-c", \
    "import os, sys; from http.client import HTTPConnection as H; c = H('127.0.0.1', int(os.environ['CHATKEEP_PORT']), timeout=4); c.request('GET', '/readyz'); sys.exit(c.getresponse().status != 200)"]
# `serve` migrates the database before it listens.
ENTRYPOINT ["chatkeep"]
CMD ["serve"]
