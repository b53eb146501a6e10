"""Pictures with labels: Digits (shipped with the package), MNIST and FashionMNIST."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from minigrad.datasets.batchwise import Compose, Normalize, apply, is_random
from minigrad.datasets.dataset import Dataset, as_indices
from minigrad.datasets.download import RemoteFile, fetch
from minigrad.datasets.folders import cache_folder, find_files
from minigrad.datasets.idx import read_idx
from minigrad.datasets.split import stratified_parts
from minigrad.errors import DataError, DTypeError, ShapeError
from minigrad.tensor import Tensor, from_numpy

__all__ = ["MNIST", "Digits", "FashionMNIST", "ImageDataset"]


class ImageDataset(Dataset):
    """Images and labels in two arrays, read in batches.

    `dataset[5]` is one sample (image, label): a float32 Tensor (C, H, W) in [0, 1] and an int.
    `dataset[[1, 5, 7]]` is a batch: Tensors (B, C, H, W) and (B,), made by one indexing operation.

    Parameters
    ----------
    images : numpy.ndarray
        uint8 of shape (N, C, H, W).
    labels : numpy.ndarray
        Integers of shape (N,); kept as int64.
    classes : tuple of str
        The names of the labels 0, 1, ...
    white : int, default 255
        The pixel value that becomes 1.0.
    transform : callable, optional
        Called with a float32 batch (B, C, H, W), see `minigrad.datasets.transforms`; for one sample B is 1.
    target_transform : callable, optional
        Called with the labels (B,) of a batch, for example `OneHot(10)`.

    Attributes
    ----------
    images, labels, classes
        As given: raw pixels, before any transform.

    Raises
    ------
    ShapeError, DTypeError
        The arrays have another shape or dtype, or a transform cannot be called.

    Examples
    --------
    >>> import numpy as np
    >>> from minigrad.datasets import ImageDataset
    >>> data = ImageDataset(np.full((10, 1, 4, 4), 51, np.uint8), np.arange(10), classes=tuple("0123456789"))
    >>> image, label = data[7]
    >>> image.shape, image[0, 0, 0].item(), label
    ((1, 4, 4), 0.20000000298023224, 7)
    >>> [batch.shape for batch in data[[1, 5, 7]]]
    [(3, 1, 4, 4), (3,)]
    """

    def __init__(
        self,
        images: np.ndarray,
        labels: np.ndarray,
        classes: tuple[str, ...],
        *,
        white: int = 255,
        transform: Callable[..., np.ndarray] | None = None,
        target_transform: Callable[[np.ndarray], np.ndarray] | None = None,
    ) -> None:
        for name, function in (("transform", transform), ("target_transform", target_transform)):
            if function is not None and not callable(function):
                raise DTypeError(
                    f"{type(self).__name__}: expected {name} to be a function or None, got "
                    f"{type(function).__name__}. Pass for example transforms.Normalize(0.13, 0.31)."
                )
        if images.dtype != np.uint8 or labels.dtype.kind not in "iu":
            raise DTypeError(
                f"{type(self).__name__}: expected uint8 images and integer labels, got {images.dtype} and "
                f"{labels.dtype}. Use TensorDataset for other values."
            )
        if images.ndim != 4 or labels.shape != images.shape[:1]:
            raise ShapeError(
                f"{type(self).__name__}: expected images (N, C, H, W) and labels (N,), got {images.shape} and "
                f"{labels.shape}. Grey images (N, H, W) become images[:, None]."
            )
        self.images = images
        self.labels = labels.astype(np.int64)
        self.classes = classes
        self.white = white
        self.transform = transform
        self.target_transform = target_transform

    @property
    def random(self) -> bool:  # type: ignore[override]
        """Whether the transform draws random numbers."""
        return is_random(self.transform)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: Any) -> tuple[Tensor, Any]:
        indices = as_indices(index, len(self))
        if indices.ndim:
            return self.gather(indices)
        return self.sample(int(indices), None)

    def sample(self, index: int, generator: np.random.Generator | None) -> tuple[Tensor, Any]:
        images, labels = self._arrays(np.array([index]), generator)
        # A number as it is, a row of numbers as a Tensor.
        return from_numpy(images[0]), labels[0].item() if labels.ndim == 1 else from_numpy(labels[0])

    def gather(self, indices: np.ndarray, generator: np.random.Generator | None = None) -> tuple[Tensor, Tensor]:
        images, labels = self._arrays(indices, generator)
        return from_numpy(images), from_numpy(labels)

    def _arrays(self, indices: np.ndarray, generator: np.random.Generator | None) -> tuple[np.ndarray, np.ndarray]:
        images = self._transformed(self.images.take(indices, axis=0), generator)
        labels = self.labels.take(indices)
        return images, labels if self.target_transform is None else self.target_transform(labels)

    def _transformed(self, pixels: np.ndarray, generator: np.random.Generator | None) -> np.ndarray:
        """uint8 (B, C, H, W) -> float32 in [0, 1] -> through the transform."""
        if self.transform is None:
            return np.divide(pixels, np.float32(self.white), dtype=np.float32)
        # A subclass may do something else, so `type` and not `isinstance`.
        steps = self.transform.transforms if type(self.transform) is Compose else (self.transform,)
        if steps and type(steps[0]) is Normalize:
            images, steps = steps[0].from_bytes(pixels, self.white), steps[1:]
        else:
            images = np.divide(pixels, np.float32(self.white), dtype=np.float32)
        for step in steps:
            images = apply(step, images, generator)
        return images

    def __repr__(self) -> str:
        count, *shape = self.images.shape
        return f"{type(self).__name__}({count} images {tuple(shape)}, {len(self.classes)} classes)"


class Digits(ImageDataset):
    """1,797 handwritten digits of 8x8 pixels, shipped with minigrad: 1,437 to train with, 360 to test with.

    The division is always the same and has every class in equal proportion; DIGITS.md beside this file says
    how it is made, where the digits come from and under which licence (CC BY 4.0).

    Parameters
    ----------
    train : bool, default True
        The training part or the test part.
    transform, target_transform : callable, optional
        See `ImageDataset`.

    References
    ----------
    E. Alpaydin and C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository,
    1998, doi:10.24432/C50P49.

    Examples
    --------
    >>> digits = Digits(train=False)
    >>> len(digits), digits.images.shape, digits[0][0].shape
    (360, (360, 1, 8, 8), (1, 8, 8))
    """

    def __init__(
        self,
        train: bool = True,
        transform: Callable[..., np.ndarray] | None = None,
        target_transform: Callable[[np.ndarray], np.ndarray] | None = None,
    ) -> None:
        with np.load(Path(__file__).with_name("digits.npz"), allow_pickle=False) as file:
            images, labels = file["images"], file["labels"]
        # Raw PCG64 output: numpy may change what permutation() returns for a seed, but never this stream.
        keys = np.random.PCG64(0).random_raw(len(labels))
        test, training = stratified_parts(labels, (360, 1437), keys)
        part = np.sort(training if train else test)
        super().__init__(
            images[part, None],
            labels[part],
            tuple("0123456789"),
            white=16,
            transform=transform,
            target_transform=target_transform,
        )
        self.train = train


class MNIST(ImageDataset):
    """The MNIST handwritten digits: 60,000 training and 10,000 test images of 28x28 pixels.

    Parameters
    ----------
    root : str or path-like, optional
        Where the four IDX files are, plain or `.gz`: this folder itself, or `mnist/` or `MNIST/raw/` in it.
        If they are not there, the folder in the environment variable MINIGRAD_DATA is searched for the same
        two, then the user's cache folder.
    train : bool, default True
        The training part or the test part.
    transform, target_transform : callable, optional
        See `ImageDataset`.
    download : bool, default False
        Fetch the files if no folder has them, into `root/mnist/`, or the cache folder if `root` is not given.
        They are checked by SHA-256; a download that broke off goes on where it was.

    Attributes
    ----------
    folder : Path
        The folder that the files were found in.

    Raises
    ------
    DataError
        The files were not found, are damaged, are those of another dataset with the same file names, or could
        not be downloaded.

    References
    ----------
    Y. LeCun, C. Cortes and C. J. C. Burges, "The MNIST database of handwritten digits", 1998.
    torchvision.datasets.MNIST.
    """

    title: ClassVar[str] = "MNIST"
    names: ClassVar[tuple[str, ...]] = tuple("0123456789")
    subfolders: ClassVar[tuple[str, ...]] = ("mnist", "MNIST/raw")
    mirrors: ClassVar[tuple[str, ...]] = (
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    )
    files: ClassVar[tuple[RemoteFile, ...]] = (
        RemoteFile(
            "train-images-idx3-ubyte.gz",
            9912422,
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        ),
        RemoteFile(
            "train-labels-idx1-ubyte.gz",
            28881,
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        ),
        RemoteFile(
            "t10k-images-idx3-ubyte.gz",
            1648877,
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        ),
        RemoteFile(
            "t10k-labels-idx1-ubyte.gz",
            4542,
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        ),
    )

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        train: bool = True,
        transform: Callable[..., np.ndarray] | None = None,
        target_transform: Callable[[np.ndarray], np.ndarray] | None = None,
        download: bool = False,
    ) -> None:
        part = "train" if train else "t10k"
        needed = [f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte"]
        try:
            image_file, label_file = find_files(self.title, needed, root, self.subfolders)
        except DataError:
            if not download:
                raise
            folder = Path(root if root is not None else cache_folder(), self.subfolders[0])
            for file in self.files:
                fetch(file, self.mirrors, folder)
            image_file, label_file = find_files(self.title, needed, root, self.subfolders)
        images, labels = read_idx(image_file), read_idx(label_file)
        self._check(images, labels, image_file.parent)
        super().__init__(
            images[:, None],
            labels,
            self.names,
            transform=transform,
            target_transform=target_transform,
        )
        self.train = train
        self.folder = image_file.parent

    def _check(self, images: np.ndarray, labels: np.ndarray, folder: Path) -> None:
        if images.dtype != np.uint8 or images.shape[1:] != (28, 28) or len(images) == 0:
            raise DataError(
                f"{self.title}: expected uint8 images of shape (N, 28, 28), got {images.dtype} "
                f"{images.shape} in {folder}. Check that these are the files of {self.title}."
            )
        if labels.dtype != np.uint8 or labels.shape != (len(images),):
            raise DataError(
                f"{self.title}: expected {len(images)} uint8 labels, one for each image, got {labels.dtype} "
                f"{labels.shape} in {folder}. Image and label file belong to different parts."
            )
        if labels.max() >= len(self.names):
            raise DataError(
                f"{self.title}: expected labels from 0 to {len(self.names) - 1}, got {labels.max()} in "
                f"{folder}. Check that these are the files of {self.title}."
            )
        owner = _KNOWN_LABELS.get(hashlib.sha256(labels.tobytes()).hexdigest(), self.title)
        if owner != self.title:
            raise DataError(
                f"{self.title}: expected the files of {self.title}, got those of {owner}, which have the "
                f"same names, in {folder}. Pass the other folder, or use the class {owner}."
            )


class FashionMNIST(MNIST):
    """Fashion-MNIST, articles of clothing in the format of MNIST: 60,000 training and 10,000 test images.

    Parameters and errors are those of `MNIST`; the subfolders are `fashion-mnist/` and `FashionMNIST/raw/`.

    References
    ----------
    H. Xiao, K. Rasul and R. Vollgraf, "Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine Learning
    Algorithms", 2017, arXiv:1708.07747.
    """

    title = "FashionMNIST"
    names = (
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    )
    subfolders = ("fashion-mnist", "FashionMNIST/raw")
    mirrors = (
        "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    )
    files = (
        RemoteFile(
            "train-images-idx3-ubyte.gz",
            26421880,
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        ),
        RemoteFile(
            "train-labels-idx1-ubyte.gz",
            29515,
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        ),
        RemoteFile(
            "t10k-images-idx3-ubyte.gz",
            4422102,
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        ),
        RemoteFile(
            "t10k-labels-idx1-ubyte.gz",
            5148,
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        ),
    )


# SHA-256 of the label bytes: the two datasets have the same file names, and folders are easily mixed up.
_KNOWN_LABELS = {
    "1feba77c54802fa5339a11837ea4b2866434b83314ec45192930f1df69120c13": "MNIST",
    "ddeff807876a9661a1110d45c266c86239a3a1b7d37da0c3716a7a683c852ff5": "MNIST",
    "657fbd221bfc9f4198cc14b5619cc33ec57c58dd0e47af4d99d6650759e869a7": "FashionMNIST",
    "3d0e6c6ea990b53b6f8f500a41cac93881d981b315f84578b7d915342ade01e9": "FashionMNIST",
}
