"""One process of a training run: its steps, its log, its validations and its checkpoints: `voin.train` starts it."""

from __future__ import annotations

import json
import math
import threading
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from itertools import count
from typing import Any

import cv2
import numpy as np
import torch
from torch import nn

from voin.baselines.trained.models import NETWORKS as BASELINE_NETWORKS
from voin.core.config import to_json
from voin.core.errors import ValueRefusal, count_of
from voin.core.lpips import LPIPS
from voin.core.overlap import Prefetcher
from voin.core.system import ComputeClock, has_bfloat16
from voin.data.categories import CATEGORIES
from voin.data.packs.pack import Pack, open_pack
from voin.method.fill.generator import GeneratorConfig
from voin.method.load import NETWORKS, use_after_training
from voin.method.shape.network import ShapeConfig
from voin.training.batches import echo, estimators_of, make_batches, make_beside, open_packs
from voin.training.config import TrainConfig
from voin.training.options import TrainOptions
from voin.training.state import load_state, optimizer_tensors, restore_optimizer, save_state
from voin.training.tasks import TASKS
from voin.training.tasks.base import Inputs, Task, Terms
from voin.training.validate import Scores, Validator
from voin.weights.checkpoint import About, Recipe, load_checkpoint, read_record, save_checkpoint
from voin.weights.hub import find_model, networks_of

SCORES = "scores.jsonl"
_AHEAD = 2  # batches that are made before they are asked for
_MOST_FAILURES = 20  # steps in a row whose gradients are not finite, before the run is given up
_LONGEST_GRADIENT = 1.0  # of all weights; longer ones are shortened to it
Say = Callable[[str], None]


