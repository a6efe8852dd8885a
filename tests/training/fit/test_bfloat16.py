"""A run computes in bfloat16 where the device has instructions for it, and elsewhere in float32, which it says."""

from pathlib import Path

import pytest
import torch

from tests.training.toy import write_recipe
from training.data.batches import Batch
from training.fit import devices, loop
from training.fit.tasks.translate import TranslationObjective
from training.fit.train import train

CPU = torch.device("cpu")


@pytest.mark.parametrize(
    ("onednn", "avx512", "avx512_bf16", "expected"),
    [
        (False, False, False, False),  # AVX2
        (True, True, False, False),  # AVX-512 of before 2020: oneDNN would widen every number first
        (True, True, True, True),
        (True, False, False, True),  # ARM
    ],
)
def test_a_cpu_is_asked_for_its_instructions(
    onednn: bool, avx512: bool, avx512_bf16: bool, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: onednn)
    monkeypatch.setattr(torch.cpu, "_is_avx512_supported", lambda: avx512)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512_bf16)
    assert devices.multiplies_bfloat16(CPU) is expected


def test_a_cpu_that_says_yes_has_every_cell_in_bfloat16() -> None:
    if not devices.multiplies_bfloat16(CPU):
        pytest.skip("this CPU says no")
    for cell in (torch.nn.LSTM, torch.nn.GRU, torch.nn.RNN):
        with torch.autocast("cpu", torch.bfloat16):
            found, _ = cell(4, 8, num_layers=2, bidirectional=True)(torch.ones(3, 2, 4))
        found.float().sum().backward()


@pytest.mark.parametrize("has_instructions", [True, False])
@pytest.mark.parametrize("wanted", [True, False])
def test_the_forward_pass_is_computed_in_what_device_and_recipe_allow(
    has_instructions: bool,
    wanted: bool,
    tmp_path: Path,
    toy_data: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    computed = set()
    forward = TranslationObjective.forward

    def watched(self: TranslationObjective, batch: Batch) -> torch.Tensor:
        if self.training:
            computed.add(torch.is_autocast_enabled("cpu"))
        with torch.autocast("cpu", enabled=False):  # whatever this machine has
            return forward(self, batch)

    monkeypatch.setattr(TranslationObjective, "forward", watched)
    monkeypatch.setattr(loop, "multiplies_bfloat16", lambda _: has_instructions)
    recipe = write_recipe(tmp_path)
    recipe.write_text(recipe.read_text().replace("[training]", f"[training]\nbf16 = {str(wanted).lower()}"))
    assert train(recipe, toy_data, tmp_path / "out")
    assert computed == {wanted and has_instructions}
    assert ("no instructions for bfloat16" in capsys.readouterr().err) is (wanted and not has_instructions)
