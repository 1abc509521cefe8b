"""What names say: the class in a label, file or folder, and the picture that a file was made from."""

from __future__ import annotations

import re
import unicodedata
from pathlib import PurePosixPath
from typing import get_args

from qtlplat_neu_det.options import DefectClass

CLASSES: tuple[str, ...] = get_args(DefectClass)
# folders that say what lies in them, or to which part of a split it belongs
ROLES = frozenset(
    "image images img imgs jpegimages annotation annotations annots xml xmls label labels lable"
    " train training val valid validation test testing".split()
)
# folders of images that mark pixels, and the ends of the names of such images
_MASKS = frozenset(
    "mask masks ground_truth groundtruth gt segmentation segmentations segmentationclass segmentationobject".split()
)
_MASK_OF = re.compile(r"(.+)[_-](?:mask|masks|gt|label|seg)", re.IGNORECASE)
_COUNTED = re.compile(r"(.*?)[\s_.-]*\(?[0-9]*\)?", re.DOTALL)
_ROBOFLOW = re.compile(r"(?:_(?:jpe?g|png|bmp|tiff?|webp))?\.rf\.[0-9a-z]+", re.IGNORECASE)


def canonical(text: str) -> str:
    """A name in one spelling: lower case, with '_' for hyphens and spaces."""
    return re.sub(r"[\s_-]+", "_", unicodedata.normalize("NFC", text).casefold()).strip("_")


# NEU-CLS abbreviates; some copies leave the second word out
_ALIASES = {canonical(name): name for name in CLASSES} | {
    "cr": "crazing",
    "in": "inclusion",
    "pa": "patches",
    "ps": "pitted_surface",
    "rs": "rolled-in_scale",
    "sc": "scratches",
    "pitted": "pitted_surface",
    "rolled": "rolled-in_scale",
    "rolled_in": "rolled-in_scale",
}


def class_of(word: str) -> str:
    """The class that a word means, '' if none."""
    return _ALIASES.get(canonical(word), "")


def class_in_stem(stem: str) -> str:
    """The class that a file name without extension begins with, as in ``Cr_12`` or ``crazing_12``; '' if none."""
    match = _COUNTED.fullmatch(source_of(stem))
    return class_of(match[1]) if match else ""


def class_of_folder(name: str) -> str:
    """The class that the folder of a file is called after, '' if none; folders like ``images`` are passed over."""
    folders = PurePosixPath(name).parts[:-1]
    own = next((folder for folder in reversed(folders) if canonical(folder) not in ROLES), "")
    return class_of(own)


def source_of(stem: str) -> str:
    """The picture that a file was made from: Roboflow adds ``.rf.HASH`` to its name, once for each variant."""
    return _ROBOFLOW.sub("", stem)


def in_masks(name: str) -> bool:
    """Whether a file lies in a folder of masks."""
    return any(canonical(folder) in _MASKS for folder in PurePosixPath(name).parts[:-1])


def masked_by(name: str) -> str:
    """The image that a file is the mask of by its name, as in ``crazing_1_mask.png``, without extension; '' if none."""
    match = _MASK_OF.fullmatch(PurePosixPath(name).stem)
    return str(PurePosixPath(name).with_name(match[1])) if match else ""


def full_name(name: str) -> str:
    """Class and number of a file, in one spelling, also if only its folder names the class."""
    stem = PurePosixPath(name).stem
    folder = "" if class_in_stem(stem) else class_of_folder(name)
    return canonical(f"{folder}_{stem}")
