from typing import Any

from service.bundle.manifest import GraphSpec, Lender, Limits, Manifest
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
    opening = '--max-length 200 "To be, or not to be"'
    assert [line.split(" ")[:2] for _, line in commands(served)] == [
        ["--model", "a"],
        ["--max-length", "200"],
    ]
    served.append(model("poems", "generate", "en", ""))
    assert list(commands(served))[-1] == ("generate", f"--model plays {opening}")


def test_each_kind_of_model_is_given_a_text_of_its_kind() -> None:
    tasks = ("classify", "tag", "summarize", "generate")
    found = dict(commands([model(task, task, "en", "") for task in tasks]))
    assert all(found.values())
    assert len(set(found.values())) == len(found) == len(tasks)
    assert list(commands([model("fi", "tag", "fi", "")])) == [("tag", "")], "no text that it could not read"


def test_no_longer_text_is_asked_for_than_the_model_may_write() -> None:
    short = model("haiku", "generate", "en", "", limits=Limits(max_output_tokens=17))
    assert [line for _, line in commands([short])] == ['--max-length 17 "To be, or not to be"']


def test_other_versions_of_a_model_are_no_other_models() -> None:
    assert list(commands([model("talk", "chat"), model("talk", "chat")])) == [("chat", "")]
