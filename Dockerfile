# One image for the hub (`conclave serve`) and its homeserver (Synapse with the guard): no compiler, no pip, no root.
FROM python:3.11-slim-bookworm AS dependencies
# For machines that reach another package index only; none of it gets into the final image.
ARG PIP_INDEX_URL
ARG PIP_EXTRA_INDEX_URL
ARG PIP_CERT
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore PYTHONSAFEPATH=1
RUN python3 -m venv /installer && python3 -m venv --without-pip /opt/conclave
COPY requirements.lock /src/
RUN /installer/bin/pip --python /opt/conclave/bin/python install --quiet \
    --only-binary :all: --require-hashes -r /src/requirements.lock
# A fifth of it is never imported here: where telephone numbers live, and the libraries' own tests.
RUN cd /opt/conclave/lib/python3.11/site-packages && rm -rf phonenumbers/geodata \
    && find . -type d '(' -name test -o -name tests ')' -prune -exec rm -rf {} +

FROM dependencies AS package
COPY . /src/
RUN /installer/bin/pip --python /opt/conclave/bin/python install --quiet \
    --no-index --no-deps --no-build-isolation --prefix /package /src

FROM python:3.11-slim-bookworm
# The state directory and what is mounted elsewhere exist, so that a new volume belongs to the user who runs here.
RUN groupadd --gid 10001 conclave \
    && useradd --uid 10001 --gid 10001 --home-dir /var/lib/conclave --no-create-home --shell /usr/sbin/nologin conclave \
    && install -d -m 0700 -o conclave -g conclave \
        /var/lib/conclave /var/lib/conclave/homeserver /var/lib/conclave/tokens /run/conclave/proxy \
    && install -d -m 0750 -o conclave -g conclave /run/conclave/database /run/conclave/hub \
    && useradd --uid 10002 --gid 10001 --home-dir /var/lib/conclave-signer --no-create-home \
        --shell /usr/sbin/nologin conclave-signer \
    && install -d -m 0700 -o conclave-signer -g conclave /var/lib/conclave-signer \
    && install -d -m 0750 -o conclave-signer -g conclave /run/conclave/signer
COPY --from=dependencies /opt/conclave /opt/conclave
COPY --from=package /package /opt/conclave
ENV PATH=/opt/conclave/bin:$PATH PYTHONSAFEPATH=1 PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 LANG=C.UTF-8 \
    CONCLAVE_STATE_DIR=/var/lib/conclave
WORKDIR /var/lib/conclave
USER 10001:10001
CMD ["conclave", "serve"]
