"""A second opinion on segmentation measures that shares nothing with the package: Python sets of positions."""


def positions(labels, label):
    """Return the set of positions in a flat list that bear a label."""
    return {i for i, value in enumerate(labels) if value == label}


def measures(prediction, target, classes, ignore):
    """Return (counts, accuracy, IoU of each class, mean IoU) of two flat lists; None stands for 0 / 0."""
    counted = [(p, t) for p, t in zip(prediction, target, strict=True) if t != ignore]
    guessed, truth = [p for p, _ in counted], [t for _, t in counted]
    counts = [[len(positions(truth, t) & positions(guessed, p)) for p in range(classes)] for t in range(classes)]
    right = set().union(*(positions(truth, c) & positions(guessed, c) for c in range(classes)))
    accuracy = len(right) / len(counted) if counted else None
    iou = []
    for c in range(classes):
        union = positions(truth, c) | positions(guessed, c)
        iou.append(len(positions(truth, c) & positions(guessed, c)) / len(union) if union else None)
    present = [value for value in iou if value is not None]
    return counts, accuracy, iou, sum(present) / len(present) if present else None


def by_class(prediction, target, classes, ignore):
    """Return (accuracy of each class, frequency-weighted IoU) of two flat lists; None stands for 0 / 0."""
    _, _, iou, _ = measures(prediction, target, classes, ignore)
    truth = [positions(target, c) - positions(target, ignore) for c in range(classes)]
    accuracy = [len(truth[c] & positions(prediction, c)) / len(truth[c]) if truth[c] else None for c in range(classes)]
    pixels = sum(map(len, truth))
    weighted = sum(value * len(t) for value, t in zip(iou, truth, strict=True) if t)
    return accuracy, weighted / pixels if pixels else None
