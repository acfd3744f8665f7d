"""``keras.ops.linalg``: linear algebra."""

from kerastorch.ops._linalg import cholesky as cholesky
from kerastorch.ops._linalg import cholesky_inverse as cholesky_inverse
from kerastorch.ops._linalg import det as det
from kerastorch.ops._linalg import eig as eig
from kerastorch.ops._linalg import eigh as eigh
from kerastorch.ops._linalg import inv as inv
from kerastorch.ops._linalg import lstsq as lstsq
from kerastorch.ops._linalg import lu_factor as lu_factor
from kerastorch.ops._linalg import matrix_rank as matrix_rank
from kerastorch.ops._linalg import norm as norm
from kerastorch.ops._linalg import pinv as pinv
from kerastorch.ops._linalg import qr as qr
from kerastorch.ops._linalg import solve as solve
from kerastorch.ops._linalg import solve_triangular as solve_triangular
from kerastorch.ops._linalg import svd as svd
from kerastorch.ops._transforms import jvp as jvp
