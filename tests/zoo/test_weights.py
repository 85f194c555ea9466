"""Public weights: the archives' known answers, the names of files, other class counts, and files that must be refused."""

from __future__ import annotations

import hashlib
import pickle

import numpy as np
import pytest
import torch
from misbehaving_server import Site, serves
from needs import data
from PIL import Image
from safetensors.torch import save_file

import hubel
from hubel.data.published import Published
from hubel.errors import ArtifactError, InputError, UnknownName
from hubel.zoo import weights
from hubel.zoo.pixels import Pixels
from hubel.zoo.public_weights import PUBLIC, PublicWeights

# The three top answers with their probabilities, as each archive's README has them.
KNOWN = {
    "mobilenet_v1_0.25_128": {
        "chelsea.png": "Egyptian cat 0.358; tabby 0.14; banded gecko 0.105",
        "coffee.png": "espresso 0.742; consomme 0.064; soup bowl 0.039",
        "astronaut.png": "barbell 0.466; reel 0.049; torch 0.033",
        "rocket.jpg": "mosque 0.465; missile 0.106; obelisk 0.096",
        "china.jpg": "stupa 0.118; harvester 0.116; boathouse 0.1",
        "flower.jpg": "golf ball 0.231; sea urchin 0.129; acorn 0.128",
    },
    "mobilenet_v1_1.0_224": {
        "chelsea.png": "Egyptian cat 0.887; tabby 0.067; tiger cat 0.033",
        "coffee.png": "espresso 0.979; coffee mug 0.007; consomme 0.006",
        "astronaut.png": "barbell 0.303; dumbbell 0.111; plunger 0.058",
        "rocket.jpg": "obelisk 0.344; missile 0.142; flagpole 0.097",
        "china.jpg": "palace 0.884; monastery 0.066; lakeside 0.024",
        "flower.jpg": "honeycomb 0.653; mushroom 0.083; hen-of-the-woods 0.079",
    },
    "mobilenet_v2_1.0_224": {
        "chelsea.png": "tiger cat 0.548; Egyptian cat 0.295; tabby 0.146",
        "coffee.png": "espresso 0.964; cup 0.008; chocolate sauce 0.007",
        "astronaut.png": "ski 0.439; football helmet 0.069; bobsled 0.038",
        "rocket.jpg": "missile 0.58; projectile 0.275; drilling platform 0.104",
        "china.jpg": "palace 0.684; lakeside 0.105; monastery 0.072",
        "flower.jpg": "honeycomb 0.897; bee 0.016; stinkhorn 0.01",
    },
}


def archive(name):
    return data("weights") / name


def square(path, side):
    """The centre square, enlarged or reduced bilinearly: (1, 3, side, side) in 0..1."""
    with Image.open(path) as picture:
        w, h = picture.size
        short = min(w, h)
        left, top = (w - short) // 2, (h - short) // 2
        cut = picture.convert("RGB").crop((left, top, left + short, top + short))
        pixels = np.asarray(cut.resize((side, side), Image.Resampling.BILINEAR))
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None].float() / 255


def answers(network, found, path):
    """{name: probability} of the top three, best first."""
    known = found.known
    model = Pixels(network, known.mean, known.std, known.order).eval()
    with torch.no_grad():
        p, k = model(square(path, known.input[1])).softmax(1)[0].topk(3)
    return {found.labels[i].split(",")[0]: q for q, i in zip(p.tolist(), k.tolist(), strict=True)}


@pytest.mark.parametrize("norm", [True, False], ids=["norms that stand idle", "folded"])
@pytest.mark.parametrize("name", KNOWN)
def test_the_archives_answer_as_their_readmes_say(name, norm):
    archive(name)
    photos, known = data("photos"), PUBLIC[name]
    network = hubel.create(known.network, known.classes, known.input, **{**known.arguments, "norm": norm})
    found = weights.load(network, name)
    for photo, told in KNOWN[name].items():
        wanted = {name: float(p) for name, p in (one.rsplit(" ", 1) for one in told.split("; "))}
        got = answers(network, found, photos / photo)
        assert list(got) == list(wanted) and got == pytest.approx(wanted, abs=0.0015), photo
    assert found.missing == () and found.left_out == {} and len(found.labels) == 1001
    layers = len({name.split(".")[0] for name in found.renamed})
    assert len(found.renamed) == 2 * layers == {"mobilenet-v1": 56, "mobilenet-v2": 106}[known.network]
    assert [("norm=False" in note) for note in found.notes] == [True] * norm


