# One image for the three actors: `twinlease operator`, `twinlease sidecar`, and the guard with its DHCP server.
# Builds unchanged with Docker and with buildah.

FROM debian:trixie-slim AS build
RUN apt-get update \
 && apt-get install --yes --no-install-recommends python3 python3-pip python3-venv \
 && python3 -m venv /build \
 && python3 -m venv --without-pip /usr/lib/twinlease
WORKDIR /src
# Dependencies first: they change less often than our own code.
COPY requirements.lock requirements-build.lock ./
RUN /build/bin/pip install --no-cache-dir --require-hashes --requirement requirements-build.lock \
 && /build/bin/pip --python /usr/lib/twinlease/bin/python install --no-cache-dir --only-binary :all: \
      --require-hashes --requirement requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY operator ./operator
RUN /build/bin/pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /dist . \
 && /build/bin/pip --python /usr/lib/twinlease/bin/python install --no-cache-dir --no-deps --no-index /dist/*.whl

FROM debian:trixie-slim
LABEL org.opencontainers.image.title="twinlease" \
      org.opencontainers.image.description="Highly available DHCP on Kubernetes: operator, sidecar, guard and ISC dhcpd" \
      org.opencontainers.image.licenses="Apache-2.0"
# The capabilities, file by file (docs/architecture.md has the table and the reasons):
#   dhcpd         +ep, so that a non-root process may open raw sockets and port 67;
#   dhcpd-check   none, so that the sidecar can run `dhcpd -t` although its own set is empty;
#   guard-python  =p, an interpreter of the guard's own, which passes on to dhcpd what dhcpd may have.
# guard-python lies in the virtual environment's bin/, so it finds our package by itself.
RUN apt-get update \
 && apt-get install --yes --no-install-recommends isc-dhcp-server libcap2-bin python3 \
 && mkdir -p /usr/lib/twinlease/bin \
 && cp /usr/sbin/dhcpd /usr/lib/twinlease/dhcpd-check \
 && cp "$(readlink -f /usr/bin/python3)" /usr/lib/twinlease/bin/guard-python \
 && setcap cap_net_raw,cap_net_bind_service=+ep /usr/sbin/dhcpd \
 && setcap cap_net_raw,cap_net_bind_service,cap_net_admin=p /usr/lib/twinlease/bin/guard-python \
 && apt-get purge --yes libcap2-bin \
 && apt-get autoremove --yes \
 && rm -rf /var/lib/apt/lists/* /var/cache/* /var/log/* /etc/dhcp /var/lib/dhcp \
 && groupadd --gid 6767 twinlease \
 && useradd --uid 6767 --gid 6767 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin twinlease \
 && install -d -o 6767 -g 6767 -m 0700 /var/lib/twinlease /run/twinlease \
 && ln -s /usr/lib/twinlease/bin/twinlease /usr/local/bin/twinlease
COPY --from=build /usr/lib/twinlease /usr/lib/twinlease
ENV PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
# A uid of our own: the fence tells this server's packets from all others by it.
USER 6767:6767
ENTRYPOINT ["/usr/local/bin/twinlease"]
CMD ["--help"]
