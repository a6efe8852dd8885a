"""The training loop: take a batch, update, and now and then evaluate and save.

data ─▶ plan of the epoch ─▶ batch ─▶ loss ─▶ gradient ─▶ update ─▶ …
                                                            │ end of an epoch
                        averaged.pt ◀─ best-*.pt ◀─ dev cost ◀┘        (last.pt every few minutes)
"""

import time
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from training.config import Recipe
from training.data.batches import Batch, Plan
from training.fit.budget import Budget
from training.fit.devices import Place, multiplies_bfloat16, total
from training.fit.ema import Average
from training.fit.folder import Folder
from training.fit.progress import Reporter
from training.fit.schedule import Schedule
from training.fit.tasks import AnyTask
from training.fit.tasks.base import evaluating, mean_loss
from training.models.start import Start


class Fit:
    """One run: its model, optimiser and place in the data. `state` says all that is needed to go on bit for bit."""

    def __init__(
        self,
        recipe: Recipe,
        task: AnyTask,
        place: Place,
        folder: Folder,
        reporter: Reporter,
        start: Start | None = None,
    ) -> None:
        """`start`: what the model begins with; None: chance."""
        self._recipe, self._task, self._place = recipe, task, place
        self._folder, self._reporter = folder, reporter
        self._section = recipe.training
        torch.manual_seed(recipe.seed)
        self._objective = task.objective()
        if start:
            start.give(self._objective.model)
        self._objective.to(place.device)
        self.bf16 = self._section.bf16 and multiplies_bfloat16(place.device)
        """Whether the forward pass is computed in bfloat16."""
        self._parallel: nn.Module = self._objective
        if place.world > 1:
            self._parallel = DistributedDataParallel(self._objective)
        torch.manual_seed(recipe.seed + place.rank)  # every process drops other units
        self._parameters = [weight for weight in self._objective.parameters() if weight.requires_grad]
        betas = self._section.betas
        self._optimizer = torch.optim.Adam(self._parameters, self._section.learning_rate, betas, fused=True)
        self._schedule = Schedule(self._section)
        self._average = Average(self._objective.model, self._section.ema)
        self._dev = task.dev_batches()
        self._epoch = self._next_batch = self._step = 0
        self._budget = Budget(self._section)
        self._asked_to_stop = self._over = False
        self._saved = time.monotonic()
        self.stopping = False
        """Set from outside (a signal): save and return after the update at hand."""

    def run(self) -> bool:
        """Trains to the end of the budget; says whether it got there or was asked to stop."""
        while not (self._over or self._schedule.exhausted):
            for batch in self._batches():
                self._update(batch)
                self._save_sometimes()
                if self._asked_to_stop or self._over:
                    break
            if self._asked_to_stop:
                self._save()
                return False
            self._end_epoch()
        return True

    def complete(self) -> None:
        """Learns of the data what only the finished model can tell."""
        if self._place.is_first:
            self._objective.model.load_state_dict(self._folder.read_average())
            with evaluating(self._objective):
                vocabulary = self._task.completed(self._objective.model, self._place.device)
            self._folder.write_vocabulary(vocabulary)

    def parameter_count(self) -> int:
        """Trained numbers, tied ones once."""
        return sum(parameter.numel() for parameter in self._parameters)

    def state(self) -> dict[str, Any]:
        """Tensors and plain values for `last.pt`."""
        return {
            "model": self._objective.model.state_dict(),
            "carried": self._objective.carried(),
            "optimizer": self._optimizer.state_dict(),
            "schedule": self._schedule.state(),
            "average": self._average.state(),
            "random": _random_state(),
            "epoch": self._epoch,
            "next_batch": self._next_batch,
            "step": self._step,
            "minutes": self._budget.minutes,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Goes on from `state`."""
        self._objective.model.load_state_dict(state["model"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._schedule.restore(state["schedule"])
        self._average.restore(state.get("average"))
        if self._place.is_first:  # the others' is not kept
            self._objective.carry(state.get("carried"))
        self._epoch, self._next_batch, self._step = state["epoch"], state["next_batch"], state["step"]
        self._budget.minutes = state["minutes"]
        if self._place.is_first:
            _restore_random_state(state["random"])
        else:  # only the first process's dice are kept
            torch.manual_seed(self._recipe.seed + self._place.rank + self._place.world * self._step)
        self._budget.tick(self._epoch)
        self._agree(0)

    def _batches(self) -> Iterator[Batch]:
        plan = self._plan()
        for rows in plan[self._next_batch :]:
            self._budget.tick(self._epoch + self._next_batch / len(plan))
            yield self._task.batch(rows).to(self._place.device)

    def _plan(self) -> Plan:
        return self._task.share(self._task.plan(self._epoch), self._place.rank, self._place.world)

    def _update(self, batch: Batch) -> None:
        mine = self._objective.count(batch)
        targets = self._agree(mine)
        rate = self._set_rate()
        with torch.autocast(self._place.device.type, torch.bfloat16, enabled=self.bf16):
            loss = self._parallel(batch)
        (loss * (self._place.world / targets)).backward()  # the processes' gradients are averaged
        nn.utils.clip_grad_norm_(self._parameters, self._section.clip_norm)
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        self._average.update()
        self._step, self._next_batch = self._step + 1, self._next_batch + 1
        self._reporter.update(self._step, self._budget.spent, float(loss.detach()) / mine, targets, rate)

    def _agree(self, targets: int) -> int:
        """Targets of all processes' batches; also makes one of their clocks and of their wish to stop."""
        minutes = self._budget.minutes / self._place.world
        everywhere, asked, self._budget.minutes = total(self._place, targets, self.stopping, minutes)
        self._asked_to_stop, self._over = asked > 0, self._budget.over
        return round(everywhere)

    def _set_rate(self) -> float:
        rate = self._schedule.rate(self._step, self._budget.spent)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        return rate

    def _end_epoch(self) -> None:
        self._epoch, self._next_batch = self._epoch + 1, 0
        (cost,) = total(self._place, self._evaluate() if self._place.is_first else 0.0)
        self._schedule.judge(cost)
        self._budget.tick(self._epoch)
        self._agree(0)
        self._save()

    def _evaluate(self) -> float:
        """What dev cost: the loss, or what is missing of the score that is selected by, in percent."""
        model, keep, select = self._objective.model, self._section.keep_best, self._section.select
        with self._average.applied(), evaluating(self._objective):
            loss = mean_loss(self._objective, [batch.to(self._place.device) for batch in self._dev])
            scores = self._task.scores(model, self._place.device)
            cost = loss if select == "loss" else 100 - scores[select]
            self._folder.keep_best(self._epoch, cost, model.state_dict(), keep)
        self._folder.write_average()
        entry = {"epoch": self._epoch, "step": self._step, "minutes": self._budget.minutes, "loss": loss}
        self._reporter.evaluated(entry | scores)
        return cost

    def _save_sometimes(self) -> None:
        if time.monotonic() - self._saved >= self._section.save_minutes * 60:
            self._save()

    def _save(self) -> None:
        if self._place.is_first:
            self._folder.write_last(self.state())
        self._saved = time.monotonic()


def _random_state() -> dict[str, Any]:
    gpu = torch.cuda.get_rng_state() if torch.cuda.is_available() else None
    return {"cpu": torch.get_rng_state(), "gpu": gpu}


def _restore_random_state(state: dict[str, Any]) -> None:
    torch.set_rng_state(state["cpu"])
    if state["gpu"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["gpu"])
