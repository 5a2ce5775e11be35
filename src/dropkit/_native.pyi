from numpy.typing import NDArray
from numpy import uint32

def philox4x32(counters: NDArray[uint32], key: int, rounds: int) -> None: ...
