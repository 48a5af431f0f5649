"""The command `demod`: the book, its verdicts, the data, the training, a picture of your own.

Exit status: 0 all is well; 1 the work failed, and the message says what to do; 2 the command line is wrong,
or names a picture that cannot be used.
"""

import signal
import subprocess
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from rich.console import Console
from rich.text import Text

from demod_book.claims.ledger import GROUPS

app = typer.Typer(
    help="Blind demodulation with generative priors: the companion to the NeurIPS 2019 paper of Hand and Joshi.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_show_locals=False,
)


class Profile(StrEnum):
    """How large the experiments are."""

    QUICK = "quick"
    FULL = "full"


class Device(StrEnum):
    """Where the numbers are computed."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


class Trained(StrEnum):
    """The generators that can be trained."""

    DIGITS = "digits"
    DISTORTIONS = "distortions"


if TYPE_CHECKING:
    from torch import Tensor

    from demod_book.build.folders import Layout

Group = StrEnum("Group", {letter: letter for letter in GROUPS})  # type: ignore[misc] # mypy asks for a literal

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
DEVICE = typer.Option(help="auto takes CUDA where there is one, else the CPU.")


def _fail(error: Exception, status: int = 1) -> NoReturn:
    Console(stderr=True).print(Text.assemble(("demod: ", "red"), str(error)), soft_wrap=True)
    raise typer.Exit(status)


@app.command()
def build(
    profile: Annotated[
        Profile, typer.Option(help="quick: two cores, minutes. full: the paper's sizes, for a GPU.")
    ] = Profile.QUICK,
    jobs: Annotated[int | None, typer.Option(min=1, help="Chapters that run at once. [default: one per core]")] = None,
    device: Annotated[Device, DEVICE] = Device.AUTO,
    chapter: Annotated[
        str | None, typer.Option(help="Execute and check one chapter, by its file's name; leave the book as it is.")
    ] = None,
    limit: Annotated[
        float | None, typer.Option(min=0.01, help="Minutes for one chapter. [default: 30, full: a day]")
    ] = None,
    root: Annotated[
        Path, typer.Option(help="The folder of _config.yml and _toc.yml.", file_okay=False, exists=True)
    ] = Path(),
) -> None:
    """Execute the chapters and build the book into _build/html.

    A chapter runs again only if its code, the modules of demod that it reaches, weights, data or the lock file changed.
    Warnings are errors. A build that fails leaves the last good book as it was.
    """
    from demod_book.build.build import build as build_book
    from demod_book.build.folders import BuildError

    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stopped by `kill` or by Ctrl-C, the build stops its chapters
    try:
        build_book(
            root,
            profile=profile.value,
            device=device.value,
            jobs=jobs,
            limit=None if limit is None else 60 * limit,
            only=chapter,
            console=Console(highlight=False),
        )
    except BuildError as error:
        _fail(error)


@app.command()
def claims(
    group: Annotated[
        Group | None,
        typer.Option(help=f"Only one group. {', '.join(f'{letter}: {title}' for letter, title in GROUPS.items())}."),
    ] = None,
    root: Annotated[Path, typer.Option(help="The folder whose last build is read.", file_okay=False, exists=True)] = Path(),
) -> None:
    """Show every claim of the paper with its criteria, what the last build measured, and the verdict.

    Verdicts: reproduced (all criteria hold), falsified (one fails), vacuous (hypotheses out of reach), measured (the paper
    gives no number to compare with), not tested.
    """
    from demod_book.build.folders import BuildError, Layout
    from demod_book.pages.verdicts import read_verdicts, verdict_list

    layout = Layout(root.resolve())
    try:
        recorded = read_verdicts(layout.numbers, _last_build(layout)["chapters"])
    except BuildError as error:
        _fail(error)
    Console(highlight=False).print(verdict_list(recorded, group or "".join(GROUPS)))


@app.command()
def data() -> None:
    """Find MNIST on this machine or download it, and verify every file by its SHA-256.

    It is looked for in the folder that DEMOD_DATA_DIR names, then in the user cache, then at public mirrors.
    """
    from demod.data import MNISTUnavailableError, load_mnist

    console = Console(highlight=False)
    try:
        for split in ("train", "test"):
            images, _ = load_mnist(split)
            console.print(f"{split}: {len(images):,} images of {images.shape[1]} × {images.shape[2]} pixels, verified")
    except (MNISTUnavailableError, ValueError) as error:
        _fail(error)


@app.command()
def train(
    name: Annotated[Trained, typer.Argument(help="Which generator.")],
    device: Annotated[Device, DEVICE] = Device.AUTO,
    folder: Annotated[Path, typer.Option(help="Where checkpoints and samples go; a run that was cut off goes on.")] = Path(
        "training"
    ),
    ship: Annotated[bool, typer.Option(help="Put the trained generator into demod/weights, with its card.")] = True,
    compiled: Annotated[
        bool, typer.Option("--compile", help="Have torch compile the networks; for CUDA: on a CPU it saves nothing.")
    ] = False,
    base_width: Annotated[int | None, typer.Option(min=1, help="Channels of the last hidden layer.")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="Steps in all; a longer run continues a shorter one.")] = None,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Images a step, of all processes together.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of the weights and of all that is drawn.")] = None,
) -> None:
    """Train a generator (hours on a CPU) and ship it.

    A run that is killed loses at most 100 steps: the same command takes it up again. Settings other than those of the
    shipped generator (base width, steps, batch size, seed) need --no-ship and a folder of their own.

    Several GPUs, or several processes on the CPU, share each batch under torchrun:
    `torchrun --nproc-per-node 4 --no-python demod train digits`. The first writes the files.
    """
    from dataclasses import replace

    from demod.data import MNISTUnavailableError
    from demod.training.adversarial import SETTINGS, training_images
    from demod.training.adversarial import ship as ship_generator
    from demod.training.adversarial import train as train_generator
    from demod.training.distributed import processes, rank

    asked = {"base_width": base_width, "steps": steps, "batch_size": batch_size, "seed": seed}
    settings = replace(SETTINGS[name.value], **{key: value for key, value in asked.items() if value is not None})
    if ship and settings != SETTINGS[name.value]:
        _fail(ValueError("only a generator with the standard settings is shipped; add --no-ship, and a --folder."))
    chosen = _chosen(device)
    try:
        with processes(chosen) as own:
            images = training_images(name.value)
            run = train_generator(images, settings, folder / name.value, device=own, compiled=compiled)
            first = rank() == 0
        if ship and first:
            card = ship_generator(name.value, run, _held_out(name))
            error = card["representation_error"]["median"]
            Console(highlight=False).print(f"{name.value} shipped: median representation error {error:.2e} a pixel, squared")
    except (MNISTUnavailableError, ValueError) as error:
        _fail(error)


@app.command()
def autoencode(
    name: Annotated[str, typer.Argument(help="A prior: digits-tuned, relu-digits, or relu- and a family of modulators.")],
    device: Annotated[Device, DEVICE] = Device.AUTO,
    folder: Annotated[Path, typer.Option(help="Where checkpoints go; a run that was cut off goes on.")] = Path("training"),
    ship: Annotated[bool, typer.Option(help="Put the trained prior into demod/weights, with its card.")] = True,
) -> None:
    """Train a prior as the decoder of an autoencoder (minutes on a CPU) and ship it.

    digits-tuned begins as the shipped DCGAN; the relu- priors are bias-free ReLU networks. A run that is killed loses at
    most 100 steps: the same command takes it up again.
    """
    from demod.data import MNISTUnavailableError
    from demod.training.autoencoder import SETTINGS, family_of, held_out_images, training_images
    from demod.training.autoencoder import ship as ship_prior
    from demod.training.autoencoder import train as train_prior

    if name not in SETTINGS:
        _fail(ValueError(f"there is no prior {name!r}; the priors are {', '.join(SETTINGS)}."), 2)
    try:
        images = training_images(family_of(name))
        run = train_prior(images, SETTINGS[name], folder / name, device=_chosen(device))
        if ship:
            error = ship_prior(name, run, held_out_images(name))["representation_error"]["median"]
            Console(highlight=False).print(f"{name} shipped: median representation error {error:.2e} a pixel, squared")
    except (MNISTUnavailableError, ValueError) as error:
        _fail(error)


def _chosen(device: Device) -> str:
    """Return the device as torch names it; CUDA where there is none ends the command."""
    import torch

    if device is Device.CUDA and not torch.cuda.is_available():
        _fail(ValueError("device is cuda, but torch sees no CUDA device; use auto or cpu."))
    return "cuda" if device is not Device.CPU and torch.cuda.is_available() else "cpu"


def _held_out(name: Trained) -> "Tensor":
    """Return 64 images that training never saw, (64, 64, 64) in [0, 1]: test digits, or distortions off the grid."""
    from demod.data import invert, load_mnist, random_distortions, resize

    if name is Trained.DIGITS:
        return resize(invert(load_mnist("test")[0][:64]))
    return resize(random_distortions(64, seed=1))


@app.command()
def study(
    blocks: Annotated[
        int, typer.Option(min=1, help="Blocks of 32 test digits of the paper's experiment; 8 is all of it.")
    ] = 8,
    jobs: Annotated[int, typer.Option(help="Cells that run at once, on a thread each; -1: one per core.")] = -1,
    folder: Annotated[Path, typer.Option(help="Where finished cells are kept; a study that was cut off goes on.")] = Path(
        "_build/study"
    ),
    output: Annotated[Path, typer.Option(help="The file to write, with its card beside it.")] = Path(
        "demod_book/results/image-study.npz"
    ),
) -> None:
    """Run every method on the same images (about two hours on two cores) and store the results that the book shows.

    Needs MNIST, and SimpleITK from the extra demod[rivals].
    """
    from demod.priors.weights import weight_hashes
    from demod.studies.images import STUDY_SEED, run_study

    found = run_study(folder, blocks=blocks, jobs=jobs)
    command = f"demod study --blocks {blocks}"
    found.save(output, {"command": command, "seed": STUDY_SEED, "blocks": blocks, "weights": weight_hashes()})
    Console(highlight=False).print(f"{output}: {len(found.cells)} cells")


@app.command()
def recover(
    image: Annotated[Path, typer.Argument(help="The picture: PNG, JPEG, TIFF, GIF, BMP or WebP.", metavar="IMAGE")],
    output: Annotated[
        Path | None, typer.Option(help="The folder for the results, which must not exist. [default: NAME-recovered]")
    ] = None,
    tiles: Annotated[
        bool,
        typer.Option("--tiles", help="Cut into tiles of 64 × 64 pixels, each recovered by itself, instead of resizing."),
    ] = False,
    iterations: Annotated[int | None, typer.Option(min=1, help="Of the descent. [default: the best setting's]")] = None,
    starts: Annotated[
        int | None,
        typer.Option(min=1, help="Descents, of which the one with the least residual is kept. [default: the same]"),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the starting codes.")] = 2019,
    device: Annotated[Device, DEVICE] = Device.AUTO,
) -> None:
    """Recover signal and modulator from a picture of your own: a dark digit on white under uneven light.

    A square picture is resized to 64 × 64 pixels; --tiles cuts any picture of up to 256 tiles, whose grey levels need not
    agree from tile to tile. Colour is turned to grey. The folder holds signal.png, modulator.png, figure.png (picture,
    signal, modulator and their product) and recovery.json (residual, setting, versions), or is not written at all.

    The shipped generators know handwritten digits and bumps of light. A residual that such images do not leave is reported
    as "out of range of the priors". Exit status: 0 done, also with this warning; 1 the work failed; 2 the picture cannot be
    used, and the message says what to do.
    """
    from dataclasses import replace

    from demod.demodulation import BEST_SETTING
    from demod.photo import PictureError, recover_picture

    given: dict[str, Any] = {"iterations": iterations, "starts": starts}
    setting = replace(BEST_SETTING, **{name: value for name, value in given.items() if value is not None})
    folder = output or Path(f"{image.stem}-recovered")
    try:
        report = recover_picture(image, folder, setting=setting, tiles=tiles, device=_chosen(device), seed=seed)
    except PictureError as error:
        _fail(error, 2)
    except (OSError, FloatingPointError) as error:
        _fail(error)
    console = Console(highlight=False, soft_wrap=True)
    for note in report["picture"]["notes"]:
        console.print(Text(f"{image.name}: {note}"))
    console.print(Text(f"{folder}: mean-squared residual {report['mean_squared_residual']:.2e}"))
    if report["warning"]:
        bound = report["largest_expected_residual"]
        message = f"warning: {report['warning']}: digits and bumps like the training images leave at most {bound:.2e}"
        Console(stderr=True, highlight=False, soft_wrap=True).print(Text(message, "yellow"))


@app.command()
def bench(
    names: Annotated[
        list[str] | None,
        typer.Argument(help="Comparisons, by the names of their files. [default: all]", metavar="[NAME]..."),
    ] = None,
) -> None:
    """Measure the package against its peers, side by side, and store the results under results/ (minutes each).

    The comparisons are the scripts of benchmarks/ in the repository, each with a --help of its own. Let the machine be idle.
    """
    scripts = {path.stem: path for path in sorted(BENCHMARKS.glob("*.py"))}
    if not scripts:
        _fail(ValueError("there is no folder benchmarks: demod is installed without its repository; run it in a clone."))
    chosen = names or list(scripts)
    if unknown := [name for name in chosen if name not in scripts]:
        _fail(ValueError(f"there is no comparison {', '.join(unknown)}; there are {', '.join(scripts)}."), 2)
    for name in chosen:
        if status := subprocess.run([sys.executable, str(scripts[name])], check=False).returncode:
            _fail(RuntimeError(f"{name} ended with status {status}; its message is above."))


@app.command(hidden=True)
def accept(root: Annotated[Path, typer.Option(file_okay=False, exists=True)] = Path()) -> None:
    """Write numbers, verdicts and arrays of figures of the last build to tests/expected as the accepted ones, for review.

    Tolerances that are there are kept; new numbers and arrays get 5 %, integers none. The table of README.md takes the
    numbers of the quick profile with MNIST.
    """
    from demod.artifacts import atomic_path, read_json, write_json
    from demod_book.build.folders import Layout
    from demod_book.expected.arrays import accept_figures, figures_path, read_figures
    from demod_book.expected.numbers import accept as accepted
    from demod_book.expected.numbers import corrected, expected_path, read_numbers, results_block
    from demod_book.pages.verdicts import accepted_verdicts, read_verdicts, verdicts_path

    layout = Layout(root.resolve())
    stamp = _last_build(layout)
    path = expected_path(layout.root, stamp)
    numbers = read_numbers(layout.numbers, stamp["chapters"])
    write_json(path, accepted(numbers, read_json(path) if path.is_file() else {}))
    verdicts = verdicts_path(layout.root, stamp)
    write_json(verdicts, accepted_verdicts(read_verdicts(layout.numbers, stamp["chapters"])))
    figures = figures_path(layout.root, stamp)
    arrays = read_figures(layout.figures, stamp["chapters"])
    write_json(figures, accept_figures(arrays, read_json(figures) if figures.is_file() else {}))
    written, readme = [path, verdicts, figures], layout.root / "README.md"
    if (stamp["profile"], stamp["mnist"]) == ("quick", True) and readme.is_file():
        text = readme.read_text(encoding="utf-8")
        if block := results_block(text):
            with atomic_path(readme) as temporary:
                temporary.write_text(text.replace(block, corrected(block, numbers, exactly=True)), encoding="utf-8")
            written.append(readme)
    for changed in written:
        Console(highlight=False).print(f"{changed.relative_to(layout.root)}: review it with `git diff`")


@app.command(hidden=True)
def address(
    url: Annotated[str, typer.Argument(help="As in https://github.com/owner/name; empty for a book without buttons.")],
    root: Annotated[Path, typer.Option(help="The folder of _config.yml.", file_okay=False, exists=True)] = Path(),
) -> None:
    """Give the repository its address: the book's launch buttons, and where a chapter on Colab installs demod from."""
    from demod_book.build.folders import BuildError, Layout
    from demod_book.build.launch import set_address

    layout = Layout(root.resolve())
    try:
        changed = set_address(layout, url)
    except BuildError as error:
        _fail(error)
    for path in changed:
        Console(highlight=False).print(f"{path.relative_to(layout.root)}: review it with `git diff`")


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(help="The folder of a book that was built.", file_okay=False, exists=True)],
    second: Annotated[Path, typer.Argument(help="The folder of another.", file_okay=False, exists=True)],
    output: Annotated[
        Path | None,
        typer.Option(help="Also write as JSON how far the arrays agree, with this machine and both versions."),
    ] = None,
) -> None:
    """Compare the arrays behind all figures of two builds, bit for bit, times apart; differences exit with 1.

    `make determinism` builds the book twice and compares.
    """
    from demod.artifacts import machine, write_json
    from demod_book.build.folders import BuildError
    from demod_book.expected.arrays import agreement, build_versions, differences, read_builds

    builds = first.resolve(), second.resolve()
    try:
        arrays, versions = read_builds(*builds), [build_versions(build) for build in builds]
    except (BuildError, OSError, ValueError) as error:
        _fail(error)
    if output is not None:
        write_json(output, agreement(*arrays) | machine() | {"versions": versions})
    if problems := differences(*arrays):
        _fail(ValueError("\n".join(problems)))
    Console(highlight=False).print("All arrays behind the figures are the same to the bit.")


def _last_build(layout: "Layout") -> dict[str, Any]:
    """Return the card of the book that is there; without one the command ends."""
    from demod_book.build.build import last_build
    from demod_book.build.folders import BuildError

    try:
        return last_build(layout)
    except BuildError as error:
        _fail(error)
