"""The file, read back with the csv module and compared with Keras's."""

import csv

import keras as oracle
import pytest
import torch

from kerastorch.callbacks import CSVLogger

WITH_VALIDATION = [{"loss": 0.5, "acc": 0.25, "val_loss": 1.0}, {"loss": 0.125, "acc": 1 / 3}]
WITHOUT = [{"loss": 0.5}, {"loss": 0.25, "val_loss": 1.0}]


def run(logger, epochs):
    logger.on_train_begin()
    for epoch, logs in enumerate(epochs):
        logger.on_epoch_end(epoch, dict(logs))
    logger.on_train_end()


def rows(file, separator=","):
    with open(file, newline="") as lines:
        return list(csv.reader(lines, delimiter=separator))


@pytest.mark.parametrize("separator", [",", "\t", ";"])
@pytest.mark.parametrize("epochs", [WITH_VALIDATION, WITHOUT])
def test_like_keras(epochs, separator, tmp_path):
    ours, theirs = tmp_path / "ours.csv", tmp_path / "theirs.csv"
    run(CSVLogger(ours, separator), epochs)
    run(oracle.callbacks.CSVLogger(theirs, separator), epochs)
    assert rows(ours, separator) == rows(theirs, separator)


def test_lines(tmp_path):
    run(CSVLogger(str(tmp_path / "log.csv")), WITH_VALIDATION)
    expected = "epoch,acc,loss,val_loss\n0,0.25,0.5,1.0\n1,0.3333333333333333,0.125,NA\n"
    assert (tmp_path / "log.csv").read_text() == expected


def test_plain_values(tmp_path):
    logs = {"a": torch.tensor(0.5), "b": float("nan"), "c": torch.tensor([1.0, 2.0])}
    run(CSVLogger(tmp_path / "log.csv"), [logs])
    assert rows(tmp_path / "log.csv")[1] == ["0", "0.5", "nan", "[1.0, 2.0]", "NA", "NA", "NA"]


def test_append(tmp_path):
    file = tmp_path / "log.csv"
    run(CSVLogger(file, append=True), WITH_VALIDATION)
    logger = CSVLogger(file, append=True)
    run(logger, WITH_VALIDATION)
    run(logger, [{"loss": 2.0, "new": 3.0}])
    lines = rows(file)
    assert [line[0] for line in lines] == ["epoch", "0", "1", "0", "1", "0"]
    assert lines[-1] == ["0", "NA", "2.0", "NA"]


def test_without_append_a_run_replaces_the_file(tmp_path):
    logger = CSVLogger(tmp_path / "log.csv")
    run(logger, WITH_VALIDATION)
    run(logger, WITHOUT)
    assert rows(tmp_path / "log.csv")[0] == ["epoch", "loss", "val_loss"]


def test_append_to_an_empty_file(tmp_path):
    (tmp_path / "log.csv").touch()
    run(CSVLogger(tmp_path / "log.csv", append=True), WITHOUT)
    assert len(rows(tmp_path / "log.csv")) == 3


def test_lines_are_on_disk_before_the_end(tmp_path):
    logger = CSVLogger(tmp_path / "log.csv")
    logger.on_train_begin()
    logger.on_epoch_end(0, {"loss": 1.0})
    assert len(rows(tmp_path / "log.csv")) == 2
