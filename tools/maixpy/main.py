"""Names what the camera sees; runs on a K210 board under MaixPy-v1 (MicroPython).

Copy main.py, model.kmodel and labels.txt to the SD card. `python -m tlx.classify.maixpy` writes the
three, with SIDE as the model was trained. The picture, its class, probability and rate are on the
display and on the serial line.
"""

SIDE = 224  # pixels; the camera's picture is cropped to its middle
MODEL = "/sd/model.kmodel"
LABELS = "/sd/labels.txt"
LOADABLE = (3, 4)  # versions of kmodels that the firmware reads
SHOWN = "{} {:.2f} {:.1f} fps"
REFUSED = "{} is kmodel version {}; MaixPy-v1 loads 3 and 4"


def read_labels(path):
    """One name a line; empty lines do not count."""
    with open(path) as file:
        return [line.strip() for line in file if line.strip()]


def kmodel_version(path):
    """3 has the number first; 4 and 5 have four letters before it."""
    with open(path, "rb") as file:
        head = file.read(8)
    return head[4] if head[:4] == b"LDMK" else head[0]


def best(scores):
    """(position, value) of the largest score."""
    value = max(scores)
    return scores.index(value), value


def load(kpu, labels):
    """The task of the KPU; ValueError in words where the file cannot be used."""
    version = kmodel_version(MODEL)
    if version not in LOADABLE:
        raise ValueError(REFUSED.format(MODEL, version))
    task = kpu.load(MODEL)
    kpu.set_outputs(task, 0, 1, 1, len(labels))  # version 4 does not state its shape
    return task


def main(frames=None):
    """Runs until reset, or for so many frames."""
    import gc
    import time

    import KPU as kpu
    import lcd
    import sensor

    lcd.init()
    sensor.reset()
    sensor.set_pixformat(sensor.RGB565)
    sensor.set_framesize(sensor.QVGA)
    sensor.set_windowing((SIDE, SIDE))
    sensor.run(1)
    gc.collect()
    labels = read_labels(LABELS)
    task = load(kpu, labels)
    clock = time.clock()
    try:
        while frames is None or frames > 0:
            clock.tick()
            image = sensor.snapshot()
            place, value = best(list(kpu.forward(task, image)[:]))
            text = SHOWN.format(labels[place], value, clock.fps())
            image.draw_string(2, 2, text, color=(255, 255, 0), scale=2)
            lcd.display(image)
            print(text)
            if frames is not None:
                frames -= 1
    finally:
        kpu.deinit(task)


if __name__ == "__main__":
    main()
