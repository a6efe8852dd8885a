# seqserve on CPU. The first stage installs, the second holds only what runs: no compiler, no pip cache, no root.

FROM python:3.11-slim-bookworm AS install
WORKDIR /src
RUN python -m venv /opt/seqserve
ENV PATH=/opt/seqserve/bin:$PATH

# Dependencies first: they change less often than the code, and their layer is kept.
COPY pyproject.toml ./
RUN python -c "import tomllib; p = tomllib.load(open('pyproject.toml', 'rb'))['project']; \
      print(*p['dependencies'], *p['optional-dependencies']['redis'], sep='\n')" \
      > requirements.txt \
    && pip install --no-cache-dir -r requirements.txt

COPY README.md LICENSE ./
COPY protos protos
COPY service service
COPY training training
RUN pip install --no-cache-dir --no-deps .


FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --home-dir /srv/seqserve --shell /usr/sbin/nologin seqserve
COPY --from=install /opt/seqserve /opt/seqserve
WORKDIR /srv/seqserve
COPY models models
ENV PATH=/opt/seqserve/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    SEQSERVE_SERVER__HOST=0.0.0.0 \
    ORT_DISABLE_TELEMETRY=1
USER seqserve
EXPOSE 50051
STOPSIGNAL SIGTERM
ENTRYPOINT ["seqserve"]
CMD ["serve"]
