import json
import shutil
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from service.bundle.features import ReadingsSpec, parse_features
from service.cli.checks import ports
from tests.service.cli.conftest import Seqserve
from tests.service.cli.process import ROOT, Process, Ran

SHIPPED = ROOT / "models"
PASSWORD = "hunter2"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """One good model."""
    shutil.copytree(SHIPPED / "snips-intents", tmp_path / "models" / "snips-intents")
    return tmp_path / "models"


@pytest.fixture
def nothing(tmp_path: Path) -> Path:
    """A folder where no model takes time; the doctor complains of that, too."""
    (tmp_path / "none").mkdir()
    return tmp_path / "none"


def findings(ran: Ran) -> dict[str, dict[str, Any]]:
    return {line["about"]: line for line in map(json.loads, ran.lines[:-1])}


def conclusion(ran: Ran) -> dict[str, Any]:
    last: dict[str, Any] = json.loads(ran.lines[-1])
    return last


def test_a_healthy_repository_can_be_served_and_every_model_has_answered(bare: Seqserve) -> None:
    ran = bare("doctor", "--models", str(SHIPPED), "--port", "0", "--json")
    found = findings(ran)
    assert (ran.code, ran.err) == (0, "")
    assert (conclusion(ran)["serves"], conclusion(ran)["problems"]) == (True, 0)
    for path in SHIPPED.glob("*/*"):
        about = "/".join(path.parts[-2:])
        facts = found[about]["facts"]
        for file, fact in (("tokenizer.json", "vocabulary_size"), ("features.json", "features_dim")):
            assert facts[fact] > 0 if (path / file).exists() else facts[fact] is None
        assert facts["vocabulary_size"] or facts["features_dim"]
        tried = found[f"{about} tried"]["facts"]
        assert tried["bit_equal"] is True
        assert min(tried["first_ms"], tried["tenth_ms"], tried["batch_tokens_per_s"]) > 0


def test_numbers_of_a_step_are_those_that_a_caller_gives(bare: Seqserve, tmp_path: Path) -> None:
    shutil.copytree(SHIPPED / "occupancy", tmp_path / "models" / "occupancy")
    found = findings(bare("doctor", "--models", str(tmp_path / "models"), "--port", "0", "--json"))[
        "occupancy/1"
    ]
    given = parse_features((SHIPPED / "occupancy" / "1" / "features.json").read_text())
    assert isinstance(given, ReadingsSpec)
    assert given.dim == 2 * len(given.names)
    assert found["facts"]["features_dim"] == len(given.names)
    assert f" {len(given.names)} numbers a step" in found["text"]


def test_people_read_sections_and_what_to_do_next(bare: Seqserve, repository: Path) -> None:
    ran = bare("doctor", "--models", str(repository), "--port", "0")
    assert ran.code == 0
    for title in ("software", "settings", "machine", "models", "store", "ports"):
        assert title in ran.lines
    assert "Start with: seqserve serve" in ran.lines[-1]


def test_a_damaged_bundle_is_in_the_way_and_the_others_are_tried(bare: Seqserve, repository: Path) -> None:
    shutil.copytree(repository / "snips-intents", repository / "damaged")
    graph = repository / "damaged" / "1" / "classify.onnx"
    graph.write_bytes(graph.read_bytes()[:-1] + b"?")
    ran = bare("doctor", "--models", str(repository), "--port", "0", "--json")
    found = findings(ran)
    assert ran.code == 1
    assert "was changed or damaged" in found["damaged/1"]["text"]
    assert "damaged/1 to serve without it" in found["damaged/1"]["advice"]
    assert found["snips-intents/1 tried"]["level"] == "ok"


def test_an_empty_repository_is_in_the_way(bare: Seqserve, nothing: Path) -> None:
    ran = bare("doctor", "--models", str(nothing), "--port", "0")
    assert ran.code == 1
    assert f"{nothing} holds no" in ran.out
    assert "--models" in ran.out
    assert "1 in the way" in ran.lines[-1]


