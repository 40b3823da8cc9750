import pytest
import torch

from training.muon import Muon, orthogonal


@pytest.mark.parametrize("shape", [(3, 8, 5), (2, 4, 16), (1, 6, 6)])
def test_singular_values_come_near_one_and_the_directions_stay(shape):
    torch.manual_seed(0)
    matrices = torch.randn(shape)
    result = orthogonal(matrices)
    u, _, v = torch.linalg.svd(matrices, full_matrices=False)
    aligned = u.mT @ result @ v.mT
    values = aligned.diagonal(dim1=1, dim2=2)
    assert ((values > 0.6) & (values < 1.3)).all()
    assert torch.allclose(aligned, torch.diag_embed(values), atol=1e-4)


def test_first_step_worked_by_hand():
    # One large entry: the orthogonal update of a rank-1 matrix has one singular value near 1.
    weight = torch.nn.Parameter(torch.zeros(2, 4))
    weight.grad = torch.zeros(2, 4)
    weight.grad[0, 1] = 30.0
    Muon([weight], lr=0.5, weight_decay=0.0).step()
    # lr * 0.2 * sqrt(4) * (0.6 .. 1.3), downhill
    assert -0.5 * 0.4 * 1.3 < float(weight.detach()[0, 1]) < -0.5 * 0.4 * 0.6
    others = weight.detach().clone()
    others[0, 1] = 0
    assert torch.allclose(others, torch.zeros(2, 4), atol=1e-6)


def test_weight_decay_shrinks_and_missing_gradients_are_left_alone():
    moved, still = (torch.nn.Parameter(torch.eye(3)) for _ in range(2))
    moved.grad = torch.zeros(3, 3)
    Muon([moved, still], lr=0.1, weight_decay=0.5).step()
    assert torch.allclose(moved.detach(), 0.95 * torch.eye(3), atol=1e-6)
    assert torch.equal(still.detach(), torch.eye(3))
