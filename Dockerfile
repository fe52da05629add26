# SPDX-License-Identifier: Apache-2.0

FROM debian:trixie-slim AS build
WORKDIR /src
COPY CMakeLists.txt LICENSE ./
COPY scripts scripts
COPY third_party third_party
RUN scripts/deps build && rm -rf /var/lib/apt/lists/*
COPY include include
COPY src src
RUN cmake -S . -B build/release -G Ninja -DLL_BUILD=release -DLL_TESTS=OFF -DLL_BENCH=OFF \
    && cmake --build build/release --target longline \
    && strip -o /usr/local/bin/longline build/release/longline \
    && scripts/runtime_packages /usr/local/bin/longline > /runtime-packages

FROM debian:trixie-slim
COPY --from=build /runtime-packages /tmp/runtime-packages
RUN apt-get update \
    && xargs apt-get install -y --no-install-recommends ca-certificates < /tmp/runtime-packages \
    && rm -rf /var/lib/apt/lists/* /tmp/runtime-packages \
    && useradd --uid 10001 --no-create-home --shell /usr/sbin/nologin longline \
    && install -d -o longline -g longline -m 0750 /data
COPY --from=build /usr/local/bin/longline /usr/local/bin/longline
COPY LICENSE /usr/share/doc/longline/LICENSE

# Variables, so that `docker run -e` and a command of one's own keep working with them.
ENV LONGLINE_SERVER_LISTEN=0.0.0.0:3333 \
    LONGLINE_STORE_DATA_DIR=/data

USER longline
WORKDIR /data
VOLUME /data
EXPOSE 3333
STOPSIGNAL SIGTERM
# For the default port without TLS: with another one, replace it (--health-cmd, or healthcheck in
# Compose) by `longline health --url https://NAME:PORT [--ca-file FILE]`.
HEALTHCHECK --interval=10s --timeout=3s --start-period=5s --retries=3 \
    CMD ["longline", "health", "--url", "http://127.0.0.1:3333"]

# No init is needed: the gateway starts no other process, and handles its signals itself.
ENTRYPOINT ["longline"]
CMD ["serve"]