class Run:
    """One process of a run, of a `fabric` that is launched; `say` gets a line at each entry of the log."""

    def __init__(self, fabric: Any, options: TrainOptions, config: TrainConfig, say: Say | None) -> None:
        self.fabric, self.options, self.config = fabric, options, config
        self.chief = fabric.is_global_zero
        self.say: Say = say if say is not None and self.chief else lambda text: None
        torch.manual_seed(config.seed)
        estimators = estimators_of(options, config, fabric.device)
        if config.loss.perceptual and options.stage in ("fill", "joint", "lgtsm", "pcnet-c"):
            estimators = replace(estimators, perceptual=LPIPS(options.lpips_weights, fabric.device))
        self.task = TASKS[options.stage](config, estimators)
        self.origin = _start_from(options.init, self.task) if options.init else 0.0
        self.averaged = TASKS[options.stage](config, estimators).to(fabric.device).requires_grad_(False)
        self.averaged.load_state_dict(self.task.state_dict())
        self.averaged.eval()
        self.optimizer = _adam(config, self.task)
        self.model, self.optimizer = fabric.setup(self.task, self.optimizer)
        self.critics: Any = self.task.critics()
        if self.critics is not None:
            critic_optimizer = _adam(config, self.critics)
            self.critic_model, self.critic_optimizer = fabric.setup(self.critics, critic_optimizer)
        packs = open_packs(options)
        self.data = _describe(*packs)
        self.say(
            f"{options.stage} on {_name_device(fabric)}, from {count_of(len(packs[0]), 'clip')}; "
            f"{count_of(config.validation_clips, 'clip')} to validate are made first"
        )
        self.validator: Validator | None = None
        if self.chief:
            clips = open_pack(options.validation or options.pack)
            self.validator = Validator(options.stage, self.averaged, config, clips, fabric.device)
        if fabric.device.type == "cuda":
            # Sizes stay the same over a run.
            torch.backends.cudnn.benchmark = True
            torch.set_float32_matmul_precision("high")
        # `seconds` are what the config's minutes count, `clock` and `waited` are of the clock on the wall.
        self.step, self.seconds, self.clock, self.waited, self.failures = 0, 0.0, 0.0, 0.0, 0
        self.spent = ComputeClock(fabric.device, fabric.world_size)
        self.best: float | None = None
        self._resume()

    def go(self, stopped: threading.Event) -> None:
        """Train until the end, the pause, or the stop."""
        config, began, first = self.config, self.clock, self.step + 1
        writer = self._writer()
        feed = Prefetcher(self._inputs(), _AHEAD, "batches")
        validated, saved = self.seconds, self.clock
        mark = time.perf_counter()
        self.spent.take()
        try:
            while not (share := self._share()) >= 1:
                x = next(feed)
                self.waited += time.perf_counter() - mark
                terms = self._learn(x, share)
                self.step += 1
                if self.chief and (self.step % config.log_steps == 0 or self.step == first):
                    self._log(writer, terms)
                now = time.perf_counter()
                self.clock, mark = self.clock + now - mark, now
                self.seconds += self.spent.take()
                paused = 0 < self.options.pause_minutes * 60 <= self.clock - began
                judge, stop, save = self._agree(
                    self.seconds - validated >= config.validate_minutes * 60,
                    stopped.is_set() or paused,
                    self.clock - saved >= config.save_minutes * 60,
                )
                if judge and self._share() < 1:
                    self._validate(writer)
                    validated = self.seconds
                if stop:
                    break
                if save:
                    self._save()
                    saved = self.clock
                mark = time.perf_counter()  # what is saved and validated is no time of training
                self.spent.take()
            if self._share() >= 1:
                self._validate(writer)
            self._save()
        finally:
            feed.close()
            if writer is not None:
                writer.close()

    def _inputs(self) -> Iterator[Inputs]:
        options, fabric = self.options, self.fabric
        place = (str(fabric.device), fabric.global_rank, fabric.world_size)

        def start(number: int) -> Generator[Inputs, None, None]:
            if options.workers:
                arguments = (options, self.config, *place)
                made = make_beside(make_batches, arguments, number, options.workers, self.spent.beside)
            else:
                made = map(make_batches(options, self.config, *place, self.task), count(number))
            for inputs in made:
                yield {name: x.to(fabric.device) for name, x in inputs.items()}

        return echo(start, self.step, self.config.echoes)

    def _share(self) -> float:
        """Return how much of the run is over."""
        config = self.config
        if not config.minutes:
            return self.step / config.steps
        share = self.seconds / (60 * config.minutes)
        return self.fabric.broadcast(share) if self.fabric.world_size > 1 else share

    def _agree(self, *wishes: bool) -> list[bool]:
        """Do in all processes what one of them wishes: their clocks differ, and they wait for each other in it."""
        if self.fabric.world_size == 1:
            return list(wishes)
        found = torch.tensor([float(wish) for wish in wishes], device=self.fabric.device)
        return [count > 0 for count in self.fabric.all_reduce(found, reduce_op="sum").tolist()]

    def _learn(self, x: Inputs, share: float) -> Terms:
        """Take one step, and return the terms."""
        config, fabric = self.config, self.fabric
        rate = learning_rate(config, self.step, share)
        with self._half():
            terms, y = self.model(x)
        critics = self.critics if share >= config.loss.adversarial_from else None
        if critics is not None:
            critics.requires_grad_(False)
            with self._half():
                terms |= critics.judge(y["shown"], x)
        weights = self.task.weights()
        fabric.backward(torch.stack([weights[name] * value for name, value in terms.items()]).sum())
        self._change(self.model, self.optimizer, rate)
        average = min(config.optimizer.average, (1 + self.step) / (10 + self.step))
        with torch.no_grad():
            old, new = (list(task.networks.parameters()) for task in (self.averaged, self.task))
            for weight, latest in zip(old, new, strict=True):
                weight.lerp_(latest, 1 - average)
            # What layers keep of the data or of their weights, such as norms, is taken as it is.
            for old_buffer, latest in zip(self.averaged.buffers(), self.task.buffers(), strict=True):
                old_buffer.copy_(latest)
        if critics is not None:
            critics.requires_grad_(True)
            with self._half():
                against = self.critic_model(y["shown"].detach(), x)
            fabric.backward(torch.stack(list(against.values())).sum())
            self._change(self.critic_model, self.critic_optimizer, rate)
            terms |= against
        return {name: value.detach() for name, value in terms.items()}

    def _half(self) -> torch.autocast:
        device = self.fabric.device
        return torch.autocast(device.type, torch.bfloat16, enabled=self.config.half and has_bfloat16(device))

    def _change(self, model: nn.Module, optimizer: torch.optim.Optimizer, rate: float) -> None:
        """Change weights by their gradients; gradients that are not finite change nothing."""
        norm = self.fabric.clip_gradients(model, optimizer, max_norm=_LONGEST_GRADIENT, error_if_nonfinite=False)
        if math.isfinite(float(norm)):
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.step()
            self.failures = 0
        else:
            self.failures += 1
            if self.failures > _MOST_FAILURES:
                raise RuntimeError(f"gradients were not finite in {self.failures} steps in a row, at step {self.step}")
        optimizer.zero_grad()

    def _log(self, writer: Any, terms: Terms) -> None:
        values = {name: value.item() for name, value in terms.items()}
        for name, value in values.items():
            writer.add_scalar(f"loss/{name}", value, self.step)
        waiting = self.waited / max(self.clock, self.waited, 1e-9)
        rate = self.optimizer.param_groups[0]["lr"]
        for name, value in (("time/waiting for data", waiting), ("rate", rate)):
            writer.add_scalar(name, value, self.step)
        shown = "  ".join(f"{name} {value:.4f}" for name, value in values.items())
        self.say(f"step {self.step}  {self.seconds / 60:.1f} min  {self._share():.0%}  {shown}  waiting {waiting:.0%}")

    def _validate(self, writer: Any) -> None:
        """Score the averaged weights; keep them if they are the best so far."""
        if self.validator is not None:
            self.say(f"validating at step {self.step}, which is no time of training")
            began, minutes = time.perf_counter(), self.seconds / 60
            scores, sheet = self.validator(self._predict)
            for name, value in scores.items():
                writer.add_scalar(f"validation/{name}", value, self.step)
            writer.add_image("validation", sheet, self.step, dataformats="HWC")
            folder = self.options.out / "pictures"
            folder.mkdir(exist_ok=True)
            cv2.imwrite(str(folder / f"{self.step:07}.png"), np.ascontiguousarray(sheet[..., ::-1]))
            row = {"step": self.step, "minutes": round(minutes, 2), "scores": scores}
            with (self.options.out / SCORES).open("a") as file:
                file.write(json.dumps(row) + "\n")
            shown = "  ".join(f"{name} {value:.4f}" for name, value in scores.items())
            self.say(f"validation at step {self.step}: {shown}  ({time.perf_counter() - began:.0f} s)")
            self._keep("last", scores)
            value = scores[self.validator.metric]
            if self.validator.better(value, self.best):
                self.best = value
                self._keep("best", scores)
        self.fabric.barrier()

    def _predict(self, x: Inputs) -> Inputs:
        device = self.fabric.device
        with torch.no_grad(), self._half():
            return self.averaged.predict({name: value.to(device) for name, value in x.items()})

    def _keep(self, name: str, scores: Scores) -> None:
        """Save the averaged networks as a model."""
        minutes = self.origin + self.seconds / 60
        recipe = Recipe(self.options.command, round(minutes, 1), _name_device(self.fabric))
        known = {f"{name}, validation windows": value for name, value in scores.items() if math.isfinite(value)}
        for kind, network in self.averaged.networks.items():
            size = self.config.sampler.size
            use = {"size": size} if kind in BASELINE_NETWORKS else use_after_training(kind, size)
            about = About(kind, _classes(network), recipe, self.data, known, use)
            save_checkpoint(self.options.out / name / f"{kind}.safetensors", network, about, "fp16")

    def _modules(self) -> dict[str, tuple[nn.Module, torch.optim.Optimizer | None, str]]:
        """Return what a state is made of: under each name a module, its optimizer and that one's name."""
        found: dict[str, Any] = {
            "networks": (self.task, self.optimizer, "optimizer"),
            "averaged": (self.averaged, None, ""),
        }
        if self.critics is not None:
            found["critics"] = (self.critics, self.critic_optimizer, "critic_optimizer")
        return found

    def _save(self) -> None:
        if self.chief:
            tensors = {"random": torch.get_rng_state()}
            for name, (module, optimizer, its_name) in self._modules().items():
                tensors |= {f"{name}.{key}": x for key, x in module.state_dict().items()}
                tensors |= {} if optimizer is None else optimizer_tensors(optimizer, module, its_name)
            numbers = {name: getattr(self, name) for name in ("step", "seconds", "clock", "waited", "best")}
            save_state(self.options.out, self.step, tensors, numbers)
        self.fabric.barrier()

    def _resume(self) -> None:
        found = load_state(self.options.out)
        if found is None:
            return
        tensors, numbers = found
        for name, (module, optimizer, its_name) in self._modules().items():
            part = f"{name}."
            module.load_state_dict({key.removeprefix(part): x for key, x in tensors.items() if key.startswith(part)})
            if optimizer is not None:
                restore_optimizer(optimizer, module, its_name, tensors)
        torch.set_rng_state(tensors["random"])
        vars(self).update({"clock": numbers["seconds"], **numbers})  # older states have one time alone
        self.say(f"going on at step {self.step}, after {self.seconds / 60:.1f} min")

    def _writer(self) -> Any:
        if not self.chief:
            return None
        from torch.utils.tensorboard import SummaryWriter

        # What was logged after the state that is gone on from is taken back.
        return SummaryWriter(str(self.options.out / "events"), purge_step=self.step or None)


