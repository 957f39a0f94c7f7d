# voin on a processor, as an ordinary user; nothing is written but to /tmp and to folders that are mounted.
#   docker build -t voin .
#   docker run --rm --read-only -v voin-tmp:/tmp -v "$PWD":/work voin complete video.mp4 masks -o out
# The page: compose.yaml.
FROM python:3.11-slim AS build
RUN python -m venv /opt/voin
ENV PATH=/opt/voin/bin:$PATH PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
# The versions that were tested, torch by itself: it is large and seldom changes.
COPY constraints.txt ./
RUN pip install --constraint constraints.txt torch torchvision
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN pip install --constraint constraints.txt ".[web,demo,raft]" && python -m compileall -q /opt/voin/lib

FROM python:3.11-slim
RUN useradd --uid 1000 --create-home voin
COPY --from=build /opt/voin /opt/voin
# All that libraries keep for themselves goes to /tmp: the rest may be read-only.
ENV PATH=/opt/voin/bin:$PATH \
    HOME=/tmp \
    XDG_CACHE_HOME=/tmp/cache \
    MPLCONFIGDIR=/tmp/cache/matplotlib \
    PYTHONDONTWRITEBYTECODE=1
USER 1000:1000
WORKDIR /work
EXPOSE 7860
ENTRYPOINT ["voin"]
CMD ["serve", "--host", "0.0.0.0"]
