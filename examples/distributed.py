"""One operator on several processes and in one.  usage: torchrun --nproc-per-node 2 distributed.py [POINTS]

Each process holds a part of the points and of the field.  The energy of nonlocal diffusion and its gradient with
respect to the points are those of one process, to rounding.
"""

import sys

import torch

from nlmodel import NonlocalOperator
from nlmodel.distributed import DistributedOperator, processes
from nlmodel.kernels import Gaussian


M = int(sys.argv[1]) if len(sys.argv) > 1 else 2000

g = torch.Generator().manual_seed(0)
points = torch.rand(M, 3, generator=g, dtype=torch.float64)
field = torch.randn(M, 4, generator=g, dtype=torch.float64)

with processes() as mine:
    part = mine.part(M)
    X = points[part].to(mine.device).requires_grad_()
    op = DistributedOperator.from_points(X, Gaussian(0.2), "row")
    change = op.gather(op @ field[part].to(mine.device))
    energy = op.energy(field[part].to(mine.device))
    (energy / mine.count).backward()  # all processes hold the energy, and each calls backward on its share
    slope = op.gather(X.grad)

    if mine.rank == 0:
        whole = points.clone().requires_grad_()
        one = NonlocalOperator.from_points(whole, Gaussian(0.2), "row")
        alone = one.energy(field)
        alone.backward()
        print(f"{M} points in {mine.count} processes; largest differences to one process, relative:")
        for name, here, there in (
            ("L Z", change, (one @ field).detach()),
            ("energy", energy.detach(), alone.detach()),
            ("gradient", slope, whole.grad),
        ):
            print(f"  {name:9} {float((here.cpu() - there).abs().max() / there.abs().max()):.1e}")
