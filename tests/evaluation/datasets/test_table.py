import json

import numpy as np
import polars as pl
import pytest
from PIL import Image

from matir_nb.errors import AnnotationError, ConfigError
from matir_nb.evaluation.datasets.masks import read_mask_png
from matir_nb.evaluation.datasets.table import read_table
from matir_nb.geometry.masks import decode, encode

PIXELS = np.zeros((4, 6), bool)
PIXELS[1:3, 2:5] = True
CODE = {"size": [4, 6], "counts": encode(PIXELS).counts.decode()}


def table(folder, *lines):
    path = folder / "t.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def quoted(value):
    return '"' + json.dumps(value).replace('"', '""') + '"'


def test_several_rows_of_a_query_are_several_answers(tmp_path):
    dataset = read_table(
        table(
            tmp_path,
            "query,image,box,kind",
            'a dog,x/1.jpg,"0,1,2.5,3",pets',
            'a dog,x/1.jpg,"[3 1 4 3]",pets',
            "a dog,2.jpg,,pets",
            "a cat,2.jpg,,",
        )
    )
    dog, cat = dataset.queries
    assert dataset.image_ids == ("x/1.jpg", "2.jpg")
    assert (dog.query_id, dog.text, dog.kind) == ("a dog", "a dog", "pets")
    assert dog.relevant == {"x/1.jpg", "2.jpg"}
    assert dog.boxes_xyxy["x/1.jpg"].tolist() == [[0, 1, 2.5, 3], [3, 1, 4, 3]]
    assert dog.boxes_xyxy.keys() == {"x/1.jpg"}
    assert dog.judged is None
    assert (cat.kind, cat.relevant, cat.masks) == ("query", {"2.jpg"}, {})


def test_masks_are_run_lengths_or_pngs_beside_the_table(tmp_path):
    Image.fromarray(PIXELS.astype(np.uint8) * 255).save(tmp_path / "m.png")
    path = table(
        tmp_path,
        "query,image,mask",
        f"dog,1.jpg,{quoted(CODE)}",
        "dog,2.jpg,m.png",
        f"dog,2.jpg,{quoted({'size': [4, 6], 'counts': [0, 24]})}",
    )
    (dog,) = read_table(path).queries
    assert (decode(dog.masks["1.jpg"][0]) == PIXELS).all()
    assert (decode(dog.masks["2.jpg"][0]) == PIXELS).all()
    assert dog.boxes_xyxy["2.jpg"].tolist() == [[2, 1, 5, 3], [0, 0, 6, 4]]


def test_four_columns_are_a_box_and_it_need_not_be_the_mask_s(tmp_path):
    path = table(
        tmp_path,
        "query,image,x0,y0,x1,y1,mask",
        f"dog,1.jpg,0,0,6,4,{quoted(CODE)}",
        "dog,2.jpg,,,,,",
    )
    (dog,) = read_table(path).queries
    assert dog.boxes_xyxy["1.jpg"].tolist() == [[0, 0, 6, 4]]
    assert dog.boxes_xyxy.keys() == dog.masks.keys() == {"1.jpg"}


def test_a_wrong_image_limits_the_search_to_the_query_s_own_rows(tmp_path):
    path = table(
        tmp_path,
        "query,image,relevant",
        "dog,1.jpg,1",
        "dog,2.jpg,0",
        "cat,3.jpg,",
        "bird,1.jpg,false",
        "fish,",
    )
    dog, cat, bird, fish = read_table(path).queries
    assert (dog.relevant, dog.judged) == ({"1.jpg"}, {"1.jpg", "2.jpg"})
    assert (cat.relevant, cat.judged) == ({"3.jpg"}, None)
    assert (bird.relevant, bird.judged) == (frozenset(), {"1.jpg"})
    assert (fish.relevant, fish.judged) == (frozenset(), None), "no image of the gallery shows it"


def test_a_query_id_tells_equal_texts_apart(tmp_path):
    path = table(tmp_path, "query_id,query,image", "1,dog,a.jpg", "2,dog,b.jpg", "1,dog,c.jpg")
    queries = read_table(path).queries
    assert [(q.query_id, q.text, q.relevant) for q in queries] == [
        ("1", "dog", {"a.jpg", "c.jpg"}),
        ("2", "dog", {"b.jpg"}),
    ]


def test_parquet_may_hold_numbers_lists_and_structs(tmp_path):
    pl.DataFrame(
        {
            "query": ["dog", "dog"],
            "image": ["1.jpg", "2.jpg"],
            "query_id": [7, 7],
            "relevant": [True, False],
            "box": [[0.0, 0.0, 2.0, 2.0], None],
            "mask": [CODE, None],
        }
    ).write_parquet(tmp_path / "t.parquet")
    (dog,) = read_table(tmp_path / "t.parquet").queries
    assert (dog.query_id, dog.relevant, dog.judged) == ("7", {"1.jpg"}, {"1.jpg", "2.jpg"})
    assert dog.boxes_xyxy["1.jpg"].tolist() == [[0, 0, 2, 2]]
    assert (decode(dog.masks["1.jpg"][0]) == PIXELS).all()


def test_the_gallery_may_be_a_folder(tmp_path):
    folder = tmp_path / "photos" / "sub"
    folder.mkdir(parents=True)
    for name in ("a.png", "b.png"):
        Image.new("RGB", (2, 2)).save(folder / name)
    path = table(tmp_path, "query,image", "dog,sub\\b.png")
    dataset = read_table(path, images=str(tmp_path / "photos"))
    assert dataset.image_ids == ("sub/a.png", "sub/b.png")
    assert dataset.queries[0].relevant == {"sub/b.png"}
    path = table(tmp_path, "query,image", "dog,sub/a.png", "dog,sub/bb.png")
    with pytest.raises(AnnotationError, match=r"line 3: .*'sub/bb\.png'.* mean 'sub/b\.png'"):
        read_table(path, images=str(tmp_path / "photos"))


