# seqserve. The first stage installs, the second holds only what runs: no compiler, no installer, no root.
# What is installed is in requirements/serve.txt, to the hash; `make lock` writes it anew.
#
#   docker build -t seqserve .
#   docker build -t seqserve:gpu --build-arg PACKAGES=serve-gpu .    # CUDA and cuDNN within, as wheels: several GB
#   docker run --gpus all … seqserve:gpu …                           # with SEQSERVE_ENGINE__DEVICE=cuda

ARG PYTHON=python:3.11-slim-bookworm

FROM ${PYTHON} AS install
ARG PACKAGES=serve
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_ONLY_BINARY=:all:
WORKDIR /src

# Dependencies first: they change less often than the code, and their layer is kept. What no server loads stays behind:
# tests, headers, type stubs and sources of protos; the parts of ONNX Runtime and numpy that make models and extensions;
# ONNX Runtime's second copy of itself, for C programs (Python's is in onnxruntime_pybind11_state); Pygments' lexers but
# that of Python, as pip has it. Bytecode is written below, of what is loaded.
COPY requirements requirements
RUN python -m venv --without-pip /opt/seqserve \
    && python -m pip --python /opt/seqserve install --no-compile --no-deps --require-hashes -r requirements/${PACKAGES}.txt \
    && cd /opt/seqserve/lib/python3*/site-packages \
    && find . -type d -name tests -prune -exec rm -rf {} + \
    && find . -type f \( -name '*.pyi' -o -name '*.h' -o -name '*.a' -o -name '*.pxd' -o -name '*.proto' -o -name '_simd.*.so' -o -name '_*_tests.*.so' \) -delete \
    && rm -rf onnxruntime/transformers onnxruntime/quantization onnxruntime/tools onnxruntime/datasets \
        onnxruntime/capi/libonnxruntime.so.* numpy/f2py numpy/distutils \
    && find pygments/lexers -type f ! -name __init__.py ! -name _mapping.py ! -name python.py ! -name special.py -delete
RUN python -m venv build && build/bin/pip install --require-hashes -r requirements/build.txt

COPY pyproject.toml README.md LICENSE ./
COPY protos protos
COPY service service
COPY training training
# Without training, which wants packages that are not here.
RUN build/bin/hatchling build --target wheel \
    && python -m pip --python /opt/seqserve install --no-compile --no-deps --no-index dist/*.whl \
    && rm -r /opt/seqserve/lib/python3*/site-packages/training

# Python compiles what it loads for the first time: here the whole service, with what it loads only when it is needed.
RUN cd / && /opt/seqserve/bin/python -c "from pkgutil import walk_packages as walk; import service, rich.progress, \
opentelemetry.exporter.otlp.proto.grpc.trace_exporter as _; \
[__import__(m.name) for m in walk(service.__path__, 'service.') if m.name[-8:] != '__main__']" \
    && /opt/seqserve/bin/seqserve --help >/dev/null && ! /opt/seqserve/bin/seqserve health --address 127.0.0.1:1 2>/dev/null


FROM ${PYTHON}
ARG VERSION=0.1.0
ARG REVISION=unknown
LABEL org.opencontainers.image.title="seqserve" \
      org.opencontainers.image.description="Serves recurrent sequence models over gRPC, with state that belongs to a session" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.licenses="Apache-2.0"

# /state is for the one thing that is ever written: the SQLite store, where that is chosen.
RUN useradd --system --uid 10001 --home-dir /srv/seqserve --shell /usr/sbin/nologin seqserve \
    && install --directory --owner=10001 --group=10001 /state
COPY --from=install /opt/seqserve /opt/seqserve
WORKDIR /srv/seqserve
COPY models models
ENV PATH=/opt/seqserve/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    SEQSERVE_SERVER__HOST=0.0.0.0 \
    ORT_DISABLE_TELEMETRY=1
USER 10001:10001
EXPOSE 50051
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=6s --start-period=60s --retries=3 \
    CMD seqserve health --address 127.0.0.1:${SEQSERVE_SERVER__PORT:-50051} >/dev/null
ENTRYPOINT ["seqserve"]
CMD ["serve"]
