"""CycleGAN (Zhu et al. 2017): G: A -> B and F: B -> A, the discriminators D_B and D_A, and the cycle loss."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

from cyclegan_hub.hub.records import ModelError
from cyclegan_hub.imaging import images, plots
from cyclegan_hub.models.cycle_generator import CycleGenerator
from cyclegan_hub.models.discriminators import PatchDiscriminator
from cyclegan_hub.models.efficientnet_lite import EfficientNetLite
from cyclegan_hub.models.generators import InstanceNorm2d, init_weights
from cyclegan_hub.models.inference import prepare_for_training
from cyclegan_hub.models.projected import JointDiscriminator, ProjectedDiscriminator
from cyclegan_hub.models.protocols import Examples
from cyclegan_hub.models.translate import evaluating
from cyclegan_hub.recipes.methods import CycleGANRecipe, domain_of
from cyclegan_hub.training.augment import diff_augment
from cyclegan_hub.training.losses import ImagePool, auc, correlation, discriminator_loss, generator_loss, mean_score
from cyclegan_hub.training.trainer import Alarm, Backward, Trainer, adam, learning_rate_factor, moving_average

_INVERTED = (
    "{key} has been negative for {steps} steps: translations of {side} are inverted in colour. If they stay so, start again in "
    "another --out with higher identity_a and identity_b"
)
_PANELS = {
    "generators' totals": ["total_g", "total_f"],
    "generators, adversarial": ["g_a_to_b", "g_b_to_a"],
    "discriminators": ["d_a", "d_b"],
    "AUC of the discriminators": ["d_a_auc", "d_b_auc"],
    "cycle": ["cycle_a", "cycle_b"],
    "identity": ["identity_a", "identity_b"],
    "droplets": ["droplets"],
    "D(real), D(fake)": ["d_a_real", "d_a_fake", "d_b_real", "d_b_fake"],
    "correlation of input and output": ["corr_a_to_b", "corr_b_to_a"],
}
_ARCHITECTURE = ("channels", "generator", "width", "blocks", "upsample", "padding", "skip", "noise")


class Droplets:
    """Outliers in the normalised maps of generators: of each norm the sum over its channels of what the largest absolute value
    has beyond 12 standard deviations, as the mean over the images."""

    def __init__(self, generators: Iterable[nn.Module]) -> None:
        self._found: list[Tensor] = []
        for generator in generators:
            for module in generator.modules():
                if isinstance(module, InstanceNorm2d):
                    module.register_forward_hook(self._note)

    def _note(self, norm: InstanceNorm2d, _: tuple[Tensor, ...], output: Tensor) -> None:
        if torch.is_grad_enabled():
            weight, bias = (value.float().view(1, -1, 1, 1) for value in (norm.weight, norm.bias))
            # With a small weight the rounding of 16 bits would look like an outlier.
            peaks = ((output.float() - bias).abs() / weight.abs().clamp(min=0.1)).amax((2, 3))
            self._found.append(F.relu(peaks - 12).sum(1).mean())

    def taken(self) -> Tensor:
        """The sum over all norms and passes since the last call."""
        total = torch.stack(self._found).sum()
        self._found.clear()
        return total


class CycleGANTrainer(Trainer):
    """See `trainer.Trainer`. Field names are the recipe's; names of networks are those of the published model."""

    alarms = tuple(
        Alarm(key, below=0.0, steps=200, message=_INVERTED.format(key=key, steps=200, side=side))
        for key, side in (("corr_a_to_b", "A"), ("corr_b_to_a", "B"))
    )

    def __init__(self, recipe: CycleGANRecipe, *, total_steps: int, labels: tuple[str, ...]) -> None:
        r = self.recipe = recipe
        self.labels = labels
        self.total_steps, self.steps_done = total_steps, 0
        shown = {"identity": bool(r.identity_start or r.identity_a or r.identity_b), "droplets": bool(r.droplets)}
        self.panels = {title: keys for title, keys in _PANELS.items() if shown.get(title, True)}
        model_arguments: dict[str, Any] = {
            "channels": r.channels, "width": r.width, "blocks": r.blocks, "generator": r.generator, "upsample": r.upsample,
            "padding": r.padding, "dropout": r.dropout, "skip": r.skip, "image_size": r.image_size, "value_range": r.value_range,
            "noise": r.noise, "eyes_a": r.eyes_a, "eyes_b": r.eyes_b, "domain": domain_of(r, labels), "labels": list(labels),
        }  # fmt: skip
        self._publish: Callable[[int | None], CycleGenerator] = lambda epoch: CycleGenerator(**model_arguments, epoch=epoch)
        model = self._publish(None)
        init_weights(model.a_to_b, std=r.init_std, norm_mean=r.norm_init_mean, block_std=r.block_init_std)
        init_weights(model.b_to_a, std=r.init_std, norm_mean=r.norm_init_mean, block_std=r.block_init_std)
        d_a, d_b = _discriminators(r)
        for d in (d_a, d_b):
            init_weights(d, std=r.init_std, norm_mean=r.norm_init_mean)
        self.networks: dict[str, nn.Module] = {"a_to_b": model.a_to_b, "b_to_a": model.b_to_a, "d_a": d_a, "d_b": d_b}
        self.a_to_b, self.b_to_a, self.d_a, self.d_b = self.networks.values()  # prepare() wraps these
        self.droplets = Droplets((model.a_to_b, model.b_to_a)) if r.droplets else None
        self.pools = {"a": ImagePool(r.pool_size), "b": ImagePool(r.pool_size)}
        self.optimizers: dict[str, Optimizer] = {
            "generators": adam(self._parameters("a_to_b", "b_to_a"), r.lr),
            "discriminators": adam(self._parameters("d_a", "d_b"), r.lr * r.disc_lr_factor),
        }
        self.schedulers = {name: LambdaLR(optimizer, self._rate) for name, optimizer in self.optimizers.items()}

    def prepare(self, prepare: Callable[[Any], Any]) -> None:
        networks = (prepare(prepare_for_training(network)) for network in self.networks.values())
        self.a_to_b, self.b_to_a, self.d_a, self.d_b = networks
        self.optimizers = {name: prepare(optimizer) for name, optimizer in self.optimizers.items()}
        self.ema = moving_average(self._parameters("a_to_b", "b_to_a"), self.recipe.ema)

    def step(self, batch: dict[str, Tensor], backward: Backward) -> dict[str, Tensor]:
        r, a, b = self.recipe, batch["a"], batch["b"]
        weight_a, weight_b = self._identity_weights()
        if self.steps_done == 0:
            for network in self.networks.values():
                if isinstance(network, ProjectedDiscriminator | JointDiscriminator):
                    network.calibrate(torch.cat([a, b]))

        # Generators: adversarial + cycle + identity (section 3; identity: section 5.2). The discriminators are frozen.
        self._train_discriminators(False)
        self.optimizers["generators"].zero_grad()
        fake_b, identity_b = self._translate(self.a_to_b, a, b if weight_b else None)
        fake_a, identity_a = self._translate(self.b_to_a, b, a if weight_a else None)
        # Each cycle ends with the generator that it is of; with `own_cycle` no gradient reaches the first one.
        there, back = (fake_b.detach(), fake_a.detach()) if r.own_cycle else (fake_b, fake_a)
        cycle_a, cycle_b = self.b_to_a(there), self.a_to_b(back)
        parts = {
            "g_a_to_b": generator_loss(r.adversarial, self.d_b(self._augment(fake_b))),
            "g_b_to_a": generator_loss(r.adversarial, self.d_a(self._augment(fake_a))),
            "cycle_a": F.l1_loss(cycle_a.float(), a),
            "cycle_b": F.l1_loss(cycle_b.float(), b),
        }
        loss = parts["g_a_to_b"] + parts["g_b_to_a"] + self._cycle_a * parts["cycle_a"] + r.cycle * parts["cycle_b"]
        for key, weight, output, target in (("identity_a", weight_a, identity_a, a), ("identity_b", weight_b, identity_b, b)):
            if output is not None:
                parts[key] = F.l1_loss(output.float(), target)
                loss = loss + weight * parts[key]
        if self.droplets is not None:
            parts["droplets"] = self.droplets.taken()
            loss = loss + r.droplets * parts["droplets"]
        backward(loss)
        self.optimizers["generators"].step()
        losses = self._totals(parts, weight_a, weight_b) | parts

        # Discriminators: real images against older and newer translations, the loss halved (section 4).
        self._train_discriminators(True)
        self.optimizers["discriminators"].zero_grad()
        for side, network, real, fake, source in (("a", self.d_a, a, fake_a, b), ("b", self.d_b, b, fake_b, a)):
            on_real, on_fake, *on_source = self._logits(network, real, self.pools[side].query(fake), source)
            as_fake = discriminator_loss(r.adversarial, on_fake, False)
            if on_source:
                as_fake = torch.lerp(as_fake, discriminator_loss(r.adversarial, on_source[0], False), r.source_negatives)
            losses[f"d_{side}"] = 0.5 * (discriminator_loss(r.adversarial, on_real, True) + as_fake)
            losses[f"d_{side}_real"] = mean_score(r.adversarial, on_real)
            losses[f"d_{side}_fake"] = mean_score(r.adversarial, on_fake)
            losses[f"d_{side}_auc"] = auc(on_real, on_fake)
        backward(losses["d_a"] + losses["d_b"])
        self.optimizers["discriminators"].step()

        for scheduler in self.schedulers.values():
            scheduler.step()
        self.steps_done += 1
        if self.ema:
            self.ema.step(self._parameters("a_to_b", "b_to_a"))
        with torch.no_grad():
            losses["corr_a_to_b"], losses["corr_b_to_a"] = correlation(a, fake_b), correlation(b, fake_a)
        return {name: value.detach() for name, value in losses.items()}

    def published(self, epoch: int | None) -> CycleGenerator:
        with torch.random.fork_rng(devices=[]):  # random first weights must not change the steps that follow a save
            model = self._publish(epoch).to(self.device)
        source = self.ema.shadow_params if self.ema else self._parameters("a_to_b", "b_to_a")
        with torch.no_grad():
            for target, weights in zip((*model.a_to_b.parameters(), *model.b_to_a.parameters()), source, strict=True):
                target.copy_(weights)
        return model.eval()

    def start_from(self, source: str) -> None:
        model = CycleGenerator.from_pretrained(source)
        for name in ("a_to_b", "b_to_a"):
            own, given = self.networks[name], model.get_submodule(name)
            if any(model.arguments[field] != getattr(self.recipe, field) for field in _ARCHITECTURE):
                raise ModelError(
                    f"--init {source}: its {name} has another architecture ({_architecture(model.arguments)}) than the recipe's; "
                    "give those fields with --set, or another source"
                )
            own.load_state_dict(given.state_dict(), strict=True)

    @torch.no_grad()
    def samples(self, *held_out: Tensor) -> list[Examples]:
        """For each direction: input, translation, reconstruction, identity of the other network, patch map of the translation."""
        (a, b), model, grids = held_out, self.published(None), []
        for direction, back, x, labels, discriminator in (
            (model.a_to_b, model.b_to_a, a, self.labels, self.networks["d_b"]),
            (model.b_to_a, model.a_to_b, b, self.labels[::-1], self.networks["d_a"]),
        ):
            translated = direction(x)
            columns = (translated, back(translated), back(x))
            with evaluating(discriminator):  # in training mode, spectral norm would update its vectors
                logits = discriminator(translated)
            # Of both kinds the plain one, whose map is finer. The map's colours change where the discriminator is undecided: at
            # 0 as a logit, at 1/2 with least squares.
            shown = logits[-self.recipe.disc_scales] if self.recipe.discriminator == "both" else logits[0]
            maps = shown[:, 0].float() - (0.5 if self.recipe.adversarial == "lsgan" else 0.0)
            rows = [[*map(images.to_pil, row), plots.heat(patches)] for *row, patches in zip(x, *columns, maps, strict=True)]
            grids.append(Examples(rows, [labels[0], f"to {labels[1]}", "reconstruction", "identity", "patch map"]))
        return grids

    def state_dict(self) -> dict[str, Any]:
        ema = self.ema.state_dict() if self.ema else None
        schedulers = {name: scheduler.state_dict() for name, scheduler in self.schedulers.items()}
        return super().state_dict() | {"steps_done": self.steps_done, "schedulers": schedulers, "ema": ema}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.steps_done = state["steps_done"]
        for name, scheduler in self.schedulers.items():
            scheduler.load_state_dict(state["schedulers"][name])
            rate = self._rate(self.steps_done)  # another than the saved one where the schedule was extended
            for group, base in zip(self.optimizers[name].param_groups, scheduler.base_lrs, strict=True):
                group["lr"] = base * rate

    def own_state_dict(self) -> dict[str, Any]:
        return {side: pool.state_dict() for side, pool in self.pools.items()}

    def load_own_state_dict(self, state: dict[str, Any]) -> None:
        for side, pool in self.pools.items():
            pool.load_state_dict({name: x.to(self.device) for name, x in state[side].items()})

    def _translate(self, network: nn.Module, x: Tensor, same: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """The network's output for `x` and, in the same pass, for `same`: all (N, C, H, W) in [-1, 1].

        Equal to two passes, since instance norm sees each image alone. None where `same` is None.
        """
        if same is None:
            return network(x), None
        translated, kept = network(torch.cat([x, same])).chunk(2)
        return translated, kept

    def _totals(self, parts: dict[str, Tensor], weight_a: float, weight_b: float) -> dict[str, Tensor]:
        """The total loss of each generator, as the sources print it: `total_g` of A -> B, `total_f` of B -> A."""
        a, b = self._cycle_a * parts["cycle_a"], self.recipe.cycle * parts["cycle_b"]
        cycles = (b, a) if self.recipe.own_cycle else (a + b, a + b)
        totals = {"total_g": parts["g_a_to_b"] + cycles[0], "total_f": parts["g_b_to_a"] + cycles[1]}
        for total, key, weight in (("total_g", "identity_b", weight_b), ("total_f", "identity_a", weight_a)):
            if key in parts:
                totals[total] = totals[total] + weight * parts[key]
        return totals

    def _logits(self, network: nn.Module, real: Tensor, fake: Tensor, source: Tensor) -> list[tuple[Tensor, ...]]:
        """Logits of real and of fake images (N, C, H, W), each (N, 1, h, w) for every scale, from one pass over all of them
        where no image's logits depend on the others; with `source_negatives` also those of `source`, the other domain's real
        images."""
        shown = [self._augment(x) for x in ([real, fake, source] if self.recipe.source_negatives else [real, fake])]
        if self.recipe.minibatch_deviation:
            return [network(x) for x in shown]
        logits = network(torch.cat(shown))
        return list(zip(*(x.chunk(len(shown)) for x in logits), strict=True))

    def _augment(self, x: Tensor) -> Tensor:
        return diff_augment(x, self.recipe.diffaugment)

    def _identity_weights(self) -> tuple[float, float]:
        """The current weights of the identity losses of A and B: during the warm-up linearly from `identity_start`."""
        r = self.recipe
        warmup = r.identity_warmup * self.total_steps
        if r.identity_start is None or self.steps_done >= warmup:
            return r.identity_a, r.identity_b
        done = self.steps_done / warmup
        a, b = (r.identity_start + done * (end - r.identity_start) for end in (r.identity_a, r.identity_b))
        return a, b

    @property
    def _cycle_a(self) -> float:
        return self.recipe.cycle if self.recipe.cycle_a is None else self.recipe.cycle_a

    def _rate(self, step: int) -> float:
        return learning_rate_factor(step, self.total_steps, self.recipe.decay)

    def _parameters(self, *names: str) -> list[nn.Parameter]:
        return [p for name in names for p in self.networks[name].parameters()]

    def _train_discriminators(self, on: bool) -> None:
        for parameter in self._parameters("d_a", "d_b"):
            parameter.requires_grad_(on)


def _discriminators(r: CycleGANRecipe) -> list[nn.Module]:
    """Of A and of B. Projected ones share the frozen network; each has random projections of its own."""
    plain = partial(PatchDiscriminator, r.channels, r.disc_channels, r.disc_last_stride, r.disc_scales, r.minibatch_deviation)
    if r.discriminator == "patch":
        return [plain(), plain()]
    network = EfficientNetLite("lite0")
    projected = [ProjectedDiscriminator(network, r.channels, seed=seed) for seed in (0, 1)]
    if r.discriminator == "projected":
        return list(projected)
    return [JointDiscriminator(one, plain()) for one in projected]


def _architecture(arguments: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={arguments[name]}" for name in _ARCHITECTURE)
