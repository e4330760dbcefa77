"""pix2pix (Isola et al. 2017): a generator trained on pairs, and a discriminator that sees input and output together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.optim import Optimizer

from cyclegan_hub.hub.records import ModelError
from cyclegan_hub.imaging import images
from cyclegan_hub.models.discriminators import PatchDiscriminator
from cyclegan_hub.models.generators import init_weights
from cyclegan_hub.models.paired_generator import PairedGenerator
from cyclegan_hub.models.protocols import Examples
from cyclegan_hub.models.translate import translate_batch
from cyclegan_hub.recipes.methods import Pix2PixRecipe, domain_of
from cyclegan_hub.training.losses import auc, discriminator_loss, generator_loss, mean_score
from cyclegan_hub.training.trainer import Backward, Trainer, adam

_ARCHITECTURE = ("channels", "generator", "width", "blocks", "pairs")


class Pix2PixTrainer(Trainer):
    """See `trainer.Trainer`. One image set, "a": pairs (N, 2 C, S, S), input first, or targets that inputs are derived from."""

    def __init__(self, recipe: Pix2PixRecipe, *, total_steps: int, labels: tuple[str, ...]) -> None:
        r = self.recipe = recipe
        self.labels = labels
        arguments: dict[str, Any] = {
            "channels": r.channels, "width": r.width, "blocks": r.blocks, "generator": r.generator, "dropout": r.dropout,
            "pairs": r.pairs, "image_size": r.image_size, "value_range": r.value_range,
            "domain": domain_of(r, labels), "labels": list(labels),
        }  # fmt: skip
        self._publish: Callable[[int | None], PairedGenerator] = lambda epoch: PairedGenerator(**arguments, epoch=epoch)
        model = self._publish(None)
        self.networks: dict[str, nn.Module] = {"generator": model.generator}
        if r.generator == "unet":  # the plain CNN starts as the identity
            init_weights(model.generator, std=r.init_std)
        self.panels = {"L1": ["l1"]}
        if r.adversarial_weight:
            self.panels = {
                "generator": ["g"],
                "discriminator": ["d"],
                **self.panels,
                "D(real), D(fake)": ["d_real", "d_fake"],
                "AUC of the discriminator": ["d_auc"],
            }
            self.networks["discriminator"] = PatchDiscriminator(2 * r.channels, r.disc_channels)
            init_weights(self.networks["discriminator"], std=r.init_std)
        self.g, self.d = model.generator, self.networks.get("discriminator")  # prepare() wraps these
        self.optimizers: dict[str, Optimizer] = {
            name: adam(network.parameters(), r.lr) for name, network in self.networks.items()
        }

    def prepare(self, prepare: Callable[[Any], Any]) -> None:
        self.g = prepare(self.networks["generator"])
        if self.d is not None:
            self.d = prepare(self.networks["discriminator"])
        self.optimizers = {name: prepare(optimizer) for name, optimizer in self.optimizers.items()}

    def step(self, batch: dict[str, Tensor], backward: Backward) -> dict[str, Tensor]:
        r = self.recipe
        x, y = self.split(batch["a"])

        # Generator: adversarial + 100 L1 (section 3.1). The discriminator is frozen.
        self._train_discriminator(False)
        self.optimizers["generator"].zero_grad()
        fake = self.g(x).float()
        losses = {"l1": F.l1_loss(fake, y)}
        loss = r.l1 * losses["l1"]
        if self.d is not None:
            losses["g"] = generator_loss("bce", self.d(torch.cat([x, fake], 1)))
            loss = loss + r.adversarial_weight * losses["g"]
        backward(loss)
        self.optimizers["generator"].step()

        # Discriminator, the loss halved (section 3.3); instance norm sees each image alone, so one pass serves both.
        if self.d is not None:
            self._train_discriminator(True)
            self.optimizers["discriminator"].zero_grad()
            logits = self.d(torch.cat([torch.cat([x, y], 1), torch.cat([x, fake.detach()], 1)]))
            on_real, on_fake = (tuple(scale.chunk(2)[i] for scale in logits) for i in (0, 1))
            losses["d"] = 0.5 * (discriminator_loss("bce", on_real, True) + discriminator_loss("bce", on_fake, False))
            losses["d_real"], losses["d_fake"] = mean_score("bce", on_real), mean_score("bce", on_fake)
            losses["d_auc"] = auc(on_real, on_fake)
            backward(losses["d"])
            self.optimizers["discriminator"].step()
        return {name: value.detach() for name, value in losses.items()}

    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Inputs and outputs, (N, C, S, S) each, of pairs (N, 2 C, S, S) or of targets (N, C, S, S); all in [-1, 1]."""
        rule = self.recipe.rule
        if not rule.derived:
            return x[:, : self.recipe.channels], x[:, self.recipe.channels :]
        return rule.input_of(x), x

    def published(self, epoch: int | None) -> PairedGenerator:
        with torch.random.fork_rng(devices=[]):  # as of a CycleGAN
            model = self._publish(epoch).to(self.device)
        model.generator.load_state_dict(self.networks["generator"].state_dict(), strict=True)
        return model.eval()

    def start_from(self, source: str) -> None:
        model = PairedGenerator.from_pretrained(source)
        if wrong := [name for name in _ARCHITECTURE if model.config[name] != getattr(self.recipe, name)]:
            given = ", ".join(f"{name}={model.config[name]}" for name in wrong)
            raise ModelError(
                f"--init {source}: it has {given}, the recipe has not: give those fields with --set, or another source"
            )
        self.networks["generator"].load_state_dict(model.generator.state_dict(), strict=True)

    def samples(self, *held_out: Tensor) -> list[Examples]:
        """Of held-out pairs or targets: input, output and target."""
        x, y = self.split(held_out[0])
        outputs = translate_batch(self.networks["generator"], x)
        rows = [list(map(images.to_pil, row)) for row in zip(x.cpu(), outputs, y.cpu(), strict=True)]
        return [Examples(rows, [self.labels[0], f"to {self.labels[1]}", "target"])]

    def _train_discriminator(self, on: bool) -> None:
        if self.d is not None:
            self.networks["discriminator"].requires_grad_(on)
