"""``keras.ops.image``: functions of images."""

from kerastorch.ops._image._colors import hsv_to_rgb as hsv_to_rgb
from kerastorch.ops._image._colors import rgb_to_grayscale as rgb_to_grayscale
from kerastorch.ops._image._colors import rgb_to_hsv as rgb_to_hsv
from kerastorch.ops._image._crop import crop_images as crop_images
from kerastorch.ops._image._crop import extract_patches as extract_patches
from kerastorch.ops._image._crop import extract_patches_3d as extract_patches_3d
from kerastorch.ops._image._crop import pad_images as pad_images
from kerastorch.ops._image._filters import gaussian_blur as gaussian_blur
from kerastorch.ops._image._filters import sobel_edges as sobel_edges
from kerastorch.ops._image._filters import ssim as ssim
from kerastorch.ops._image._resize import resize as resize
from kerastorch.ops._image._resize import scale_and_translate as scale_and_translate
from kerastorch.ops._image._transform import affine_transform as affine_transform
from kerastorch.ops._image._transform import elastic_transform as elastic_transform
from kerastorch.ops._image._transform import map_coordinates as map_coordinates
from kerastorch.ops._image._transform import perspective_transform as perspective_transform