def test_without_background_the_other_answers_stay():
    known = PUBLIC["mobilenet_v1_0.25_128"]
    folder, x = archive("mobilenet_v1_0.25_128"), torch.randn(1, 3, 128, 128)
    whole = hubel.create("mobilenet-v1", 1001, known.input, width=0.25).eval()
    usual = hubel.create("mobilenet-v1", 1000, known.input, width=0.25).eval()
    a, b = weights.load(whole, folder), weights.load(usual, folder / "weights.npz")
    with torch.no_grad():
        torch.testing.assert_close(usual(x), whole(x)[:, 1:])
    assert a.labels[0] == "background" and b.labels == a.labels[1:]
    assert "background, is left out" in b.notes[-1] and b.known is known


def test_another_count_of_classes_begins_with_a_fresh_head():
    network = hubel.create("mobilenet-v1", 42, (3, 128, 128), width=0.25)
    before = network.classifier[1].weight.clone()
    found = weights.load(network, archive("mobilenet_v1_0.25_128"))
    assert found.missing == ("classifier.1.weight", "classifier.1.bias") and found.labels == ()
    assert found.left_out == {
        "28.weight_q": "1001 classes there, 42 here",
        "28.bias": "1001 classes there, 42 here",
    }
    assert (
        found.notes[-1] == "the weights know 1,001 classes, the network has 42: its last layer begins fresh"
    )
    assert torch.equal(network.classifier[1].weight, before)


def test_a_real_weight_is_the_stored_one_less_zero_times_scale():
    folder = archive("mobilenet_v1_0.25_128")
    network = hubel.create("mobilenet-v1", 1001, (3, 128, 128), width=0.25, norm=False)
    weights.load(network, folder)
    with np.load(folder / "weights.npz") as stored:
        wanted = (stored["05.weight_q"].astype(np.float64) - stored["05.zero"]) * stored["05.scale"]
        np.testing.assert_allclose(network.features[3].depthwise[0].weight.detach(), wanted, rtol=1e-6)
        np.testing.assert_array_equal(network.features[3].depthwise[0].bias.detach(), stored["05.bias"])


def test_squeezenets_features_come_without_a_head():
    name = "squeezenet1_1_features"
    archive(name)
    network = hubel.create("squeezenet1_1", 5, ceil=False).eval()
    found = weights.load(network, name)
    assert found.missing == ("classifier.1.weight", "classifier.1.bias") and len(found.loaded) == 50
    assert found.renamed["fire2.squeeze1x1.weight"] == "features.3.squeeze.weight"
    assert found.renamed["fire4.expand3x3.bias"] == "features.6.expand3x3.bias"
    assert found.renamed["fire9.expand1x1.weight"] == "features.12.expand1x1.weight"
    # The archive's own words: conv1, pool, fire2, fire3, pool, fire4, fire5, pool, fire6 to fire9.
    with np.load(archive(name) / "weights.npz") as stored:
        a = {key: torch.from_numpy(stored[key]) for key in stored.files}
    conv, relu, pool = torch.nn.functional.conv2d, torch.relu, torch.nn.functional.max_pool2d
    x = torch.randn(1, 3, 70, 66) * 50
    y = relu(conv(x, a["conv1.weight"], a["conv1.bias"], 2))
    for n in range(2, 10):
        y = pool(y, 3, 2) if n in (2, 4, 6) else y
        s = relu(conv(y, a[f"fire{n}.squeeze1x1.weight"], a[f"fire{n}.squeeze1x1.bias"]))
        one = relu(conv(s, a[f"fire{n}.expand1x1.weight"], a[f"fire{n}.expand1x1.bias"]))
        y = torch.cat(
            [one, relu(conv(s, a[f"fire{n}.expand3x3.weight"], a[f"fire{n}.expand3x3.bias"], padding=1))], 1
        )
    with torch.no_grad():
        torch.testing.assert_close(network.features(x), y, rtol=1e-4, atol=1e-3)
    assert found.known.order == "bgr" and found.notes == ()


def test_a_network_built_otherwise_is_told():
    network = hubel.create("squeezenet1_1", 5)
    found = weights.load(network, archive("squeezenet1_1_features"))
    assert found.notes == ("these weights were made with ceil=False, the network has ceil=True",)


# ---- files


def tiny(**arguments):
    return hubel.create("resnet18", 5, (3, 32, 32), width=0.125, **arguments)


def written(path, state):
    save_file(state, path) if path.suffix == ".safetensors" else torch.save(state, path)
    return path


