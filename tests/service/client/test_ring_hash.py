"""Why the client orders its servers itself: gRPC's own `ring_hash` on a header (gRFC A76) has to be switched on.

The switch is a variable in the environment that is read when gRPC is loaded. Without it every call fails, and a library
cannot set it for the program that imports it. When the test fails without it, it is on for all: see decision 9.
"""

import os
import subprocess
import sys

import pytest

SWITCH = "GRPC_EXPERIMENTAL_RING_HASH_SET_REQUEST_HASH_KEY"
ASK_EACH_KEY_TWICE = """
import json
from concurrent.futures import ThreadPoolExecutor
import grpc

def serve(name):
    answer = grpc.unary_unary_rpc_method_handler(lambda request, context: name)
    server = grpc.server(ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers([grpc.method_handlers_generic_handler("t.T", {"M": answer})])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, f"127.0.0.1:{port}"

servers = [serve(name) for name in (b"a", b"b", b"c")]
ring = {"ring_hash_experimental": {"requestHashHeader": "seqserve-session"}}
options = [("grpc.service_config", json.dumps({"loadBalancingConfig": [ring]})), ("grpc.enable_http_proxy", 0)]
with grpc.insecure_channel("ipv4:" + ",".join(address for _, address in servers), options) as channel:
    ask = channel.unary_unary("/t.T/M")
    try:
        for key in "0123456789abcdef":
            print(*sorted({ask(b"", metadata=(("seqserve-session", key),), timeout=20) for _ in range(2)}))
    except grpc.RpcError as error:
        print(error.code().name, error.details())
"""


@pytest.mark.parametrize("switched_on", [False, True])
def test_ring_hash_works_only_where_the_environment_switches_it_on(switched_on: bool) -> None:
    environment = {name: value for name, value in os.environ.items() if name != SWITCH}
    environment |= {SWITCH: "true"} if switched_on else {}
    command = [sys.executable, "-c", ASK_EACH_KEY_TWICE]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100)
    said = ran.stdout.splitlines()
    if switched_on:
        assert len(said) == 16, ran
        assert set(said) == {"b'a'", "b'b'", "b'c'"}  # always one server for a key, not always the same one
    else:
        assert said == ["INTERNAL hash attribute not present"], ran
