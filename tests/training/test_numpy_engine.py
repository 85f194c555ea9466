"""Both engines walk the same path: what PyTorch's autograd and optimizers do, the definitions do, within rounding."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch
from torch.overrides import TorchFunctionMode

import hubel
from hubel import zoo
from hubel.data import Split
from hubel.data.augment import Augment
from hubel.definitions import Tape
from hubel.errors import Diverged, InputError
from hubel.training import prepare
from hubel.training.loop import Trainer
from hubel.training.numpy_engine import Loss, NumpyEngine
from hubel.training.recipe import Recipe, compose
from hubel.training.steps import balanced
from hubel.training.torch_engine import TorchEngine
from hubel.zoo.pixels import Pixels

ENGINES = (TorchEngine, NumpyEngine)
SHAPE = (2, 7, 6)  # two channels, H != W
STEPS = 30


def data(count, shape, *, regress=False):
    """Pictures (or numbers) in three classes, the first by far the most frequent; or two numbers to find."""
    rng = np.random.default_rng(0)
    picture = len(shape) == 3
    x = (
        rng.integers(0, 256, (count, *shape)).astype(np.uint8)
        if picture
        else rng.normal(size=(count, *shape))
    )
    y = rng.normal(size=(count, 2)).astype(np.float32) if regress else rng.choice(3, count, p=(0.7, 0.2, 0.1))
    return Split(x if picture else x.astype(np.float32), y, [""] * count)


def trainer(engine, *, network="mlp", shape=SHAPE, regress=False, mirror=False, **settings):
    recipe = Recipe(**{"epochs": 6, "batch": 13, "lr": 0.02} | settings)
    train, val = data(65, shape, regress=regress), data(31, shape, regress=regress)
    outputs = 2 if regress else 3
    torch.manual_seed(5)
    arguments = {"hidden": (9,)} if network == "mlp" else {}
    built = zoo.create(network, outputs, shape, **arguments)
    model = Pixels(built, [0.4] * shape[0], [0.3] * shape[0], picture=len(shape) == 3, mirror=mirror)
    weight = balanced(torch.from_numpy(train.targets), outputs) if recipe.balance else None
    made = engine(model, recipe, outputs=outputs, regress=regress, weight=weight)
    augment = Augment(shift=recipe.shift, rotate=recipe.rotate, flip=recipe.flip) if len(shape) == 3 else None
    return Trainer(made, train, val, recipe, augment=augment, regress=regress)


def walked(engine, steps=STEPS, **options):
    """(losses of the steps, validation loss and accuracy, weights to be kept) after so many steps."""
    made = trainer(engine, **options)
    losses = []
    learn = made.learn

    def noted(*where):
        loss, right = learn(*where)
        losses.append((loss.item(), int(right)))
        made.stop = len(losses) == steps
        return loss, right

    made.learn = noted
    with made.engine.at_work():
        last = list(made.epochs())[-1]
    assert len(losses) == steps
    return np.array(losses), (last.val_loss, last.val_accuracy), made.weights()


def assert_one_path(steps=STEPS, tol=2e-5, **options):
    """Both engines from one seed -> the losses of the NumPy one and its weights."""
    (wanted, val, live), (found, val_found, found_live) = (walked(e, steps, **options) for e in ENGINES)
    np.testing.assert_allclose(found, wanted, rtol=tol, atol=tol)
    np.testing.assert_allclose(val_found[0], val[0], rtol=tol)
    assert val_found[1] == val[1]
    assert list(found_live) == list(live)
    for name, tensor in live.items():
        np.testing.assert_allclose(found_live[name], tensor, rtol=tol, atol=tol, err_msg=name)
        assert found_live[name].dtype == tensor.dtype
    return found[:, 0], found_live


def differ(a, b):
    return any(not torch.allclose(a[name], b[name], atol=1e-3) for name in a)


RATES = {
    "gd": 0.1,
    "sgd": 0.1,
    "momentum": 0.02,
    "nesterov": 0.02,
    "rmsprop": 3e-3,
    "adam": 3e-3,
    "adamw": 3e-3,
}


@pytest.mark.parametrize("optimizer", RATES)
def test_every_optimizer_walks_the_same_path_and_its_numbers_count(optimizer):
    plain = {"optimizer": optimizer, "lr": RATES[optimizer]}
    own = {"momentum": 0.6, "beta1": 0.7, "beta2": 0.9, "rho": 0.7}
    losses, live = assert_one_path(**plain)
    assert losses[-5:].mean() < losses[:5].mean()
    _, other = assert_one_path(**plain, **own)
    assert differ(live, other) == (optimizer not in ("gd", "sgd"))
    _, decayed = assert_one_path(**plain, weight_decay=0.3)
    assert differ(live, decayed)
    _, apart = assert_one_path(**plain, bias_lr=3.0)
    assert differ(live, apart)


def test_biases_do_not_decay():
    # Zero gradient, as nothing but the decay acts: lr 0.1, decay 0.5, 4 steps multiply a matrix by 0.95^4.
    made = trainer(NumpyEngine, optimizer="sgd", weight_decay=0.5)
    before = dict(made.engine.program.parameters)
    none = {name: np.zeros_like(value) for name, value in before.items()}
    after = before
    for _ in range(4):
        after = made.engine.optimizer.step(after, none, 0.1)
    for name, value in before.items():
        np.testing.assert_allclose(after[name], value * (0.95**4 if value.ndim > 1 else 1), rtol=1e-6)


@pytest.mark.parametrize("balance", [False, True])
@pytest.mark.parametrize("label_smoothing", [0.0, 0.2])
@pytest.mark.parametrize("loss", ["auto", "bce", "mse"])
def test_every_loss_is_the_same_weighted_and_smoothed(loss, label_smoothing, balance):
    assert_one_path(
        loss=loss, label_smoothing=label_smoothing, balance=balance, optimizer="momentum", lr=0.05
    )


@pytest.mark.parametrize("loss", ["cross-entropy", "bce", "mse"])
def test_ten_thousand_classes_need_no_more_than_a_few_times_their_answers(loss):
    K = 10_000
    z = np.random.default_rng(0).normal(size=(8, K)).astype(np.float32)  # 0.3 MB, and a K x K table 400 MB
    wanted = Loss(loss, K, regress=False, smoothing=0.1, weight=np.ones(K, np.float32))
    tracemalloc.start()
    try:
        leaf = Tape().leaf(z)
        slope = leaf.tape.gradients(wanted(leaf, np.arange(8)))[leaf]
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert slope.shape == z.shape and most < 12 * z.nbytes


def test_balanced_answers_of_exactly_nought_learn_as_all_others():
    # All logits 0: the slope of the binary loss is sigmoid(0) - t = 1/2 - t there, whichever way |z| is taken.
    found = []
    for engine in ENGINES:
        made = trainer(engine, loss="bce", balance=True, optimizer="sgd", lr=1.0)
        with torch.no_grad():
            for p in made.engine.model.network.layers[-1].parameters():
                p.zero_()
        made = Trainer(engine(made.engine.model, made.recipe, outputs=3, weight=balanced(made.targets, 3)),
                       data(65, SHAPE), data(31, SHAPE), made.recipe)  # fmt: skip
        made.learn(np.arange(65), 1, 0)
        found.append(made.weights()["layers.3.bias"].numpy())
    np.testing.assert_allclose(*found, rtol=1e-5)
    # Each class has a third of the weight, so that its mean of 1/2 - t is 1/2 - 1/3; over K = 3: -1/18 after one step.
    np.testing.assert_allclose(found[1], -1 / 18, rtol=1e-5)


@pytest.mark.parametrize(
    "settings",
    [
        {"clip": 0.05},
        {"ema": 0.8},
        {"shift": 1.0, "flip": True},
        {"rotate": 20.0},
        {"schedule": "one-cycle"},
        {"shuffle": False},
        {"mirror": True},
    ],
    ids=lambda s: next(iter(s)),
)
def test_a_setting_does_the_same_and_something(settings):
    usual = {"optimizer": "nesterov", "lr": 0.05}
    _, plain = assert_one_path(**usual)
    _, live = assert_one_path(**usual, **settings)
    assert differ(plain, live) == (
        "mirror" not in settings
    )  # that one changes the answers, not what is learnt


def test_the_mirror_image_is_asked_in_validation():
    alone, both = (walked(NumpyEngine, 5, mirror=mirror)[1][0] for mirror in (False, True))
    assert alone != pytest.approx(both, rel=1e-3)


def test_a_regression_and_vectors():
    assert_one_path(regress=True, shape=(5,), optimizer="adam")
    assert_one_path(shape=(5,), optimizer="sgd")


@pytest.mark.parametrize(
    ("network", "shape", "steps", "tol"),
    [
        ("lenet5", (1, 32, 32), 10, 1e-5),
        ("lenet5-1998", (1, 32, 32), 6, 1e-4),
        ("lenet-keras", (2, 14, 12), 10, 1e-5),
        # Batch norm carries rounding on: after more steps a maximum lies elsewhere, and the paths part.
        ("fast-digits", (1, 16, 12), 2, 2e-4),
        ("strong-pictures", (1, 9, 10), 2, 2e-4),  # parts of it do not learn
    ],
)
def test_networks_walk_the_same_path(network, shape, steps, tol):
    assert_one_path(steps, tol, network=network, shape=shape, optimizer="momentum", ema=0.9)


def test_batch_norm_brings_its_statistics_home():
    _, live = assert_one_path(2, 2e-4, network="fast-digits", shape=(1, 16, 12), optimizer="sgd")
    fresh = trainer(NumpyEngine, network="fast-digits", shape=(1, 16, 12)).weights()
    assert live["features.1.num_batches_tracked"] == 2
    assert differ({"m": live["features.1.running_mean"]}, {"m": fresh["features.1.running_mean"]})


def test_dropout_is_drawn_anew_at_each_step_and_alike_in_each_run():
    options = {"network": "lenet-tf", "shape": (1, 8, 8), "optimizer": "sgd", "lr": 0.0, "shuffle": False}
    (first, *_), (again, *_) = (walked(NumpyEngine, 10, **options) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    # Five batches in the data's order and nothing learnt: step 5 sees what step 0 saw, with other units dropped.
    assert first[5, 0] != first[0, 0]
    other, *_ = walked(NumpyEngine, 10, **options, seed=1)
    assert (other[:, 0] != first[:, 0]).all()


class NoTorch(TorchFunctionMode):
    """Inside, PyTorch hands arrays over and computes nothing."""

    handing_over = (torch.Tensor.numpy, torch.tensor)

    def __torch_function__(self, func, types, args=(), kwargs=None):
        assert func in self.handing_over, f"PyTorch computed {func}"
        return func(*args, **kwargs or {})


def test_pytorch_computes_nothing_of_a_step():
    made = trainer(NumpyEngine, network="lenet-keras", shape=(1, 8, 8), clip=0.1, ema=0.9)
    x, target = made.inputs[:9].float() / 255, made.targets[:9]
    before = made.engine.program.parameters["features.0.weight"]
    with NoTorch():
        made.engine.forward(x, target, 3)
        made.engine.step(0.1)
        with made.engine.kept():
            made.engine.examine(x, target)
    assert not np.array_equal(before, made.engine.program.parameters["features.0.weight"])
    with NoTorch(), pytest.raises(AssertionError, match="PyTorch computed"):
        x.sum()  # the probe sees what it is there for


@pytest.mark.parametrize("engine", ENGINES)
def test_weights_that_were_handed_over_stay_as_they_are(engine):
    made = trainer(engine)
    first = made.weights()
    held = {name: tensor.clone() for name, tensor in first.items()}
    made.learn(np.arange(13), 1, 0)
    assert differ(made.weights(), held) and all(torch.equal(first[name], held[name]) for name in held)


def test_the_weights_in_use_are_given_back_after_a_failure():
    made = trainer(NumpyEngine, ema=0.9)
    made.learn(np.arange(13), 1, 0)
    before = dict(made.engine.program.parameters)
    with pytest.raises(ZeroDivisionError), made.engine.kept():
        assert differ(made.engine.weights(), {n: torch.tensor(v) for n, v in before.items()})
        raise ZeroDivisionError
    assert all(made.engine.program.parameters[name] is value for name, value in before.items())


@pytest.mark.parametrize("engine", ENGINES)
def test_the_data_are_copied_from_a_cache_that_must_not_be_written(engine, recwarn):
    cached = data(65, SHAPE).inputs
    cached.flags.writeable = False
    placed = trainer(engine).engine.place(cached)
    placed += 1
    assert not np.array_equal(placed.numpy(), cached) and [str(w.message) for w in recwarn] == []


def test_threads_of_numpy_are_as_asked_and_given_back():
    from threadpoolctl import threadpool_info, threadpool_limits

    def threads():
        return {pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"}

    with threadpool_limits(2, user_api="blas"):
        with trainer(NumpyEngine, threads=1).engine.at_work():
            assert threads() == {1}
        assert threads() == {2}
        with trainer(NumpyEngine).engine.at_work():
            assert threads() == {2}  # nobody chose: NumPy's own


QUICK = {"engine": "numpy", "epochs": 2, "batch": 64}


def test_a_run_is_like_any_other(tmp_path):
    run = hubel.train("digits", out=tmp_path / "a", **QUICK, network="mlp", optimizer="adam", lr=3e-3)
    assert {p.name for p in run.path.iterdir()} == {
        "run.toml",
        "model.safetensors",
        "history.jsonl",
        "timing.jsonl",
    }
    assert run.recipe["engine"] == "numpy" and "engine" in run.set_by_user
    measured = hubel.evaluate(run)
    assert measured.accuracy > 0.8
    again = hubel.train("digits", out=tmp_path / "b", **QUICK, network="mlp", optimizer="adam", lr=3e-3)
    for name in ("model.safetensors", "history.jsonl"):
        assert (run.path / name).read_bytes() == (again.path / name).read_bytes()
    torch_run = hubel.train(
        "digits", out=tmp_path / "c", **QUICK | {"engine": "torch"}, network="mlp", optimizer="adam", lr=3e-3
    )
    for ours, theirs in zip(run.history, torch_run.history, strict=True):
        assert ours == pytest.approx(theirs, rel=1e-3)


def test_pictures_without_a_named_network_take_the_lenet(tmp_path):
    job = prepare("digits", out=tmp_path / "run", engine="numpy")
    assert (job.network.name, job.shape) == ("lenet5", (1, 32, 32))
    assert prepare("points", out=tmp_path / "points", engine="numpy").network.name == "mlp"
    assert prepare("digits", out=tmp_path / "torch").network.name == "fast-digits"


def test_a_loss_that_is_not_finite_is_told_and_the_last_good_weights_kept(tmp_path, recwarn):
    job = prepare("digits", out=tmp_path / "run", **QUICK | {"epochs": 3}, network="mlp")
    job.begin()
    epochs = job.epochs()
    next(epochs)
    good = job.trainer.weights()
    for p in job.trainer.engine.program.parameters.values():
        p.fill(np.inf)
    with pytest.raises(Diverged, match=r"\(of epoch 1\)"):
        next(epochs)
    saved = job.run().model.network.state_dict()
    assert all(torch.equal(good[name], saved[name]) for name in good)
    assert [str(w.message) for w in recwarn if w.category is RuntimeWarning] == []


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"precision": "bf16"}, "--engine numpy does not go with --precision bf16: NumPy has no bfloat16.*--precision fp32"),
        ({"device": "cuda"}, "--engine numpy does not go with --device cuda: NumPy computes on the processor.*--device cpu"),
    ],
)  # fmt: skip
def test_what_numpy_cannot_do_is_named_with_both_sides(settings, text):
    with pytest.raises(InputError, match=text):
        compose(user={"engine": "numpy", **settings})
    compose(user=settings)  # PyTorch may


def test_what_numpy_can_do_may_be_said_too(tmp_path):
    recipe = compose(user={"engine": "numpy", "precision": "fp32", "device": "cpu", "threads": 1})
    assert recipe.engine == "numpy"
    with pytest.raises(InputError, match=r"no engine named 'nunpy'. Did you mean 'numpy'\?"):
        compose(user={"engine": "nunpy"})