@pytest.mark.parametrize("name", ["w.safetensors", "w.pth", "w.pt"])
def test_weights_go_out_and_come_back(tmp_path, name):
    ours, theirs = tiny(), tiny()
    found = weights.load(ours, written(tmp_path / name, theirs.state_dict()))
    assert all(
        torch.equal(a, b)
        for a, b in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True)
    )
    assert set(found.loaded) == set(ours.state_dict()) and found.missing == () and found.renamed == {}


def test_names_behind_wrappers_and_among_other_things_are_found(tmp_path):
    ours, theirs = tiny(), tiny()
    state = {
        f"module.{name}": value for name, value in theirs.state_dict().items() if "num_batches" not in name
    }
    found = weights.load(ours, written(tmp_path / "w.pth", {"epoch": 7, "state_dict": state}))
    torch.testing.assert_close(ours.fc.weight, theirs.fc.weight)
    assert found.missing == ()  # a count of batches is no weight


def test_halves_become_floats(tmp_path):
    ours, theirs = tiny(), tiny().half()
    weights.load(ours, written(tmp_path / "w.safetensors", theirs.state_dict()))
    assert ours.fc.weight.dtype == torch.float32
    torch.testing.assert_close(ours.fc.weight, theirs.fc.weight.float())


def test_a_part_that_the_network_lacks_is_left_out(tmp_path):
    state = {**tiny().state_dict(), "aux1.fc.weight": torch.zeros(5, 4)}
    found = weights.load(tiny(), written(tmp_path / "w.pth", state))
    assert found.left_out == {"aux1.fc.weight": "the network has no such part"}


class Bad:
    def __reduce__(self):
        return (print, ("this must not be said",))


def test_nothing_in_a_file_is_executed(tmp_path, capsys):
    torch.save({"w": Bad()}, tmp_path / "w.pth")
    with pytest.raises(ArtifactError, match="holds more than tensors, or is damaged: it is not opened"):
        weights.load(tiny(), tmp_path / "w.pth")
    (tmp_path / "v.pth").write_bytes(pickle.dumps(Bad()))
    with pytest.raises(ArtifactError, match=r"v\.pth is not a PyTorch file that can be read"):
        weights.load(tiny(), tmp_path / "v.pth")
    np.savez(tmp_path / "w.npz", w=np.array([Bad()], object))
    with pytest.raises(ArtifactError, match="w holds Python objects, which only a pickle can restore"):
        weights.load(tiny(), tmp_path / "w.npz")
    assert capsys.readouterr().out == ""


def deeper():
    return tiny(blocks=(2, 3, 2, 2)).state_dict()


def wider():
    return hubel.create("resnet18", 5, (3, 32, 32), width=0.25).state_dict()


@pytest.mark.parametrize(
    ("name", "content", "error", "text"),
    [
        ("w.pth", b"", ArtifactError, "w.pth"),
        ("w.pth", b"PK\x03\x04 and no more", ArtifactError, "w.pth"),
        ("w.safetensors", b"\xff" * 40, ArtifactError, "not a safetensors file that can be read"),
        ("w.npz", b"no archive", ArtifactError, "is no .npz, or damaged: File is not a zip file"),
        ("w.h5", b"", InputError, r"weights come as \.safetensors, \.pth, \.pt, \.bin or \.npz, not as w\.h5"),
        ("w.pth", [1, 2], ArtifactError, "holds a list, and not tensors by name"),
        ("w.pth", {"epoch": 3}, ArtifactError, "holds no tensors"),
        ("w.pth", wider, InputError, r"does not fit: conv1\.weight is \(16, 3, 7, 7\), the network's conv1\.weight is \(8, 3, 7, 7\)"),
        ("w.pth", deeper, InputError, r"is of another network: 'layer2\.2\.\S+' has no place in this one"),
        ("w.pth", {"a.weight": torch.zeros(2)}, InputError, r"it lacks \d+ tensors of this one, first 'conv1\.weight'; its own names begin with a\.weight"),
        ("w.pth", {"00.weight_q": torch.zeros(2)}, InputError, "the archive has 1 layers with weights, ResNet18 has 21"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_and_changes_nothing(tmp_path, name, content, error, text):
    path = tmp_path / name
    content = content() if callable(content) else content
    path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
    network = tiny()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    with pytest.raises(error, match=text):
        weights.load(network, path)
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


QUANTISED = {
    f"{layer}.{part}": array
    for layer, shape in (("00", (2, 1, 3, 3)), ("01", (3, 8)))
    for part, array in {
        "weight_q": np.ones(shape, np.uint8), "scale": np.float32(0.5), "zero": np.float32(1),
        "bias": np.zeros(shape[0], np.float32),
    }.items()
}  # fmt: skip


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"01.zero": None}, r"the archive has no 01\.zero, which its layer 01 needs: it is not whole, fetch it again"),
        ({"00.scale": np.ones((5, 1, 1, 1), np.float32)}, r"layer 00 does not fit together: weights \(2, 1, 3, 3\), scale \(5, 1, 1, 1\), zero \(1,\), bias \(2,\)\. Scale and zero must spread over the weights, and the bias be a row"),
        ({"01.bias": np.zeros((3, 1), np.float32)}, r"layer 01 does not fit together: .* bias \(3, 1\)\."),
        ({"00.weight_q": np.array(["a"])}, r"w\.npz: the array 00\.weight_q is <U1, and weights are real numbers: leave it out of the file"),
    ],
    ids=["a part is missing", "too many scales", "a bias that is no row", "text"],
)  # fmt: skip
def test_an_archive_that_is_not_whole_is_told_by_its_layer(tmp_path, changed, text):
    network = hubel.create("conv2x3 relu fc", 3, (1, 4, 4))
    np.savez(tmp_path / "w.npz", **QUANTISED)
    assert len(weights.load(network, tmp_path / "w.npz").loaded) == 4  # as it is, it fits
    held = {name: array for name, array in (QUANTISED | changed).items() if array is not None}
    np.savez(tmp_path / "w.npz", **held)
    with pytest.raises(ArtifactError, match=text):
        weights.load(network, tmp_path / "w.npz")


