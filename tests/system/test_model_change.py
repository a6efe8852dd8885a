"""A new version of a model is loaded beside live sessions, and the old one is taken away under them."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import grpc
import pytest
from google.protobuf.duration_pb2 import Duration

from seqserve.v1 import model_pb2
from seqserve.v1.model_pb2_grpc import ModelServiceStub
from service.client import Client, ModelNotFound, Output, Session, SessionLost
from tests.bundles import write_classifier
from tests.system.conftest import serving

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

NAME = "intents"
ONE_WAY = {"hidden": 24, "bidirectional": False}
WORDS = ("play ", "some ", "jazz ", "on ", "the ", "radio ")


@dataclass
class Site:
    client: Client
    models: "ModelServiceStub"

    def load_second(self) -> None:
        loaded = self.models.LoadModel(model_pb2.LoadModelRequest(name=NAME), timeout=60)
        assert loaded.model.model.version == "2"

    def unload_first(self, deadline_s: float) -> int:
        """How many sessions are left to the first version."""
        deadline = Duration(nanos=int(deadline_s % 1 * 1e9), seconds=int(deadline_s))
        request = model_pb2.UnloadModelRequest(name=NAME, version="1", deadline=deadline)
        return int(self.models.UnloadModel(request, timeout=60).num_sessions)

    def versions(self) -> set[str]:
        return {model.version for model in self.client.models()}


def write_version(models: Path, version: str, seed: int) -> None:
    """Weights of its own, so that the versions say different things."""
    bundle = write_classifier(models.parent / f"made-{version}", NAME, seed, encoder=ONE_WAY, pooling="max")
    target = models / NAME / version
    shutil.copytree(bundle, target)
    manifest = json.loads((target / "manifest.json").read_text())
    (target / "manifest.json").write_text(json.dumps(manifest | {"version": version}))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    models, config = tmp_path / "models", tmp_path / "seqserve.toml"
    write_version(models, "1", seed=1)
    config.write_text(f'[server]\nadmin = true\n[store]\nkind = "sqlite"\npath = "{tmp_path / "s.sqlite"}"\n')
    with serving(models, "--config", str(config)) as running:
        write_version(models, "2", seed=2)
        channel = grpc.insecure_channel(running.address)
        with channel, Client(running.address, timeout=60, patience=20) as client:
            yield Site(client, ModelServiceStub(channel))


def _feed_on(session: Session) -> NoReturn:
    while True:
        session.feed(WORDS[1])


def undisturbed(client: Client, version: str) -> list[Output]:
    with client.session(model=NAME, version=version) as session:
        return [session.feed(word) for word in WORDS]


def test_live_sessions_stay_with_their_version_and_new_ones_get_the_newest(site: Site) -> None:
    first = undisturbed(site.client, "1")
    with site.client.session(model=NAME, durability="every step") as old:
        said = [old.feed(word) for word in WORDS[:2]]
        site.load_second()
        assert site.versions() == {"1", "2"}
        said += [old.feed(word) for word in WORDS[2:3]]
        assert site.unload_first(deadline_s=60) == 1
        with site.client.session(model=NAME) as new:
            assert str(new.model) == f"{NAME}/2"
            assert [new.feed(word) for word in WORDS] == undisturbed(site.client, "2") != first
        with pytest.raises(ModelNotFound):
            site.client.session(model=NAME, version="1")
        old.detach()
        with site.client.resume(old.session_id) as resumed:  # it may come back to its version meanwhile
            assert str(resumed.model) == f"{NAME}/1"
            said += [resumed.feed(word) for word in WORDS[3:]]
    assert said == first


def test_a_session_is_told_when_the_deadline_of_its_version_has_passed(site: Site) -> None:
    with site.client.session(model=NAME) as old, site.client.session(model=NAME) as ends_in_time:
        old.feed(WORDS[0])
        ends_in_time.feed(WORDS[0])
        site.load_second()
        assert site.unload_first(deadline_s=1.5) == 2
        ends_in_time.close()
        with pytest.raises(SessionLost, match=f"{NAME}/1 is no longer served") as told:
            _feed_on(old)
        assert told.value.reason == "EVICTED_MODEL_UNLOADED"
        with site.client.session(model=NAME) as new:
            assert str(new.model) == f"{NAME}/2"
            assert [new.feed(word) for word in WORDS] == undisturbed(site.client, "2")
