"""Attackers as fast as they can be, from processes of their own, while victims stream from real models."""

import asyncio
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest

from seqserve.v1 import session_pb2
from seqserve.v1.decoding_pb2 import DecodingOptions
from seqserve.v1.model_pb2 import ModelSelector
from seqserve.v1.sequence_pb2_grpc import SequenceServiceStub
from tests.service.cli.process import Process
from tests.system.conftest import serving
from tests.system.replicas.chaos import write_models
from tests.system.replicas.talkers import TRANSLATOR

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

NUM_VICTIMS, NUM_ATTACKERS, NUM_ROUNDS = 8, 2, 30
ALICE = (("seqserve-owner", "alice"),)

ATTACKER = """
import random, sys
import grpc
from seqserve.v1 import session_pb2 as pb
from seqserve.v1.sequence_pb2_grpc import SequenceServiceStub
from seqserve.v1.session_pb2_grpc import SessionServiceStub

channel = grpc.insecure_channel(sys.argv[1])
sequences, sessions = SequenceServiceStub(channel), SessionServiceStub(channel)
loot = [line.split() for line in sys.argv[2].splitlines()]
chance = random.Random(int(sys.argv[3]))

def resume(owner, **how):
    request = pb.SessionRequest(resume=pb.Resume(**how))
    next(sequences.Session(iter([request]), metadata=[("seqserve-owner", owner)], timeout=60))

def damaged(ticket):
    at = chance.randrange(len(ticket))
    return ticket[:at] + bytes([ticket[at] ^ 1 << chance.randrange(8)]) + ticket[at + 1:]

def attacks(session_id, old, new):
    old, new = bytes.fromhex(old), bytes.fromhex(new)
    mallory = {"metadata": [("seqserve-owner", "mallory")], "timeout": 60}
    yield "NOT_FOUND", lambda: resume("mallory", session_id=session_id)
    yield "NOT_FOUND", lambda: sessions.DescribeSession(pb.DescribeSessionRequest(session_id=session_id), **mallory)
    yield "NOT_FOUND", lambda: sessions.CloseSession(pb.CloseSessionRequest(session_id=session_id), **mallory)
    yield "INVALID_ARGUMENT", lambda: resume("mallory", ticket=new)
    yield "INVALID_ARGUMENT", lambda: resume("alice", ticket=damaged(new))
    yield "INVALID_ARGUMENT", lambda: resume("alice", ticket=new[:chance.randrange(1, len(new))])
    yield "FAILED_PRECONDITION", lambda: resume("alice", ticket=old)

count = 0
print("ready", flush=True)
while count < 200:
    for expected, attempt in attacks(*chance.choice(loot)):
        try:
            attempt()
            code = "OK"
        except grpc.RpcError as error:
            code = error.code().name
        assert code == expected, (code, expected)
        count += 1
print(count)
"""


class Victim:
    """A session that writes text after text, and remembers all that it was answered."""

    def __init__(self, channel: grpc.aio.Channel, number: int) -> None:
        self._call: Any = SequenceServiceStub(channel).Session(metadata=ALICE)
        self._text = "el gato duerme en la casa " * (1 + number % 3)
        self.said: list[bytes] = []
        self.loot = ""

    async def begin(self) -> None:
        mode = session_pb2.DURABILITY_MODE_EVERY_STEP
        opening = session_pb2.Open(
            model=ModelSelector(name=TRANSLATOR), durability=session_pb2.Durability(mode=mode)
        )
        session_id = (await self._asked(open=opening)).opened.session_id
        await self._asked(feed=session_pb2.Feed(text="hola "))
        asked = session_pb2.Snapshot(as_ticket=True)
        old = (await self._asked(snapshot=asked)).snapshotted.ticket
        await self._asked(rewind=session_pb2.Rewind(after_turn=-1))
        new = (await self._asked(snapshot=asked)).snapshotted.ticket
        self.loot = f"{session_id} {old.hex()} {new.hex()}"

    async def write(self, num_rounds: int) -> None:
        for _ in range(num_rounds):
            self.said.append((await self._asked(feed=session_pb2.Feed(text=self._text))).SerializeToString())
            await self._generate()

    async def close(self) -> None:
        await self._asked(close=session_pb2.Close())

    async def _generate(self) -> None:
        options = DecodingOptions(beam_size=1, max_length=12)
        answer = await self._asked(generate=session_pb2.Generate(options=options))
        while True:
            self.said += [token.SerializeToString() for token in answer.output.tokens]
            if answer.output.finish_reason:
                self.said += [found.SerializeToString() for found in answer.output.hypotheses]
                return
            answer = await self._call.read()
            assert isinstance(answer, session_pb2.SessionResponse), await self._call.details()

    async def _asked(self, **request: Any) -> session_pb2.SessionResponse:
        await self._call.write(session_pb2.SessionRequest(**request))
        answer = await self._call.read()
        assert isinstance(answer, session_pb2.SessionResponse), await self._call.details()
        return answer


def attackers(address: str, loot: str) -> "list[subprocess.Popen[bytes]]":
    return [
        subprocess.Popen(
            [sys.executable, "-c", ATTACKER, address, loot, str(seed)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=Process().environment,
        )
        for seed in range(NUM_ATTACKERS)
    ]


async def streamed(address: str, attacked: bool) -> tuple[list[list[bytes]], int]:
    """What the victims were answered, and how many attacks were refused meanwhile."""
    async with grpc.aio.insecure_channel(address) as channel:
        victims = [Victim(channel, number) for number in range(NUM_VICTIMS)]
        for victim in victims:
            await victim.begin()
        running = attackers(address, "\n".join(victim.loot for victim in victims)) if attacked else []
        for one in running:
            assert one.stdout
            assert await asyncio.to_thread(one.stdout.readline) == b"ready\n"
        num_rounds = 0
        while num_rounds < NUM_ROUNDS or any(one.poll() is None for one in running):
            await asyncio.gather(*(victim.write(1) for victim in victims))
            num_rounds += 1
        told = [one.communicate() for one in running]
        assert [one.returncode for one in running] == [0] * len(running), told
        for victim in victims:
            await victim.close()
    return [victim.said for victim in victims], sum(int(out) for out, _ in told)


async def test_victims_do_not_notice_hundreds_of_attacks(tmp_path: Path) -> None:
    write_models(tmp_path / "models")
    config = tmp_path / "seqserve.toml"
    config.write_text(
        f'[server]\ntrust_owner_header = true\n[store]\nkind = "sqlite"\npath = "{tmp_path / "s.sqlite"}"\n'
        f'[keys]\nsnapshot_keys = "k1:{"A" * 43}="\n'
    )
    with serving(tmp_path / "models", "--config", str(config)) as running:
        said, num_attacks = await streamed(running.address, attacked=True)
        alone, _ = await streamed(running.address, attacked=False)
    assert num_attacks >= 200 * NUM_ATTACKERS
    for attacked, undisturbed in zip(said, alone, strict=True):
        shorter = min(len(attacked), len(undisturbed))
        assert attacked[:shorter] == undisturbed[:shorter]
        assert shorter > NUM_ROUNDS * 5