def _start_from(name: str, task: Task) -> float:
    """Load networks of a model, and return the minutes that they were trained."""
    folder = find_model(name)
    minutes = 0.0
    for kind in task.networks:
        if kind not in networks_of(folder):
            continue
        network: Any = load_checkpoint(networks_of(folder)[kind], {kind: {**NETWORKS, **BASELINE_NETWORKS}[kind]})
        mine = task.networks[kind]
        if not _fits(network.config, mine.config):
            raise ValueRefusal(
                f"{folder} has a {kind} network of another config, {to_json(network.config)}",
                "to start from it the settings must be its own",
                "give the same preset and --set, or leave --init out",
            )
        # What is new, such as the layers that look at evidence or at references, adds nothing before it is trained.
        mine.load_state_dict({**mine.state_dict(), **network.state_dict()})
        minutes = max(minutes, read_record(networks_of(folder)[kind]).about.recipe.minutes)
    return minutes


def _fits(old: Any, new: Any) -> bool:
    """Return whether weights of a config can be gone on from with another: with layers that are new, or more shifts."""
    if isinstance(new, ShapeConfig):
        return old in (new, replace(new, evidence=False))
    if isinstance(new, GeneratorConfig) and isinstance(old, GeneratorConfig):
        # How many channels move changes no tensor; which ones is soon learned anew.
        return replace(old, share=new.share) in (new, replace(new, references=0))
    return old == new


