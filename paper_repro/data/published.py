"""The official archives, and the sums by which they are known."""

from __future__ import annotations

from dataclasses import dataclass


ORIGIN = "https://www.cs.toronto.edu/~kriz/"


@dataclass(frozen=True)
class Archive:
    """An archive: size in bytes, the MD5 sum on its authors' page, the SHA-256 sum that data-set libraries pin."""

    file: str
    size: int
    md5: str
    sha256: str


ARCHIVES = {
    ("cifar10", "binary"): Archive(
        "cifar-10-binary.tar.gz",
        170_052_171,
        "c32a1d4ab5d03f1284b67883e8d87530",
        "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    ),
    ("cifar10", "python"): Archive(
        "cifar-10-python.tar.gz",
        170_498_071,
        "c58f30108f718f92721af3b95e74349a",
        "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    ),
    ("cifar100", "binary"): Archive(
        "cifar-100-binary.tar.gz",
        168_513_733,
        "03b5dce01913d631647c71ecec9e9cb8",
        "58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec",
    ),
    ("cifar100", "python"): Archive(
        "cifar-100-python.tar.gz",
        169_001_437,
        "eb9058c3a382ffc7106e4002c42a8d85",
        "85cd44d02ba6437773c5bbd22e183051d648de2e7d6b014e1ef29b855ba677a7",
    ),
}
