"""Writes the Parquet files of this folder, with pyarrow as published data sets are (pip install pyarrow pillow)."""
import io
import json
import pathlib

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

here = pathlib.Path(__file__).parent


def picture(colour, mode="RGB"):
    file = io.BytesIO()
    Image.new(mode, (6, 4), colour).save(file, "PNG")
    return file.getvalue()


image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])


def edits(name, rows, **options):
    columns = {
        "img_id": pa.array([r[0] for r in rows], pa.string()),
        "turn_index": pa.array([r[1] for r in rows], pa.int32()),
        "source_img": pa.array([{"bytes": picture(r[2]), "path": "a.png"} for r in rows], image),
        "mask_img": pa.array([r[3] and {"bytes": picture(r[3], "RGBA"), "path": "m.png"} for r in rows], image),
        "instruction": pa.array([r[4] for r in rows], pa.string()),
        "target_img": pa.array([{"bytes": picture(r[5]), "path": None} for r in rows], image),
    }
    pq.write_table(pa.table(columns), here / name, **options)


red, green, blue, grey = (255, 0, 0), (0, 255, 0), (0, 0, 255), (90, 90, 90)
clear = (0, 0, 0, 0)
# The conversation "17" has its last turn in the second file.
edits("edits-0.parquet", [("17", 1, red, clear, "make it green", green), ("9", 1, blue, None, "make it red", red),
                          ("17", 2, green, None, "make it blue", blue)], compression="snappy", row_group_size=2)
edits("edits-1.parquet", [("17", 3, blue, clear, "make it grey", grey)], compression="none",
      data_page_version="2.0", use_dictionary=False)


def annotations(*summaries):
    return json.dumps([{"text": {"summary_change": s, "camera": "still"}} for s in summaries])


videos = [
    ([picture(red), picture(green), picture(blue)], annotations("turn green", "turn blue")),
    ([picture(red), picture(green)], None),
    ([picture(red), picture(green)], "[{"),
    ([picture(red)], annotations("turn green")),
    ([picture(grey), picture(red)], annotations("turn red")),
    ([picture(grey), None], annotations("vanish")),
    (None, annotations("appear")),
]
columns = {
    "image": pa.array([v[0] for v in videos], pa.list_(pa.binary())),
    "ann_v0": pa.array([v[1] for v in videos], pa.string()),
}
pq.write_table(pa.table(columns), here / "videos.parquet", compression="snappy", data_page_size=64)
nested = [v and [{"bytes": p, "path": None} for p in v] for v, _ in videos[:2]]
pq.write_table(pa.table({"image": pa.array(nested, pa.list_(image)), "ann_v0": columns["ann_v0"][:2]}),
               here / "videos-nested.parquet", data_page_version="2.0")

# Values of every kind that is read: enough rows for packed bits and runs, nulls, empty lists, both widths.
count = 3000
numbers = {
    "small": pa.array([i % 7 for i in range(count)], pa.int32()),
    "large": pa.array([None if i % 5 == 0 else i * 10**12 - 3 for i in range(count)], pa.int64()),
    "text": pa.array([f"row {i // 100}" for i in range(count)], pa.string()),
    "list": pa.array([None if i % 11 == 0 else [j if j % 2 else None for j in range(i % 4)] for i in range(count)],
                     pa.list_(pa.int32())),
}
for version in ["1.0", "2.0"]:
    pq.write_table(pa.table(numbers), here / f"numbers-{version[0]}.parquet", compression="snappy",
                   data_page_version=version, data_page_size=4096, row_group_size=1700)
pq.write_table(pa.table({"x": pa.array([1.5])}), here / "floats.parquet", compression="zstd")
