from typing import Any

from service.bundle.manifest import GraphSpec, Lender, Manifest
from service.cli.welcome import commands


def model(
    name: str, task: str, source: str = "es", target: str = "en", lender: str = "", **more: Any
) -> Manifest:
    taken = Lender(model=lender, version="1", sha256="0" * 64) if lender else None
    encode = GraphSpec(file="encode.onnx", taken_from=taken, inputs=(), outputs=())
    about: dict[str, Any] = {"task": task, "source_language": source, "target_language": target, **more}
    return Manifest(name=name, version="1", streams=True, graphs={"encode": encode}, files={}, **about)


def test_every_kind_of_translator_is_tried_its_own_way() -> None:
    served = [
        model("cmudict", "translate", "en", "en-x-arpabet", measure="exact"),
        model("en-cs", "translate", "en", "cs", lender="en-de"),
        model("en-de", "translate", "en", "de"),
        model("live", "translate", simultaneous=True),
        model("words", "translate"),
    ]
    library = '"Where is the library?"'
    assert list(commands(served)) == [
        ("translate", f"--from en --to cs {library}"),
        ("translate", '--model live --live --wait 3 "¿Dónde está la biblioteca?"'),
        ("translate", f"--from en --to cs,de {library}"),
    ]
    assert list(commands(served[:1])) == [("translate", "--from en --to en-x-arpabet library")]


def test_a_model_is_named_where_the_command_could_not_choose() -> None:
    served = [model("a", "translate"), model("b", "translate"), model("plays", "generate", "en", "")]
    assert [line.split(" ")[:2] for _, line in commands(served)] == [["--model", "a"], ['"Where', "is"]]
    served.append(model("poems", "generate", "en", ""))
    assert list(commands(served))[-1] == ("generate", '--model plays "Where is the library?"')


def test_other_versions_of_a_model_are_no_other_models() -> None:
    assert list(commands([model("talk", "chat"), model("talk", "chat")])) == [("chat", "")]
