"""DCGAN (Radford et al. 2016): a generator draws images from noise, a discriminator learns to tell them from real ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.optim import Adam, Optimizer

from cyclegan_hub.hub.records import ModelError
from cyclegan_hub.models.dcgan import FaceGenerator
from cyclegan_hub.models.discriminators import DCGANDiscriminator
from cyclegan_hub.models.generators import init_weights
from cyclegan_hub.recipes.methods import DCGANRecipe, domain_of
from cyclegan_hub.training.losses import auc, discriminator_loss
from cyclegan_hub.training.trainer import Alarm, Backward, SampleGrid

LOOK_EVERY = 25  # steps between two looks at the fixed latents
FIXED = 64  # latents that are looked at all through the training
SHOWN = 6  # rows and columns of a sample grid


class DCGANTrainer:
    """See `trainer.Trainer`. One pile, "a"; `loss_d` is the sum of both halves, as in the method's usual plots."""

    panels: ClassVar[dict[str, list[str]]] = {
        "losses": ["loss_d", "loss_g"],
        "D(x); D(G(z)) before and after the discriminator's step": ["d_x", "d_gz", "d_gz_after"],
        "AUC of the discriminator": ["d_auc"],
        "diversity of the fixed latents' samples, real images = 1": ["diversity"],
    }
    # The alarms' rules were set on runs that went well and on runs made to fail (tests/test_dcgan.py).
    alarms = (
        Alarm(
            "diversity", below=0.5, steps=40,
            message=f"mode collapse: for {40 * LOOK_EVERY} steps the samples of {FIXED} fixed latents have differed from "
            "each other less than half as much as real images do. Start anew in another --out with a lower lr, or more images",
        ),
        Alarm(
            "loss_d", below=0.1, steps=300, rising="loss_g",
            message="the discriminator has won: its loss has been below 0.1 for 300 steps while the generator's rises. "
            "Start anew in another --out with fewer disc_channels or a lower lr",
        ),
    )  # fmt: skip

    def __init__(self, recipe: DCGANRecipe, *, total_steps: int, labels: tuple[str, ...]) -> None:
        r = self.recipe = recipe
        self.labels, self.steps_done = labels, 0
        arguments: dict[str, Any] = {
            "channels": r.channels, "latent": r.latent, "widths": list(r.gen_channels), "domain": domain_of(r, labels),
            "labels": list(labels),
        }  # fmt: skip
        self._publish: Callable[[int | None], FaceGenerator] = lambda epoch: FaceGenerator(**arguments, epoch=epoch)
        model = self._publish(None)
        self.networks: dict[str, nn.Module] = {
            "generator": model.generator,
            "discriminator": DCGANDiscriminator(r.channels, r.disc_channels),
        }
        for network in self.networks.values():
            init_weights(network, std=r.init_std)
        self.fixed = model.latents(FIXED, seed=0)[:, :, None, None]
        self.g, self.d = self.networks.values()  # prepare() wraps these
        self.optimizers: dict[str, Optimizer] = {
            name: Adam(network.parameters(), lr=r.lr, betas=(0.5, 0.999), fused=True)  # betas as in all three papers
            for name, network in self.networks.items()
        }

    def prepare(self, prepare: Callable[[Any], Any]) -> None:
        self.g, self.d = (prepare(network) for network in self.networks.values())
        self.optimizers = {name: prepare(optimizer) for name, optimizer in self.optimizers.items()}

    def step(self, batch: dict[str, Tensor], backward: Backward) -> dict[str, Tensor]:
        x = batch["a"]
        z = torch.randn(len(x), self.recipe.latent, 1, 1).to(x.device)  # drawn on the CPU: the same on every device

        # Discriminator: real images, then generated ones, each in a batch of its own for the sake of batch norm.
        self.networks["discriminator"].requires_grad_(True)
        self.optimizers["discriminator"].zero_grad()
        fake = self.g(z)
        on_real, on_fake = self.d(x), self.d(fake.detach())
        loss_d = discriminator_loss("bce", (on_real,), True) + discriminator_loss("bce", (on_fake,), False)
        backward(loss_d)
        self.optimizers["discriminator"].step()

        # Generator: the non-saturating loss, -log D(G(z)) (Goodfellow et al. 2014, section 3).
        self.networks["discriminator"].requires_grad_(False)
        self.optimizers["generator"].zero_grad()
        after = self.d(fake)
        loss_g = discriminator_loss("bce", (after,), True)
        backward(loss_g)
        self.optimizers["generator"].step()

        losses = {
            "loss_d": loss_d, "loss_g": loss_g, "d_auc": auc((on_real,), (on_fake,)), "d_x": _mean(on_real),
            # As in the method's usual log: the same fakes while the discriminator is trained, and while the generator is.
            "d_gz": _mean(on_fake), "d_gz_after": _mean(after),
        }  # fmt: skip
        if self.steps_done % LOOK_EVERY == 0:
            losses["diversity"] = self._diversity(x)
        self.steps_done += 1
        return {name: value.detach() for name, value in losses.items()}

    @torch.no_grad()
    def _diversity(self, x: Tensor) -> Tensor:
        """How diverse the fixed latents' samples are: the mean distance between two of them, as vectors of pixels, over that of
        two of the real images (N, C, S, S). The pass is that of the training (batch statistics) and changes nothing."""
        drawn = _passed(self.networks["generator"], self.fixed.to(x.device))
        return _spread(drawn) / _spread(x).clamp_min(1e-6)

    def published(self, epoch: int | None) -> FaceGenerator:
        device = next(self.networks["generator"].parameters()).device
        with torch.random.fork_rng(devices=[]):  # its first weights are drawn, and a save must not change what follows it
            model = self._publish(epoch).to(device)
        model.generator.load_state_dict(self.networks["generator"].state_dict(), strict=True)
        return model.eval()

    def start_from(self, source: str) -> None:
        model = FaceGenerator.from_pretrained(source)
        own = (self.recipe.channels, self.recipe.latent, list(self.recipe.gen_channels))
        given = tuple(model.config[name] for name in ("channels", "latent", "widths"))
        if own != given:
            raise ModelError(
                f"--init {source}: another architecture (channels, latent, gen_channels {given}) than the recipe's {own}: give "
                "those fields with --set, or another source"
            )
        self.networks["generator"].load_state_dict(model.generator.state_dict(), strict=True)

    def samples(self, *held_out: Tensor) -> list[SampleGrid]:
        """The first fixed latents' images, as the published model draws them; held-out images are not needed."""
        pictures = self.published(None).draw(self.fixed[: SHOWN * SHOWN, :, 0, 0])
        rows = [pictures[i : i + SHOWN] for i in range(0, len(pictures), SHOWN)]
        return [SampleGrid(("fixed latents", *[""] * (SHOWN - 1)), rows)]

    def state_dict(self) -> dict[str, Any]:
        return {
            "steps_done": self.steps_done,
            "networks": {name: network.state_dict() for name, network in self.networks.items()},
            "optimizers": {name: optimizer.state_dict() for name, optimizer in self.optimizers.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.steps_done = state["steps_done"]
        for name, network in self.networks.items():
            network.load_state_dict(state["networks"][name], strict=True)
        for name, optimizer in self.optimizers.items():
            optimizer.load_state_dict(state["optimizers"][name])

    def own_state_dict(self) -> dict[str, Any]:
        return {}

    def load_own_state_dict(self, state: dict[str, Any]) -> None: ...


def _mean(logits: Tensor) -> Tensor:
    """D of the papers' plots: the mean probability, from 0 (fake) to 1 (real), that logits (N,) give. A scalar, fp32."""
    return torch.sigmoid(logits.float()).mean()


def _passed(network: nn.Module, x: Tensor) -> Tensor:
    """The network's output for `x`, with batch statistics; the running statistics stay as they are."""
    output: Tensor = functional_call(network, {name: value.clone() for name, value in network.named_buffers()}, (x,))
    return output


def _spread(x: Tensor) -> Tensor:
    """Mean Euclidean distance between two of the images (N, C, H, W); N of at least 2."""
    return torch.pdist(x.float().flatten(1)).mean()
