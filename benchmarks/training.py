"""A step of DCGAN training: `Training` against the loop of the textbook, in plain float32 PyTorch.

The textbook takes D on real and on fake images with a backward pass each, then G with a backward pass through all of D,
and reads its losses; neither instance noise nor a moving average costs it anything, and its images are ready-made. Width
and batch are the same. Both are run in turn, several times; the table gives medians in milliseconds per step. The floor is
the time of the convolutions that the step cannot do without, in bfloat16: through G once forward and once back, through D
three times forward, twice back to its weights and inputs, once back to its inputs. `make bench` runs it and writes
demod_book/results/benchmark-training.json.
"""

import json
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from rich.console import Console
from rich.table import Table
from torch import Tensor, nn

from demod.artifacts import machine, write_json
from demod.data import distortion_images, resize
from demod.dcgan import discriminator_network, generator_network
from demod.training.adversarial import Training, TrainingSettings

RESULT = Path(__file__).parents[1] / "demod_book" / "results" / "benchmark-training.json"
LATENT = 100


def textbook(images: Tensor, width: int) -> Callable[[], tuple[float, float]]:
    """Return a step of the textbook's loop on `images`, (B, 1, 64, 64)."""
    B = len(images)
    G, D = generator_network(LATENT, width), discriminator_network(width)
    adam_G, adam_D = (torch.optim.Adam(network.parameters(), lr=2e-4, betas=(0.5, 0.999)) for network in (G, D))
    criterion = nn.BCEWithLogitsLoss()

    def step() -> tuple[float, float]:
        D.zero_grad()
        loss_real = criterion(D(images).view(-1), torch.ones(B))
        loss_real.backward()
        fake = G(torch.randn(B, LATENT, 1, 1))
        loss_fake = criterion(D(fake.detach()).view(-1), torch.zeros(B))
        loss_fake.backward()
        adam_D.step()
        G.zero_grad()
        loss_G = criterion(D(fake).view(-1), torch.ones(B))
        loss_G.backward()
        adam_G.step()
        return (loss_real + loss_fake).item(), loss_G.item()

    return step


def convolutions(width: int, batch: int) -> Callable[[], None]:
    """Return a function that makes the convolutions of one step, in bfloat16 and channels_last."""
    kind = {"dtype": torch.bfloat16, "memory_format": torch.channels_last}
    work = []
    for network, shape in ((generator_network(LATENT, width), (LATENT, 1, 1)), (discriminator_network(width), (1, 64, 64))):
        x = torch.randn(batch, *shape)
        for layer in (layer for layer in network if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d)):
            y = layer(x).detach()
            work.append((layer.to(**kind), x.to(**kind), y.to(**kind)))
            x = y

    def back(layer: nn.Module, x: Tensor, y: Tensor, inputs: bool, weights: bool) -> None:
        geometry = (layer.stride, layer.padding, layer.dilation, isinstance(layer, nn.ConvTranspose2d), [0, 0], 1)
        torch.ops.aten.convolution_backward(y, x, layer.weight, None, *geometry, [inputs, weights, False])

    @torch.no_grad()
    def step() -> None:
        for layer, x, y in work:
            inside = x.shape[1] not in (1, LATENT)  # the first layers' inputs are images and codes
            if isinstance(layer, nn.ConvTranspose2d):
                layer(x), back(layer, x, y, inside, True)
            else:
                for _ in range(2):
                    layer(x), back(layer, x, y, inside, True)
                layer(x), back(layer, x, y, True, False)

    return step


def compare(width: int, batch: int, repeats: int) -> dict[str, Any]:
    """Return the median times of a step in milliseconds, both sides in turn."""
    images = distortion_images()[:1000]
    ours = Training(images, TrainingSettings(latent=LATENT, base_width=width, steps=repeats, batch_size=batch))
    methods = {
        "textbook": textbook(2 * resize(images[:batch])[:, None] - 1, width),
        "Training": ours.advance,
        "floor": convolutions(width, batch),
    }
    times: dict[str, list[float]] = {name: [] for name in methods}
    for repeat in range(repeats + 1):
        for name, step in methods.items():
            started = time.perf_counter()
            step()
            if repeat:  # the first is for warming up
                times[name].append(1e3 * (time.perf_counter() - started))
    median = {name: statistics.median(values) for name, values in times.items()}
    return {
        "width": width, "batch": batch, "milliseconds": median, "speedup": median["textbook"] / median["Training"],
        "spread": {name: [min(values), max(values)] for name, values in times.items()},
    }  # fmt: skip


def main(
    repeats: Annotated[int, typer.Option(help="Steps of each side, in turn.")] = 9,
    width: Annotated[list[int] | None, typer.Option(help="Only these base widths, without writing the result.")] = None,
) -> None:
    """Time a training step against the textbook's, print the table, and write the result."""
    console = Console()
    rows = [compare(w, 64, repeats) for w in width or (16, 32, 64)]
    table = Table("base width", "batch", *rows[0]["milliseconds"], "speedup", "Training / floor", title="ms per step")
    for row in rows:
        median = row["milliseconds"]
        cells = [f"{row['width']}", f"{row['batch']}", *(f"{t:.0f}" for t in median.values()), f"{row['speedup']:.2f}"]
        table.add_row(*cells, f"{median['Training'] / median['floor']:.2f}")
    console.print(table)
    where = machine() | {"threads": torch.get_num_threads(), "torch": torch.__version__}
    console.print(json.dumps(where))
    if not width:
        write_json(RESULT, {"command": "make bench", "repeats": repeats, **where, "rows": rows})


if __name__ == "__main__":
    typer.run(main)
