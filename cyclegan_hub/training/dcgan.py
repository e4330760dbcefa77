"""DCGAN (Radford et al. 2016): a generator samples images from noise, a discriminator tells them from real ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.optim import Optimizer
from torch.optim.swa_utils import update_bn

from cyclegan_hub.hub.records import ModelError
from cyclegan_hub.models.dcgan import DCGAN
from cyclegan_hub.models.discriminators import DCGANDiscriminator
from cyclegan_hub.models.generators import init_weights
from cyclegan_hub.models.protocols import Examples
from cyclegan_hub.recipes.methods import DCGANRecipe, domain_of
from cyclegan_hub.training.losses import auc, discriminator_loss, generator_loss
from cyclegan_hub.training.trainer import Alarm, Backward, Trainer, adam, moving_average

DIVERSITY_EVERY = 25  # steps between two measurements of the fixed latents' diversity
FIXED = 64  # latents that are sampled throughout the training
STANDING = 16  # batches of FIXED latents from which the averaged generator takes the statistics of its norms
GRID_SIZE = 6  # rows and columns of a sample grid
_PANELS = {
    "losses": ["loss_d", "loss_g"],
    "D(x); D(G(z)) before and after the discriminator's step": ["d_x", "d_gz", "d_gz_after"],
    "AUC of the discriminator": ["d_auc"],
    "diversity of the fixed latents' samples, real images = 1": ["diversity"],
}


class DCGANTrainer(Trainer):
    """See `trainer.Trainer`. One image set, "a"; `loss_d` is the sum of both halves, as in the method's usual plots."""

    panels = _PANELS
    # The bounds were set on runs that went well and on runs made to fail (tests/training/test_dcgan.py).
    alarms = (
        Alarm(
            "diversity", below=0.5, steps=40,
            message=f"mode collapse: for {40 * DIVERSITY_EVERY} steps the samples of {FIXED} fixed latents have differed from "
            "each other less than half as much as real images do. Start again in another --out with a lower lr, or more images",
        ),
        Alarm(
            "loss_d", below=0.1, steps=300, rising="loss_g",
            message="the discriminator has won: its loss has been below 0.1 for 300 steps while the generator's rises. "
            "Start again in another --out with fewer disc_channels or a lower lr",
        ),
    )  # fmt: skip

    def __init__(self, recipe: DCGANRecipe, *, total_steps: int, labels: tuple[str, ...]) -> None:
        r = self.recipe = recipe
        self.labels, self.steps_done = labels, 0
        arguments: dict[str, Any] = {
            "channels": r.channels, "latent": r.latent, "widths": list(r.gen_channels), "domain": domain_of(r, labels),
            "labels": list(labels),
        }  # fmt: skip
        self._publish: Callable[[int | None], DCGAN] = lambda epoch: DCGAN(**arguments, epoch=epoch)
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
            name: adam(network.parameters(), r.lr) for name, network in self.networks.items()
        }

    def prepare(self, prepare: Callable[[Any], Any]) -> None:
        self.g, self.d = (prepare(network) for network in self.networks.values())
        self.optimizers = {name: prepare(optimizer) for name, optimizer in self.optimizers.items()}
        self.ema = moving_average(self.networks["generator"].parameters(), self.recipe.ema)

    def step(self, batch: dict[str, Tensor], backward: Backward) -> dict[str, Tensor]:
        x = batch["a"]
        z = torch.randn(len(x), self.recipe.latent, 1, 1).to(x.device)  # from the CPU: the same on every device

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
        loss_g = generator_loss("bce", (after,))
        backward(loss_g)
        self.optimizers["generator"].step()
        if self.ema:
            self.ema.step(self.networks["generator"].parameters())

        losses = {
            "loss_d": loss_d, "loss_g": loss_g, "d_auc": auc((on_real,), (on_fake,)), "d_x": _mean(on_real),
            # As in the method's usual log: the same fakes while the discriminator is trained, and while the generator is.
            "d_gz": _mean(on_fake), "d_gz_after": _mean(after),
        }  # fmt: skip
        if self.steps_done % DIVERSITY_EVERY == 0:
            losses["diversity"] = self._diversity(x)
        self.steps_done += 1
        return {name: value.detach() for name, value in losses.items()}

    @torch.no_grad()
    def _diversity(self, x: Tensor) -> Tensor:
        """The mean distance between two samples of the fixed latents, as vectors of pixels, over that between two real images
        (N, C, S, S). The pass uses batch statistics, as in training, and changes no state."""
        network = self.networks["generator"]
        buffers = {name: value.clone() for name, value in network.named_buffers()}  # running statistics, which it would update
        samples: Tensor = functional_call(network, buffers, (self.fixed.to(x.device),))
        return _spread(samples) / _spread(x).clamp_min(1e-6)

    def published(self, epoch: int | None) -> DCGAN:
        with torch.random.fork_rng(devices=[]):  # as of a CycleGAN
            model = self._publish(epoch).to(self.device)
        model.generator.load_state_dict(self.networks["generator"].state_dict(), strict=True)
        if self.ema:  # averaged weights have other statistics than the trained ones: "standing statistics" (Brock et al. 2019)
            self.ema.copy_to(model.generator.parameters())
            latents = model.latents(STANDING * FIXED, seed=0)[:, :, None, None].to(self.device)
            with torch.no_grad():
                update_bn(latents.split(FIXED), model.generator)
        return model.eval()

    def start_from(self, source: str) -> None:
        model = DCGAN.from_pretrained(source)
        own = (self.recipe.channels, self.recipe.latent, list(self.recipe.gen_channels))
        given = tuple(model.config[name] for name in ("channels", "latent", "widths"))
        if own != given:
            raise ModelError(
                f"--init {source}: another architecture (channels, latent, gen_channels {given}) than the recipe's {own}: give "
                "those fields with --set, or another source"
            )
        self.networks["generator"].load_state_dict(model.generator.state_dict(), strict=True)

    def samples(self, *held_out: Tensor) -> list[Examples]:
        """The published model's samples of the first fixed latents; held-out images are not used."""
        samples = self.published(None).draw(self.fixed[: GRID_SIZE * GRID_SIZE, :, 0, 0])
        rows = [samples[i : i + GRID_SIZE] for i in range(0, len(samples), GRID_SIZE)]
        return [Examples(rows, ["fixed latents", *[""] * (GRID_SIZE - 1)])]

    def state_dict(self) -> dict[str, Any]:
        ema = self.ema.state_dict() if self.ema else None
        return super().state_dict() | {"steps_done": self.steps_done, "ema": ema}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict(state)
        self.steps_done = state["steps_done"]


def _mean(logits: Tensor) -> Tensor:
    """D of the papers' plots: the mean probability of "real" by logits (N,). A scalar, fp32."""
    return torch.sigmoid(logits.float()).mean()


def _spread(x: Tensor) -> Tensor:
    """Mean Euclidean distance between two of the images (N, C, H, W); N of at least 2."""
    return torch.pdist(x.float().flatten(1)).mean()
