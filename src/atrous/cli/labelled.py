"""Options that name labelled images, for `atrous train` and `atrous evaluate`."""

from pathlib import Path

from atrous.cli.common import UsageError


def add_data_options(parser):
    """Add the options; at most one kind may be given."""
    data = parser.add_argument_group("labelled images")
    data.add_argument("--voc", metavar="ROOT", help="PASCAL VOC's layout: the folder that holds JPEGImages")
    data.add_argument("--cityscapes", metavar="ROOT", help="the folder that holds leftImg8bit and gtFine")
    data.add_argument("--images", metavar="DIR", help="a folder of photographs; with --masks")
    data.add_argument("--masks", metavar="DIR", help="a folder of label images of the same names")
    data.add_argument(
        "--table", metavar="V=L,...", help="labels of stored values, such as 0=0,255=1; all others are void"
    )
    data.add_argument("--scenes", type=int, metavar="N", help="drawn scenes of size 129")
    data.add_argument("--scene-seed", type=int, default=0, metavar="S", help="which world of scenes (default: 0)")
    data.add_argument("--split", metavar="NAME", help="of VOC or Cityscapes, such as train, val, trainaug")


def data_table(arguments, split="train"):
    """Return the [data] table that the options describe, or None if they name no data."""
    kinds = {
        "--voc": arguments.voc, "--cityscapes": arguments.cityscapes, "--images": arguments.images or arguments.masks,
        "--scenes": arguments.scenes,
    }  # fmt: skip
    given = [option for option, value in kinds.items() if value is not None]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} name different data. Pass one.")
    if not given:
        return None
    if given == ["--scenes"]:
        return {"kind": "scenes", "count": arguments.scenes, "seed": arguments.scene_seed}
    if given == ["--images"]:
        if not (arguments.images and arguments.masks):
            raise UsageError("--images and --masks go together.")
        table = {"kind": "folders", "images": arguments.images, "masks": arguments.masks}
        return table | ({"table": _values(arguments.table)} if arguments.table else {})
    kind = given[0].removeprefix("--")
    return {"kind": kind, "root": kinds[given[0]], "split": arguments.split or split}


def held_out(data):
    """Return the table of images to measure on that goes with the data of a training, or None."""
    if data["kind"] == "scenes":
        return {**data, "count": 50, "seed": data["seed"] + 1}
    places = {"voc": ["ImageSets/Segmentation/val.txt"], "cityscapes": ["leftImg8bit/val", "gtFine/val"]}
    if data["kind"] not in places or data["split"] not in ("train", "trainaug"):
        return None
    there = all(Path(data["root"], place).exists() for place in places[data["kind"]])
    return {**data, "split": "val"} if there else None


def _values(text):
    try:
        pairs = [part.split("=") for part in text.split(",")]
        return {str(int(stored)): int(label) for stored, label in pairs}
    except ValueError:
        raise UsageError(f"--table needs pairs such as 0=0,255=1, got {text!r}.") from None
