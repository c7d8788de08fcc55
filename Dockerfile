# syntax=docker/dockerfile:1
# One recipe, one target per service: docker build --target intake -t fenliu-intake .
# Nothing runs as root, nothing needs to write: run it with a read-only root file system.
FROM python:3.13-slim-bookworm AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
RUN python -m venv /opt/fenliu
COPY requirements.lock.txt ./
RUN /opt/fenliu/bin/pip install --require-hashes --only-binary :all: -r requirements.lock.txt
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY fenliu ./fenliu
COPY services ./services
RUN /opt/fenliu/bin/pip install --no-deps --no-build-isolation --no-index . \
    && /opt/fenliu/bin/python -m compileall -q /opt/fenliu/lib

FROM python:3.13-slim-bookworm AS fenliu
LABEL org.opencontainers.image.title="Fenliu" \
      org.opencontainers.image.description="Ticket routing for online shops" \
      org.opencontainers.image.licenses="Apache-2.0"
RUN groupadd --gid 10001 fenliu && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent fenliu
COPY --from=build /opt/fenliu /opt/fenliu
ENV PATH=/opt/fenliu/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 FENLIU_HTTP_HOST=0.0.0.0
USER 10001:10001
WORKDIR /
STOPSIGNAL SIGTERM
ENTRYPOINT ["fenliu"]

FROM fenliu AS migrate
CMD ["db", "upgrade"]

FROM fenliu AS intake
ENV FENLIU_INTAKE_HTTP_PORT=8001
EXPOSE 8001
CMD ["run", "intake"]

FROM fenliu AS classifier
ENV FENLIU_CLASSIFIER_HTTP_PORT=8002
EXPOSE 8002
CMD ["run", "classifier"]

FROM fenliu AS router
ENV FENLIU_ROUTER_HTTP_PORT=8003
EXPOSE 8003
CMD ["run", "router"]

FROM fenliu AS notifier
ENV FENLIU_NOTIFIER_HTTP_PORT=8004
EXPOSE 8004
CMD ["run", "notifier"]