LINES = ("query,image,relevant,box,mask,kind", "dog,1.jpg,1,,,")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (",1.jpg,,,,", "line 3: the query is empty"),
        ("dog,1.jpg,2,,,", "line 3: relevant = '2': give 1 or 0"),
        ("dog,1.jpg,0,,,", "line 3: '1.jpg' is relevant in one line and not in another"),
        ("dog,,,,,", "line 3: query 'dog' has a line without an image"),
        ("dog,2.jpg,,,,pets", r"line 3: query 'dog' is 'dog' \(pets\) here, but .*line 2"),
        ('dog,1.jpg,,"1,2,3",,', r"line 3: box '1, 2, 3': give four numbers"),
        ('dog,1.jpg,,"1,2,x,4",,', "line 3: box .* give four numbers"),
        ('dog,1.jpg,,"3,0,1,4",,', "line 3: box 3.0,0.0,1.0,4.0: give 0 <= x0 < x1"),
        ('dog,1.jpg,,"1,0,1,4",,', "line 3: box 1.0,0.0,1.0,4.0"),
        ('dog,1.jpg,,"0,0,nan,4",,', "line 3: box 0.0,0.0,nan,4.0"),
        ('dog,2.jpg,0,"0,0,1,4",,', "line 3: there is a box or a mask, but no image that shows"),
        ("dog,1.jpg,,,gone.png,", r"line 3: the mask '.*gone\.png' cannot be read"),
        ("dog,1.jpg,,,{,", "line 3: the mask is no "),
        ("dog,1.jpg,,,{},", "line 3: the mask is no "),
        (
            f"dog,1.jpg,,,{quoted({'size': [2, 2], 'counts': [1]})},",
            "line 3 cannot be used: ShapeError",
        ),
        (
            f"dog,1.jpg,,,{quoted({'size': [2, 2], 'counts': [4]})},",
            "line 3: the mask has no pixel",
        ),
        ("dog,1.jpg,,,,,,,", "line 3 has 9 fields"),
    ],
)
def test_a_wrong_line_is_named(tmp_path, line, message):
    with pytest.raises(AnnotationError, match=message):
        read_table(table(tmp_path, *LINES, line))


def test_masks_of_one_image_have_one_size(tmp_path):
    lines = [f"dog,1.jpg,,,{quoted({'size': s, 'counts': [0, 4]})}," for s in ([2, 2], [4, 1])]
    with pytest.raises(AnnotationError, match=r"line 3: masks of '1.jpg' differ in size: \(2, 2\)"):
        read_table(table(tmp_path, LINES[0], *lines))


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("query,imgae", "no column 'image': did you mean 'imgae'"),
        ("text,image", "no column 'query': choose from text, image"),
        ("query,image,masks", "unknown column 'masks': did you mean 'mask'"),
        ("query,image,Relevant", "unknown column 'Relevant': did you mean 'relevant'"),
    ],
)
def test_a_misspelt_column_is_said(tmp_path, header, message):
    with pytest.raises(ConfigError, match=message):
        read_table(table(tmp_path, header, "dog,1.jpg"))


def test_other_columns_are_the_user_s_own(tmp_path):
    assert len(read_table(table(tmp_path, "query,image,note", "dog,1.jpg,nice")).queries) == 1


def test_a_table_without_rows_or_without_a_file_is_said(tmp_path):
    with pytest.raises(AnnotationError, match="has no rows"):
        read_table(table(tmp_path, "query,image"))
    with pytest.raises(AnnotationError, match=r"there is no file .*: give a table"):
        read_table(tmp_path / "gone.csv")


GREY = PIXELS.astype(np.uint8) * 200
RED = np.stack([GREY, GREY * 0, GREY * 0], axis=-1)


def palette_picture():
    """Return a picture of numbers 0 and 1 whose colours are both black."""
    picture = Image.new("P", (6, 4))
    picture.putdata(PIXELS.astype(np.uint8).ravel().tolist())
    picture.putpalette([0] * 6)
    return picture


@pytest.mark.parametrize(
    "picture",
    [
        Image.fromarray(GREY),
        Image.fromarray(PIXELS),
        Image.fromarray(GREY.astype(np.uint16) * 256),
        Image.fromarray(RED),
        Image.fromarray(np.dstack([RED, np.full_like(GREY, 255)])),
        Image.fromarray(np.dstack([np.full_like(RED, 9), GREY])),
        Image.fromarray(np.dstack([np.full_like(GREY, 9), GREY])),
        palette_picture(),
    ],
    ids=["L", "1", "I;16", "RGB", "RGBA", "transparent", "LA", "P"],
)
def test_a_drawn_mask_is_what_is_neither_black_nor_transparent(tmp_path, picture):
    picture.save(tmp_path / "m.png")
    assert (decode(read_mask_png(tmp_path / "m.png")) == PIXELS).all()


def test_a_drawn_mask_must_be_a_png_of_a_sane_size(tmp_path, matir_data):
    Image.fromarray(GREY).save(tmp_path / "m.jpg")
    with pytest.raises(AnnotationError, match="cannot be read"):
        read_mask_png(tmp_path / "m.jpg")
    with pytest.raises(AnnotationError, match="144000000 pixels"):
        read_mask_png(matir_data / "badimages" / "generated" / "bomb_12000x12000_1bit.png")
