# docker build -t shoal .     The image runs `shoal serve` as a user without rights; its data are the volume /var/lib/shoal.
FROM python:3.13-slim-bookworm AS build
# hadolint ignore=DL3008
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY pyproject.toml constraints.txt CMakeLists.txt README.md LICENSE ./
COPY native native
COPY src src
RUN python -m venv /opt/shoal \
    && SHOAL_NATIVE=ON PIP_CONSTRAINT=/src/constraints.txt /opt/shoal/bin/pip install --no-cache-dir '.[server]'
COPY scripts/slim-install scripts/slim-install
RUN scripts/slim-install /opt/shoal

FROM python:3.13-slim-bookworm
RUN groupadd --gid 10001 shoal \
    && useradd --uid 10001 --gid shoal --home-dir /var/lib/shoal --no-create-home --shell /usr/sbin/nologin shoal \
    && install -d -o shoal -g shoal -m 700 /var/lib/shoal
COPY --from=build /opt/shoal /opt/shoal
ENV PATH=/opt/shoal/bin:$PATH \
    SHOAL_DATA=/var/lib/shoal \
    SHOAL_HOST=0.0.0.0 \
    SHOAL_LOG_FORMAT=json
USER 10001:10001
WORKDIR /var/lib/shoal
VOLUME /var/lib/shoal
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as url; url.urlopen('http://127.0.0.1:' + (os.environ.get('SHOAL_PORT') or '8000') + '/livez', timeout=4)"]
ENTRYPOINT ["shoal"]
CMD ["serve"]
