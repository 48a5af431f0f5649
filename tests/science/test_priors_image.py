import pytest
import torch

from demod.data import random_distortions, resize
from demod.dcgan import generator_network, load_generator
from demod.priors.image import InstanceGenerator, closest_in_range, representation_error


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


@pytest.fixture(scope="module")
def distortions():
    return load_generator("distortions")


def test_an_image_in_the_range_is_represented_far_better_than_one_outside(distortions):
    rng = torch.Generator().manual_seed(4)
    inside = distortions(torch.randn(2, 50, generator=rng)).reshape(2, 64, 64)
    noise = torch.rand(1, 64, 64, generator=rng)
    error = representation_error(distortions, torch.cat([inside, noise]))
    assert (error[:2] < error[2] / 100).all()
    assert error[2] > 0.05  # a smooth image cannot follow noise of variance 1/12


def test_the_closest_image_is_in_the_range_and_has_the_error_that_is_stated(distortions):
    target = resize(random_distortions(2, seed=3))
    nearest, error = closest_in_range(distortions, target, starts=2, iterations=40)
    assert nearest.shape == target.shape
    torch.testing.assert_close(error, (nearest - target).square().mean((-1, -2)), rtol=1e-4, atol=1e-8)


def test_more_starts_and_iterations_never_represent_worse(distortions):
    # The first start of three is not that of one (other numbers are drawn), so only the best iterate can be compared.
    target = resize(random_distortions(1, seed=3))
    errors = [closest_in_range(distortions, target, starts=1, iterations=n)[1] for n in (1, 60)]
    assert errors[1] < errors[0]
