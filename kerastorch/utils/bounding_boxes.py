"""Boxes around things in pictures: other formats, clipping, overlaps, and targets for detectors.

Boxes are (N, 4) or (B, N, 4). The four numbers are, by format:

- ``"xyxy"``: left, top, right, bottom, in pixels from the upper left corner; ``"yxyx"``: top, left, bottom, right;
- ``"xywh"``: left, top, width, height;
- ``"center_xywh"``: middle x, middle y, width, height; ``"center_yxhw"``: the same, y first;
- ``"rel_..."``: any of these as fractions of the picture's width and height.

>>> from kerastorch.utils import bounding_boxes
>>> bounding_boxes.convert_format([[10.0, 20.0, 30.0, 60.0]], "xyxy", "rel_xywh", height=100, width=50)
tensor([[0.2000, 0.2000, 0.4000, 0.4000]])
"""

from kerastorch.utils._boxes import affine_transform as affine_transform
from kerastorch.utils._boxes import clip_to_image_size as clip_to_image_size
from kerastorch.utils._boxes import convert_format as convert_format
from kerastorch.utils._boxes import crop as crop
from kerastorch.utils._boxes import pad as pad
from kerastorch.utils._detection import compute_ciou as compute_ciou
from kerastorch.utils._detection import compute_iou as compute_iou
from kerastorch.utils._detection import decode_deltas_to_boxes as decode_deltas_to_boxes
from kerastorch.utils._detection import encode_box_to_deltas as encode_box_to_deltas
