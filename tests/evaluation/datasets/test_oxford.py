import json
import pickle

import numpy as np
import pytest

from matir_nb.errors import AnnotationError, ConfigError
from matir_nb.evaluation.datasets.oxford import landmark, read_oxford

IMAGES = [f"im_{n:06d}" for n in range(8)]
TRUTH = {"bbx": [1.0, 2.0, 30.0, 40.0], "easy": [0, 1], "hard": [2, 3], "junk": [4]}


def write(folder, *, place=".", as_arrays=False, name="roxford5k", truth=TRUTH):
    """Write the truth of three queries, the second without a landmark."""
    parts = ("easy", "hard", "junk")
    if as_arrays:
        truth = truth | {part: np.array(truth[part], np.int64) for part in parts}
    content = {
        "imlist": IMAGES,
        "qimlist": ["all_souls_000013", "oxford_000317", "all_souls_000026"],
        "gnd": [truth, truth, truth | {"easy": [], "hard": [5]}],
    }
    path = folder / place / f"gnd_{name}.pkl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(content, 2))
    return path


def write_labels(folder, **more):
    """Write masks of query 0 in images 0 (two polygons) and 2."""
    square, far = [[1, 1], [4, 1], [4, 4], [1, 4]], [[6, 1], [8, 1], [8, 4], [6, 4]]
    labels = {"0_0": [square, far], "0_2": [square], "0_4": [square]}
    for pair, polygons in labels.items():
        shapes = [{"label": "x", "points": points} for points in polygons]
        document = {"shapes": shapes, "imageHeight": 6, "imageWidth": 10}
        path = folder / "labels" / f"{pair}.json"
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(document))
    pairs = {pair: f"labels/{pair}.json" for pair in labels} | more
    np.save(folder / "oxford_pair2labelpath.npy", pairs)


def names(*numbers):
    return {f"{IMAGES[n]}.jpg" for n in numbers}


@pytest.mark.parametrize(
    ("protocol", "relevant", "judged"),
    [
        ("medium", (0, 1, 2, 3), (0, 1, 2, 3, 5, 6, 7)),
        ("hard", (2, 3), (2, 3, 5, 6, 7)),
        ("easy", (0, 1), (0, 1, 5, 6, 7)),
    ],
)
@pytest.mark.parametrize("as_arrays", [False, True])
def test_protocols(tmp_path, protocol, relevant, judged, as_arrays):
    write(tmp_path, as_arrays=as_arrays)
    query = read_oxford(tmp_path, protocol=protocol).queries[0]
    assert query.relevant == names(*relevant)
    assert query.judged == names(*judged)


def test_queries_are_landmarks_with_the_truth_of_their_picture(tmp_path):
    dataset = read_oxford(write(tmp_path), protocol="hard")
    assert [(q.query_id, q.text, q.kind) for q in dataset.queries] == [
        ("all_souls_000013", "all souls, Oxford", "all souls"),
        ("all_souls_000026", "all souls, Oxford", "all souls"),
    ]
    assert dataset.queries[1].relevant == names(5)
    assert "1 of 3 have none" in dataset.protocol["queries"]
    assert dataset.image_ids == tuple(f"{name}.jpg" for name in IMAGES)
    assert (dataset.name, dataset.depth) == ("roxford", None)
    assert dataset.protocol["targets"] == "none"
    assert "pixel mAP" not in dataset.headline


def test_a_query_may_have_nothing_easy(tmp_path):
    query = read_oxford(write(tmp_path), protocol="easy").queries[1]
    assert query.relevant == frozenset()
    assert query.judged == names(0, 1, 2, 3, 6, 7)


def test_paris_names_its_landmarks_in_one_word(tmp_path):
    dataset = read_oxford(write(tmp_path, name="rparis6k"), city="paris")
    assert dataset.name == "rparis"
    assert dataset.queries[0].text == "all souls, Paris"
    assert landmark("paris_triomphe_000012") == "Arc de Triomphe"
    assert landmark("paris_general_000144") is None


@pytest.mark.parametrize("place", [".", "roxford5k", "data/roxford5k", "revisitop/data/roxford5k"])
def test_masks_come_from_the_pixel_labels(tmp_path, place):
    write(tmp_path, place=place)
    write_labels(tmp_path)
    dataset = read_oxford(tmp_path)
    query, other = dataset.queries
    assert query.masks.keys() == names(0, 2)
    assert query.boxes_xyxy["im_000000.jpg"].tolist() == [[1, 1, 8, 4]]
    assert query.boxes_xyxy["im_000002.jpg"].tolist() == [[1, 1, 4, 4]]
    assert other.masks == {}
    assert "pixel mAP" in dataset.headline


@pytest.mark.parametrize("path", ["../out.json", "/etc/passwd", "labels/../../out.json"])
def test_labels_stay_under_the_folder(tmp_path, path):
    folder = tmp_path / "data"
    folder.mkdir()
    write(folder)
    write_labels(folder, **{"0_3": path})
    with pytest.raises(AnnotationError, match="which is not under"):
        read_oxford(folder)


@pytest.mark.parametrize(
    ("truth", "says"),
    [
        ({"easy": [0]}, "gnd_roxford5k.pkl .*KeyError: 'hard'"),
        (TRUTH | {"hard": [8]}, "gnd_roxford5k.pkl .*about image 8"),
        (TRUTH | {"junk": [-1]}, "gnd_roxford5k.pkl .*about image"),
        (TRUTH | {"hard": ["a"]}, "gnd_roxford5k.pkl .*whole number, got str"),
    ],
)
def test_broken_truth_is_named(tmp_path, truth, says):
    with pytest.raises(AnnotationError, match=says):
        read_oxford(write(tmp_path, truth=truth))


def test_a_broken_label_is_named(tmp_path):
    write(tmp_path)
    write_labels(tmp_path)
    (tmp_path / "labels" / "0_2.json").write_text('{"shapes": [], "imageWidth": 3}')
    with pytest.raises(AnnotationError, match=r"0_2\.json lacks a field.*imageHeight"):
        read_oxford(tmp_path)
    (tmp_path / "labels" / "0_2.json").unlink()
    with pytest.raises(AnnotationError, match=r"cannot read .*0_2\.json"):
        read_oxford(tmp_path)


def test_missing_files_and_unknown_values(tmp_path):
    with pytest.raises(AnnotationError, match=r"download gnd_roxford5k\.pkl"):
        read_oxford(tmp_path)
    with pytest.raises(ConfigError, match="unknown city 'rome'"):
        read_oxford(tmp_path, city="rome")
    with pytest.raises(ConfigError, match="unknown protocol 'mediu': did you mean 'medium'"):
        read_oxford(tmp_path, protocol="mediu")
