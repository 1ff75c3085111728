"""Stacked Adam against torch's own, one network at a time."""

import torch

from inr_core.optimisation.adam import Adam


def test_networks_at_different_steps_equal_torchs_adam_on_each():
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(3, 4, generator=generator, dtype=torch.float64)
    gradients = torch.randn(6, 3, 4, generator=generator, dtype=torch.float64)
    rates = torch.tensor([[0.1], [0.02], [0.3]], dtype=torch.float64)
    theta, adam = start.clone(), Adam(start)
    for step, gradient in enumerate(gradients):
        if step == 2:  # the second network begins anew
            theta[1] = start[1]
            adam.forget([1])
        adam.update(theta, gradient, rates)
    for n in range(3):
        alone = start[n].clone().requires_grad_()
        reference = torch.optim.Adam([alone], lr=rates[n].item())
        for gradient in gradients[2 if n == 1 else 0 :]:
            alone.grad = gradient[n].clone()
            reference.step()
        torch.testing.assert_close(theta[n], alone.detach(), atol=1e-12, rtol=1e-12)


def test_a_rate_of_zero_moves_nothing():
    theta = torch.ones(2, 3)
    Adam(theta).update(theta, torch.ones(2, 3), torch.tensor([[0.0], [0.1]]))
    assert torch.equal(theta[0], torch.ones(3))
    assert (theta[1] < 1).all()