def test_an_unknown_name_is_told_the_nearest():
    with pytest.raises(UnknownName, match=r"no weights or file named 'resnet19'\. Did you mean 'resnet18'\?"):
        weights.load(tiny(), "resnet19")


def test_a_folder_without_an_archive_is_told(tmp_path):
    with pytest.raises(InputError, match=r"holds no weights\.npz: name the file"):
        weights.load(tiny(), tmp_path)


def test_other_bytes_under_a_known_name_are_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("HUBEL_DATA", str(tmp_path))
    (tmp_path / "weights").mkdir()
    path = written(tmp_path / "weights" / "resnet18-f37072fd.pth", tiny().state_dict())
    with pytest.raises(
        ArtifactError, match=r"is not what was published: its SHA-256 is [0-9a-f]{64}, it should be f37072fd"
    ):
        weights.load(tiny(), "resnet18")
    found = weights.load(tiny(), path)  # by its path it is the user's own word
    assert found.known is PUBLIC["resnet18"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("resnet101", r"are not here: fetch it from https://download\.pytorch\.org/models/resnet101-63fe2227\.pth and put it at .*\(SHA-256 63fe2227"),
        ("mobilenet_v1_1.0_224", r"it is made from Google's quantised .* at \$HUBEL_DATA/weights/mobilenet_v1_1\.0_224/weights\.npz"),
        ("resnet18", "HUBEL_OFFLINE forbids fetching it"),
    ],
)  # fmt: skip
def test_weights_that_are_not_here_are_told_with_address_sum_and_place(tmp_path, monkeypatch, name, text):
    monkeypatch.setenv("HUBEL_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HUBEL_OFFLINE", "1")
    with pytest.raises(InputError, match=text):
        weights.load(tiny(), name)


def test_what_is_published_is_fetched_once(tmp_path, monkeypatch):
    monkeypatch.setenv("HUBEL_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    theirs = tiny()
    content = written(tmp_path / "theirs.pth", theirs.state_dict()).read_bytes()
    site = Site()
    try:
        file = Published(
            "w.pth", len(content), hashlib.sha256(content).hexdigest(), (site.at("/w.pth", serves(content)),)
        )
        monkeypatch.setitem(PUBLIC, "mine", PublicWeights("resnet18", file, "a test", "none"))
        for _ in range(2):
            ours = tiny()
            found = weights.load(ours, "mine")
            assert torch.equal(ours.fc.weight, theirs.fc.weight) and found.known is PUBLIC["mine"]
        assert len(site.asked) == 1
    finally:
        site.close()


@pytest.mark.parametrize("name", [n for n in PUBLIC if PUBLIC[n].file.mirrors])
def test_each_sum_begins_with_the_digits_in_the_files_name(name):
    file = PUBLIC[name].file
    assert file.name.removesuffix(".pth").endswith("-" + file.sha256[:8]) and len(file.sha256) == 64
    assert file.mirrors == (f"https://download.pytorch.org/models/{file.name}",)
