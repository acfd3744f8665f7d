"""Data sets from the files in a folder, with a class for each of its folders."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from kerastorch.config import standardize_data_format
from kerastorch.data import Dataset
from kerastorch.ops._image._sizes import check_interpolation, resized
from kerastorch.utils import img_to_array, load_img

_PICTURES = (".bmp", ".gif", ".jpeg", ".jpg", ".png")
_COLORS = ("grayscale", "rgb", "rgba")


def image_dataset_from_directory(
    directory: str | os.PathLike[str],
    labels: str | Sequence[int] | None = "inferred",
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    color_mode: str = "rgb",
    batch_size: int | None = 32,
    image_size: int | tuple[int, int] = (256, 256),
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    interpolation: str = "bilinear",
    follow_links: bool = False,
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    data_format: str | None = None,
    verbose: bool = True,
) -> Any:
    """Pictures in files (BMP, GIF, JPEG, PNG), of one size: batches of (B, H, W, C) in float32 from 0 to 255.

    Args:
        directory: has a folder for each class; the files of each come in the order of their names.
        labels: ``"inferred"`` from the folders, numbers in the order of all files, or None for no labels.
        label_mode: ``"int"``: (B,) in int32; ``"binary"``: (B, 1) in float32; ``"categorical"``: (B, classes); None
            for no labels.
        class_names: the folders to read, in the order of their numbers; all, by name, when left out.
        color_mode: ``"rgb"``, ``"rgba"`` or ``"grayscale"``.
        batch_size: None gives single pictures.
        image_size: a number, or height and width.
        shuffle: a new order for every pass; else that of the names.
        seed: of the order, and of the split.
        validation_split, subset: this fraction of the files is held out: ``"training"`` reads the others,
            ``"validation"`` it, ``"both"`` gives two data sets.
        interpolation: see `layers.Resizing`.
        follow_links: read folders that are links.
        crop_to_aspect_ratio, pad_to_aspect_ratio: cut off, or pad by zeros, in place of distorting.
        verbose: print how many files there are.

    Returns:
        A `Dataset`, with the attributes `class_names` and `file_paths`; two for ``"both"``.
    """
    if color_mode not in _COLORS:
        raise ValueError(
            f"image_dataset_from_directory: `color_mode` must be one of {_COLORS}, received {color_mode!r}."
        )
    check_interpolation(interpolation)
    layout = standardize_data_format(data_format)
    size = (image_size, image_size) if isinstance(image_size, int) else image_size

    def read(path: str) -> torch.Tensor:
        picture = torch.from_numpy(img_to_array(load_img(path, color_mode), layout, "float32"))
        return resized(
            picture,
            size,
            interpolation,
            crop_to_aspect_ratio=crop_to_aspect_ratio,
            pad_to_aspect_ratio=pad_to_aspect_ratio,
            data_format=layout,
        )

    folder = _Folder(directory, labels, label_mode, class_names, _PICTURES, follow_links, verbose)
    return folder.datasets(read, batch_size, shuffle, seed, validation_split, subset)


def text_dataset_from_directory(
    directory: str | os.PathLike[str],
    labels: str | Sequence[int] | None = "inferred",
    label_mode: str | None = "int",
    class_names: Sequence[str] | None = None,
    batch_size: int | None = 32,
    max_length: int | None = None,
    shuffle: bool = True,
    seed: int | None = None,
    validation_split: float | None = None,
    subset: str | None = None,
    follow_links: bool = False,
    verbose: bool = True,
) -> Any:
    """Texts in ``.txt`` files in UTF-8: batches of arrays (B,) of text.

    `max_length` cuts texts off after so many characters; the other arguments and the result are those of
    `image_dataset_from_directory`.
    """

    def read(path: str) -> np.ndarray[Any, Any]:
        return np.array(Path(path).read_text(encoding="utf-8")[:max_length])

    folder = _Folder(directory, labels, label_mode, class_names, (".txt",), follow_links, verbose)
    return folder.datasets(read, batch_size, shuffle, seed, validation_split, subset)


class _Folder:
    """The files below a folder, and their labels."""

    def __init__(
        self,
        directory: str | os.PathLike[str],
        labels: str | Sequence[int] | None,
        label_mode: str | None,
        class_names: Sequence[str] | None,
        endings: tuple[str, ...],
        follow_links: bool,
        verbose: bool,
    ) -> None:
        if label_mode not in ("int", "categorical", "binary", None):
            raise ValueError(
                "`label_mode` must be 'int', 'categorical', 'binary' or None, "
                f"received {label_mode!r}."
            )
        inferred = isinstance(labels, str)
        if inferred and labels != "inferred":
            raise ValueError(f"`labels` must be 'inferred', numbers or None, received {labels!r}.")
        if class_names is not None and not inferred:
            raise ValueError("`class_names` are for labels='inferred'.")
        self.mode = None if labels is None else label_mode
        self.names = _names(Path(directory), class_names) if inferred else None
        self.paths: list[str] = []
        numbers: list[int] = []
        for number, name in enumerate(self.names or [""]):
            found = _files(Path(directory, name), endings, follow_links)
            self.paths += found
            numbers += [number] * len(found)
        if not self.paths:
            raise ValueError(f"{directory} has no files that end in {', '.join(endings)}.")
        if not inferred and labels is not None:
            numbers = [int(label) for label in labels]
            self.names = [str(label) for label in sorted(set(numbers))]
            if len(numbers) != len(self.paths):
                raise ValueError(
                    f"`labels` must be one number for each of the {len(self.paths)} files in {directory}, "
                    f"received {len(numbers)}."
                )
        self.labels = np.array(numbers, "int32")
        classes = len(self.names or ())
        if self.mode == "binary" and classes != 2:
            raise ValueError(f"label_mode='binary' takes two classes, there are {self.names}.")
        if verbose:
            of = f" belonging to {classes} classes" if self.mode else ""
            print(f"Found {len(self.paths)} files{of}.")

    def datasets(
        self,
        read: Callable[[str], Any],
        batch_size: int | None,
        shuffle: bool,
        seed: int | None,
        split: float | None,
        subset: str | None,
    ) -> Any:
        """All files, or a part of them, or both parts."""
        order = np.arange(len(self.paths))
        if (split is None) != (subset is None):
            raise ValueError("`validation_split` and `subset` go together: give both, or none.")
        if split is None:
            return self._dataset(order, read, batch_size, shuffle, seed)
        if not 0 < split < 1 or subset not in ("training", "validation", "both"):
            raise ValueError(
                "`validation_split` must be a fraction in (0, 1) and `subset` 'training', 'validation' or "
                f"'both', received {split!r} and {subset!r}."
            )
        if shuffle:
            if seed is None and subset != "both":
                raise ValueError(
                    "With `shuffle`, the files of `subset` are drawn: give the same `seed` for both subsets."
                )
            np.random.RandomState(seed).shuffle(order)
        first = len(order) - int(split * len(order))
        parts = {"training": order[:first], "validation": order[first:]}
        made = {
            name: self._dataset(part, read, batch_size, shuffle, seed)
            for name, part in parts.items()
            if subset in (name, "both")
        }
        return tuple(made.values()) if subset == "both" else made[subset]

    def _dataset(
        self,
        order: np.ndarray[Any, Any],
        read: Callable[[str], Any],
        batch_size: int | None,
        shuffle: bool,
        seed: int | None,
    ) -> Dataset:
        paths, labels = [self.paths[at] for at in order], self._targets(self.labels[order])

        def element(at: torch.Tensor) -> Any:
            content = read(paths[int(at)])
            return content if labels is None else (content, labels[int(at)])

        dataset = Dataset.range(len(order))
        if shuffle:
            dataset = dataset.shuffle(len(order), seed=seed)
        dataset = dataset.map(element)
        dataset = dataset if batch_size is None else dataset.batch(batch_size)
        dataset.class_names, dataset.file_paths = self.names, paths  # type: ignore[attr-defined]
        return dataset

    def _targets(self, labels: np.ndarray[Any, Any]) -> torch.Tensor | None:
        if self.mode is None:
            return None
        numbers = torch.from_numpy(labels)
        if self.mode == "binary":
            return numbers.float().unsqueeze(1)
        if self.mode == "categorical":
            return torch.eye(len(self.names or ()))[numbers.long()]
        return numbers


def _names(directory: Path, given: Sequence[str] | None) -> list[str]:
    """The folders of a folder."""
    found = sorted(
        entry.name for entry in directory.iterdir() if entry.is_dir() and entry.name[0] != "."
    )
    if given is None:
        return found
    if not set(given) <= set(found):
        raise ValueError(f"`class_names`: {directory} has the folders {found}, received {given}.")
    return list(given)


def _files(folder: Path, endings: tuple[str, ...], follow_links: bool) -> list[str]:
    """All files below a folder, by name."""
    found = []
    walk = sorted(os.walk(folder, followlinks=follow_links))
    for root, _, names in walk:
        found += [os.path.join(root, n) for n in sorted(names) if n.lower().endswith(endings)]
    return found