def test_a_wrong_setting_is_told_with_where_it_was_given(
    bare: Seqserve, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEQSERVE_SERVER__PORT", "many")
    monkeypatch.setenv("SEQSERVE_ENGINE__THREADS", "0")
    ran = bare("doctor", "--json")
    settings = findings(ran)["settings"]
    assert ran.code == 1
    assert "server.port = 'many' (environment SEQSERVE_SERVER__PORT)" in settings["text"]
    assert "engine.threads = '0' (environment SEQSERVE_ENGINE__THREADS)" in settings["text"]
    assert settings["advice"]
    assert findings(ran)["python"]["level"] == "ok"


def test_every_setting_says_where_it_comes_from(
    bare: Seqserve, nothing: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "seqserve.toml"
    file.write_text("[scheduler]\nmax_batch = 7\n")
    monkeypatch.setenv("SEQSERVE_LOG__LEVEL", "debug")
    arguments = ("--config", str(file), "--models", str(nothing), "--port", "0")
    found = findings(bare("doctor", "--json", *arguments))
    assert found["scheduler.max_batch"]["facts"] == {"value": 7, "from": str(file)}
    assert found["log.level"]["facts"] == {"value": "debug", "from": "environment SEQSERVE_LOG__LEVEL"}
    assert found["server.port"]["facts"] == {"value": 0, "from": "flags"}
    assert found["limits.max_texts"]["facts"] == {"value": 256, "from": "default"}
    assert f"7  (from {file})" in bare("doctor", *arguments).out


def test_a_store_that_is_away_is_in_the_way_and_its_password_is_not_shown(
    bare: Seqserve, nothing: Path
) -> None:
    pytest.importorskip("redis")
    url = f"redis://user:{PASSWORD}@127.0.0.1:1"
    ran = bare("doctor", "--models", str(nothing), "--port", "0", "--store", url, "--json")
    store = findings(ran)["store"]
    assert (ran.code, store["level"]) == (1, "problem")
    assert "redis does not answer: the redis store cannot be reached" in store["text"]
    assert "store.url" in store["advice"]
    assert PASSWORD not in ran.out + ran.err


def test_a_store_of_no_known_kind_is_told_with_those_there_are(bare: Seqserve, nothing: Path) -> None:
    ran = bare("doctor", "--models", str(nothing), "--port", "0", "--store", "tape", "--json")
    assert "sqlite, redis" in findings(ran)["store"]["advice"]


def test_a_sqlite_store_is_asked_and_one_that_is_not_there_is_not_made(
    bare: Seqserve, nothing: Path, tmp_path: Path
) -> None:
    file = tmp_path / "sessions.sqlite"
    arguments = ("doctor", "--models", str(nothing), "--port", "0", "--store", f"sqlite:{file}", "--json")
    assert "will be made" in findings(bare(*arguments))["store"]["text"]
    assert not file.exists()
    file.touch()
    assert findings(bare(*arguments))["store"]["facts"]["ping_ms"] > 0
    file.write_text("a letter, and no data base " * 100)
    assert findings(bare(*arguments))["store"]["level"] == "problem"


@pytest.mark.parametrize("how", ["--json", None])
def test_secrets_are_never_shown(
    bare: Seqserve, nothing: Path, monkeypatch: pytest.MonkeyPatch, how: str | None
) -> None:
    monkeypatch.setenv("SEQSERVE_STORE__URL", f"redis://:{PASSWORD}@127.0.0.1:1")
    monkeypatch.setenv("SEQSERVE_KEYS__SNAPSHOT_KEYS", f"k1:{PASSWORD}")
    ran = bare("doctor", "--models", str(nothing), "--port", "0", *filter(None, [how]))
    assert ran.code == 1
    assert "(hidden)" in ran.out
    assert "SEQSERVE_KEYS__SNAPSHOT_KEYS" in ran.out
    assert PASSWORD not in ran.out + ran.err


def test_a_secret_of_the_wrong_kind_is_refused_unseen(bare: Seqserve, tmp_path: Path) -> None:
    file = tmp_path / "seqserve.toml"
    file.write_text(f'[keys]\nsnapshot_keys = ["k1:{PASSWORD}"]\n')
    ran = bare("doctor", "--config", str(file))
    assert ran.code == 1
    assert "keys.snapshot_keys = (hidden)" in " ".join(ran.out.split())
    assert PASSWORD not in ran.out + ran.err


def test_keys_that_others_can_read_are_in_the_way(bare: Seqserve, nothing: Path, tmp_path: Path) -> None:
    keys, file = tmp_path / "keys", tmp_path / "seqserve.toml"
    keys.write_text(f"k1:{PASSWORD}\n")
    keys.chmod(0o644)
    file.write_text(f"[keys]\nsnapshot_keys_file = '{keys}'\n")
    found = findings(bare("doctor", "--models", str(nothing), "--port", "0", "--config", str(file), "--json"))
    assert found["keys"]["level"] == "problem"
    assert found["keys"]["advice"] == "it must be 0600, or 0640 at most"


def test_a_port_that_is_taken_is_in_the_way(bare: Seqserve, nothing: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        port = stranger.getsockname()[1]
        ran = bare("doctor", "--models", str(nothing), "--port", str(port), "--json")
    found = findings(ran)["port"]
    assert (ran.code, found["level"]) == (1, "problem")
    assert f"cannot listen on 127.0.0.1:{port}" in found["text"]
    assert f"choose another port, such as --port {port + 1}" in found["advice"]


def test_a_seqserve_on_the_port_is_recognized_and_not_in_the_way(
    bare: Seqserve, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ports, "ASK_S", 60.0)
    server = grpc.server(ThreadPoolExecutor(1))
    servicer = health.HealthServicer()
    servicer.set(ports.SERVICE, health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    monkeypatch.setenv("SEQSERVE_SERVER__METRICS_PORT", str(port))
    asked = ("doctor", "--models", str(repository), "--port", str(port))
    try:
        ran, told = bare(*asked, "--json"), bare(*asked)
    finally:
        server.stop(None).wait()
    found = findings(ran)
    assert (ran.code, conclusion(ran)["serves"], told.code) == (0, True, 0)
    assert found["port"]["text"] == f"a seqserve serves on 127.0.0.1:{port} already"
    assert "--port" in found["port"]["advice"]
    assert found["metrics_port"]["level"] == "ok"
    assert "a seqserve serves already" in told.lines[-1]
    assert "Start with" not in told.out


def test_a_check_that_breaks_does_not_stop_the_others(
    bare: Seqserve, nothing: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(settings: object) -> None:
        raise RuntimeError("bang")

    monkeypatch.setattr("service.cli.checks.machine.machine", broken)
    found = findings(bare("doctor", "--models", str(nothing), "--port", "0", "--json"))
    assert "bang" in found["machine"]["text"]
    assert found["port"]["level"] == "ok"


def test_without_onnx_runtime_it_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "onnxruntime.py").write_text("raise ModuleNotFoundError(\"No module named 'onnxruntime'\")")
    process = Process()
    process.environment["PYTHONPATH"] = f"{tmp_path}:{process.environment['PYTHONPATH']}"
    ran = process("doctor", "--port", "0", "--json", cwd=tmp_path)
    models = findings(ran)["models"]
    assert (ran.code, models["text"]) == (1, "No module named 'onnxruntime'")
    assert "pip install" in models["advice"]
    assert findings(ran)["port"]["level"] == "ok"
