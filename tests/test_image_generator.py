import torch

from demod.dcgan import generator_network
from demod.image_generator import InstanceGenerator


def network(seed=0):
    torch.manual_seed(seed)
    return generator_network(5, 4)


def test_batch_normalisation_in_train_mode_sees_one_image_at_a_time():
    net = network().train()
    G = InstanceGenerator(net)
    z = torch.randn(3, 5)
    for code, image in zip(z, G(z), strict=True):
        with torch.no_grad():
            alone = (net(code[None, :, None, None]) + 1) / 2
        torch.testing.assert_close(image, alone.flatten(), rtol=1e-4, atol=1e-5)


def test_codes_of_the_notebooks_networks_have_no_scale(rng):
    G, z = InstanceGenerator(network()), torch.randn(2, 5, generator=rng)
    # equal but for the ε inside the normalisation
    torch.testing.assert_close(G(50 * z), G(100 * z), rtol=0, atol=1e-2)
    assert (G(z) - G(-z)).abs().max() > 1e-2


def test_their_pullback_is_the_transposed_derivative(rng):
    G = InstanceGenerator(network().double())
    z, v = torch.randn(2, 2, 5, generator=rng, dtype=torch.float64)
    u = torch.randn(2, 4096, generator=rng, dtype=torch.float64)
    _, pull = G.vjp(z)
    slope = (G(z + 1e-6 * v) - G(z - 1e-6 * v)) / 2e-6
    torch.testing.assert_close((pull(u) * v).sum(-1), (u * slope).sum(-1), rtol=1e-5, atol=1e-8)