def _adam(config: TrainConfig, module: nn.Module) -> torch.optim.Optimizer:
    c = config.optimizer
    return torch.optim.AdamW(module.parameters(), c.rate, (c.beta1, c.beta2), weight_decay=c.decay)


def learning_rate(config: TrainConfig, step: int, share: float) -> float:
    """Return the rate of a step: a rise, then a cosine over the `share` of the run that is over."""
    c = config.optimizer
    wave = c.last + (1 - c.last) * (1 + math.cos(math.pi * min(share, 1.0))) / 2
    return c.rate * wave * min((step + 1) / max(c.warmup_steps, 1), 1.0)


def _classes(network: nn.Module) -> tuple[str, ...]:
    config: Any = network.config
    return CATEGORIES[: getattr(config, "classes", 0)] if getattr(config, "semantics", True) else ()


def _describe(clips: Pack, cutouts: Pack | None, sprites: Pack | None) -> tuple[str, ...]:
    """Return what a network is trained on, in words."""
    videos = sorted({clip.video for clip in clips.clips})
    lines = [f"{len(videos)} videos: {', '.join(videos)}"]
    for pack, what in ((cutouts, "photographed objects in motion"), (sprites, "moving objects with soft masks")):
        if pack is not None:
            kinds = sorted({clip.video.split("/")[0] for clip in pack.clips})
            lines.append(f"{len(pack)} {what}: {', '.join(kinds)}")
    return tuple(lines)


def _name_device(fabric: Any) -> str:
    if fabric.device.type == "cuda":
        return f"{fabric.world_size} x {torch.cuda.get_device_name(fabric.device)}"
    kind = fabric.device.type
    return count_of(fabric.world_size * (torch.get_num_threads() if kind == "cpu" else 1), kind.upper())
